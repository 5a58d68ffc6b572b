//! What a fiber does to itself: as the free functions of `std::thread`.

use std::io;
use std::num::NonZeroUsize;

use crate::fiber::reasons::Reasons;
use crate::handle::Fiber;
use crate::machine::park as low;
use crate::os;
use crate::wait::cancel;

/// The running fiber, or what stands for the running thread. As [`std::thread::current`]. Never blocks.
#[must_use]
pub fn current() -> Fiber {
    Fiber::running()
}

/// Waits until somebody calls [`Fiber::unpark`]. As [`std::thread::park`]: an unpark that came before is not
/// lost, several count as one, and spurious returns are allowed.
///
/// *Blocks* the fiber; a plain thread, or a fiber that is unwinding from a panic, blocks its OS thread. Runs
/// calls that are sent to the fiber meanwhile, and goes on waiting: who wants to look at something after each
/// call uses [`wait::sleep`](crate::wait::sleep) with `Reasons::CALL` and
/// [`process_calls`](crate::process_calls). *Cancellation* unwinds.
#[inline(always)]
pub fn park() {
    loop {
        match cancel::sleep_serving(Reasons::UNPARK.0) {
            Ok(0) => {}
            Ok(_) => return,
            Err(unwind) => unwind.unwind(),
        }
    }
}

/// Lets other fibers run. As [`std::thread::yield_now`].
///
/// Fibers of the same priority on this worker run in turn. *Cancellation* unwinds, so that a fiber that only
/// ever yields can be ended; so does a deadline that has passed ([`timeout`](crate::timeout)).
#[inline(always)]
pub fn yield_now() {
    // Looked at afterwards: the worker has looked at the clock meanwhile.
    if low::yield_now() != 0 {
        cancel::checkpoint();
    }
}

/// True if the running fiber or thread unwinds from a panic. As [`std::thread::panicking`].
#[must_use]
pub fn panicking() -> bool {
    std::thread::panicking()
}

/// How many CPUs this process may use: affinity mask and cgroup quota. As
/// [`std::thread::available_parallelism`].
///
/// # Errors
/// None today; the signature is std's.
pub fn available_parallelism() -> io::Result<NonZeroUsize> {
    NonZeroUsize::new(os::thread::available_parallelism())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Runs `f` on the worker's own stack of 8 MiB: for deep recursion and for C libraries that need much stack.
///
/// A wait inside `f` blocks the worker and all the fibers whose home it is: on a machine with one worker,
/// joining a fiber there never returns. An overflow there is reported by std, by the thread's name. On a plain thread `f` is simply
/// called. A panic in `f` comes out of this call.
pub fn on_worker_stack<R>(f: impl FnOnce() -> R) -> R {
    let Some((me, header)) = low::running() else {
        return f();
    };
    let depth = &me.local().no_switch;
    if depth.get() != 0 {
        return f();
    }
    struct Leave<'a>(&'a std::cell::Cell<u32>);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    depth.set(depth.get() + 1);
    let _leave = Leave(depth);
    // SAFETY: the running fiber is alive, and has a runner.
    let runner = unsafe { &*(*header).runner.get() };
    // SAFETY: on the running fiber's own runner; `no_switch` keeps `f` from suspending it.
    unsafe { runner.on_worker_stack(f) }
}
