//! Cancellation: how a wait of a cancelled fiber ends, and calls are served during one.
//!
//! `CANCEL` is sticky: once sent, every cancellable wait of the fiber unwinds it, from its next one on,
//! until it has ended; code that catches the unwind and waits again is unwound again. Nothing is unwound
//! while the thread is panicking already, nor in programs built with `panic = "abort"`.

use crate::fiber::cell::Cancelled;
use crate::fiber::current;
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::machine::park;

/// The wait ended because the fiber is cancelled. Clean up, then `unwind`.
#[must_use]
#[derive(Debug)]
pub(crate) struct Unwind(());

impl Unwind {
    /// Leaves the fiber: destructors run, no panic message, no panic hook.
    pub(crate) fn unwind(self) -> ! {
        std::panic::resume_unwind(Box::new(Cancelled))
    }
}

/// True if a wait that is about to begin may be cancelled.
#[inline(always)]
fn may_unwind() -> bool {
    cfg!(panic = "unwind")
        && !std::thread::panicking()
        // SAFETY: the running fiber is alive.
        && park::running().is_some_and(|(_, header)| unsafe { &*header }.shield.get() == 0)
}

/// Runs `f` with cancellation masked: `CANCEL` stays pending.
pub(crate) fn shielded<R>(f: impl FnOnce() -> R) -> R {
    struct Lower(*const Header);
    impl Drop for Lower {
        fn drop(&mut self) {
            // SAFETY: the fiber that runs this; it was running when the shield was raised.
            let shield = unsafe { &(*self.0).shield };
            shield.set(shield.get() - 1);
        }
    }
    let Some((_, header)) = park::running() else {
        return f();
    };
    // SAFETY: the running fiber is alive.
    let shield = unsafe { &(*header).shield };
    shield.set(shield.get() + 1);
    let _lower = Lower(header);
    f()
}

/// Waits like [`park::sleep`]; `Err` if the fiber is cancelled.
#[inline(always)]
pub(crate) fn sleep(mask: u16) -> Result<u16, Unwind> {
    let cancel = if may_unwind() { Reasons::CANCEL.0 } else { 0 };
    let reasons = park::sleep(mask | cancel);
    if reasons & cancel != 0 && reasons & mask == 0 {
        Err(Unwind(()))
    } else {
        Ok(reasons & mask)
    }
}

/// As [`sleep`], and runs the calls that come meanwhile. Returns after them too, perhaps without a reason: a
/// wait inside a call may have taken what this one was woken by, so the caller looks at its event again.
#[inline(always)]
pub(crate) fn sleep_serving(mask: u16) -> Result<u16, Unwind> {
    let reasons = sleep(mask | Reasons::CALL.0)?;
    if reasons & Reasons::CALL.0 != 0 {
        run_calls();
    }
    Ok(reasons & mask)
}

/// Waits whatever happens, and runs the calls that come meanwhile; the caller looks at its event again.
pub(crate) fn sleep_uncancelled(mask: u16) {
    if park::sleep(mask | Reasons::CALL.0) & Reasons::CALL.0 != 0 {
        run_calls();
    }
}

/// Unwinds if the fiber is cancelled: for what does not wait but is a point where a fiber can be ended.
#[inline(always)]
pub(crate) fn checkpoint() {
    if park::pending() & Reasons::CANCEL.0 != 0 && may_unwind() {
        Unwind(()).unwind();
    }
}

/// Runs the calls queued for the running fiber or thread. How many.
pub(crate) fn run_calls() -> usize {
    let run = |fiber: &Header| {
        let Some(cold) = fiber.cold() else { return 0 };
        let mut calls = 0;
        for call in cold.calls.take(false) {
            // SAFETY: taken out of the queue, so ours to run, once; `run` never unwinds.
            unsafe { ((*call).run)(call) };
            calls += 1;
        }
        calls
    };
    match park::running() {
        // SAFETY: the running fiber is alive.
        Some((_, header)) => run(unsafe { &*header }),
        None => run(&current::thread_fiber()),
    }
}
