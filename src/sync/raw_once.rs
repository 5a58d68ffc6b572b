//! The once's own protocol: whether something has been done, is being done, and who waits for it.
//!
//! Pure: knows the records of those who wait, not how they sleep, nor what is done; that is `once.rs`.
//!
//! | state | means | left by |
//! |---|---|---|
//! | `INCOMPLETE` | nobody has begun, or who had was cancelled or out of time | who begins |
//! | `POISONED` | who had begun has panicked | who begins all the same |
//! | `RUNNING` | somebody does it | that one, by `end` |
//! | `COMPLETE` | it is done | nobody |
//!
//! `QUEUED`, beside the state, means that somebody may be in the crowd.
//!
//! ONCE-1: who goes into the crowd sets `QUEUED` in an exchange that sees the state it waits in, under the latch; who
//! ends takes `QUEUED` away in the exchange that changes the state, and if it was set takes out all that are there.
//! They look again.

use crate::latch::Latch;
use crate::primitive::{AtomicU32, Ordering};
use crate::sync::batch::Batch;
use crate::sync::crowd::{Crowd, Place, Record};

const INCOMPLETE: u32 = 0;
const POISONED: u32 = 1;
const RUNNING: u32 = 2;
const COMPLETE: u32 = 3;
const STATE: u32 = 3;
const QUEUED: u32 = 4;

/// See the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Incomplete,
    Poisoned,
    Running,
    Complete,
}

impl State {
    fn of(word: u32) -> Self {
        match word & STATE {
            INCOMPLETE => Self::Incomplete,
            POISONED => Self::Poisoned,
            RUNNING => Self::Running,
            _ => Self::Complete,
        }
    }

    fn bits(self) -> u32 {
        match self {
            Self::Incomplete => INCOMPLETE,
            Self::Poisoned => POISONED,
            Self::Running => RUNNING,
            Self::Complete => COMPLETE,
        }
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct RawOnce {
    word: AtomicU32,
    crowd: Latch<Crowd>,
}

impl RawOnce {
    pub(crate) const fn new() -> Self {
        Self {
            word: AtomicU32::new(INCOMPLETE),
            crowd: Latch::new(Crowd::new()),
        }
    }

    #[inline(always)]
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: pairs with end. Nobody is in the crowd any more, so no other bit is set.
        self.word.load(Ordering::Acquire) == COMPLETE
    }

    pub(crate) fn state(&self) -> State {
        // Acquire: as above.
        State::of(self.word.load(Ordering::Acquire))
    }

    /// By one who saw `seen`: true if it is the one to do it.
    pub(crate) fn begin(&self, seen: State) -> bool {
        let mut old = self.word.load(Ordering::Relaxed);
        while old & STATE == seen.bits() {
            // Acquire: what an earlier one did, before it was cut short, has happened before.
            match self.word.compare_exchange_weak(
                old,
                RUNNING | old & QUEUED,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// By the one who has begun, or who has it for itself. True: it takes out those who wait.
    pub(crate) fn end(&self, state: State) -> bool {
        // Release: pairs with is_complete, state and begin.
        self.word.swap(state.bits(), Ordering::Release) & QUEUED != 0
    }

    /// Goes into the crowd if the state is still that one.
    ///
    /// # Safety
    /// The record is in no list, and stays where it is until it has left this one (WAITERS-1).
    pub(crate) unsafe fn enter(&self, record: &Record, seen: State) -> bool {
        let mut crowd = self.crowd.lock();
        let mut old = self.word.load(Ordering::Relaxed);
        while old & STATE == seen.bits() {
            // Relaxed: the latch orders the crowd.
            match self.word.compare_exchange_weak(
                old,
                old | QUEUED,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    // SAFETY: by contract.
                    unsafe { crowd.push(record) };
                    return true;
                }
                Err(now) => old = now,
            }
        }
        false
    }

    /// True if the record is in the crowd. With `leave`, it is taken out.
    pub(crate) fn in_line(&self, record: &Record, leave: bool) -> bool {
        self.crowd.lock().holds(record, leave)
    }

    /// The highest ticket so far, for [`take`](Self::take).
    pub(crate) fn last(&self) -> u64 {
        self.crowd.lock().last()
    }

    /// Takes out those with tickets up to that one. True if there may be more.
    pub(crate) fn take(&self, up_to: u64, batch: &mut Batch<Place>) -> bool {
        self.crowd.lock().take(up_to, batch)
    }
}
