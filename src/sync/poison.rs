//! Poison: whether a guard that is dropped poisons its lock.

use std::thread;

use crate::wait::cancel;

/// What a guard remembers from when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    panicking: bool,
}

impl Before {
    #[inline(always)]
    pub(super) fn now() -> Self {
        Self {
            panicking: thread::panicking(),
        }
    }

    /// True if a panic has begun since, and is why the guard goes.
    #[inline(always)]
    pub(super) fn poisons(self) -> bool {
        !self.panicking && thread::panicking() && by_panic()
    }
}

/// An unwind by cancellation or a deadline looks like a panic to std.
#[cold]
fn by_panic() -> bool {
    !cancel::unwinds()
}
