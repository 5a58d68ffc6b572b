//! Queues that know no fiber switch: the atomic LIFO, the per-priority FIFO lists, the heap of deadlines.
//!
//! Pure, all of them: `inbox` is model-checked, `lists` and `heap` are plain data under somebody else's lock or owned
//! by one worker.

pub(crate) mod heap;
pub(crate) mod inbox;
pub(crate) mod lists;
