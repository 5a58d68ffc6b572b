//! A machine on the calling thread: its fibers run while that thread is in `run`, and nowhere else.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;

use crate::cancel::{CancelError, can_cancel};
use crate::fiber::header::Home;
use crate::handle::{JoinHandle, LocalJoinHandle};
use crate::machine::core::Machine;
use crate::machine::metrics::Metrics;
use crate::machine::worker::Own;
use crate::os;
use crate::runtime::{Handle, end_of_root};
use crate::spawn::builder::Builder;

/// A machine whose one worker is the thread that made it, while that thread is in [`run`](Self::run).
///
/// For fibers that must stay on the main thread. Other threads and machines spawn on it by its
/// [`handle`](Self::handle) and wake its fibers as any other. Not `Send`: its fibers are bound to this thread.
///
/// Dropping it cancels and runs its remaining fibers to their end, on this thread. Dropped while the thread
/// is panicking, it leaves them behind instead: no fiber may run then.
pub struct LocalRuntime {
    machine: Arc<Machine>,
    poll: Option<thread::JoinHandle<()>>,
    _altstack: os::signal::AltStack,
    not_send: PhantomData<*const ()>,
}

impl LocalRuntime {
    pub(crate) fn new(machine: Arc<Machine>) -> io::Result<Self> {
        let poll = Some(machine.start_polling()?);
        machine.await_polling();
        Ok(Self {
            poll,
            machine,
            _altstack: os::signal::ensure_altstack(),
            not_send: PhantomData,
        })
    }

    /// Runs `f` as a fiber of this machine, and all its other fibers meanwhile, until `f` has ended; what
    /// has not ended then goes on at the next `run`. `f` need not be `Send`.
    ///
    /// *Blocks* the calling thread, whatever deadline the caller has.
    ///
    /// # Panics
    /// If `f` panics, with that panic, or is cancelled. If the thread is a worker already (a `run` inside a fiber), or is
    /// panicking.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        assert!(
            Own::current().is_none(),
            "LocalRuntime::run inside a fiber: this thread is a worker already"
        );
        assert!(
            !thread::panicking(),
            "LocalRuntime::run while the thread is panicking"
        );
        let mut root: Option<io::Result<LocalJoinHandle<T>>> = None;
        let mut f = Some(f);
        self.work_until(|me| {
            if let Some(f) = f.take() {
                root = Some(Builder::new().spawn_local_in(me, f));
            }
            !matches!(&root, Some(Ok(root)) if !root.is_finished())
        });
        match root {
            Some(Ok(root)) => match root.join() {
                Ok(value) => value,
                Err(payload) => end_of_root(payload),
            },
            Some(Err(error)) => panic!("failed to spawn a fiber: {error}"),
            None => unreachable!("the loop asks at least once"),
        }
    }

    fn work_until(&self, mut done: impl FnMut(Own) -> bool) {
        let _punctual = os::thread::Punctual::begin();
        // SAFETY: not Send, so this thread alone is ever the worker; we hold the machine.
        let (me, before) = unsafe { Own::enter(self.machine.workers[0]) };
        struct Leave(*const Home);
        impl Drop for Leave {
            fn drop(&mut self) {
                Own::leave(self.0);
            }
        }
        // Also if what `done` drops should panic.
        let _leave = Leave(before);
        me.work_until(|| done(me));
    }

    /// Spawns a fiber, to run in the next [`run`](Self::run). Joining it on this thread outside `run` would
    /// wait for ever.
    ///
    /// # Panics
    /// If the fiber cannot be spawned.
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle().spawn(f)
    }

    /// A handle to spawn with from anywhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.machine))
    }

    /// Cancels every fiber of this machine that was spawned before this call. As
    /// [`Runtime::cancel_all`](crate::Runtime::cancel_all); it takes effect in [`run`](Self::run).
    ///
    /// # Errors
    /// As [`Fiber::cancel`](crate::Fiber::cancel).
    pub fn cancel_all(&self) -> Result<(), CancelError> {
        can_cancel()?;
        self.machine.cancel_all();
        Ok(())
    }

    /// What the machine has done and holds.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.machine.metrics()
    }
}

impl Drop for LocalRuntime {
    fn drop(&mut self) {
        if self.machine.is_left_behind() {
            // As in `Runtime::stop`.
            std::mem::forget((self.poll.take(), Arc::clone(&self.machine)));
            return;
        }
        self.machine.stop();
        if thread::panicking() || Own::current().is_some() {
            // The fibers cannot run here and nowhere else: they stay, and their stacks with them.
            std::mem::forget(Arc::clone(&self.machine));
            return;
        }
        self.work_until(|_| false);
        self.machine.end_polling();
        if let Some(poll) = self.poll.take() {
            let _ = poll.join();
        }
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRuntime")
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
