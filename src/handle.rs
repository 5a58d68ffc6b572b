//! Handles: `Fiber`, its number, and what joins it.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::fiber::cell::take_result;
use crate::fiber::current;
use crate::fiber::header::FiberRef;
use crate::fiber::priority::Priority;
use crate::fiber::reasons::Reasons;
use crate::fiber::word::Detached;
use crate::machine::clock::current_ns;
use crate::machine::park;
use crate::machine::wake::{settle, wake};
use crate::wait::cancel;
use crate::wait::deadline::after;

/// A handle to a fiber: its number, its name, a way to wake and to call it. As [`std::thread::Thread`].
///
/// Every plain OS thread that uses this library has one too: [`current`](crate::current) works anywhere.
#[derive(Clone)]
pub struct Fiber(pub(crate) FiberRef);

/// A fiber's number, unique in this process. As [`std::thread::ThreadId`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FiberId(NonZeroU64);

impl fmt::Display for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Fiber {
    /// The running fiber, or what stands for the running thread.
    pub(crate) fn running() -> Self {
        match park::running() {
            // SAFETY: the running fiber is alive.
            Some((_, header)) => Self(unsafe { FiberRef::retain(header) }),
            None => Self(current::thread_fiber()),
        }
    }

    /// The fiber's number. Drawn at the first call, so numbers tell nothing about the order of spawns.
    #[must_use]
    pub fn id(&self) -> FiberId {
        FiberId(NonZeroU64::new(self.0.id()).expect("ids begin at one"))
    }

    /// The name it was given by [`Builder::name`](crate::Builder::name), or the thread's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.cold().and_then(|cold| cold.name.as_deref())
    }

    /// Makes the fiber's permit available: its [`park`](crate::park) returns, the current or the next one.
    /// As [`std::thread::Thread::unpark`]. Never blocks.
    pub fn unpark(&self) {
        self.wake(Reasons::UNPARK);
    }

    /// Its priority.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.0.priority()
    }

    /// Changes its priority; counts from the next time it is queued. Of no effect on a plain thread.
    pub fn set_priority(&self, priority: Priority) {
        self.0.set_priority(priority);
    }

    pub(crate) fn wake(&self, reasons: Reasons) {
        if !reasons.is_empty() {
            // SAFETY: we hold a reference.
            unsafe { wake(self.0.as_ptr(), reasons.0) };
        }
    }
}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish()
    }
}

impl PartialEq for Fiber {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }
}

impl Eq for Fiber {}

/// The right to a fiber's result: what the three kinds of join handle have in common.
pub(crate) struct Joiner<T> {
    fiber: std::mem::ManuallyDrop<Fiber>,
    result: PhantomData<T>,
}

impl<T> Joiner<T> {
    /// Takes over the handle's reference.
    ///
    /// # Safety
    /// The fiber was made joinable with result type `T`, and this is its one handle.
    pub(crate) unsafe fn new(fiber: FiberRef) -> Self {
        Self {
            fiber: std::mem::ManuallyDrop::new(Fiber(fiber)),
            result: PhantomData,
        }
    }

    pub(crate) fn fiber(&self) -> &Fiber {
        &self.fiber
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.fiber.0.word.is_done()
    }

    pub(crate) fn join(self) -> Result<T, Box<dyn Any + Send + 'static>> {
        self.wait();
        let header = self.fiber.0.as_ptr();
        std::mem::forget(self);
        // SAFETY: done, and we have the one handle: the result is ours (WORD-5).
        let result = unsafe { take_result::<T>(header) };
        // SAFETY: alive until the handle's reference goes, here.
        unsafe {
            if (*header).word.release_handle() {
                ((*header).vtable.free)(header);
            }
        }
        result
    }

    fn wait(&self) {
        let _ = self.wait_until(NEVER);
    }

    /// False: the time is up.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_finished() || self.wait_until(after(current_ns(), timeout))
    }

    /// Waits for the end, until `at_ns` at the longest. False: that time has come.
    #[inline]
    fn wait_until(&self, at_ns: u64) -> bool {
        let target = &self.fiber.0;
        if target.word.is_done() {
            return true;
        }
        let thread;
        let (me, may_be_refused) = match park::running() {
            Some((me, header)) => (header, me.machine().is_driven()),
            None => {
                thread = current::thread_fiber();
                (thread.as_ptr(), true)
            }
        };
        assert!(
            !std::ptr::eq(me, target.as_ptr()),
            "a fiber cannot join itself: it would wait for ever"
        );
        if may_be_refused && at_ns == NEVER {
            park::refuse_if_stuck();
        }
        target.joiner.set(me);
        if !target.word.wait_join() {
            return true;
        }
        loop {
            let slept = if at_ns == NEVER {
                cancel::sleep_serving(Reasons::QUEUE.0).map(Some)
            } else {
                cancel::sleep_serving_until(Reasons::QUEUE.0, at_ns)
            };
            match slept {
                _ if target.word.is_done() => break,
                Ok(Some(_)) => {}
                // Unless it ends at this very moment: then its result counts.
                Ok(None) if target.word.unwait_join() => return false,
                Err(unwind) if target.word.unwait_join() => unwind.unwind(),
                Ok(None) | Err(_) => break,
            }
        }
        settle(&target.joiner);
        true
    }
}

impl<T> Drop for Joiner<T> {
    fn drop(&mut self) {
        let header = self.fiber.0.as_ptr();
        // SAFETY: alive until the handle's reference goes, below.
        let fiber = unsafe { &*header };
        match fiber.word.detach() {
            Detached::Running => {}
            Detached::Done => {
                // Shielded: its destructor may wait, and must not be unwound.
                // SAFETY: done, and we have the one handle: the result is ours (WORD-5).
                let panicked = cancel::shielded(|| unsafe { (fiber.vtable.drop_result)(header) });
                let scope = fiber.scope.get();
                if panicked && !scope.is_null() {
                    // SAFETY: a scoped handle does not outlive its scope.
                    unsafe { &*scope }.note_panic();
                }
                if fiber.word.release_handle() {
                    // SAFETY: the last reference was ours.
                    unsafe { (fiber.vtable.free)(header) };
                }
            }
        }
    }
}

/// An owned permission to join a fiber. As [`std::thread::JoinHandle`]; dropping it detaches the fiber.
pub struct JoinHandle<T>(pub(crate) Joiner<T>);

// SAFETY: as std's: the result is handed over by the word's ordering; it was Send when it was spawned.
unsafe impl<T> Send for JoinHandle<T> {}
// SAFETY: shared references give no access to the result.
unsafe impl<T> Sync for JoinHandle<T> {}

/// As [`JoinHandle`], for [`spawn_local`](crate::spawn_local): it cannot leave its thread, and so neither
/// can the result.
pub struct LocalJoinHandle<T> {
    pub(crate) joiner: Joiner<T>,
    pub(crate) not_send: PhantomData<*const ()>,
}

macro_rules! handle {
    ($name:ident, $joiner:tt) => {
        impl<T> $name<T> {
            /// Waits for the fiber to end, and returns its result; `Err` holds the payload of the panic that
            /// ended it, or [`Cancelled`](crate::Cancelled).
            ///
            /// *Blocks* the fiber, or the plain thread that calls it; runs calls that are sent to the caller
            /// meanwhile. *Cancellation* of the caller unwinds it and detaches the fiber.
            ///
            /// # Errors
            /// The fiber panicked, was cancelled, or could not get a stack.
            ///
            /// # Panics
            /// If the fiber joins itself.
            pub fn join(self) -> std::thread::Result<T> {
                self.$joiner.join()
            }

            /// The fiber.
            #[must_use]
            pub fn fiber(&self) -> &Fiber {
                self.$joiner.fiber()
            }

            /// The fiber, by the name that std gives this method.
            #[must_use]
            pub fn thread(&self) -> &Fiber {
                self.$joiner.fiber()
            }

            /// True once the fiber has ended. Never blocks.
            #[must_use]
            pub fn is_finished(&self) -> bool {
                self.$joiner.is_finished()
            }

            /// As [`join`](Self::join), for at most that long.
            ///
            /// # Errors
            /// The handle, if the time is up.
            ///
            /// # Panics
            /// If the fiber joins itself.
            pub fn join_timeout(
                self,
                timeout: std::time::Duration,
            ) -> Result<std::thread::Result<T>, Self> {
                if self.$joiner.wait_timeout(timeout) {
                    Ok(self.$joiner.join())
                } else {
                    Err(self)
                }
            }

            /// Cancels the fiber. As [`Fiber::cancel`](crate::Fiber::cancel); `join` then returns
            /// [`Cancelled`](crate::Cancelled), unless the fiber came to its end all the same.
            ///
            /// # Errors
            /// As [`Fiber::cancel`](crate::Fiber::cancel).
            pub fn cancel(&self) -> Result<(), crate::CancelError> {
                self.$joiner.fiber().cancel()
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("fiber", self.fiber())
                    .finish_non_exhaustive()
            }
        }
    };
}
handle!(JoinHandle, 0);
handle!(LocalJoinHandle, joiner);
