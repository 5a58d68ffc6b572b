//! Who is running: the only thread-locals of the library.
//!
//! A floating fiber may wake up on another thread, and a compiler may keep a thread-local's *address*
//! across the call that switched. So each access is a function that is never inlined and hands out a
//! value, never a reference into the thread-local; callers read again after every switch.

use std::cell::Cell;
use std::ptr;

use crate::fiber::cell::FiberCell;
use crate::fiber::header::{FiberRef, Header, Home, NewFiber};
use crate::fiber::word::{Finished, Kind};

thread_local! {
    /// The worker that this thread is, or null.
    static WORKER: Cell<*const Home> = const { Cell::new(ptr::null()) };
    /// The fiber that stands for this thread where it is no worker, or null. Without a destructor, so that it
    /// is there for the destructors of others.
    static THREAD: Cell<*const Header> = const { Cell::new(ptr::null()) };
    /// Ends that fiber with the thread.
    static THREAD_END: ThreadEnd = const { ThreadEnd };
}

/// The worker that this thread is, or null.
#[inline(never)]
pub(crate) fn worker() -> *const Home {
    WORKER.with(Cell::get)
}

/// Makes this thread a worker, or none (null). Returns what it was before.
#[inline(never)]
pub(crate) fn set_worker(worker: *const Home) -> *const Home {
    WORKER.with(|cell| cell.replace(worker))
}

type ThreadCell = FiberCell<fn(), ()>;

struct ThreadEnd;

impl Drop for ThreadEnd {
    fn drop(&mut self) {
        end_thread();
    }
}

/// Ends the fiber that stands for this plain thread, if anybody has asked for it: its locals are dropped, its calls
/// run. Who asks next gets a new one.
#[inline(never)]
pub(crate) fn end_thread() {
    let header = THREAD.with(Cell::get);
    if !header.is_null() {
        // SAFETY: made in `thread_fiber`, ours; this ends the thread's own references. It stays current
        // meanwhile: destructors of its locals may wait.
        unsafe { end_thread_fiber(header) };
        THREAD.with(|cell| cell.set(ptr::null()));
    }
}

/// # Safety
/// The caller owns the thread's own reference.
unsafe fn end_thread_fiber(header: *const Header) {
    use crate::fiber::header::release;
    // SAFETY: alive through the reference.
    let this = unsafe { &*header };
    if let Some(cold) = this.cold() {
        // SAFETY: this thread is the header's only thread of execution.
        while let Some(value) = unsafe { (*cold.locals.get()).take_newest() } {
            drop(value);
        }
    }
    // Wakers that still hold references find DONE and keep away.
    if this.word.finish(false, true) == Finished::CallsPending {
        // Run here, at the thread's exit; whoever comes later finds the queue closed.
        for call in this.cold_or_new().calls.take(true) {
            // SAFETY: taken out of the queue, so ours to run, once.
            unsafe { ((*call).run)(call) };
        }
        let _ = this.word.finish(true, true);
    }
    // `finish` gave up the reference; put one back so that one path frees the cell.
    // SAFETY: retained before finish, see thread_fiber: a thread's header starts with two references.
    unsafe { release(header) };
}

/// The fiber that stands for this plain thread, made when first asked for. One that is first asked for so far
/// into the thread's exit that nothing can end it any more is never freed.
#[inline(never)]
pub(crate) fn thread_fiber() -> FiberRef {
    let mut header = THREAD.with(Cell::get);
    if header.is_null() {
        let name = std::thread::current().name().map(str::to_owned);
        let new = NewFiber {
            name,
            ..NewFiber::default()
        };
        header = ThreadCell::create(Kind::Thread, false, new, || ());
        // SAFETY: just made. The second reference of the two that end_thread_fiber gives up.
        unsafe { &*header }.word.retain();
        THREAD.with(|cell| cell.set(header));
        // Registers the destructor.
        let _ = THREAD_END.try_with(|_| ());
    }
    // SAFETY: alive: the thread's own references are given up in the destructor only.
    unsafe { FiberRef::retain(header) }
}
