//! Batch: waiters that were taken out of their list under a latch, until the latch is released and they can be woken.
//!
//! Pure. Of a fixed size, so that nothing is allocated under a latch, and nobody holds it for long.
//!
//! BATCH-1: each record in it is owed its wake by whoever holds the batch (WAITERS-1), and lives until it got it.

use std::ptr;

use crate::fiber::waiters::Waiter;

/// So many are taken out at a time.
const SIZE: usize = 16;

/// See the head of the file.
#[derive(Debug)]
#[must_use = "its waiters wait until they are paid"]
pub(crate) struct Batch<W> {
    records: [*const Waiter<W>; SIZE],
    len: usize,
}

impl<W> Batch<W> {
    pub(crate) const fn new() -> Self {
        Self {
            records: [ptr::null(); SIZE],
            len: 0,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == SIZE
    }

    /// # Safety
    /// The caller has just taken the record out of its list, and leaves it to the batch to wake it (BATCH-1). The
    /// batch is not full.
    pub(crate) unsafe fn push(&mut self, record: *const Waiter<W>) {
        debug_assert!(!self.is_full());
        self.records[self.len] = record;
        self.len += 1;
    }

    /// Who has waited longest first.
    pub(crate) fn into_records(self) -> impl Iterator<Item = *const Waiter<W>> {
        self.records.into_iter().take(self.len)
    }
}
