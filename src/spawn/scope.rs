//! Scopes: fibers that borrow from the frame that spawns them. As `std::thread::scope`.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use parking_lot::Mutex;

use crate::cancel::CancelError;
use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::header::{FiberRef, NewFiber};
use crate::fiber::reasons::Reasons;
use crate::fiber::scope::ScopeWord;
use crate::handle::{Fiber, Joiner};
use crate::machine::core::Machine;
use crate::machine::wake::{pay, settle, wake};
use crate::spawn::builder::Builder;
use crate::spawn::launch;
use crate::wait::cancel;

/// A scope to spawn borrowing fibers in. As [`std::thread::Scope`].
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    word: ScopeWord,
    children: Mutex<Children>,
    /// Invariant in both lifetimes, as std's: otherwise a shorter one could be passed off for 'scope.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// The fibers of a scope, for the case that they are to be cancelled.
#[derive(Debug, Default)]
struct Children {
    /// Those that may still run, among others. Those that have ended are thrown out when there are twice as many
    /// as after the last time.
    fibers: Vec<FiberRef>,
    clean_at: usize,
    cancelled: bool,
}

const CLEAN_MIN: usize = 64;

impl Children {
    fn add(&mut self, fiber: &FiberRef) {
        if self.cancelled {
            cancel_one(fiber);
            return;
        }
        if self.fibers.len() >= self.clean_at.max(CLEAN_MIN) {
            self.fibers.retain(|fiber| !fiber.word.is_done());
            self.clean_at = 2 * self.fibers.len();
        }
        self.fibers.push(fiber.clone());
    }

    fn cancel(&mut self) {
        self.cancelled = true;
        self.fibers.drain(..).for_each(|fiber| cancel_one(&fiber));
    }
}

fn cancel_one(fiber: &FiberRef) {
    // SAFETY: we have a reference.
    unsafe { wake(fiber.as_ptr(), Reasons::CANCEL.0) };
}

/// An owned permission to join a scoped fiber. As [`std::thread::ScopedJoinHandle`].
pub struct ScopedJoinHandle<'scope, T> {
    joiner: Joiner<T>,
    scope: PhantomData<&'scope ()>,
}

// SAFETY: as std's: the result was Send when it was spawned.
unsafe impl<T> Send for ScopedJoinHandle<'_, T> {}
// SAFETY: shared references give no access to the result.
unsafe impl<T> Sync for ScopedJoinHandle<'_, T> {}

/// Calls `f` with a scope, waits for every fiber spawned in it, and returns what `f` returned.
///
/// *Blocks* the fiber, or the plain thread, until all of them have ended; runs calls that are sent to the
/// caller. *Cancellation* of the caller, and a deadline that encloses it, cancel the scope's fibers, whether they
/// come during `f` or at its end; the caller unwinds when all have ended, as they borrow from this frame.
///
/// # Panics
/// If `f` panics, with that panic, after all fibers have ended. Else, if a fiber panicked and was not
/// joined (not if the caller is cancelled, or late: then that unwind goes on). A cancelled fiber is no panic.
///
/// ```
/// let words = ["a", "million", "fibers"];
/// let lengths: Vec<usize> = fibers::scope(|s| {
///     let fibers: Vec<_> = words.iter().map(|word| s.spawn(|| word.len())).collect();
///     fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect()
/// });
/// assert_eq!(lengths, [1, 7, 6]);
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        word: ScopeWord::new(),
        children: Mutex::default(),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    let mut unwind = None;
    let mut cancelled = matches!(&result, Err(payload) if cancel::is_ours(&**payload));
    if cancelled {
        scope.children.lock().cancel();
    }
    let owner = Fiber::running();
    if scope.word.wait(owner.0.as_ptr()) {
        // They borrow from this frame: nothing may unwind out of it (a deterministic run refuses waits by a panic).
        let bomb = AbortOnUnwind("a wait for the fibers of a scope was refused");
        // Fibers still borrow from here, so nothing else ends this wait.
        while !scope.word.is_over() {
            if cancelled {
                cancel::sleep_uncancelled(Reasons::QUEUE.0);
            } else if let Err(why) = cancel::sleep_serving(Reasons::QUEUE.0) {
                cancelled = true;
                unwind = Some(why);
                scope.children.lock().cancel();
            }
        }
        settle(&scope.word.owner);
        std::mem::forget(bomb);
    }
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if let Some(unwind) = unwind => unwind.unwind(),
        Ok(_) if scope.word.panicked() => panic!("a scoped fiber panicked"),
        Ok(value) => value,
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Spawns a fiber that may borrow what outlives the scope. As [`std::thread::Scope::spawn`].
    ///
    /// # Panics
    /// If the fiber cannot be spawned, with the text of the error that
    /// [`Builder::spawn_scoped`](crate::Builder::spawn_scoped) returns.
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new()
            .spawn_scoped(self, f)
            .unwrap_or_else(|error| panic!("failed to spawn a fiber: {error}"))
    }

    pub(crate) fn launch<F, T>(
        &'scope self,
        machine: &Machine,
        new: NewFiber,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.word.add();
        // SAFETY: Send; the scope does not return before `done` was called for the fiber, its very last act.
        match unsafe { launch(machine, new, &raw const self.word, f) } {
            Ok(joiner) => {
                self.children.lock().add(&joiner.fiber().0);
                Ok(ScopedJoinHandle {
                    joiner,
                    scope: PhantomData,
                })
            }
            Err(refused) => {
                if self.word.done(false) {
                    // SAFETY: the owner waits, and leaves only when we let go (SCOPE-1).
                    unsafe { pay(&self.word.owner) };
                }
                Err(refused.error)
            }
        }
    }
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    /// Waits for the fiber to end, and returns its result. As [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// # Errors
    /// The fiber panicked, was cancelled, or could not get a stack.
    ///
    /// # Panics
    /// If the fiber joins itself.
    pub fn join(self) -> std::thread::Result<T> {
        self.joiner.join()
    }

    /// The fiber.
    #[must_use]
    pub fn fiber(&self) -> &Fiber {
        self.joiner.fiber()
    }

    /// The fiber, by the name that std gives this method.
    #[must_use]
    pub fn thread(&self) -> &Fiber {
        self.joiner.fiber()
    }

    /// True once the fiber has ended. Never blocks.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.joiner.is_finished()
    }

    /// As [`join`](Self::join), for at most that long.
    ///
    /// # Errors
    /// The handle, if the time is up.
    ///
    /// # Panics
    /// If the fiber joins itself.
    pub fn join_timeout(self, timeout: Duration) -> Result<std::thread::Result<T>, Self> {
        if self.joiner.wait_timeout(timeout) {
            Ok(self.joiner.join())
        } else {
            Err(self)
        }
    }

    /// Cancels the fiber. As [`Fiber::cancel`](crate::Fiber::cancel).
    ///
    /// # Errors
    /// As [`Fiber::cancel`](crate::Fiber::cancel).
    pub fn cancel(&self) -> Result<(), CancelError> {
        self.joiner.fiber().cancel()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle")
            .field("fiber", self.fiber())
            .finish_non_exhaustive()
    }
}
