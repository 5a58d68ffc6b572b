//! Stands for `src/machine/worker.rs` and its machine, where the models are of several workers: each is a thread with one
//! fiber, and goes down, while that waits, as in `sleep.rs`. Nobody's time comes, and there is no sentinel.

use crate::fiber::alarm::NEVER;
use crate::fiber::header::Header;
use crate::machine::baton::Baton;
use crate::machine::config::Poller;
use crate::machine::idle::{ASLEEP, Notify, SleepWord};
use crate::machine::outside::Outside;
use crate::os::futex;
use crate::os::poll::Bell;
use crate::primitive::{AtomicU32, Ordering, heavy_fence, light_fence};
use crate::reactor::{Events, Reactor};
use core::cell::{Cell, RefCell};
use loom::thread::{self, ThreadId};
use std::sync::Arc;

thread_local! {
    // Loom runs all its threads on one.
    static RUN: RefCell<Option<Box<Machine>>> = const { RefCell::new(None) };
    static WORKERS: RefCell<Vec<(ThreadId, Own)>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(crate) struct Config {
    pub floating: bool,
    pub poller: Poller,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub workers: Vec<&'static Worker>,
    pub reactor: Option<Arc<Reactor>>,
    pub own_reactors: Vec<Arc<Reactor>>,
    pub baton: Baton,
    pub config: Config,
    /// What the workers are.
    records: Box<[Worker]>,
}

/// Begins a run, on a machine with two workers.
pub(crate) fn begin(floating: bool) -> &'static Machine {
    crate::kernel::begin();
    futex::begin();
    WORKERS.with(|workers| workers.borrow_mut().clear());
    let shared = Reactor::new().unwrap();
    let own = (0..if floating { 0 } else { 2 }).map(|_| Arc::new(Reactor::of_worker().unwrap()));
    let mut machine = Box::new(Machine {
        workers: Vec::new(),
        reactor: Some(Arc::new(shared)),
        own_reactors: own.collect(),
        baton: Baton::new(),
        config: Config {
            floating,
            poller: Poller::Workers,
        },
        records: Box::default(),
    });
    let pointer: *const Machine = &raw const *machine;
    machine.records = [0, 1].map(|index| Worker::new(index, pointer)).into();
    for (index, worker) in machine.records.iter().enumerate() {
        let own = machine.own_reactors.get(index);
        let hears = own.or(machine.reactor.as_ref()).unwrap();
        hears.watch_bell(&worker.bell, index).unwrap();
        let worker: *const Worker = worker;
        // SAFETY: in its box until the next run begins.
        machine.workers.push(unsafe { &*worker });
    }
    for worker in &machine.workers {
        let _ = worker.fiber.set(Header::new(worker));
    }
    RUN.with(|run| *run.borrow_mut() = Some(machine));
    // SAFETY: as above.
    unsafe { &*pointer }
}

impl Machine {
    pub(crate) fn needs_poller(&self) -> bool {
        self.config.floating || self.reactor.as_ref().unwrap().has_sources()
    }

    /// Nobody's time comes.
    pub(crate) fn ring(&self) {
        unreachable!("no timer is set");
    }

    /// There is no dedicated thread but where a model has one, which does not sleep deeply.
    pub(crate) fn rouse_dedicated(&self) {}

    /// The calling thread is that worker from here on.
    pub(crate) fn i_am(&self, worker: usize) -> Own {
        let me = Own(self.workers[worker]);
        let id = thread::current().id();
        WORKERS.with(|workers| workers.borrow_mut().push((id, me)));
        me
    }

    /// In a thread of its own, as that worker.
    pub(crate) fn on<R: 'static>(
        &'static self,
        worker: usize,
        f: impl FnOnce(Own) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        thread::spawn(move || f(self.i_am(worker)))
    }
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub sleep: SleepWord,
    bell: Bell,
    /// Whether something has come for its fiber.
    mail: AtomicU32,
    fiber: core::cell::OnceCell<Header>,
    index: usize,
    machine: *const Machine,
    local: Local,
}

impl Worker {
    fn new(index: usize, machine: *const Machine) -> Self {
        Self {
            sleep: SleepWord::new(),
            bell: Bell::new().unwrap(),
            mail: AtomicU32::new(0),
            fiber: core::cell::OnceCell::new(),
            index,
            machine,
            local: Local {
                polled_ns: Cell::new(0),
                due_ns: Cell::new(NEVER),
                timer_ns: Cell::new(NEVER),
                io_calls: Cell::new(0),
                ready: Cell::new(0),
                wakes: Cell::new(0),
                events: Taken(RefCell::new(Events::new())),
            },
        }
    }

    pub(crate) fn fiber(&self) -> &Header {
        self.fiber.get().expect("set when the run began")
    }

    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    pub(crate) fn silence(&self) {
        self.bell.silence();
    }

    /// Something comes for its fiber, from any thread: as in `wake.rs`.
    pub(crate) fn send(&self) {
        self.mail.swap(1, Ordering::AcqRel);
        if Own::current().is_some_and(|me| me.index() == self.index) {
            return;
        }
        light_fence();
        match self.sleep.notify() {
            Notify::Nothing => {}
            Notify::Futex => futex::wake_one(self.sleep.futex()),
            Notify::Bell => self.ring(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Local {
    pub polled_ns: Cell<u64>,
    pub due_ns: Cell<u64>,
    pub timer_ns: Cell<u64>,
    pub io_calls: Cell<u32>,
    pub events: Taken<Events>,
    /// Floating: how many fibers it has made ready.
    pub ready: Cell<u32>,
    /// How often something has come for its fiber.
    pub wakes: Cell<u32>,
}

/// What one uses at a time.
#[derive(Debug)]
pub(crate) struct Taken<T>(RefCell<T>);

impl<T> Taken<T> {
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}

/// Nobody looks at them.
#[derive(Default)]
pub(crate) struct Counters {
    pub polls: Counter,
    pub io_events: Counter,
    pub io_spurious: Counter,
}

#[derive(Default)]
pub(crate) struct Counter;

impl Counter {
    pub(crate) fn add(&self, _: u64) {}
}

/// The worker that the calling thread is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own(&'static Worker);

impl Own {
    pub(crate) fn current() -> Option<Self> {
        let id = thread::current().id();
        WORKERS.with(|workers| {
            let workers = workers.borrow();
            workers
                .iter()
                .rfind(|(other, _)| *other == id)
                .map(|me| me.1)
        })
    }

    pub(crate) fn machine(self) -> &'static Machine {
        // SAFETY: in its box until the next run begins.
        unsafe { &*self.0.machine }
    }

    pub(crate) fn worker(self) -> &'static Worker {
        self.0
    }

    pub(crate) fn index(self) -> usize {
        self.0.index
    }

    pub(crate) fn local(self) -> &'static Local {
        &self.0.local
    }

    pub(crate) fn counters(self) -> Counters {
        Counters::default()
    }

    pub(crate) fn fiber(self) -> &'static Header {
        self.0.fiber()
    }

    pub(crate) fn floats(self) -> bool {
        self.machine().config.floating
    }

    pub(crate) fn soon_ns(self) -> u64 {
        0
    }

    pub(crate) fn now_ns(self) -> u64 {
        0
    }

    pub(crate) fn look_soon(self) {}

    /// Its queue has one more.
    pub(crate) fn make_ready(self) {
        let ready = &self.local().ready;
        ready.set(ready.get() + 1);
    }

    fn has_mail(self) -> bool {
        self.0.mail.load(Ordering::Acquire) != 0
    }

    pub(crate) fn has_something(self) -> bool {
        self.local().ready.get() != 0 || self.has_mail()
    }

    pub(crate) fn take_mail(self) -> bool {
        let some = self.0.mail.swap(0, Ordering::AcqRel) != 0;
        let wakes = &self.local().wakes;
        wakes.set(wakes.get() + u32::from(some));
        some
    }

    /// Until something has come for its fiber.
    pub(crate) fn runs_dry(self) {
        while !self.take_mail() {
            self.goes_down();
        }
    }

    /// As in `sleep.rs`: until it is notified, or finds out that it has something to do.
    pub(crate) fn goes_down(self) {
        let word = &self.worker().sleep;
        word.lie_down();
        heavy_fence();
        if !self.has_mail() {
            while !word.is_notified() {
                if let Some(whither) = self.goes_outside() {
                    let rises = self.wait_outside(whither, None);
                    if whither == Outside::Shared {
                        let _ = self.machine().baton.release(|| false);
                    }
                    if rises {
                        break;
                    }
                } else {
                    let _ = futex::wait(word.futex(), ASLEEP, None);
                }
            }
        }
        word.rise();
    }
}
