//! The event's own protocol: whether it is set, and who waits for it.
//!
//! Pure: knows the records of those who wait, not how they sleep; that is `event.rs`.
//!
//! EVENT-1: who goes into the crowd sets `QUEUED` in an exchange that sees the event not set, under the latch; who finds
//! `QUEUED` sets the event under the latch, and takes out all that are in the crowd at that moment. They go on, also if
//! it is reset meanwhile; who comes after the reset is not among them.

use crate::latch::Latch;
use crate::primitive::{AtomicU32, Ordering};
use crate::sync::batch::Batch;
use crate::sync::crowd::{Crowd, Place, Record};

const UNSET: u32 = 0;
const SET: u32 = 1;
/// Somebody may be in the crowd. Never beside `SET`.
const QUEUED: u32 = 2;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct RawEvent {
    word: AtomicU32,
    crowd: Latch<Crowd>,
}

impl RawEvent {
    pub(crate) const fn new() -> Self {
        Self {
            word: AtomicU32::new(UNSET),
            crowd: Latch::new(Crowd::new()),
        }
    }

    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        // Acquire: pairs with set.
        self.word.load(Ordering::Acquire) == SET
    }

    /// The tickets up to which those who wait are let go: the caller takes them out. `None`: nobody waits.
    #[inline]
    pub(crate) fn set(&self) -> Option<u64> {
        let mut old = self.word.load(Ordering::Relaxed);
        while old != QUEUED {
            // Release: pairs with is_set. Also where it is set already, for what was written since.
            match self
                .word
                .compare_exchange_weak(old, SET, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return None,
                Err(now) => old = now,
            }
        }
        let crowd = self.crowd.lock();
        // Release: as above.
        self.word.swap(SET, Ordering::Release);
        Some(crowd.last())
    }

    pub(crate) fn reset(&self) {
        // Relaxed: tells nobody anything. Those who wait are none of its business.
        let _ = self
            .word
            .compare_exchange(SET, UNSET, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Goes into the crowd, unless it is set.
    ///
    /// # Safety
    /// The record is in no list, and stays where it is until it has left this one (WAITERS-1).
    pub(crate) unsafe fn enter(&self, record: &Record) -> bool {
        let mut crowd = self.crowd.lock();
        // Acquire: pairs with set.
        let seen = self
            .word
            .compare_exchange(UNSET, QUEUED, Ordering::Relaxed, Ordering::Acquire);
        if seen == Err(SET) {
            return false;
        }
        // SAFETY: by contract.
        unsafe { crowd.push(record) };
        true
    }

    /// True if the record is in the crowd. With `leave`, it is taken out.
    pub(crate) fn in_line(&self, record: &Record, leave: bool) -> bool {
        self.crowd.lock().holds(record, leave)
    }

    /// Takes out those with tickets up to that one. True if there may be more.
    pub(crate) fn take(&self, up_to: u64, batch: &mut Batch<Place>) -> bool {
        self.crowd.lock().take(up_to, batch)
    }
}
