//! Pay: wakes those whom a section under a latch has taken out of their list. Called after the latch is released.

use crate::fiber::waiters::Waiter;
use crate::machine::wake::pay;
use crate::sync::batch::Batch;

/// Wakes one, if there is one.
///
/// # Safety
/// The caller has just taken it out of its list, and it has not been woken (WAITERS-1).
#[inline]
pub(super) unsafe fn pay_one<W>(taken: Option<*const Waiter<W>>) {
    if let Some(record) = taken {
        // SAFETY: owed by contract; its frame stays until we let go.
        unsafe { pay(&(*record).owed) };
    }
}

/// Wakes all that `take` takes out, a batch at a time, while it says that there may be more.
#[cold]
#[inline(never)]
pub(super) fn pay_out<W>(mut take: impl FnMut(&mut Batch<W>) -> bool) {
    loop {
        let mut batch = Batch::new();
        let more = take(&mut batch);
        for record in batch.into_records() {
            // SAFETY: BATCH-1; the next one's pointer is in the batch, not in this record, which is gone now.
            unsafe { pay(&(*record).owed) };
        }
        if !more {
            return;
        }
    }
}
