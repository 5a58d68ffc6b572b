//! Cancellation as users see it: who may be ended from outside, and what may not be.

use std::fmt;

use crate::fiber::reasons::Reasons;
use crate::handle::Fiber;
use crate::machine::park;
use crate::wait::cancel;

/// Nothing can be cancelled: this program is built with `panic = "abort"`, and a cancelled fiber is unwound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CancelError;

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fibers are cancelled by unwinding; build with panic = \"unwind\"")
    }
}

impl std::error::Error for CancelError {}

impl From<CancelError> for std::io::Error {
    fn from(error: CancelError) -> Self {
        Self::new(std::io::ErrorKind::Unsupported, error)
    }
}

pub(crate) fn can_cancel() -> Result<(), CancelError> {
    if cfg!(panic = "unwind") {
        Ok(())
    } else {
        Err(CancelError)
    }
}

impl Fiber {
    /// Cancels the fiber: its next wait (or [`yield_now`](crate::yield_now)), or the one that it is in, unwinds
    /// it; but a wait that has what it waits for already returns with it. Never blocks.
    ///
    /// Destructors run, no panic is reported; joining it returns [`Cancelled`](crate::Cancelled). A fiber that
    /// has not started never will. Once cancelled, every further wait of the fiber unwinds, so code that
    /// catches the unwind (its payload is [`Cancelled`](crate::Cancelled)) does not live on by it. What does not unwind: the wait for the second half of a
    /// [`join`](crate::join) and for the fibers of a [`scope`](crate::scope) (these are cancelled
    /// too, and waited for first), what runs inside [`shield`], and waits in destructors while the fiber is
    /// unwinding already. Of no effect on a plain thread, and on a fiber that has ended.
    ///
    /// # Errors
    /// The program is built with `panic = "abort"`.
    pub fn cancel(&self) -> Result<(), CancelError> {
        can_cancel()?;
        self.wake(Reasons::CANCEL);
        Ok(())
    }
}

/// Runs `f` where neither a cancellation nor a deadline set outside of it can end a wait: for what must not be
/// left half done. Both stay pending, and end the first wait after it. Deadlines set inside `f` work.
///
/// ```
/// let fiber = fibers::spawn(|| {
///     fibers::shield(|| {
///         fibers::sleep(std::time::Duration::from_millis(5));
///         "committed"
///     })
/// });
/// let _ = fiber.cancel();
/// // Either it was cancelled before it began, or it has committed.
/// match fiber.join() {
///     Ok(what) => assert_eq!(what, "committed"),
///     Err(payload) => assert!(payload.is::<fibers::Cancelled>()),
/// }
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    cancel::shielded(f)
}

/// True if the running fiber has been cancelled: for long computations that look now and then, and inside
/// [`shield`]. Says nothing of deadlines: see [`remaining`](crate::time::remaining). Never blocks. False on a plain
/// thread.
#[must_use]
pub fn is_cancelled() -> bool {
    park::running().is_some() && park::pending_or_sent() & Reasons::CANCEL.0 != 0
}
