//! `join(a, b)`: fork and join at the price of a push and a pop.
//!
//! After rayon's `join`: `b` is offered to other workers as a job in this frame, `a` runs, and if nobody
//! took the job it is taken back and run right here. Nothing is allocated unless it was stolen.
//! Unlike rayon's, the wait for a stolen job never runs foreign work on this stack: the fiber parks.
//!
//! JOIN-1: the frame is not left before the job was taken back or has told us that it is done.

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::fiber::calls::Completion;
use crate::fiber::cell::{AbortOnUnwind, Cancelled, Outcome};
use parking_lot::Mutex;

use crate::fiber::header::{FiberRef, Header};
use crate::fiber::owed::Owed;
use crate::fiber::reasons::Reasons;
use crate::handle::Fiber;
use crate::machine::item::Job;
use crate::machine::park;
use crate::machine::wake::{pay, settle, wake};
use crate::machine::worker::Own;
use crate::spawn::scope::scope;
use crate::wait::cancel::{self, Unwind};

#[repr(C)]
struct FrameJob<B, R> {
    job: Job,
    closure: Cell<Option<B>>,
    result: UnsafeCell<Option<Outcome<R>>>,
    owner: Owed,
    done: Completion,
    thief: Mutex<Thief>,
}

/// Who runs a job that was stolen.
enum Thief {
    Nobody,
    Runs(FiberRef),
    /// The owner has been cancelled.
    Unwanted,
}

impl Thief {
    /// By the owner: the job is not wanted any more.
    fn cancel(thief: &Mutex<Self>) {
        if let Self::Runs(fiber) = std::mem::replace(&mut *thief.lock(), Self::Unwanted) {
            // SAFETY: we have a reference.
            unsafe { wake(fiber.as_ptr(), Reasons::CANCEL.0) };
        }
    }

    /// By the thief: false if it need not begin.
    fn begin(thief: &Mutex<Self>) -> bool {
        let me = Fiber::running().0;
        let mut thief = thief.lock();
        let wanted = matches!(*thief, Self::Nobody);
        if wanted {
            *thief = Self::Runs(me);
        }
        wanted
    }
}

impl<B: FnOnce() -> R, R> FrameJob<B, R> {
    /// # Safety
    /// Once, by whoever took the job out of a cache.
    unsafe fn run(job: *const Job, refused: bool) {
        // SAFETY: the first field of a FrameJob in a frame that waits for us (JOIN-1).
        let this = unsafe { &*job.cast::<Self>() };
        let closure = this.closure.take().expect("a job runs once");
        let refused = refused || !Thief::begin(&this.thief);
        let result = catch_unwind(AssertUnwindSafe(|| {
            if refused {
                drop(closure);
                resume_unwind(Box::new(Cancelled));
            }
            closure()
        }));
        // SAFETY: the owner reads it only after `done`.
        unsafe { *this.result.get() = Some(result) };
        // Last touch, unless the owner waits: then it stays until we let go.
        if this.done.finish() {
            // SAFETY: `finish` told us, and us alone.
            unsafe { pay(&this.owner) };
        }
    }
}

/// Runs `a` and `b`, in parallel if another worker has nothing better to do, and returns both results.
///
/// `a` runs at once in the calling fiber. So does `b` after it, unless another worker has taken it
/// meanwhile; then this fiber waits for it, and runs calls meanwhile. *Cancellation* of the caller, and a deadline
/// that encloses it, cancel `b` too; the caller unwinds when `b` has ended, as it may borrow from this frame. On
/// a plain thread the two run as fibers of the default machine, and the thread waits.
///
/// # Panics
/// If `a` panics, with that panic, after `b` has ended or was dropped unrun; else if `b` panics.
///
/// ```
/// fn sum(numbers: &[u64]) -> u64 {
///     if numbers.len() <= 1000 {
///         return numbers.iter().sum();
///     }
///     let (left, right) = numbers.split_at(numbers.len() / 2);
///     let (left, right) = fibers::join(|| sum(left), || sum(right));
///     left + right
/// }
/// assert_eq!(sum(&(0..10_000).collect::<Vec<_>>()), 49_995_000);
/// ```
#[inline]
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    let Some((me, header)) = park::running() else {
        return scope(|s| match s.spawn(|| join(a, b)).join() {
            Ok(results) => results,
            Err(payload) => resume_unwind(payload),
        });
    };
    let frame = FrameJob {
        job: Job {
            run: FrameJob::<B, RB>::run,
        },
        closure: Cell::new(Some(b)),
        result: UnsafeCell::new(None),
        owner: Owed::new(),
        done: Completion::new(),
        thief: Mutex::new(Thief::Nobody),
    };
    let job: *const Job = (&raw const frame).cast();
    me.push_job(job);
    let first = catch_unwind(AssertUnwindSafe(a));
    // SAFETY: the running fiber is alive.
    let floats = unsafe { &*header }.word.is_shared();
    // A floating fiber may be on another worker now. A pinned one never is (WORKER-2).
    let me = if floats { Own::current() } else { Some(me) };
    if me.is_some_and(|me| me.take_back(job)) {
        let first = match first {
            Ok(first) => first,
            Err(payload) => resume_unwind(payload),
        };
        let closure = frame.closure.take().expect("taken back, so not run");
        return (first, closure());
    }
    let cancelled = matches!(&first, Err(payload) if cancel::is_ours(&**payload));
    let unwind = wait_stolen(header, &frame, cancelled);
    // SAFETY: done.
    let second = unsafe { (*frame.result.get()).take() }.expect("a finished job has a result");
    match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Ok(_), Err(payload)) if payload.is::<Cancelled>() => match unwind {
            // `b` was cancelled because we are.
            Some(unwind) => unwind.unwind(),
            None => resume_unwind(payload),
        },
        (Err(payload), _) | (_, Err(payload)) => resume_unwind(payload),
    }
}

/// Waits for the thief (JOIN-1). Cancelled meanwhile, or from the start, it cancels the thief and goes on
/// waiting; then it says why the caller is to unwind.
#[cold]
fn wait_stolen<B, R>(
    me: *const Header,
    frame: &FrameJob<B, R>,
    mut cancelled: bool,
) -> Option<Unwind> {
    let FrameJob {
        done, owner, thief, ..
    } = frame;
    let mut unwind = None;
    if cancelled {
        Thief::cancel(thief);
    }
    owner.set(me);
    if !done.is_done() && done.wait() {
        // JOIN-1: nothing may unwind out of the frame (a deterministic run refuses waits by a panic).
        let bomb = AbortOnUnwind("a wait for the second half of a join was refused");
        while !done.is_done() {
            if cancelled {
                cancel::sleep_uncancelled(Reasons::QUEUE.0);
            } else if let Err(why) = cancel::sleep_serving(Reasons::QUEUE.0) {
                cancelled = true;
                unwind = Some(why);
                Thief::cancel(thief);
            }
        }
        settle(owner);
        std::mem::forget(bomb);
    }
    unwind
}
