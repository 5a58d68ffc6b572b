//! The condition variable's own protocol: who waits, and who is let go by a notification.
//!
//! Pure: knows the records of those who wait, not how they sleep, nor the mutex; that is `condvar.rs`.
//!
//! CONDVAR-1: a waiter goes into the crowd while it holds the mutex. So a notification that comes after that mutex
//! was unlocked finds it there, whether or not it sleeps by then, and sees it in `waiting` without the latch.
//! CONDVAR-2: a notification that took a waiter out belongs to that waiter, which then returns, also if it is
//! cancelled or out of time at the same moment. One that leaves by itself was given none.

use crate::latch::Latch;
use crate::primitive::{AtomicU32, Ordering};
use crate::sync::batch::Batch;
use crate::sync::crowd::{Crowd, Place, Record};

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct RawCondvar {
    /// How many wait. Written under the latch.
    waiting: AtomicU32,
    crowd: Latch<Crowd>,
}

impl RawCondvar {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: AtomicU32::new(0),
            crowd: Latch::new(Crowd::new()),
        }
    }

    /// Relaxed: what must be seen comes with the mutex (CONDVAR-1).
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// By one who holds the mutex.
    ///
    /// # Safety
    /// The record is in no list, and stays where it is until it has left this one (WAITERS-1).
    #[inline]
    pub(crate) unsafe fn enter(&self, record: &Record) {
        let mut crowd = self.crowd.lock();
        // SAFETY: by contract.
        unsafe { crowd.push(record) };
        self.count(&crowd);
    }

    /// True if the record is in the crowd. With `leave`, it is taken out.
    pub(crate) fn in_line(&self, record: &Record, leave: bool) -> bool {
        let mut crowd = self.crowd.lock();
        let waits = crowd.holds(record, leave);
        self.count(&crowd);
        waits
    }

    /// Takes out who has waited longest; the caller owes it a wake.
    #[inline]
    pub(crate) fn take_first(&self) -> Option<*const Record> {
        let mut crowd = self.crowd.lock();
        let first = crowd.take_first();
        self.count(&crowd);
        first
    }

    /// The highest ticket so far, for [`take`](Self::take).
    pub(crate) fn last(&self) -> u64 {
        self.crowd.lock().last()
    }

    /// Takes out those with tickets up to that one. True if there may be more.
    pub(crate) fn take(&self, up_to: u64, batch: &mut Batch<Place>) -> bool {
        let mut crowd = self.crowd.lock();
        let more = crowd.take(up_to, batch);
        self.count(&crowd);
        more
    }

    fn count(&self, crowd: &Crowd) {
        // So many records do not fit into memory.
        self.waiting.store(crowd.len() as u32, Ordering::Relaxed);
    }
}
