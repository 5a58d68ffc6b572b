//! The low level of waiting: what every primitive of this library is built on, open to yours.
//!
//! A fiber (or a plain OS thread: all of this works there too, blocking the thread) has one word of
//! [`Reasons`]. It sleeps with a mask of those it accepts; anybody who holds its [`Fiber`] handle may wake it
//! with a reason. A wake that comes before the sleep is not lost: it is kept, and so is one outside the mask,
//! for the next sleep that accepts it.
//!
//! ```
//! use fibers::wait::{self, Reasons};
//!
//! let main = fibers::current();
//! let helper = fibers::spawn(move || wait::wake(&main, Reasons::USER0));
//! assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
//! helper.join().unwrap();
//! ```
//!
//! Most primitives are easier on a [`WaitQueue`]: first come, first served, and the waker evaluates the
//! sleeper's condition, so a wake-up for nothing costs the sleeper no switch.

pub(crate) mod cancel;
pub(crate) mod deadline;
pub(crate) mod line;
mod queue;

pub use crate::fiber::reasons::Reasons;
pub use queue::WaitQueue;

use crate::fiber::alarm::NEVER;
use crate::handle::Fiber;
use crate::instant::Instant;
use crate::machine::park;
use crate::wait::cancel::Unwind;

/// Waits until one of the reasons in `mask` has come; consumes and returns those that have.
///
/// *Blocks* the fiber; on a plain thread the thread. Returns at once if a reason is pending.
///
/// *Cancellation*: if the fiber is cancelled, this call unwinds it, unless `mask` contains
/// [`Reasons::CANCEL`]: then it returns with that reason, which stays pending. If `mask` contains
/// [`Reasons::CALL`] it is for you to run [`process_calls`](crate::process_calls); otherwise queued calls
/// wait.
///
/// *Deadlines*: a [`timeout`](crate::timeout) that encloses this call unwinds it as well, unless `mask` contains
/// [`Reasons::TIMEOUT`]: then it returns with that reason, and so does every such call until the deadline's own
/// call has ended.
///
/// [`Reasons::WAKER`] in the mask counts for nothing: it belongs to the [`block_on`](crate::block_on) around this call,
/// if there is one.
///
/// # Panics
/// If `mask` is empty: nobody could ever end that sleep.
pub fn sleep(mask: Reasons) -> Reasons {
    assert!(
        !(mask & !Reasons::WAKER).is_empty(),
        "wait::sleep with an empty mask would never return"
    );
    sleep_within(mask, NEVER)
}

/// As [`sleep`], until that moment at the longest: then the result contains [`Reasons::TIMEOUT`], and nothing
/// else unless it came at the same moment. The mask may be empty.
pub fn sleep_until(mask: Reasons, deadline: impl Into<Instant>) -> Reasons {
    sleep_within(mask, deadline.into().0)
}

fn sleep_within(mask: Reasons, at_ns: u64) -> Reasons {
    let own = mask.0 & !(Reasons::TIMEOUT.0 | Reasons::WAKER.0);
    let slept = if at_ns == NEVER {
        cancel::sleep(own)
    } else {
        cancel::sleep_until(own, at_ns)
    };
    match slept {
        Ok(0) => Reasons::TIMEOUT,
        Ok(reasons) => Reasons(reasons),
        Err(Unwind::Expired(_)) if mask.contains(Reasons::TIMEOUT) => Reasons::TIMEOUT,
        Err(unwind) => unwind.unwind(),
    }
}

/// Forgets the reasons in `mask` that are pending, so that the next [`sleep`] waits for new ones.
///
/// Call it before you tell others that you wait; a wake that comes after is kept for the sleep. Returns what
/// was forgotten. Never blocks.
pub fn prepare(mask: Reasons) -> Reasons {
    let stale = Reasons(park::pending()) & mask & Reasons::SENDABLE;
    if stale.is_empty() {
        stale
    } else {
        Reasons(park::sleep(stale.0))
    }
}

/// Wakes `fiber` with `reasons`, of which only the [`SENDABLE`](Reasons::SENDABLE) ones are sent.
///
/// Never blocks; callable from fibers and threads (not from signal handlers). Everything the caller wrote
/// before is visible to the fiber when its sleep returns. A fiber that has ended is left alone.
pub fn wake(fiber: &Fiber, reasons: Reasons) {
    fiber.wake(reasons & Reasons::SENDABLE);
}
