//! Queues that know no fiber switch: the atomic LIFO and the per-priority FIFO lists.
//!
//! Pure, all of them: `inbox` is model-checked, `lists` is plain data under somebody else's lock or owned
//! by one worker.

pub(crate) mod inbox;
pub(crate) mod lists;
