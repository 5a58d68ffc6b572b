//! Deadlines for whatever waits: a frame on the stack that the waits inside it look at.
//!
//! DEADLINE-1: frames are taken off in the opposite order in which they were put on, each before the call
//! that holds it returns or unwinds; so `AlarmSlot::frame` always points into a live frame of this stack.
//! DEADLINE-2: while a frame is on, the fiber is armed for its time or an earlier one (ALARM-1), except inside
//! a `shield`, which hides the frames outside it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::Ordering;

use crate::fiber::alarm::{Frame, NEVER};
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::machine::alarm::{arm_known, disarm};
use crate::wait::cancel::Me;

/// The payload of an unwind to a frame. Private: nobody but the frame's call stops it for good.
#[derive(Debug)]
pub(crate) struct Expired(*const Frame);

// SAFETY: only compared, never followed.
unsafe impl Send for Expired {}

/// The unwind is over: here, or where somebody else has caught it and does not go on with it.
impl Drop for Expired {
    fn drop(&mut self) {
        // Inside another unwind, what that is has not changed.
        if !std::thread::panicking()
            && let Some(cold) = Me::get().header().cold()
        {
            cold.unwinds.store(false, Ordering::Relaxed);
        }
    }
}

impl Expired {
    pub(crate) fn to(frame: *const Frame) -> Self {
        // SAFETY: from `expired`, on this stack (DEADLINE-1).
        unsafe { &*frame }.fired.set(true);
        Self(frame)
    }
}

/// The frame of the running fiber whose time came first, if one's has come; of equal ones the innermost.
pub(crate) fn expired(fiber: &Header, now_ns: u64) -> Option<*const Frame> {
    let mut first = None;
    let mut first_ns = now_ns.saturating_add(1);
    let mut frame = fiber.alarm.frame.get();
    while !frame.is_null() {
        // SAFETY: DEADLINE-1.
        let this = unsafe { &*frame };
        if this.at_ns < first_ns {
            (first, first_ns) = (Some(frame), this.at_ns);
        }
        if this.earliest_ns >= first_ns || !this.outer_counts {
            break;
        }
        frame = this.outer;
    }
    first
}

/// Runs `f` with the deadline that `at_ns` names. `None`: it passed while `f` waited, and `f` was unwound.
#[inline(always)]
pub(crate) fn within<R>(at_ns: impl FnOnce(&Me) -> u64, f: impl FnOnce() -> R) -> Option<R> {
    let me = Me::get();
    let header = me.header();
    let at_ns = at_ns(&me);
    let outer = header.alarm.frame.get();
    let in_panic = std::thread::panicking();
    // SAFETY: DEADLINE-1.
    let outer_counts = !in_panic || (!outer.is_null() && unsafe { &*outer }.in_panic);
    let frame = Frame {
        at_ns,
        earliest_ns: if outer_counts {
            at_ns.min(header.alarm.enclosing_ns())
        } else {
            at_ns
        },
        outer,
        in_panic,
        outer_counts,
        fired: Cell::new(false),
    };
    header.alarm.frame.set(&raw const frame);
    let ends = header.ends.replace(header.ends.get() | Reasons::TIMEOUT.0);
    arm_known(me.worker(), header, frame.earliest_ns);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    header.alarm.frame.set(frame.outer);
    header.ends.set(ends);
    if frame.outer.is_null() {
        disarm(header);
    } else {
        // Asked again: a floating fiber may be on another worker now.
        Me::get().arm_enclosing();
    }
    match outcome {
        Ok(value) => Some(value),
        Err(payload) => {
            frame.stop(payload);
            None
        }
    }
}

impl Frame {
    /// An unwind has reached this frame: its own, or one that goes on.
    #[cold]
    fn stop(&self, payload: Box<dyn Any + Send>) {
        match payload.downcast::<Expired>() {
            // A payload that somebody kept, from a frame that once lay here, finds nothing fired.
            Ok(expired) if self.fired.get() && ptr::eq(expired.0, self) => {}
            Ok(expired) => resume_unwind(expired),
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// `NEVER` if the sum is beyond the clock's range.
#[inline]
pub(crate) fn after(now_ns: u64, duration: std::time::Duration) -> u64 {
    let whole_ns = duration.as_secs().checked_mul(1_000_000_000);
    whole_ns.map_or(NEVER, |ns| {
        now_ns.saturating_add(ns.saturating_add(duration.subsec_nanos().into()))
    })
}
