//! Runner: a coroutine that runs one fiber after another on one stack.
//!
//! A fiber that never waits costs no switch: the runner calls its closure, and when the closure returns it
//! asks the machine for the next unstarted fiber and calls that. Only a fiber that waits keeps the stack;
//! the worker then takes another runner. (The idea is marl's; corosensei does the switching, and this file
//! is its one user.)
//!
//! The runner's record lies at the very top of its own stack, in the bytes that the stack pool leaves to
//! us, so that a parked fiber touches one page and no second allocation. A stack that the pool has given
//! back to the kernel reads as zero there: then the runner is built anew.
//!
//! RUN-1: an idle runner's frames (the loop below) own nothing, so its stack may be discarded under it.
//! RUN-2: `fiber` is set by the worker that starts a fiber on this stack and cleared when that fiber is
//! over; while it is set, the fiber is alive. Only the fiber's home may follow it (floating machines:
//! under the roster lock).
//! RUN-3: only the worker that owns the runner, or the fiber's home, resumes it.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::fiber::header::{Header, Home};
use crate::os;
use crate::stack::{HEAD_BYTES, RawStack, SizeClass, StackRef};

/// How much of a suspended stack to have at hand.
const PREFETCH_LINES: usize = 10;

/// What a runner does, forever: runs the fibers that the machine hands it. Never returns, never unwinds.
pub(crate) type Body = fn(&Runner);

/// See the head of the file.
#[repr(C)]
pub(crate) struct Runner {
    coroutine: UnsafeCell<MaybeUninit<Coroutine<(), (), (), RawStack>>>,
    yielder: Cell<*const Yielder<(), ()>>,
    /// The fiber whose frames lie on this stack, or null (RUN-2).
    pub fiber: AtomicPtr<Header>,
    /// The fiber's home; stored before `fiber`, so whoever sees the fiber sees it.
    pub home: AtomicPtr<Home>,
    built: Cell<bool>,
    class: Cell<SizeClass>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(
    size_of::<Runner>() <= HEAD_BYTES,
    "the record must fit above the stack's base"
);
const _: () = assert!(align_of::<Runner>() <= 16);

impl Runner {
    /// The runner that lives on `stack`, built if the stack is fresh.
    ///
    /// # Safety
    /// The caller owns the stack, and no fiber is on it.
    pub(crate) unsafe fn on(stack: StackRef, class: SizeClass, body: Body) -> *const Runner {
        let runner = stack.head().cast::<Runner>().as_ptr();
        // SAFETY: the head is HEAD_BYTES of readable memory, aligned, zeroed if fresh; every field of a
        // zeroed record is valid (null pointers, false, class zero, an uninitialised coroutine).
        let this = unsafe { &*runner };
        // Written before it is read: to read a page that has no memory yet maps the kernel's zeroed one, and to
        // write it then costs a second fault and an interrupt to every other CPU.
        this.class.set(class);
        compiler_fence(Ordering::SeqCst);
        if !this.built.get() {
            let address = runner as usize;
            // SAFETY: ours, of this class, and given back only when the coroutine is idle for good (RUN-1).
            let raw = unsafe { RawStack::new(class, stack) };
            let coroutine = Coroutine::with_stack(raw, move |yielder: &Yielder<(), ()>, ()| {
                // SAFETY: the record outlives the coroutine, which runs on the stack below it.
                let this = unsafe { &*(ptr::with_exposed_provenance::<Runner>(address)) };
                this.yielder.set(yielder);
                body(this);
                std::process::abort();
            });
            // SAFETY: not built, so nobody uses the coroutine; an earlier one went with the zeroed page.
            unsafe { (*this.coroutine.get()).write(coroutine) };
            this.built.set(true);
        }
        runner
    }

    /// The stack this runner lives on.
    pub(crate) fn stack(&self) -> StackRef {
        // SAFETY: the record lies at the head of its own stack.
        unsafe { StackRef::from_head(ptr::NonNull::from(self).cast()) }
    }

    /// The stack's size class.
    pub(crate) fn class(&self) -> SizeClass {
        self.class.get()
    }

    /// The guard below the stack.
    pub(crate) fn guard(&self, guard_bytes: usize) -> std::ops::Range<usize> {
        self.class().guard_of(self.stack(), guard_bytes)
    }

    /// Switches to the fiber on this stack, until it suspends.
    ///
    /// # Safety
    /// RUN-3, and the runner is suspended.
    #[inline(always)]
    pub(crate) unsafe fn resume(&self) {
        // SAFETY: built, and nobody else resumes it (RUN-3), so the unique borrow is ours. The coroutine
        // itself reaches the record through shared references to other fields only.
        let coroutine = unsafe { (*self.coroutine.get()).assume_init_mut() };
        match coroutine.resume(()) {
            CoroutineResult::Yield(()) => {}
            // The body never returns.
            CoroutineResult::Return(()) => std::process::abort(),
        }
    }

    /// Tells the processor that a fiber will soon start on this stack.
    pub(crate) fn prefetch_on(stack: StackRef) {
        let runner = stack.head().cast::<Runner>().as_ptr();
        // What `on` looks at lies in the second line.
        os::prefetch(runner.cast::<u8>().wrapping_add(64));
        Self::prefetch(runner);
    }

    /// Tells the processor that this runner will soon be resumed.
    pub(crate) fn prefetch(runner: *const Runner) {
        // The record, and the newest frames below it.
        for line in 0..PREFETCH_LINES {
            os::prefetch(runner.cast::<u8>().wrapping_sub(64 * line));
        }
    }

    /// Switches back to the worker. Returns when the runner is resumed.
    ///
    /// # Safety
    /// Called on this runner's stack.
    #[inline(always)]
    pub(crate) unsafe fn suspend(&self) {
        // SAFETY: set when the coroutine began; lives at its base.
        unsafe { &*self.yielder.get() }.suspend(());
    }

    /// Runs `f` on the stack of the worker that resumed this runner.
    ///
    /// # Safety
    /// Called on this runner's stack; `f` must not suspend the runner.
    pub(crate) unsafe fn on_worker_stack<R>(&self, f: impl FnOnce() -> R) -> R {
        /// The same thread on another stack: nothing is sent. corosensei asks for Send lest its yielder be
        /// used by the parent; `no_switch` rules that out.
        struct SameThread<F>(F);
        // SAFETY: never leaves the thread.
        unsafe impl<F> Send for SameThread<F> {}
        impl<R, F: FnOnce() -> R> SameThread<F> {
            fn call(self) -> R {
                (self.0)()
            }
        }
        let f = SameThread(f);
        // SAFETY: as in suspend.
        unsafe { &*self.yielder.get() }.on_parent_stack(move || f.call())
    }

    /// The fiber on this stack, for those who may look (RUN-2).
    pub(crate) fn fiber(&self) -> *mut Header {
        self.fiber.load(Ordering::Acquire)
    }
}
