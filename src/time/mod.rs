//! Time: sleeping, deadlines for whatever blocks, and ticks. With std's names where std has them.
//!
//! ```
//! use fibers::time::{Duration, timeout};
//!
//! // Nobody will ever wake it, but the deadline ends the wait.
//! assert!(timeout(Duration::from_millis(5), fibers::park).is_err());
//! ```
//!
//! A deadline is no special kind of wait: [`timeout`] runs any code that blocks *through this library*, on the
//! caller's own stack, and unwinds out of it if the time comes while it waits. Destructors run, no panic is
//! reported. What never waits (a long computation, a blocking system call) is not interrupted.
//!
//! All times are of the monotonic clock (`CLOCK_MONOTONIC`): it is not set when the date is, and stands still
//! while the system is suspended. Nothing wakes early. How late: on an idle machine by some 25 microseconds, a plain
//! thread by some 70; where more than some thousand a second are woken, they are woken in batches, each at most a
//! sixteenth of its time and half a millisecond later than it might be; and by what runs before on a busy machine.
//! In a run of [`testing`](crate::testing) time is virtual: see there.

mod interval;
mod timeout;

pub use std::time::Duration;

pub use crate::instant::Instant;
pub use interval::{Interval, MissedTick, interval, interval_at};
pub use timeout::{Elapsed, deadline, remaining, timeout};

use crate::machine::clock::{current_ns, has_come, soon_ns};
use crate::machine::park;
use crate::wait::cancel;
use crate::wait::deadline::after;

/// Waits for at least that long. As [`std::thread::sleep`]. Zero lets other fibers run;
/// [`Duration::MAX`] never ends by itself.
///
/// *Blocks* the fiber, or the plain thread; calls that are sent to it run meanwhile. *Cancellation* and
/// enclosing deadlines unwind.
#[inline(always)]
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        crate::current::yield_now();
    } else {
        until(after(soon_ns(), duration));
    }
}

/// Waits until that moment has come, at least. As [`sleep`]; a moment that is past already lets other fibers
/// run.
#[inline(always)]
pub fn sleep_until(deadline: impl Into<Instant>) {
    let at_ns = deadline.into().0;
    if has_come(at_ns) {
        crate::current::yield_now();
    } else {
        until(at_ns);
    }
}

#[inline(always)]
fn until(at_ns: u64) {
    loop {
        match cancel::sleep_serving_until(0, at_ns) {
            Ok(None) => return,
            // A call was served.
            Ok(Some(_)) => {}
            Err(unwind) => unwind.unwind(),
        }
    }
}

/// Waits until somebody calls [`Fiber::unpark`](crate::Fiber::unpark), for at most that long. As
/// [`std::thread::park_timeout`]: spurious returns are allowed; zero takes the permit, or
/// else lets other fibers run.
///
/// *Blocks* the fiber, or the plain thread; calls that are sent to it run meanwhile. *Cancellation* and
/// enclosing deadlines unwind.
#[inline(always)]
pub fn park_timeout(duration: Duration) {
    const UNPARK: u16 = crate::fiber::reasons::Reasons::UNPARK.0;
    if duration.is_zero() {
        if park::pending() & UNPARK != 0 {
            let _ = park::sleep(UNPARK);
        } else {
            crate::current::yield_now();
        }
        return;
    }
    let at_ns = after(current_ns(), duration);
    loop {
        match cancel::sleep_serving_until(UNPARK, at_ns) {
            // A call was served.
            Ok(Some(0)) => {}
            Ok(_) => return,
            Err(unwind) => unwind.unwind(),
        }
    }
}
