//! How a wait ends before its time: by cancellation, or because a deadline that encloses it has passed; and how
//! calls are served during a wait.
//!
//! `CANCEL` is sticky: once sent, every cancellable wait of the fiber unwinds it, from its next one on,
//! until it has ended; code that catches the unwind and waits again is unwound again. The same goes for a
//! deadline, until the unwind has reached the frame that set it (`deadline.rs`). Nothing is unwound while the
//! thread is panicking already, nor in programs built with `panic = "abort"`.
//!
//! The table of causes, for a wait that accepts `mask` and, if it is a timed one, ends at its own time:
//!
//! | at the same moment | reported | the other |
//! |---|---|---|
//! | a reason in the mask, and anything else | the reason | cancellation and deadlines wait for the next wait |
//! | cancellation, and a time | the cancellation | |
//! | its own time, and an enclosing deadline | the earlier; its own, if they are equal | the deadline waits for the next wait |
//! | two deadlines | the earlier; the inner one, if they are equal | the other one waits for the next wait |

use std::any::Any;
use std::sync::atomic::Ordering;

use crate::fiber::alarm::{Frame, NEVER};
use crate::fiber::cell::Cancelled;
use crate::fiber::current;
use crate::fiber::header::{FiberRef, Header};
use crate::fiber::reasons::Reasons;
use crate::machine::alarm::{arm, arm_known};
use crate::machine::clock::{current_ns, has_come};
use crate::machine::park;
use crate::machine::worker::Own;
use crate::os;
use crate::wait::deadline::{self, Expired};

const CANCEL: u16 = Reasons::CANCEL.0;
const TIMEOUT: u16 = Reasons::TIMEOUT.0;
const CALL: u16 = Reasons::CALL.0;

/// Why a wait must be given up. Clean up, then `unwind`.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unwind {
    /// The fiber is cancelled.
    Cancelled,
    /// The deadline of that frame, which encloses the wait, has passed.
    Expired(*const Frame),
}

impl Unwind {
    /// Leaves the fiber, or the frame's call: destructors run, no panic message, no panic hook.
    pub(crate) fn unwind(self) -> ! {
        // Inside another unwind, what that is does not change.
        if !std::thread::panicking() {
            Me::get()
                .header()
                .cold_or_new()
                .unwinds
                .store(true, Ordering::Relaxed);
        }
        match self {
            Self::Cancelled => std::panic::resume_unwind(Box::new(Cancelled)),
            Self::Expired(frame) => std::panic::resume_unwind(Box::new(Expired::to(frame))),
        }
    }
}

/// True if that is the payload of an unwind by this file: no panic.
pub(crate) fn is_ours(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Cancelled>() || payload.is::<Expired>()
}

/// True if the caller unwinds, and not because of a panic.
pub(crate) fn unwinds() -> bool {
    let me = Me::get();
    let cold = me.header().cold();
    cold.is_some_and(|cold| cold.unwinds.load(Ordering::Relaxed))
}

/// The running fiber, or what stands for this thread.
pub(crate) enum Me {
    Fiber(Own, *const Header),
    Thread(FiberRef),
}

impl Me {
    #[inline(always)]
    pub(crate) fn get() -> Self {
        match park::running() {
            Some((me, header)) => Self::Fiber(me, header),
            None => Self::Thread(current::thread_fiber()),
        }
    }

    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        match self {
            // SAFETY: the running fiber is alive.
            Self::Fiber(_, header) => unsafe { &**header },
            Self::Thread(thread) => thread,
        }
    }

    #[inline(always)]
    pub(crate) fn worker(&self) -> Option<Own> {
        match self {
            Self::Fiber(me, _) => Some(*me),
            Self::Thread(_) => None,
        }
    }

    /// True if `park::refuse_if_stuck` may refuse a wait.
    #[inline(always)]
    pub(crate) fn may_be_refused(&self) -> bool {
        match self {
            Self::Fiber(me, _) => me.machine().is_driven(),
            Self::Thread(_) => true,
        }
    }

    /// A moment that is now, or very little later: to add a duration to.
    #[inline(always)]
    pub(crate) fn soon_ns(&self) -> u64 {
        match self {
            Self::Fiber(me, _) => me.soon_ns(),
            Self::Thread(_) => os::clock::now_ns(),
        }
    }

    /// True if that moment is known to have come, without asking the clock.
    #[inline(always)]
    fn has_heard(&self, at_ns: u64) -> bool {
        match self {
            Self::Fiber(me, _) => at_ns <= me.local().clock_ns.get(),
            // A wait of a thread is expensive anyway.
            Self::Thread(_) => at_ns <= os::clock::now_ns(),
        }
    }

    /// Wakes us at the deadline that encloses us; at once, if it is known to have passed.
    #[inline(always)]
    pub(crate) fn arm_enclosing(&self) {
        let header = self.header();
        arm_known(self.worker(), header, header.alarm.enclosing_ns());
    }
}

/// Which of `CANCEL` and `TIMEOUT` may unwind the caller now.
#[inline(always)]
fn ends() -> u16 {
    if !cfg!(panic = "unwind") {
        return 0;
    }
    if std::thread::panicking() {
        return ends_in_panic();
    }
    match park::running() {
        // SAFETY: the running fiber is alive.
        Some((_, header)) => unsafe { &*header }.ends.get(),
        None => current::thread_fiber().ends.get(),
    }
}

/// In a destructor of an unwind nothing is unwound, but to a deadline that was set inside it.
#[cold]
fn ends_in_panic() -> u16 {
    let me = Me::get();
    let frame = me.header().alarm.frame.get();
    // SAFETY: DEADLINE-1.
    let in_panic = !frame.is_null() && unsafe { &*frame }.in_panic;
    if in_panic {
        me.header().ends.get() & TIMEOUT
    } else {
        0
    }
}

/// What a reason outside a wait's own mask means: an unwind, or nothing (a `TIMEOUT` that came too early; it is
/// taken back).
#[cold]
#[inline(never)]
fn judge(came: u16) -> Option<Unwind> {
    if came & CANCEL != 0 {
        return Some(Unwind::Cancelled);
    }
    let me = Me::get();
    let expired = deadline::expired(me.header(), current_ns());
    match expired {
        Some(frame) => Some(Unwind::Expired(frame)),
        None => {
            me.arm_enclosing();
            None
        }
    }
}

/// Runs `f` with cancellation, and the deadlines that enclose the call, masked: they stay pending.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    /// What is shown again afterwards.
    struct Lower {
        ends: u16,
        frame: *const Frame,
    }
    impl Drop for Lower {
        fn drop(&mut self) {
            let me = Me::get();
            me.header().ends.set(self.ends);
            me.header().alarm.frame.set(self.frame);
            if !self.frame.is_null() {
                me.arm_enclosing();
            }
        }
    }
    let me = Me::get();
    let lower = Lower {
        ends: me.header().ends.replace(0),
        frame: me.header().alarm.frame.replace(std::ptr::null()),
    };
    if !lower.frame.is_null() {
        me.arm_enclosing();
    }
    drop(me);
    let _lower = lower;
    f()
}

/// Waits like [`park::sleep`]; `Err` if the fiber is cancelled, or an enclosing deadline has passed.
#[inline(always)]
pub(crate) fn sleep(mask: u16) -> Result<u16, Unwind> {
    if cfg!(panic = "unwind")
        && let Some(reasons) = park::sleep_pinned(mask)
    {
        if reasons & mask != 0 {
            return Ok(reasons & mask);
        }
        if let Some(unwind) = judge(reasons) {
            return Err(unwind);
        }
    }
    loop {
        let ends = ends();
        let reasons = park::sleep(mask | ends);
        if reasons & mask != 0 {
            return Ok(reasons & mask);
        }
        if let Some(unwind) = judge(reasons & ends) {
            return Err(unwind);
        }
    }
}

/// As [`sleep`], until `at_ns` at the longest: then `Ok(0)`.
#[inline(always)]
pub(crate) fn sleep_until(mask: u16, at_ns: u64) -> Result<u16, Unwind> {
    let slept = loop {
        let ends = ends();
        let me = Me::get();
        let header = me.header();
        // While nothing may unwind us, the deadlines around us do not count.
        let enclosing_ns = if ends & TIMEOUT != 0 {
            header.alarm.enclosing_ns()
        } else {
            NEVER
        };
        if enclosing_ns < at_ns
            && me.has_heard(enclosing_ns)
            && park::pending() & (mask | ends & CANCEL) == 0
        {
            // Looked at before it is armed again, which takes its `TIMEOUT` back: or else one wake after the other
            // could keep it off for ever.
            if let Some(frame) = deadline::expired(header, current_ns()) {
                break Err(Unwind::Expired(frame));
            }
        }
        arm(me.worker(), header, at_ns.min(enclosing_ns));
        let reasons = park::sleep(mask | TIMEOUT | (ends & CANCEL));
        if reasons & mask != 0 {
            break Ok(reasons & mask);
        }
        if reasons & ends & CANCEL != 0 {
            break Err(Unwind::Cancelled);
        }
        // TIMEOUT, but whose? The earlier one's: else a loop of short waits would never see the deadline around it.
        if at_ns <= enclosing_ns && has_come(at_ns) {
            break Ok(0);
        }
        if enclosing_ns != NEVER
            && let Some(frame) = deadline::expired(Me::get().header(), current_ns())
        {
            break Err(Unwind::Expired(frame));
        }
    };
    // From here on only the enclosing deadlines count again.
    Me::get().arm_enclosing();
    slept
}

/// As [`sleep`], and runs the calls that come meanwhile. Returns after them too, perhaps without a reason: a
/// wait inside a call may have taken what this one was woken by, so the caller looks at its event again.
#[inline(always)]
pub(crate) fn sleep_serving(mask: u16) -> Result<u16, Unwind> {
    let reasons = sleep(mask | CALL)?;
    if reasons & CALL != 0 {
        run_calls();
    }
    Ok(reasons & mask)
}

/// As [`sleep_serving`], until `at_ns` at the longest. `Ok(None)`: that time has come.
#[inline(always)]
pub(crate) fn sleep_serving_until(mask: u16, at_ns: u64) -> Result<Option<u16>, Unwind> {
    let reasons = sleep_until(mask | CALL, at_ns)?;
    if reasons & CALL != 0 {
        run_calls();
        if reasons & mask == 0 {
            return after_calls(at_ns);
        }
    }
    Ok((reasons != 0).then_some(reasons & mask))
}

/// Whether the wait is at its end meanwhile: or else one call after the other could keep a timed wait for ever. The
/// table of causes holds here too.
#[cold]
fn after_calls(at_ns: u64) -> Result<Option<u16>, Unwind> {
    let ends = ends();
    if park::pending() & ends & CANCEL != 0 {
        return Err(Unwind::Cancelled);
    }
    if ends & TIMEOUT != 0
        && Me::get().header().alarm.enclosing_ns() < at_ns
        && let Some(frame) = deadline::expired(Me::get().header(), current_ns())
    {
        return Err(Unwind::Expired(frame));
    }
    Ok((!has_come(at_ns)).then_some(0))
}

/// Waits whatever happens, for a reason in `mask` or until `at_ns`: then 0. Neither cancellation nor a deadline ends it.
pub(crate) fn sleep_shielded_until(mask: u16, at_ns: u64) -> u16 {
    let reasons = loop {
        let me = Me::get();
        arm(me.worker(), me.header(), at_ns);
        let reasons = park::sleep(mask | TIMEOUT) & mask;
        if reasons != 0 || has_come(at_ns) {
            break reasons;
        }
    };
    Me::get().arm_enclosing();
    reasons
}

/// Waits whatever happens, and runs the calls that come meanwhile; the caller looks at its event again.
pub(crate) fn sleep_uncancelled(mask: u16) {
    if park::sleep(mask | CALL) & CALL != 0 {
        run_calls();
    }
}

/// The deadline that may unwind the caller; `NEVER` if there is none.
pub(crate) fn enclosing_ns() -> u64 {
    if ends() & TIMEOUT != 0 {
        Me::get().header().alarm.enclosing_ns()
    } else {
        NEVER
    }
}

/// Unwinds if the fiber is cancelled or a deadline has passed: for what does not wait but is a point where a
/// fiber can be ended.
#[cold]
#[inline(never)]
pub(crate) fn checkpoint() {
    let came = park::pending() & ends();
    if came != 0
        && let Some(unwind) = judge(came)
    {
        unwind.unwind();
    }
}

/// Runs the calls queued for the running fiber or thread. How many.
pub(crate) fn run_calls() -> usize {
    let me = Me::get();
    let Some(cold) = me.header().cold() else {
        return 0;
    };
    let mut calls = 0;
    // An unwind may have been caught, to be gone on with later: what a call unwinds for is its own business.
    let unwinds = cold.unwinds.load(Ordering::Relaxed);
    for call in cold.calls.take(false) {
        if !std::thread::panicking() {
            cold.unwinds.store(false, Ordering::Relaxed);
        }
        // SAFETY: taken out of the queue, so ours to run, once; `run` never unwinds.
        unsafe { ((*call).run)(call) };
        calls += 1;
    }
    cold.unwinds.store(unwinds, Ordering::Relaxed);
    calls
}
