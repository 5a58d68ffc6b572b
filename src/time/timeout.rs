//! Deadlines for whatever blocks.

use std::fmt;
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::machine::clock::current_ns;
use crate::time::Instant;
use crate::wait::cancel::Me;
use crate::wait::deadline::{after, within};

/// The time was up before the work was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
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
/// reported. If code in `f` catches that unwind (its payload is of a private type: raise it again), its next wait
/// unwinds again. If `f` returns without noticing,
/// its result counts, however late. (A `yield_now` notices the time at the latest at the eighth call after it.) Nestable: of two deadlines that have passed the earlier one ends its
/// call; of equal ones the inner. [`shield`](crate::shield) hides a part of `f` from it.
///
/// A wait that gets what it waits for at the very moment returns it. Zero: `f` may do what needs no waiting.
/// [`Duration::MAX`]: as without. Works on plain threads too.
///
/// Fibers that `f` spawned and did not join go on; those of a [`scope`](crate::scope) are cancelled and waited
/// for. In a destructor that runs while the thread is panicking a wait blocks the worker, and only deadlines set
/// in that destructor end it. An
/// unwind does not pass through `extern "C"` frames: as with a panic, the process aborts.
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
    let at_ns = |me: &Me| {
        if duration.is_zero() {
            // Has passed for everybody who asks, not only very soon.
            return current_ns();
        }
        after(me.soon_ns(), duration)
    };
    within(at_ns, f).ok_or(Elapsed)
}

/// How much time the deadlines in force leave to the caller; `None` if there is none. To pass a budget on, and for
/// long computations to look at.
///
/// ```
/// use fibers::time::{Duration, remaining, timeout};
///
/// assert_eq!(remaining(), None);
/// let left = timeout(Duration::from_secs(60), || remaining().unwrap()).unwrap();
/// assert!(left <= Duration::from_millis(60_001));
/// ```
#[must_use]
pub fn remaining() -> Option<Duration> {
    let at_ns = Me::get().header().alarm.enclosing_ns();
    (at_ns != NEVER).then(|| Duration::from_nanos(at_ns.saturating_sub(current_ns())))
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
