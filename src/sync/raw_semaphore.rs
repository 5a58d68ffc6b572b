//! The semaphore's own protocol: how many permits there are, who waits for how many.
//!
//! Pure: knows the records of those who wait, not how they sleep; that is `semaphore.rs`.
//!
//! | bits | mean | set by | cleared by |
//! |---|---|---|---|
//! | the number above | so many permits are there | who gives back or adds | who takes |
//! | `QUEUED` | somebody is in line | under the latch | under the latch |
//! | `CLOSED` | nobody gets any more | `close`, under the latch | nobody |
//!
//! SEM-1: while `QUEUED` is set, permits are taken under the latch only, for the first in line. So nobody overtakes.
//! SEM-2: if somebody is in line, then the first of them wants more than there is, or who gave back, or left the line,
//! is on its way to the latch. Who goes into the line sees in the exchange that sets `QUEUED` that there is not enough;
//! who gives back sees `QUEUED` in the exchange that adds.
//! SEM-3: who was taken out with its permits has them, also if it is cancelled or out of time at the same moment; who
//! leaves by itself has none.

use std::cell::Cell;

use crate::fiber::waiters::{Waiter, Waiters};
use crate::latch::Latch;
use crate::primitive::{AtomicU64, Ordering};
use crate::sync::batch::Batch;

const QUEUED: u64 = 1;
const CLOSED: u64 = 1 << 1;
/// One permit.
const PERMIT: u64 = 1 << 2;
/// The most that there may be. With this, giving back what was taken out before does not overflow.
pub(crate) const PERMITS_MAX: u64 = (u64::MAX >> 3) / PERMIT;

/// What a waiter's record says. Used under the latch; by the waiter again once it has been let go.
#[derive(Debug)]
pub(crate) struct Wish {
    permits: u64,
    granted: Cell<bool>,
}

// SAFETY: see above.
unsafe impl Sync for Wish {}

impl Wish {
    pub(crate) fn new(permits: u32) -> Self {
        Self {
            permits: permits.into(),
            granted: Cell::new(false),
        }
    }

    /// True if it has its permits, false if the semaphore was closed. By the waiter, once it has been let go.
    pub(crate) fn is_granted(&self) -> bool {
        self.granted.get()
    }
}

pub(crate) type Record = Waiter<Wish>;

/// What became of one who wants permits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Request {
    /// It has them.
    Granted,
    /// It is in the line; or would have to be, where it was only asked for.
    Waits,
    /// The semaphore is closed.
    Closed,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct RawSemaphore {
    word: AtomicU64,
    line: Latch<Waiters<Wish>>,
}

impl RawSemaphore {
    /// At most `PERMITS_MAX`.
    pub(crate) const fn new(permits: u64) -> Self {
        Self {
            word: AtomicU64::new(permits * PERMIT),
            line: Latch::new(Waiters::new()),
        }
    }

    pub(crate) fn permits(&self) -> u64 {
        // Relaxed: old as soon as it is known.
        self.word.load(Ordering::Relaxed) / PERMIT
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: what was done before the close is seen.
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes them if they are there, and nobody waits.
    #[inline(always)]
    pub(crate) fn try_take(&self, permits: u32) -> Request {
        let wanted = u64::from(permits) * PERMIT;
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            if old & CLOSED != 0 {
                return Request::Closed;
            }
            if old & QUEUED != 0 || old < wanted {
                return Request::Waits;
            }
            // Acquire: pairs with give.
            match self.word.compare_exchange_weak(
                old,
                old - wanted,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Request::Granted,
                Err(now) => old = now,
            }
        }
    }

    /// As [`try_take`](Self::try_take), or goes into the line.
    ///
    /// # Safety
    /// The record is in no line, and stays where it is until it has left this one (WAITERS-1).
    pub(crate) unsafe fn enter(&self, record: &Record) -> Request {
        let wanted = record.what.permits * PERMIT;
        let mut line = self.line.lock();
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            if old & CLOSED != 0 {
                return Request::Closed;
            }
            let enough = old & QUEUED == 0 && old >= wanted;
            let new = if enough { old - wanted } else { old | QUEUED };
            // Acquire: pairs with give.
            match self
                .word
                .compare_exchange_weak(old, new, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) if enough => return Request::Granted,
                Ok(_) => break,
                Err(now) => old = now,
            }
        }
        // SAFETY: by contract.
        unsafe { line.push_back(record) };
        Request::Waits
    }

    /// True if the record is in the line. With `leave` it is taken out, and the caller calls `next` then: those behind it
    /// may have waited for it only.
    pub(crate) fn in_line(&self, record: &Record, leave: bool) -> bool {
        let mut line = self.line.lock();
        let queued = record.is_queued();
        if queued && leave {
            self.take_out(&mut line, record);
        }
        queued
    }

    /// Gives back what was taken. True: the caller calls `next`.
    #[inline(always)]
    pub(crate) fn give(&self, permits: u32) -> bool {
        // Release: pairs with whoever takes them.
        self.word
            .fetch_add(u64::from(permits) * PERMIT, Ordering::Release)
            & QUEUED
            != 0
    }

    /// Adds new ones, if there would not be too many. `Some(true)`: the caller calls `next`.
    pub(crate) fn add(&self, permits: u64) -> Option<bool> {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let sum = permits
                .checked_add(old / PERMIT)
                .filter(|sum| *sum <= PERMITS_MAX)?;
            // Release: as give.
            match self.word.compare_exchange_weak(
                old,
                (sum * PERMIT) | (old & (PERMIT - 1)),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(old & QUEUED != 0),
                Err(now) => old = now,
            }
        }
    }

    /// From now on nobody gets any. The caller calls `next`.
    pub(crate) fn close(&self) {
        let _line = self.line.lock();
        // Release: pairs with is_closed.
        self.word.fetch_or(CLOSED, Ordering::Release);
    }

    /// Takes out those who have what they want now, or who wait in vain. True: there may be more, to be asked for after
    /// these are woken.
    pub(crate) fn next(&self, batch: &mut Batch<Wish>) -> bool {
        let mut line = self.line.lock();
        while !batch.is_full() {
            let Some(first) = line.first() else {
                return false;
            };
            // SAFETY: in the line, under the latch.
            let record = unsafe { &*first };
            let Some(granted) = self.serve(record.what.permits * PERMIT) else {
                return false;
            };
            record.what.granted.set(granted);
            self.take_out(&mut line, record);
            // SAFETY: just taken out.
            unsafe { batch.push(first) };
        }
        true
    }

    /// For the first in line: takes that much for it. `Some(false)`: it is closed; `None`: there is not enough.
    fn serve(&self, wanted: u64) -> Option<bool> {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            if old & CLOSED != 0 {
                return Some(false);
            }
            if old < wanted + (old & (PERMIT - 1)) {
                return None;
            }
            // Acquire: what those who gave back did is passed on.
            match self.word.compare_exchange_weak(
                old,
                old - wanted,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(true),
                Err(now) => old = now,
            }
        }
    }

    fn take_out(&self, line: &mut Waiters<Wish>, record: &Record) {
        // SAFETY: it is queued, as the callers have seen.
        unsafe { line.remove(record) };
        if line.len() == 0 {
            // Relaxed: the latch orders the line.
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
    }
}
