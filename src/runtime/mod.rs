//! Machines as users hold them: `Runtime`, `LocalRuntime`, `Handle`, and the process-wide default one.

mod builder;
mod local;

pub use builder::RuntimeBuilder;
pub use local::LocalRuntime;

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe, resume_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::{CancelError, can_cancel};
use crate::fiber::cell::Cancelled;
use crate::handle::JoinHandle;
use crate::machine::core::Machine;
use crate::machine::metrics::Metrics;
use crate::machine::stop::FiberReport;
use crate::machine::worker::Own;
use crate::spawn::builder::Builder;

/// How long dropping a machine waits for fibers that do not end, before it leaves them behind.
const DROP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a worker may take to answer what its fibers do.
const REPORT_PATIENCE: Duration = Duration::from_millis(200);

/// A machine: workers, their fibers, their stacks. Several may live in one process.
///
/// Dropping it shuts it down, as [`shutdown`](Self::shutdown) with a patience of ten seconds, and prints
/// what did not end. Dropped by one of its own fibers, it only begins to stop and does not wait.
pub struct Runtime {
    machine: Arc<Machine>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// A way to spawn on a machine from anywhere. Does not keep the machine running.
#[derive(Clone)]
pub struct Handle {
    machine: Arc<Machine>,
}

/// A spawn that was refused: why, and the closure.
pub struct SpawnError<F> {
    /// Why.
    pub error: io::Error,
    /// What was to run.
    pub closure: F,
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<F> std::error::Error for SpawnError<F> {}

/// What did not end when a machine was shut down. Left behind, with its stacks, for as long as the process
/// lives.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Fibers that were still there (up to 1000 of each worker).
    pub fibers: Vec<FiberReport>,
    /// Workers that did not come back to their scheduler: each runs a fiber that does not wait.
    pub busy_workers: Vec<usize>,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the machine did not stop in time; left behind:")?;
        for fiber in &self.fibers {
            writeln!(f, "  {fiber}")?;
        }
        for worker in &self.busy_workers {
            writeln!(f, "  worker {worker} runs a fiber that does not wait")?;
        }
        Ok(())
    }
}

impl std::error::Error for ShutdownReport {}

impl Runtime {
    /// A machine with default options (and those of the environment).
    ///
    /// # Errors
    /// As [`RuntimeBuilder::build`].
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Options for a machine.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// Runs `f` as a fiber of this machine and returns its result. *Blocks* the calling thread or fiber.
    ///
    /// A deadline of the caller's ends the wait, not the fiber: that goes on, detached.
    ///
    /// # Panics
    /// If `f` panics, with that panic; if the fiber cannot be spawned, or is cancelled.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.spawn(f).join() {
            Ok(value) => value,
            Err(payload) => end_of_root(payload),
        }
    }

    /// Spawns a fiber on this machine. Never blocks.
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
        Handle {
            machine: Arc::clone(&self.machine),
        }
    }

    /// Cancels every fiber of this machine that was spawned before this call, as
    /// [`Fiber::cancel`](crate::Fiber::cancel) does, the caller among them; the machine goes on. Never blocks: each
    /// worker cancels its fibers when it next comes to its scheduler, so one that runs a fiber which does not wait
    /// does so when it comes back from it.
    ///
    /// # Errors
    /// As [`Fiber::cancel`](crate::Fiber::cancel).
    pub fn cancel_all(&self) -> Result<(), CancelError> {
        can_cancel()?;
        self.machine.cancel_all();
        Ok(())
    }

    /// What the machine has done and holds. Cheap, never blocks for long.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.machine.metrics()
    }

    /// Stops the machine: no new fibers; unstarted ones are dropped, started ones cancelled, so that their
    /// next wait unwinds them; then waits until all have ended, `timeout` at the longest, and up to 200 ms more to
    /// find out what has not.
    ///
    /// *Blocks* the calling thread (or fiber's worker). Called by a fiber of this very machine it only begins
    /// the stop: the caller could not end while it waits.
    ///
    /// # Errors
    /// Not all fibers ended in time: the report names those that wait, and the workers that run a fiber that
    /// does not wait (which fiber, and what else has its home there, such a worker cannot tell). They are left
    /// behind; nothing is freed under them. Or: the caller is a fiber of this machine; the report then names
    /// its worker.
    pub fn shutdown(mut self, timeout: Duration) -> Result<(), ShutdownReport> {
        self.stop(Instant::now().checked_add(timeout))
    }

    fn stop(&mut self, deadline: Option<Instant>) -> Result<(), ShutdownReport> {
        let threads = std::mem::take(&mut self.threads);
        if self.machine.is_left_behind() {
            // Nobody here runs its fibers, and nobody may free what their frames borrow.
            std::mem::forget((threads, Arc::clone(&self.machine)));
            return Ok(());
        }
        self.machine.stop();
        if let Some(me) = self.own_worker() {
            // It cannot leave while this fiber waits for it.
            return Err(ShutdownReport {
                fibers: Vec::new(),
                busy_workers: vec![me.index()],
            });
        }
        if self.machine.wait_exited(deadline) {
            for thread in threads {
                let _ = thread.join();
            }
            return Ok(());
        }
        let (fibers, busy_workers) = self.machine.reports(REPORT_PATIENCE);
        if self.machine.wait_exited(Some(Instant::now())) {
            // While it was asked what was left.
            return Ok(());
        }
        Err(ShutdownReport {
            fibers,
            busy_workers,
        })
    }

    /// The calling thread's worker, if it is one of this machine's.
    fn own_worker(&self) -> Option<Own> {
        Own::current().filter(|me| me.worker().is_of(&self.machine))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        let own = self.own_worker().is_some();
        let stopped = self.stop(Instant::now().checked_add(DROP_PATIENCE));
        // Dropped by one of its own fibers it goes on stopping by itself: nothing to report.
        if let (Err(report), false) = (stopped, own) {
            let _ =
                std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("fibers: {report}"));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine }
    }

    /// The machine of the current fiber, if there is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        let me = Own::current()?;
        let machine = me.machine_ptr();
        // SAFETY: from Arc::as_ptr (`assemble`); its workers keep it alive.
        unsafe {
            Arc::increment_strong_count(machine);
            Some(Self {
                machine: Arc::from_raw(machine),
            })
        }
    }

    /// Spawns a fiber on the machine. Never blocks.
    ///
    /// # Panics
    /// If the fiber cannot be spawned, for one because the machine was shut down.
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_spawn(f)
            .unwrap_or_else(|refused| panic!("failed to spawn a fiber: {refused}"))
    }

    /// Spawns a fiber on the machine, or gives the closure back. Never blocks.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn try_spawn<F, T>(&self, f: F) -> Result<JoinHandle<T>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Builder::new()
            .spawn_in(&self.machine, f)
            .map_err(|refused| SpawnError {
                error: refused.error,
                closure: refused.closure,
            })
    }

    /// Cancels every fiber of this machine that was spawned before this call, as
    /// [`Fiber::cancel`](crate::Fiber::cancel) does, the caller among them; the machine goes on. Never blocks: each
    /// worker cancels its fibers when it next comes to its scheduler, so one that runs a fiber which does not wait
    /// does so when it comes back from it.
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

    /// What the machine's started fibers do, up to 1000 of each worker; and the workers that did not answer
    /// within `patience`, because they run a fiber that does not wait.
    ///
    /// *Blocks* the calling thread. Meant for watchdogs and debugging. From a fiber of the same machine its
    /// own worker cannot answer.
    #[must_use]
    pub fn fibers(&self, patience: Duration) -> (Vec<FiberReport>, Vec<usize>) {
        self.machine.reports(patience)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// A root fiber that did not return: its panic goes on in the caller. Cancelled, it would end the caller without a
/// word.
fn end_of_root(payload: Box<dyn std::any::Any + Send>) -> ! {
    if payload.is::<Cancelled>() {
        panic!("the root fiber was cancelled");
    }
    resume_unwind(payload)
}

/// The machine that `spawn` uses outside any other, started when first needed.
pub(crate) fn default_machine() -> io::Result<&'static Machine> {
    static DEFAULT: OnceLock<Result<Runtime, (io::ErrorKind, String)>> = OnceLock::new();
    let made = DEFAULT.get_or_init(|| {
        Runtime::new().map_err(|error| {
            (
                error.kind(),
                format!("the process-wide default machine could not start: {error}"),
            )
        })
    });
    match made {
        Ok(runtime) => Ok(&runtime.machine),
        Err((kind, text)) => Err(io::Error::new(*kind, text.clone())),
    }
}

// Nothing behind these is left half-changed by a panic.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}
