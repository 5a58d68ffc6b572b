//! Queues that know no fiber switch: the atomic LIFO, the per-priority FIFO lists, the heap of deadlines, the deque
//! that thieves steal from.
//!
//! Pure, all of them: `inbox` and `deque` are model-checked, `lists` and `heap` are plain data under somebody else's lock or owned
//! by one worker.

pub(crate) mod deque;
pub(crate) mod heap;
pub(crate) mod inbox;
pub(crate) mod lists;
