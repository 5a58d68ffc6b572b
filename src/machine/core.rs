//! The machine: its parts, its worker threads, and the loop that each of them runs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::fiber::current;
use crate::fiber::header::Ending;
use crate::fiber::word::Kind;
use crate::machine::baton::Baton;
use crate::machine::clock::Clock;
use crate::machine::config::{Config, Poller};
use crate::machine::dues::Dues;
use crate::machine::metrics::{Metrics, Sums};
use crate::machine::shared::{STOP, SharedQueue};
use crate::machine::stop::FiberReport;
use crate::machine::worker::{Own, Pick, Worker};
use crate::os;
use crate::reactor::Reactor;
use crate::stack::{SizeClass, StackPool};

/// One scheduler instance.
#[derive(Debug)]
pub(crate) struct Machine {
    pub config: Config,
    pub shared: SharedQueue,
    pub workers: Box<[&'static Worker]>,
    pub pool: StackPool,
    /// The default stack's size class.
    pub class: SizeClass,
    pub clock: Clock,
    /// When the worker that sleeps in the reactor wants to be woken, or the heaps of floating fibers to be served.
    pub dues: Dues,
    /// None in the deterministic mode: there the driver brings what happens outside.
    pub reactor: Option<Arc<Reactor>>,
    /// Each worker's own reactor, for what only its fibers wait for. None where fibers float, or workers do not poll.
    pub own_reactors: Box<[Arc<Reactor>]>,
    /// Who waits in the shared one.
    pub baton: Baton,
    /// The dedicated thread: it is to end; it is to give stacks back in a while.
    pub polling_ends: AtomicBool,
    /// Which process has its threads (`os/fork.rs`).
    pub process: u32,
    pub wants_upkeep: AtomicBool,
    /// How often it has stood in for the workers, and what that brought.
    pub stood_in: AtomicU64,
    pub stand_in_events: AtomicU64,
    /// Whether runners go from fiber to fiber by themselves (not where a driver wants every step).
    pub chains: bool,
    stopping: AtomicBool,
    /// How often all fibers have been cancelled. Wraps.
    pub epoch: AtomicU16,
    /// Fibers that found no stack and wait for one, on all lists.
    starved: AtomicUsize,
    /// The current request for reports; see `reports`.
    pub asked: AtomicU64,
    /// Floating machines: started fibers that have not ended, wherever they are.
    pub floating_live: AtomicI64,
    /// Floating machines: taken by whoever follows another worker's `Runner::fiber` (RUN-2).
    pub roster: Mutex<()>,
    /// One request for reports at a time.
    pub reporting: Mutex<()>,
    /// With `max_fibers`: spawned fibers that have not ended.
    pub population: AtomicU64,
    pub gate: Mutex<Gate>,
    pub gate_moved: Condvar,
}

/// How far the workers are, for those who start and stop them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub entered: usize,
    /// The dedicated thread runs.
    pub polls: bool,
    pub open: bool,
    pub exited: usize,
    pub left: Vec<usize>,
    /// What the current request for reports has brought, and from which workers.
    pub reports: Vec<FiberReport>,
    pub answered: Vec<usize>,
    /// Somebody has begun to answer.
    pub listing: bool,
}

// SAFETY: the workers are Sync, everything else is or is under a lock.
unsafe impl Send for Machine {}
// SAFETY: as above.
unsafe impl Sync for Machine {}

impl Machine {
    /// Makes the parts; no thread yet.
    pub(crate) fn assemble(config: Config, clock: Clock, chains: bool) -> io::Result<Arc<Self>> {
        let class = SizeClass::for_bytes(config.stack_bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "stack size out of range")
        })?;
        os::barrier::register();
        os::fork::watch(forget_worker);
        let pool = StackPool::new(config.pool())?;
        let reactor = match clock {
            Clock::Monotonic => Some(Arc::new(Reactor::new()?)),
            Clock::Virtual(_) => None,
        };
        let own_reactors = match &reactor {
            Some(_) if !config.floating && config.poller == Poller::Workers => (0..config.workers)
                .map(|_| Ok(Arc::new(Reactor::of_worker()?)))
                .collect::<io::Result<_>>()?,
            _ => Box::default(),
        };
        let seed = config.seed.unwrap_or_else(os::clock::now_ns);
        let workers: Box<[&'static Worker]> = (0..config.workers)
            .map(|i| Worker::take_record(i, seed.wrapping_add(i as u64)))
            .collect();
        let machine = Arc::new(Self {
            shared: SharedQueue::new(config.workers),
            workers,
            pool,
            class,
            dues: Dues::new(config.workers),
            reactor,
            own_reactors,
            baton: Baton::new(),
            polling_ends: AtomicBool::new(false),
            process: os::fork::generation(),
            wants_upkeep: AtomicBool::new(false),
            stood_in: AtomicU64::new(0),
            stand_in_events: AtomicU64::new(0),
            clock,
            chains,
            stopping: AtomicBool::new(false),
            epoch: AtomicU16::new(0),
            starved: AtomicUsize::new(0),
            reporting: Mutex::new(()),
            asked: AtomicU64::new(0),
            floating_live: AtomicI64::new(0),
            roster: Mutex::new(()),
            population: AtomicU64::new(0),
            gate: Mutex::default(),
            gate_moved: Condvar::new(),
            config,
        });
        for (index, worker) in machine.workers.iter().enumerate() {
            worker.set_machine(Arc::as_ptr(&machine));
            // There it waits.
            let own = machine.own_reactors.get(index);
            if let Some(reactor) = own.or(machine.reactor.as_ref()) {
                worker
                    .bell()
                    .and_then(|bell| reactor.watch_bell(bell, index))
                    .map_err(|error| {
                        let text = format!("the bell of worker {index}: {error}");
                        io::Error::new(error.kind(), text)
                    })?;
            }
        }
        Ok(machine)
    }

    /// Starts the worker threads. No fiber runs before every worker has entered; if one cannot start, those
    /// that did leave again and the error is returned.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<Vec<std::thread::JoinHandle<()>>> {
        let mut threads = Vec::with_capacity(self.workers.len() + 1);
        let cpus = if self.config.pin_workers {
            os::thread::allowed_cpus()
        } else {
            Vec::new()
        };
        for (index, worker) in self.workers.iter().copied().enumerate() {
            let machine = Arc::clone(self);
            let cpu = cpus.get(index % cpus.len().max(1)).copied();
            let name = format!("{}-{index}", self.config.name);
            let spawned = os::thread::spawn_named(name, move || {
                if let Some(cpu) = cpu {
                    // Pinning is a wish: a mask that changed meanwhile must not stop the machine.
                    let _ = os::thread::pin_to(cpu);
                }
                machine.worker_thread(worker);
            });
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let text = format!(
                        "could not start worker {index} of {} (option workers, FIBERS_WORKERS): {error}",
                        self.workers.len()
                    );
                    self.give_up(threads);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        match self.start_polling() {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                self.give_up(threads);
                return Err(error);
            }
        }
        let mut gate = self.gate.lock();
        while gate.entered < self.workers.len() {
            self.gate_moved.wait(&mut gate);
        }
        drop(gate);
        self.await_polling();
        self.open_gate();
        Ok(threads)
    }

    /// Not all threads could be started: those that run leave again.
    fn give_up(&self, threads: Vec<std::thread::JoinHandle<()>>) {
        self.stop();
        self.open_gate();
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn open_gate(&self) {
        self.gate.lock().open = true;
        self.gate_moved.notify_all();
    }

    fn worker_thread(&self, worker: &'static Worker) {
        let _altstack = os::signal::ensure_altstack();
        let _punctual = os::thread::Punctual::begin();
        // SAFETY: this thread alone is the worker; the caller holds the machine; fibers start here only.
        let (me, before) = unsafe { Own::enter(worker) };
        let mut gate = self.gate.lock();
        gate.entered += 1;
        self.gate_moved.notify_all();
        while !gate.open {
            self.gate_moved.wait(&mut gate);
        }
        drop(gate);
        me.work_until(|| false);
        Own::leave(before);
        let mut gate = self.gate.lock();
        gate.exited += 1;
        if gate.exited == self.workers.len() {
            self.end_polling();
        }
        gate.left.push(worker.index());
        self.gate_moved.notify_all();
    }

    /// How often all fibers have been cancelled.
    #[inline]
    pub(crate) fn epoch(&self) -> u16 {
        // Relaxed: see `cancel_all`.
        self.epoch.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        if self.config.floating {
            Kind::Floating
        } else {
            Kind::Pinned
        }
    }

    /// True if its threads are those of a parent that this process was forked from.
    pub(crate) fn is_left_behind(&self) -> bool {
        self.process != os::fork::generation()
    }

    /// True if one thread runs all workers in turn, in the deterministic mode: then no fiber may block it.
    #[inline]
    pub(crate) fn is_driven(&self) -> bool {
        matches!(self.clock, Clock::Virtual(_))
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        // Relaxed: a flag that stays up; whoever must not miss it looks under the shared lock.
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// True while fibers wait for a stack.
    #[inline]
    pub(crate) fn is_starving(&self) -> bool {
        self.starved.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn add_starved(&self) {
        self.starved.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn sub_starved(&self) {
        self.starved.fetch_sub(1, Ordering::AcqRel);
    }

    /// A fiber got its stack.
    pub(crate) fn fiber_began(&self, me: Own) {
        me.counters().started.add(1);
        if self.config.floating {
            self.floating_live.fetch_add(1, Ordering::Relaxed);
        } else {
            let live = &me.local().live;
            live.set(live.get() + 1);
        }
    }

    /// A fiber is about to publish its end on that worker: counted first, so that whoever has joined it
    /// finds it counted.
    pub(crate) fn fiber_ends(&self, me: Own, ending: Ending) {
        me.counters().finished.add(1);
        match ending {
            Ending::Returned => {}
            Ending::Panicked => me.counters().panicked.add(1),
            Ending::Cancelled => me.counters().cancelled.add(1),
        }
        self.leave_population();
    }

    /// A fiber has ended on that worker, and its last message has come or is `in_flight`.
    pub(crate) fn fiber_over(&self, me: Own, in_flight: bool) {
        let local = me.local();
        if in_flight {
            local.in_flight.set(local.in_flight.get() + 1);
        }
        if !self.config.floating {
            local.live.set(local.live.get() - 1);
        } else if self.floating_live.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The flag under the lock, under which a worker looks before it sleeps.
            let stopping = self.shared.lock().control & STOP != 0;
            if stopping {
                // Nobody else has a reason to wake the others: they may go now.
                self.notify_all();
            }
        }
    }

    /// Counts a fiber in that exists already, limit or not.
    pub(crate) fn count_in(&self) {
        if self.config.fibers_max.is_some() {
            self.population.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Counts a fiber in, if there is a limit.
    #[inline]
    pub(crate) fn enter_population(&self) -> io::Result<()> {
        let Some(max) = self.config.fibers_max else {
            return Ok(());
        };
        let entered =
            self.population
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |population| {
                    (population < max).then_some(population + 1)
                });
        entered.map(drop).map_err(|_| {
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{max} fibers are alive, the limit (option max_fibers, FIBERS_MAX_FIBERS)"),
            )
        })
    }

    #[inline]
    pub(crate) fn leave_population(&self) {
        if self.config.fibers_max.is_some() {
            self.population.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let mut sums = Sums::default();
        for worker in &self.workers {
            worker.counters.add_to(&mut sums);
        }
        let pool = self.pool.stats();
        let pooled = pool.pooled_warm + pool.pooled_cold;
        let shared = self.shared.lock();
        Metrics {
            workers: self.workers.len() as u64,
            idle_workers: self.shared.idle.idle(),
            spawned: sums.spawned + shared.spawned,
            started: sums.started,
            finished: sums.finished,
            panicked: sums.panicked,
            cancelled: sums.cancelled,
            parked: sums.parks.saturating_sub(sums.unparks + shared.unparks),
            switches: sums.switches,
            steals: sums.steals,
            handoffs: sums.handoffs,
            futex_wakes: sums.futex_wakes + shared.futex_wakes,
            lock_acquisitions: shared.acquisitions,
            inbox_sends: sums.inbox_sends,
            polls: sums.polls,
            poll_takeovers: self.stood_in.load(Ordering::Relaxed),
            io_events: sums.io_events + self.stand_in_events.load(Ordering::Relaxed),
            io_spurious: sums.io_spurious,
            io_sources: self.reactors().map(|reactor| reactor.sources()).sum(),
            timers_pending: sums.timers_pending,
            timers_fired: sums.timers_fired,
            timer_sets: sums.timed_sleeps + self.dues.settings(),
            stacks_in_use: pool.cut.saturating_sub(pooled),
            stacks_pooled: pooled,
            stacks_returned: pool.returned,
        }
    }

    /// Waits until all workers have left. False if `deadline` came first.
    pub(crate) fn wait_exited(&self, deadline: Option<Instant>) -> bool {
        let mut gate = self.gate.lock();
        while gate.exited < self.workers.len() {
            match deadline {
                None => self.gate_moved.wait(&mut gate),
                Some(deadline) => {
                    if self.gate_moved.wait_until(&mut gate, deadline).timed_out() {
                        return gate.exited == self.workers.len();
                    }
                }
            }
        }
        true
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.give_record();
        }
    }
}

/// In a forked child: its one thread is no worker, even if it was one in the parent. The fiber that forked goes on as
/// if it were a plain thread; if it ever comes to its end, or to the scheduler, the child aborts.
extern "C" fn forget_worker() {
    current::set_worker(std::ptr::null());
}

/// What a worker that ran dry found elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Looked {
    /// Work, or a reason to look at home again.
    Back(Option<Pick>),
    /// Nothing: it may sleep.
    Dry,
}

impl Own {
    /// The life of a worker: runs until the machine stops, or until `done` (asked between two fibers).
    pub(crate) fn work_until(self, mut done: impl FnMut() -> bool) {
        let mut next = None;
        // What was handed over is run before the end is asked for: nobody else has it.
        while next.is_some() || !done() {
            // One call site, so that the switch itself is inlined here: a processor predicts returns by a
            // stack of its own, and every return that crosses a switch is predicted wrongly.
            if let Some(pick) = next.take().or_else(|| self.pick(true)) {
                self.run(pick);
                continue;
            }
            if self.heed() {
                break;
            }
            next = self.pick(false).or_else(|| self.look_further());
        }
        self.end_search();
    }

    /// Nothing at hand: search, and sleep if that finds nothing.
    #[cold]
    fn look_further(self) -> Option<Pick> {
        match self.look_elsewhere() {
            Looked::Back(found) => found,
            Looked::Dry => {
                let handed = self.sleep();
                self.come_back(handed)
            }
        }
    }

    /// Nothing at hand: one search.
    pub(crate) fn look_elsewhere(self) -> Looked {
        if self.feed_starved(self.local().retry_starved.replace(false)) {
            return Looked::Back(None);
        }
        if self.has_sources() && self.look_outside() && self.has_something() {
            return Looked::Back(None);
        }
        let found = self.search();
        if found.is_some() || self.has_something() {
            self.end_search();
            return Looked::Back(found);
        }
        Looked::Dry
    }

    /// Back from a sleep, with what was handed over or robbed meanwhile.
    pub(crate) fn come_back(self, handed: Option<Pick>) -> Option<Pick> {
        if handed.is_some() {
            self.end_search();
        }
        handed
    }

    /// Something this worker can pick without searching.
    pub(crate) fn has_something(self) -> bool {
        let local = self.local();
        self.worker().inbox.has_mail()
            || local.ready.with(|ready| ready.mask()) != 0
            || !local.cache.is_empty()
            || !local.floats.is_empty()
    }
}
