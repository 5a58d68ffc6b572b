//! The scheduler's clock: the monotonic one, or a virtual one that only moves when it is told to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os;

/// See the head of the file.
#[derive(Debug)]
pub(crate) enum Clock {
    Monotonic,
    #[allow(dead_code, reason = "made by the deterministic mode")]
    Virtual(AtomicU64),
}

impl Clock {
    /// Nanoseconds since some moment in the past.
    pub(crate) fn now_ns(&self) -> u64 {
        match self {
            Self::Monotonic => os::clock::now_ns(),
            // Every look is a little later than the one before, so that a wait for time ends.
            Self::Virtual(now) => now.fetch_add(100, Ordering::Relaxed),
        }
    }
}
