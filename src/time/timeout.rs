//! Deadlines for whatever blocks.

use std::fmt;
use std::time::Duration;

use crate::time::Instant;
use crate::wait::deadline::{after, within};

/// The time was up before the work was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}

/// Runs `f`, for at most that long.
///
/// `f` runs at once, on the caller's stack. If the time is up while it waits (any wait of this library that is
/// cancellable, or [`yield_now`](crate::yield_now)), it is unwound to here: destructors run, no panic is
/// reported. If code in `f` catches that unwind, its next wait unwinds again. If `f` returns without noticing,
/// its result counts, however late. Nestable: of two deadlines that have passed the inner one ends its call
/// first. [`shield`](crate::shield) hides a part of `f` from it.
///
/// A wait that gets what it waits for at the very moment returns it. Zero: `f` may do what needs no waiting.
/// [`Duration::MAX`]: as without. Works on plain threads too.
///
/// What the fiber's time is spent on meanwhile is up to `f`: fibers that it spawned and did not join go on,
/// those of a [`scope`](crate::scope) are cancelled and waited for.
///
/// # Errors
/// [`Elapsed`] if `f` was unwound.
///
/// # Panics
/// If `f` panics, with that panic. In programs built with `panic = "abort"`, where nothing can be unwound:
/// always.
///
/// ```
/// use fibers::time::{Duration, timeout};
///
/// assert_eq!(timeout(Duration::from_secs(60), || 6 * 7), Ok(42));
/// let nobody_unparks = timeout(Duration::from_millis(1), fibers::park);
/// assert!(nobody_unparks.is_err());
/// ```
#[inline(always)]
pub fn timeout<R>(duration: Duration, f: impl FnOnce() -> R) -> Result<R, Elapsed> {
    unwinds();
    within(|me| after(me.soon_ns(), duration), f).ok_or(Elapsed)
}

/// Runs `f` until that moment at the latest. As [`timeout`].
///
/// # Errors
/// [`Elapsed`] if `f` was unwound.
///
/// # Panics
/// As [`timeout`].
#[inline(always)]
pub fn deadline<R>(at: impl Into<Instant>, f: impl FnOnce() -> R) -> Result<R, Elapsed> {
    unwinds();
    let at_ns = at.into().0;
    within(|_| at_ns, f).ok_or(Elapsed)
}

#[inline(always)]
fn unwinds() {
    #[cfg(not(panic = "unwind"))]
    panic!("fibers: timeout and deadline unwind the stack; build with panic = \"unwind\"");
}
