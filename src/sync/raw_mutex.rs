//! The mutex's own protocol: who holds it, who waits, who is next.
//!
//! Pure: knows the records of those who wait, not how they sleep; that is `mutex.rs`.
//!
//! Whoever finds it free takes it, waiters or not: a lock that is handed to a sleeper is held by nobody until that
//! one runs. But a waiter that has waited for a millisecond is *starved*, and from then on the lock is handed over, in
//! the order of the line, until none of them is left.
//!
//! | bit | means | set by | cleared by |
//! |---|---|---|---|
//! | `LOCKED` | somebody holds it, or it was handed over | the one who takes it; who hands it over | the holder |
//! | `QUEUED` | the line is not empty | under the latch | under the latch |
//! | `WOKEN` | a waiter was taken out to try again, and has not yet | under the latch, by the waker | that waiter |
//! | `STARVED` | nobody but the first in the line gets it | under the latch, while `LOCKED` | under the latch |
//! | `POISONED` | a holder panicked | the holder | `clear_poison` |
//!
//! MUTEX-1: if the line is not empty, and nobody holds the lock, then `WOKEN` is set, or somebody who unlocked is on
//! its way to the latch. The line grows only while the lock is held (or reserved by `STARVED`), seen in the same
//! exchange that sets `QUEUED`; and whoever unlocks sees `QUEUED` in the exchange that unlocks.
//! MUTEX-2: `STARVED` without `LOCKED` means that one who unlocked is about to hand over: nobody else takes the lock.
//! MUTEX-3: who was woken and does not get the lock clears `WOKEN`, seeing in the same exchange that somebody holds
//! it: that one's unlock wakes the next. (source of the scheme: Go's sync.Mutex, with the clock on the waiter's side)

use std::cell::Cell;

use crate::fiber::waiters::{Waiter, Waiters};
use crate::latch::Latch;
use crate::primitive::{AtomicU32, Ordering};
use crate::sync::contend::Claim;

const LOCKED: u32 = 1;
const QUEUED: u32 = 1 << 1;
const WOKEN: u32 = 1 << 2;
const STARVED: u32 = 1 << 3;
const POISONED: u32 = 1 << 4;
/// It cannot be taken by whoever comes along.
const SHUT: u32 = LOCKED | STARVED;

/// What a waiter's record says. Used under the latch; by the waiter again once it has been let go.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    granted: Cell<bool>,
    starved: Cell<bool>,
}

// SAFETY: see above.
unsafe impl Sync for Wish {}

impl Wish {
    /// True if the lock was handed over. By the waiter, once it has been let go.
    pub(crate) fn is_granted(&self) -> bool {
        self.granted.get()
    }
}

pub(crate) type Record = Waiter<Wish>;

#[derive(Debug)]
struct Line {
    waiters: Waiters<Wish>,
    /// So many of them are starved.
    starved: usize,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct RawMutex {
    word: AtomicU32,
    line: Latch<Line>,
}

impl RawMutex {
    pub(crate) const fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            line: Latch::new(Line {
                waiters: Waiters::new(),
                starved: 0,
            }),
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        // Relaxed: as std, a hint unless the lock is held.
        self.word.load(Ordering::Relaxed) & POISONED != 0
    }

    /// By the holder.
    pub(crate) fn poison(&self) {
        self.word.fetch_or(POISONED, Ordering::Relaxed);
    }

    pub(crate) fn clear_poison(&self) {
        self.word.fetch_and(!POISONED, Ordering::Relaxed);
    }

    /// Takes the lock if it is free and not poisoned. Looks first: with waiters in the line the word is not zero, and an
    /// exchange that fails costs as much as one that does not.
    #[inline(always)]
    pub(crate) fn try_fast(&self) -> bool {
        let old = self.word.load(Ordering::Relaxed);
        // Acquire: pairs with unlock.
        old & (SHUT | POISONED) == 0
            && self
                .word
                .compare_exchange(old, old | LOCKED, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        self.try_as(false)
    }

    /// Takes the lock if it is free; `woken`: as one who was woken to do so.
    pub(crate) fn try_as(&self, woken: bool) -> bool {
        let mut old = self.word.load(Ordering::Relaxed);
        while old & SHUT == 0 {
            match self.change(old, LOCKED, if woken { WOKEN } else { 0 }) {
                Ok(()) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// One exchange: sets and clears those bits.
    #[inline(always)]
    fn change(&self, old: u32, set: u32, clear: u32) -> Result<(), u32> {
        // AcqRel: whoever hands over passes on what the last holder did.
        self.word
            .compare_exchange_weak(
                old,
                (old | set) & !clear,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .map(drop)
    }

    /// Takes the lock, or goes into the line: to its end, or to its head if it was `woken` and has to go back.
    ///
    /// # Safety
    /// The record is in no line, and stays where it is until it has left this one (WAITERS-1).
    pub(crate) unsafe fn enter(&self, record: *const Record, woken: bool) -> Claim {
        let mut line = self.line.lock();
        let woken_bit = if woken { WOKEN } else { 0 };
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let free = old & SHUT == 0;
            match self.change(old, if free { LOCKED } else { QUEUED }, woken_bit) {
                Ok(()) if free => return Claim::Locked,
                Ok(()) => break,
                Err(now) => old = now,
            }
        }
        // SAFETY: by contract.
        unsafe {
            if woken {
                line.waiters.push_front(record);
            } else {
                line.waiters.push_back(record);
            }
        }
        Claim::Waits
    }

    /// By a waiter that has waited long enough.
    pub(crate) fn starve(&self, record: &Record) -> Claim {
        let mut line = self.line.lock();
        if !record.is_queued() {
            return Claim::Taken;
        }
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            // Free although somebody waits: one who was woken, or who unlocked, is on its way (MUTEX-1), and will
            // find it taken.
            let free = old & SHUT == 0;
            match self.change(old, if free { LOCKED } else { STARVED }, 0) {
                Ok(()) if free => break,
                Ok(()) => {
                    line.starved += 1;
                    record.what.starved.set(true);
                    return Claim::Waits;
                }
                Err(now) => old = now,
            }
        }
        self.take_out(&mut line, record);
        Claim::Locked
    }

    /// True if the record is in the line. With `leave` it is taken out.
    pub(crate) fn in_line(&self, record: &Record, leave: bool) -> bool {
        let mut line = self.line.lock();
        let queued = record.is_queued();
        if queued && leave {
            self.take_out(&mut line, record);
        }
        queued
    }

    /// A record leaves the line; what the word says of the line is put right.
    fn take_out(&self, line: &mut Line, record: &Record) {
        // SAFETY: it is queued, as the callers have seen.
        unsafe { line.waiters.remove(record) };
        if record.what.starved.replace(false) {
            line.starved -= 1;
        }
        let mut clear = 0;
        if line.waiters.len() == 0 {
            clear |= QUEUED;
        }
        if line.starved == 0 {
            clear |= STARVED;
        }
        self.word.fetch_and(!clear, Ordering::Relaxed);
    }

    /// By one who was woken, found the lock held, and will not go on: true if it got the lock all the same, false if
    /// the holder's unlock sees to the next (MUTEX-3).
    pub(crate) fn give_up(&self) -> bool {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let free = old & SHUT == 0;
            match self.change(old, if free { LOCKED } else { 0 }, WOKEN) {
                Ok(()) => return free,
                Err(now) => old = now,
            }
        }
    }

    /// By the holder. Whoever is returned is owed its wake.
    #[inline(always)]
    pub(crate) fn unlock(&self) -> Option<*const Record> {
        // Release: pairs with whoever takes it.
        let old = self.word.fetch_sub(LOCKED, Ordering::Release);
        if old & (QUEUED | STARVED) == 0 {
            None
        } else {
            self.next_after(old)
        }
    }

    #[cold]
    #[inline(never)]
    fn next_after(&self, old: u32) -> Option<*const Record> {
        if old & (WOKEN | STARVED) == WOKEN {
            None
        } else {
            self.next()
        }
    }

    /// Takes out who is next, if nobody has the lock by now.
    #[cold]
    #[inline(never)]
    fn next(&self) -> Option<*const Record> {
        let mut line = self.line.lock();
        let record = line.waiters.first()?;
        let mut old = self.word.load(Ordering::Relaxed);
        let granted = loop {
            if old & LOCKED != 0 || old & (WOKEN | STARVED) == WOKEN {
                // The holder's, or the woken one's business now.
                return None;
            }
            let starved = old & STARVED != 0;
            match self.change(old, if starved { LOCKED } else { WOKEN }, 0) {
                Ok(()) => break starved,
                Err(now) => old = now,
            }
        };
        // SAFETY: in the line, under the latch.
        let first = unsafe { &*record };
        first.what.granted.set(granted);
        self.take_out(&mut line, first);
        Some(record)
    }
}
