//! The options of a machine, as users give them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::clock::Clock;
use crate::machine::config::{Config, GuardMethod, Options, Poller, check_names};
use crate::machine::core::Machine;
use crate::machine::report_overflow;
use crate::runtime::{LocalRuntime, Runtime};

/// Options for a [`Runtime`]. What is not set here is taken from the environment (`FIBERS_*`), else a
/// default. Checked by [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct RuntimeBuilder {
    options: Options,
}

impl RuntimeBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Worker threads, 1 to 1024. Default: the CPUs that the affinity mask and the cgroup quota allow.
    /// `FIBERS_WORKERS`.
    pub fn workers(mut self, workers: usize) -> Self {
        self.options.workers = Some(workers);
        self
    }

    /// The beginning of the worker threads' names; a number follows. Default `fibers`. `FIBERS_NAME`.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = Some(name.to_owned());
        self
    }

    /// The default size of a fiber's stack in bytes of address space, up to 8 MiB, rounded up to a power of
    /// two of at least 16 KiB. Default 256 KiB. `FIBERS_STACK_SIZE` (bytes, or with `K` or `M`).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.options.stack_bytes = Some(bytes);
        self
    }

    /// The size in bytes of the guard below each stack: one page up to a quarter of the default stack.
    /// Rust code touches every page of a large frame, so one page (the default) suffices for it; C code
    /// compiled without stack probes may need more. `FIBERS_GUARD_SIZE`.
    pub fn guard_size(mut self, bytes: usize) -> Self {
        self.options.guard_bytes = Some(bytes);
        self
    }

    /// How guards are made. Default: markers where the kernel has them. `FIBERS_GUARD` (`auto`, `markers`,
    /// `mprotect`).
    pub fn guard_method(mut self, method: GuardMethod) -> Self {
        self.options.guard = Some(method);
        self
    }

    /// The most fibers that may be alive at a time; a spawn beyond it is an error. Default: no limit (and no
    /// price for counting). `FIBERS_MAX_FIBERS`.
    pub fn max_fibers(mut self, fibers: usize) -> Self {
        self.options.fibers_max = Some(fibers as u64);
        self
    }

    /// How long a worker that ran dry looks for work before it sleeps, up to a second. Default 20 us, or
    /// zero where there is only one CPU. `FIBERS_SPIN_US`.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.options.spin = Some(spin);
        self
    }

    /// Every how many picks a worker takes from the old end of the next priority in turn, so that nothing
    /// starves. 1 to 1,000,000, default 61. `FIBERS_FAIRNESS`.
    pub fn fairness(mut self, picks: u32) -> Self {
        self.options.fairness = Some(picks);
        self
    }

    /// Pins each worker to a CPU of the affinity mask. Default: no, the kernel places them. `FIBERS_PIN`
    /// (`0` or `1`).
    pub fn pin_workers(mut self, pin: bool) -> Self {
        self.options.pin_workers = Some(pin);
        self
    }

    /// Who waits for sockets, timers, signals and children. Default: workers that have nothing to do.
    /// `FIBERS_POLLER` (`workers` or `dedicated`).
    pub fn poller(mut self, poller: Poller) -> Self {
        self.options.poller = Some(poller);
        self
    }

    /// Seeds the scheduler's random choices (which neighbour to steal from). Default: the time.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Lets any worker resume a started fiber of this machine, instead of only the one it started on.
    ///
    /// # Safety
    /// No fiber of the machine holds, over any call that may wait: a borrow of a `thread_local!` (or its
    /// address, as the compiler may keep it); a guard that is bound to its thread, such as a std or
    /// parking_lot lock guard; any value that is not `Send`, wherever it came from. That goes for every
    /// crate that the fibers call into.
    pub unsafe fn floating(mut self) -> Self {
        self.options.floating = true;
        self
    }

    fn check(self) -> io::Result<Config> {
        check_names(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        self.options.check(&|name| std::env::var(name).ok())
    }

    /// Makes the machine and starts its workers. No fiber runs before all of them have started.
    ///
    /// # Errors
    /// An option or `FIBERS_*` variable is out of range or unknown: the error names it, its value and the
    /// range. A worker thread could not start. The wanted guard method is not to be had.
    pub fn build(self) -> io::Result<Runtime> {
        let config = self.check()?;
        report_overflow::install()?;
        let machine = Machine::assemble(config, Clock::Monotonic, true)?;
        let threads = machine.start()?;
        Ok(Runtime { machine, threads })
    }

    /// Makes a machine whose one worker is the calling thread, while it is in
    /// [`LocalRuntime::run`]: for fibers bound to the main thread.
    ///
    /// # Errors
    /// As [`build`](Self::build); `workers` must be 1 or not set, and [`floating`](Self::floating) not.
    pub fn build_local(mut self) -> io::Result<LocalRuntime> {
        if self.options.workers.is_some_and(|workers| workers != 1) || self.options.floating {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a local machine has one worker, the calling thread: leave out workers and floating",
            ));
        }
        self.options.workers = Some(1);
        let config = self.check()?;
        report_overflow::install()?;
        let machine: Arc<Machine> = Machine::assemble(config, Clock::Monotonic, true)?;
        LocalRuntime::new(machine)
    }
}
