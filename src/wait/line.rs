//! Line: how a fiber, or a plain thread, stays in somebody's list of waiters until it is taken out of it.
//!
//! The list itself lies with what is waited for (a lock, a channel), under that one's latch; the record lies here, in
//! the waiter's frame (WAITERS-1). What tells the waiter that it was taken out is its record's `Owed`, never the wake
//! reason: so the usual wake needs no look at the list.

use crate::fiber::alarm::NEVER;
use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::owed::Owed;
use crate::fiber::reasons::Reasons;
use crate::machine::wake::settle;
use crate::wait::cancel::{self, Unwind};

const QUEUE: u16 = Reasons::QUEUE.0;

/// How a stay ended before anybody took the record out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Early {
    /// It was time.
    TimedOut,
    /// The fiber is cancelled, or a deadline that encloses the wait has passed.
    Unwind(Unwind),
}

/// Waits until the record that `owed` belongs to has been taken out of its list, and its taker has let go of it. Ended
/// early by cancellation, by a deadline that encloses it, and at `at_ns`; serves calls meanwhile.
///
/// `in_line` is asked under the list's lock whether the record is still in it; with `true`, to take it out as well.
///
/// The caller has asked `park::refuse_if_stuck` before it put the record into the list, unless there is an `at_ns`.
#[inline(always)]
pub(crate) fn stay(
    owed: &Owed,
    at_ns: u64,
    in_line: impl FnMut(bool) -> bool,
) -> Result<(), Early> {
    stay_until_paid(owed, at_ns, in_line, || settle(owed))
}

/// As [`stay`], where between being taken out and being let go there may be more than a few instructions: `paid` waits
/// for that.
#[inline(always)]
pub(crate) fn stay_until_paid(
    owed: &Owed,
    at_ns: u64,
    mut in_line: impl FnMut(bool) -> bool,
    paid: impl Fn(),
) -> Result<(), Early> {
    let bomb = AbortOnUnwind("a wait in a line was refused");
    let stayed = loop {
        let slept = if at_ns == NEVER {
            cancel::sleep_serving(QUEUE).map(Some)
        } else {
            cancel::sleep_serving_until(QUEUE, at_ns)
        };
        if owed.has_let_go() {
            break Ok(());
        }
        let early = match slept {
            Ok(Some(_)) => None,
            Ok(None) => Some(Early::TimedOut),
            Err(unwind) => Some(Early::Unwind(unwind)),
        };
        if !in_line(early.is_some()) {
            paid();
            break Ok(());
        }
        if let Some(early) = early {
            break Err(early);
        }
    };
    std::mem::forget(bomb);
    stayed
}
