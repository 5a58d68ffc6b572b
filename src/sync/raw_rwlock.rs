//! The reader-writer lock's own protocol: who holds it, who waits, who is next.
//!
//! Pure: knows the records of those who wait, not how they sleep; that is `rwlock.rs`.
//!
//! The scheme is that of `raw_mutex.rs`. Whoever can get in does, waiters or not: a reader while no writer holds it, a
//! writer while nobody does. A waiter that has waited for a millisecond is *starved*, and from then on the lock is
//! handed over, in the order of the line, until none of them is left. Readers that follow one another in the line are
//! let in together.
//!
//! | bits | mean | set by | cleared by |
//! |---|---|---|---|
//! | `WRITER` | a writer holds it, or it was handed over to one | who takes it; who hands it over | the holder |
//! | the number above | so many readers hold it, or it was handed to them, or are about to be refused | " | " |
//! | `QUEUED` | the line is not empty | under the latch | under the latch |
//! | `WOKEN` | a waiter was taken out to try again, and has not yet | under the latch, by the waker | that waiter |
//! | `STARVED` | nobody but the first in the line gets in | under the latch, while it is held | under the latch |
//! | `POISONED` | a writer panicked | the writer | `clear_poison` |
//!
//! RWLOCK-1: if somebody is in line, then the lock is held, or `WOKEN` is set, or one who unlocked is on its way to the
//! latch. Who goes into the line has seen, in the exchange that sets `QUEUED`, that the lock is held (or reserved by
//! `STARVED`); and whoever lets go of it last sees `QUEUED` in the exchange by which it does.
//! RWLOCK-2: if readers hold it, then the first in line is a writer, or `WOKEN` is set, or somebody is on its way to
//! `next`: the reader that was woken and got in, who downgraded, who left the line or gave up.
//! RWLOCK-3: `STARVED` while nobody holds it means that one who unlocked is about to hand over: nobody else gets in.
//! RWLOCK-4: who was woken and does not get in clears `WOKEN`, seeing in the same exchange that somebody holds it:
//! that one's unlock wakes the next.
//! RWLOCK-5: a reader counts itself before it knows whether it may go in. If it may not, it leaves as one that unlocks:
//! if it was the last one counted, it sees to the next. So the number may be too high for a moment, never too low. That
//! keeps writers out, who wait as they do for any reader, and lets nobody in while there is a writer.

use std::cell::Cell;

use crate::fiber::waiters::{Waiter, Waiters};
use crate::latch::Latch;
use crate::primitive::{AtomicU64, Ordering};
use crate::sync::batch::Batch;
use crate::sync::contend::Claim;

const WRITER: u64 = 1;
const QUEUED: u64 = 1 << 1;
const WOKEN: u64 = 1 << 2;
const STARVED: u64 = 1 << 3;
const POISONED: u64 = 1 << 4;
/// One reader. So many are never reached: 2^59.
const READER: u64 = 1 << 5;
const READERS: u64 = !(READER - 1);

/// What somebody wants of the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    Read,
    Write,
}

impl Want {
    /// What it adds to the word.
    #[inline(always)]
    fn share(self) -> u64 {
        match self {
            Self::Read => READER,
            Self::Write => WRITER,
        }
    }

    /// True if it can get in. Who was `woken` was the first in line: where there are readers, one more keeps nobody out
    /// but who is behind it.
    #[inline(always)]
    fn is_open(self, word: u64, woken: bool) -> bool {
        match self {
            Self::Read => {
                word & (WRITER | STARVED) == 0
                    || (woken && word & WRITER == 0 && word & READERS != 0)
            }
            Self::Write => word & (WRITER | STARVED | READERS) == 0,
        }
    }
}

/// What became of a reader that counted itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Entry {
    /// It is in.
    Inside,
    /// It is in, and a writer panicked.
    Poisoned,
    /// It is not in, and counted all the same: it calls `unlock_read`.
    Refused,
}

/// What a waiter's record says. Used under the latch; by the waiter again once it has been let go.
#[derive(Debug)]
pub(crate) struct Wish {
    want: Want,
    granted: Cell<bool>,
    starved: Cell<bool>,
}

// SAFETY: see above.
unsafe impl Sync for Wish {}

impl Wish {
    pub(crate) fn new(want: Want) -> Self {
        Self {
            want,
            granted: Cell::new(false),
            starved: Cell::new(false),
        }
    }

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
pub(crate) struct RawRwLock {
    word: AtomicU64,
    line: Latch<Line>,
}

impl RawRwLock {
    pub(crate) const fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
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

    /// By the writer.
    pub(crate) fn poison(&self) {
        self.word.fetch_or(POISONED, Ordering::Relaxed);
    }

    pub(crate) fn clear_poison(&self) {
        self.word.fetch_and(!POISONED, Ordering::Relaxed);
    }

    /// A reader counts itself at once, and then looks (RWLOCK-5): under contention the line of memory comes over once, where
    /// a look and then an exchange take it twice.
    #[inline(always)]
    pub(crate) fn begin_read(&self) -> Entry {
        // Acquire: pairs with the unlock of writers.
        let old = self.word.fetch_add(READER, Ordering::Acquire);
        if old & (WRITER | STARVED | POISONED) == 0 {
            Entry::Inside
        } else if old & (WRITER | STARVED) == 0 {
            Entry::Poisoned
        } else {
            Entry::Refused
        }
    }

    /// Gets in as a writer if nobody is there or waits, and it is not poisoned.
    #[inline(always)]
    pub(crate) fn try_write_fast(&self) -> bool {
        // Acquire: pairs with both unlocks.
        self.word
            .compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Gets in if that is possible; `woken`: as one who was woken to try. A reader that was calls `next` then.
    pub(crate) fn try_as(&self, want: Want, woken: bool) -> bool {
        let mut old = self.word.load(Ordering::Relaxed);
        while want.is_open(old, woken) {
            match self.change(old, want.share(), if woken { WOKEN } else { 0 }) {
                Ok(()) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// One exchange: adds what is not there, or one reader more, and clears those bits.
    #[inline(always)]
    fn change(&self, old: u64, add: u64, clear: u64) -> Result<(), u64> {
        let new = if add == READER {
            old + READER
        } else {
            old | add
        };
        // AcqRel: whoever hands over passes on what the last holders did.
        self.word
            .compare_exchange_weak(old, new & !clear, Ordering::AcqRel, Ordering::Relaxed)
            .map(drop)
    }

    /// Gets in, or goes into the line: to its end, or to its head if it was `woken` and has to go back. A reader that
    /// was woken and got in calls `next` then.
    ///
    /// # Safety
    /// The record is in no line, and stays where it is until it has left this one (WAITERS-1).
    pub(crate) unsafe fn enter(&self, record: &Record, woken: bool) -> Claim {
        let want = record.what.want;
        let mut line = self.line.lock();
        let woken_bit = if woken { WOKEN } else { 0 };
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let free = want.is_open(old, woken);
            match self.change(old, if free { want.share() } else { QUEUED }, woken_bit) {
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
        let want = record.what.want;
        let mut line = self.line.lock();
        if !record.is_queued() {
            return Claim::Taken;
        }
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            // Free although it waits: somebody is on its way (RWLOCK-1, -2), and will find it gone.
            let free = want.is_open(old, false);
            match self.change(old, if free { want.share() } else { STARVED }, 0) {
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

    /// True if the record is in the line. With `leave` it is taken out, and the caller calls `next` then: those behind
    /// it may have waited for it only.
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

    /// By one who was woken, and will not go on: true if it got in all the same, false if it did not (RWLOCK-4).
    /// The caller calls `next` then, in both cases.
    pub(crate) fn give_up(&self, want: Want) -> bool {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let free = want.is_open(old, true);
            match self.change(old, if free { want.share() } else { 0 }, WOKEN) {
                Ok(()) => return free,
                Err(now) => old = now,
            }
        }
    }

    /// By a reader. True: it calls `next`.
    #[inline(always)]
    pub(crate) fn unlock_read(&self) -> bool {
        // Release: pairs with the writer that comes next.
        let old = self.word.fetch_sub(READER, Ordering::Release);
        old & (QUEUED | STARVED) != 0 && was_last(old)
    }

    /// By the writer. True: it calls `next`.
    #[inline(always)]
    pub(crate) fn unlock_write(&self) -> bool {
        // Release: pairs with whoever comes next.
        let old = self.word.fetch_sub(WRITER, Ordering::Release);
        has_next(old)
    }

    /// The writer becomes a reader. True: it calls `next`.
    pub(crate) fn downgrade(&self) -> bool {
        // Release: pairs with the readers that come next.
        let old = self.word.fetch_add(READER - WRITER, Ordering::Release);
        has_next(old)
    }

    /// Takes those out who may get in now, or try to. True: there may be more, to be asked for after these are woken.
    pub(crate) fn next(&self, batch: &mut Batch<Wish>) -> bool {
        let mut line = self.line.lock();
        while !batch.is_full() {
            let Some(first) = line.waiters.first() else {
                return false;
            };
            // SAFETY: in the line, under the latch.
            let record = unsafe { &*first };
            let Some(granted) = self.admit(record.what.want) else {
                return false;
            };
            record.what.granted.set(granted);
            self.take_out(&mut line, record);
            // SAFETY: just taken out.
            unsafe { batch.push(first) };
            if !granted {
                return false;
            }
        }
        true
    }

    /// For the first in line: true if it is in now, false if it is to be woken to try, `None` if somebody else's unlock,
    /// or the one that was woken, sees to it.
    fn admit(&self, want: Want) -> Option<bool> {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let read = old & READERS != 0;
            if old & WRITER != 0
                || (read && want == Want::Write)
                || old & (WOKEN | STARVED) == WOKEN
            {
                return None;
            }
            // With readers inside: as in is_open.
            let granted = read || old & STARVED != 0;
            match self.change(old, if granted { want.share() } else { WOKEN }, 0) {
                Ok(()) => return Some(granted),
                Err(now) => old = now,
            }
        }
    }
}

/// As [`has_next`], by a reader.
#[cold]
fn was_last(old: u64) -> bool {
    old & READERS == READER && has_next(old)
}

/// Whether one who has let go, and saw that word before, has to call `next`.
#[inline(always)]
fn has_next(old: u64) -> bool {
    old & (QUEUED | STARVED) != 0 && old & (WOKEN | STARVED) != WOKEN
}
