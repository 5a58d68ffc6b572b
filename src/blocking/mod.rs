//! Blocking work: closures that block their OS thread run on offload threads, while the fiber waits.
//!
//! | file | what it holds |
//! |---|---|
//! | `jobs` | the queue of jobs and the idle threads: pure |
//! | `pool` | the threads: started, woken, ended |
//!
//! The record of a job lies in the frame of the fiber that waits for it; nothing is allocated.
//!
//! | the frame is | since | who may touch it |
//! |---|---|---|
//! | made | `offload` | the fiber |
//! | offered | `pool::submit` | the queue: its link, under the queue's lock (`jobs.rs`) |
//! | run | a thread took the job | that thread: closure and result; the fiber: `done`, no more |
//! | told | `done.finish` | the thread: `waiter`, if the fiber had announced that it waits; the fiber: the rest |
//! | let go | `waiter.let_go`, or `finish` without a waiter | the fiber |
//!
//! BLOCKING-1: the fiber does not leave its frame before it is let go: nothing that ends other waits ends this one,
//! and an unwind out of it would end the process. So the closure may borrow from the frame and from all below it.
//!
//! The race is that of a `Completion` (`fiber/calls.rs`), modelled there: the fiber announces that it waits by
//! `wait`, the thread the end by `finish`, both change one word. Who comes second sees the other: either the fiber
//! finds it done, does not wait, and the thread's last touch was `finish`; or the thread finds a waiter, wakes it, and
//! lets go, for which the fiber waits (OWED-2). The fiber has stored itself in `waiter` before it offers the job.

mod jobs;
mod pool;
#[cfg(test)]
mod tests;

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::blocking::jobs::Job;
use crate::current::on_worker_stack;
use crate::fiber::calls::Completion;
use crate::fiber::cell::{AbortOnUnwind, Outcome};
use crate::fiber::current;
use crate::fiber::header::{Header, Home};
use crate::fiber::owed::Owed;
use crate::fiber::reasons::Reasons;
use crate::machine::park;
use crate::machine::wake::{pay, settle};
use crate::machine::worker::Own;
use crate::wait::cancel;

/// Runs `f`, which may block its OS thread, on a thread for such work, and returns what it returned. Only the
/// calling fiber waits; its worker runs others.
///
/// For what has no better way: files (see [`fs`](crate::fs)), names to look up, C libraries, long computations. `f` may
/// borrow from the caller's stack:
///
/// ```
/// let path = String::from("/proc/self/status");
/// let mut text = String::new();
/// let read = fibers::spawn(move || {
///     let bytes = fibers::blocking(|| {
///         use std::io::Read;
///         std::fs::File::open(&path)?.read_to_string(&mut text)
///     })?;
///     assert_eq!(bytes, text.len());
///     Ok::<_, std::io::Error>(text)
/// });
/// assert!(read.join().unwrap()?.contains("Threads"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The threads are the process's, shared by all machines. A call takes the one that became idle last; if there is
/// none it starts one more, up to `FIBERS_BLOCKING_THREADS` (default 512), else it queues, first come first served. A
/// thread that has had nothing to do for ten seconds (`FIBERS_BLOCKING_IDLE_MS`) ends. So jobs that wait for each other
/// need a limit that has room for all of them.
///
/// Inside `f` this library behaves as on any plain thread: [`current`](crate::current) is a stand-in that ends with
/// `f`, waits block the offload thread, [`spawn`](crate::spawn) goes to the default machine, and a `blocking` in it is
/// a plain call. What `f` leaves in a `thread_local!` stays with the thread.
///
/// *Blocks* the fiber; calls that are sent to it run meanwhile. Called by a plain thread, `f` is simply called.
///
/// *Cancellation*, and a deadline that encloses the call: if it is known when the call begins, `f` is dropped unrun and
/// the caller unwinds. Later than that the call is not ended, as `f` may borrow from the caller: it returns what `f`
/// returns, and the caller's next wait unwinds. So does the stop of a machine: a
/// [`shutdown`](crate::Runtime::shutdown) that runs out of patience reports the fiber, and leaves it and `f` alone.
///
/// In place, on the worker's own thread and stack, `f` runs where the fiber must not switch anyway (in a destructor
/// while it unwinds, inside [`on_worker_stack`](crate::on_worker_stack)), and when the system refuses to start the
/// first offload thread. Then the worker's other fibers wait for it. In a deterministic run
/// ([`testing`](crate::testing)), which has no other threads, `f` is called by the fiber itself.
///
/// # Panics
/// If `f` panics, with that panic.
pub fn blocking<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    cancel::checkpoint();
    let Some((me, fiber)) = park::running() else {
        return f();
    };
    if me.machine().is_driven() {
        return f();
    }
    if park::must_block(me) {
        // Offloaded, it would block this worker as well, and have to find a thread.
        me.offer_cache();
        return on_worker_stack(|| without_identity(f));
    }
    offload(me, fiber, f)
}

#[repr(C)]
struct Frame<F, R> {
    job: Job,
    closure: Cell<Option<F>>,
    result: UnsafeCell<Option<Outcome<R>>>,
    done: Completion,
    waiter: Owed,
}

impl<F: FnOnce() -> R, R> Frame<F, R> {
    /// # Safety
    /// Once, by whoever took the job.
    unsafe fn run(job: *const Job) {
        // SAFETY: the first field of a frame that waits for us (BLOCKING-1).
        let this = unsafe { &*job.cast::<Self>() };
        let closure = this.closure.take().expect("a job runs once");
        let result = catch_unwind(AssertUnwindSafe(closure));
        // SAFETY: the fiber reads it only after `finish`.
        unsafe { *this.result.get() = Some(result) };
    }

    /// # Safety
    /// Once, after `run`.
    unsafe fn tell(job: *const Job) {
        // SAFETY: as in `run`.
        let this = unsafe { &*job.cast::<Self>() };
        // Last touch, unless the fiber waits: then it stays until we let go.
        if this.done.finish() {
            // SAFETY: `finish` told us, and us alone.
            unsafe { pay(&this.waiter) };
        }
    }
}

fn offload<F, R>(me: Own, fiber: *const Header, f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let frame = Frame {
        job: Job::new(Frame::<F, R>::run, Frame::<F, R>::tell),
        closure: Cell::new(Some(f)),
        result: UnsafeCell::new(None),
        done: Completion::new(),
        waiter: Owed::new(),
    };
    let Frame { done, waiter, .. } = &frame;
    waiter.set(fiber);
    let bomb = AbortOnUnwind("a wait for an offload thread was given up");
    // SAFETY: in this frame until it is let go, below (BLOCKING-1); closure and result are Send.
    unsafe { pool::submit((&raw const frame).cast(), me.machine().config.pin_workers) };
    if done.wait() {
        while !done.is_done() {
            cancel::sleep_uncancelled(Reasons::QUEUE.0);
        }
        settle(waiter);
    }
    std::mem::forget(bomb);
    // SAFETY: done, and the thread has let go.
    match unsafe { (*frame.result.get()).take() }.expect("a finished job has a result") {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}

/// Runs `f` as if the worker's thread were a plain one, as an offload thread is: waits block it, nothing unwinds it.
/// On the worker's own stack.
fn without_identity<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(*const Home);
    impl Drop for Restore {
        fn drop(&mut self) {
            current::set_worker(self.0);
        }
    }
    let _restore = Restore(current::set_worker(std::ptr::null()));
    f()
}
