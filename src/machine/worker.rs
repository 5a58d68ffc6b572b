//! Worker: an OS thread that runs fibers, as seen by everybody (`Worker`) and by itself (`Own`).
//!
//! A worker's record is never freed: records of stopped machines are used again by later ones. So a waker
//! that comes late, with the address of a worker that is gone, touches a word that is still a futex word,
//! and at worst causes a spurious wake-up.
//!
//! WORKER-1: `local` is used by the worker's own thread only; the `Own` token stands for that. (In the
//! deterministic mode several workers share one thread, and take turns.)
//! WORKER-2: `Own` is not kept over a switch where the fiber may float: read it again.

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_deque::{Stealer, Worker as Floats};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::fiber::alarm::NEVER;
use crate::fiber::current;
use crate::fiber::header::{Header, Home};
use crate::fiber::runner::Runner;
use crate::fiber::slab;
use crate::machine::alarm::Alarm;
use crate::machine::balance::Gifts;
use crate::machine::core::Machine;
use crate::machine::idle::SleepWord;
use crate::machine::item::Item;
use crate::machine::metrics::Counters;
use crate::machine::pace::Pace;
use crate::machine::patience::Patience;
use crate::machine::rng::Rng;
use crate::os;
use crate::os::cycles::Cycles;
use crate::os::poll::Bell;
use crate::queue::deque::{Owner, Thief};
use crate::queue::inbox::Inbox;
use crate::queue::lists::Lists;
use crate::reactor::Events;
use crate::stack::{SizeClass, StackRef};

/// See the head of the file.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Worker {
    /// Wakes of fibers whose home this is, from other threads.
    pub inbox: CachePadded<Inbox<Header>>,
    pub sleep: CachePadded<SleepWord>,
    /// How often the owner has looked for work: a lone item whose owner has not looked for a while is fair
    /// game for thieves.
    pub looks: CachePadded<AtomicU32>,
    pub cache: Thief<Item>,
    /// Ready started fibers of a floating machine.
    pub floats: Stealer<Item>,
    pub alarm: Alarm,
    index: AtomicUsize,
    machine: AtomicPtr<Machine>,
    /// SHARED-2.
    pub slot: Cell<*const Header>,
    /// It was woken to search, and counts as a searcher already. Under the lock, like the slot.
    pub woken_to_search: Cell<bool>,
    pub counters: Counters,
    /// What gets it out of its machine's reactor; kept with the record, for wakers that come late. `None`: where
    /// machines are driven.
    bell: OnceLock<Bell>,
    /// Which process has made it (`os/fork.rs`).
    process: u32,
    local: Local,
}

// SAFETY: `local` by WORKER-1, `slot` by SHARED-2, `alarm` by the contract of its `with`; the rest is Sync.
unsafe impl Sync for Worker {}

/// What happened to the fiber that a switch returned from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It wants to run again.
    Yielded,
    /// Pinned, and waits: its state says so already.
    Parked,
    /// Shared word, and wants to wait: to be committed now that its registers are saved.
    Parking,
    /// It ended, and its runner found no other that it could start.
    Idle,
}

/// What a worker runs next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick {
    /// A fiber with a stack.
    Started(*const Header),
    /// A fiber without one.
    Fresh(*const Header),
}

impl Pick {
    pub(crate) fn header(self) -> *const Header {
        match self {
            Self::Started(header) | Self::Fresh(header) => header,
        }
    }
}

/// A value that only the worker's own thread uses, for moments in which nothing else runs.
#[derive(Debug)]
pub(crate) struct OwnCell<T>(UnsafeCell<T>);

impl<T> OwnCell<T> {
    /// Lends the value to `f`, which neither switches nor calls user code nor comes back here.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: one thread (WORKER-1), and `f` does not reach this cell again.
        f(unsafe { &mut *self.0.get() })
    }
}

/// What only the worker's own thread uses.
#[derive(Debug)]
pub(crate) struct Local {
    /// Started fibers that may go on, at home here.
    pub ready: OwnCell<Lists<Header>>,
    /// Unstarted fibers of default priority.
    pub cache: Owner<Item>,
    pub floats: Floats<Item>,
    /// Hot stacks, per size class.
    pub stacks: OwnCell<[Vec<StackRef>; SizeClass::COUNT]>,
    pub current: Cell<*const Header>,
    pub outcome: Cell<Outcome>,
    /// With `Outcome::Idle`: the runner that has nothing to run.
    pub idle_runner: Cell<*const Runner>,
    /// What a runner picked and could not start itself.
    pub picked: Cell<Option<Pick>>,
    pub tick: Cell<u32>,
    /// The tick of the next pick that is not an ordinary one: a fair one, or one before which to look at the
    /// clock.
    pub next_turn: Cell<u32>,
    /// The tick of the next fair pick.
    pub next_fair: Cell<u32>,
    /// The time of the first entry in the alarm's heap; `NEVER` if there is none. (Where the machine floats
    /// others may have taken that entry out.)
    pub alarm_ns: Cell<u64>,
    /// The tick of the next look at the clock, while there are entries; and when the last look was.
    pub next_look: Cell<u32>,
    pub looked_ns: Cell<u64>,
    /// The time when this thread last asked for it.
    pub clock_ns: Cell<u64>,
    /// This thread's cheap clock, and what it last said.
    pub cycles: Cycles,
    pub soon_ns: Cell<u64>,
    /// How often it gets up for deadlines; and whether nothing else has come to it since it last did.
    pub pace: Pace,
    pub rang: Cell<bool>,
    /// While it sleeps: when it must be up again for its fibers' deadlines. `NEVER`: it need not, or is up, or the
    /// machine floats.
    pub due_ns: Cell<u64>,
    /// What its own reactor's timer was last set to.
    pub timer_ns: Cell<u64>,
    /// Where the next fair pick begins to look, and which source it prefers.
    pub fair_class: Cell<u32>,
    pub fair_source: Cell<u32>,
    pub rng: Rng,
    /// Pinned machines: fibers that started here and have not ended.
    pub live: Cell<u64>,
    /// Ended fibers whose last message is still to come (WORD-1).
    pub in_flight: Cell<u64>,
    pub searching: Cell<bool>,
    /// What its robberies have brought, and its gifts.
    pub patience: Patience,
    pub gifts: Gifts,
    /// A while has passed since fibers starved: try again for them.
    pub retry_starved: Cell<bool>,
    /// Room for what the reactor reports, and when this worker last looked there.
    pub events: OwnCell<Events>,
    pub polled_ns: Cell<u64>,
    /// Fibers of spawn_local that found no stack: they start here and nowhere else.
    pub starved: OwnCell<Vec<*const Header>>,
    /// SHARED-3.
    pub lone_notify: Cell<bool>,
    /// Calls on descriptors since a fiber last waited for one.
    pub io_calls: Cell<u32>,
    /// In `on_worker_stack`, how deep: waits block instead of switching.
    pub no_switch: Cell<u32>,
    /// Has cancelled its fibers for the stop.
    pub swept: Cell<bool>,
    /// The last `cancel_all` in which it took part.
    pub swept_to: Cell<u64>,
    /// The last report that this worker has answered.
    pub answered: Cell<u64>,
    /// Deterministic mode: a fiber asks the driver to pass this worker over for so many steps.
    pub stalled: Cell<u64>,
}

/// This thread's own worker. Not `Send`: it proves that the caller runs on that thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    worker: &'static Worker,
    not_send: std::marker::PhantomData<*const ()>,
}

/// Records without a machine.
static UNUSED: Mutex<Vec<&'static Worker>> = Mutex::new(Vec::new());

impl Worker {
    fn new() -> Self {
        let cache = Owner::new();
        let floats = Floats::new_fifo();
        Self {
            inbox: CachePadded::new(Inbox::new()),
            sleep: CachePadded::new(SleepWord::new()),
            looks: CachePadded::new(AtomicU32::new(0)),
            cache: cache.thief(),
            floats: floats.stealer(),
            alarm: Alarm::new(),
            index: AtomicUsize::new(0),
            machine: AtomicPtr::new(ptr::null_mut()),
            slot: Cell::new(ptr::null()),
            woken_to_search: Cell::new(false),
            counters: Counters::default(),
            bell: OnceLock::new(),
            process: os::fork::generation(),
            local: Local {
                ready: OwnCell(UnsafeCell::new(Lists::new())),
                cache,
                floats,
                stacks: OwnCell(UnsafeCell::new(Default::default())),
                current: Cell::new(ptr::null()),
                outcome: Cell::new(Outcome::Idle),
                idle_runner: Cell::new(ptr::null()),
                picked: Cell::new(None),
                tick: Cell::new(0),
                next_turn: Cell::new(0),
                next_fair: Cell::new(0),
                alarm_ns: Cell::new(NEVER),
                next_look: Cell::new(0),
                looked_ns: Cell::new(0),
                clock_ns: Cell::new(0),
                cycles: Cycles::new(),
                soon_ns: Cell::new(0),
                pace: Pace::new(),
                rang: Cell::new(false),
                due_ns: Cell::new(NEVER),
                timer_ns: Cell::new(0),
                fair_class: Cell::new(0),
                fair_source: Cell::new(0),
                rng: Rng::new(1),
                live: Cell::new(0),
                in_flight: Cell::new(0),
                searching: Cell::new(false),
                patience: Patience::new(),
                gifts: Gifts::new(),
                retry_starved: Cell::new(false),
                events: OwnCell(UnsafeCell::new(Events::new())),
                polled_ns: Cell::new(0),
                starved: OwnCell(UnsafeCell::new(Vec::new())),
                lone_notify: Cell::new(false),
                io_calls: Cell::new(0),
                no_switch: Cell::new(0),
                swept: Cell::new(false),
                swept_to: Cell::new(0),
                answered: Cell::new(0),
                stalled: Cell::new(0),
            },
        }
    }

    /// A record for worker `index` of a machine that is being built.
    pub(crate) fn take_record(index: usize, seed: u64) -> &'static Worker {
        let mut unused = UNUSED.lock();
        // A forked child shares the bells of what its parent has made, and would silence them.
        let process = os::fork::generation();
        unused.retain(|worker| worker.process == process);
        let worker = unused.pop();
        drop(unused);
        let worker = worker.unwrap_or_else(|| Box::leak(Box::new(Self::new())));
        worker.index.store(index, Ordering::Relaxed);
        worker.counters.reset();
        worker.alarm.begin();
        let local = &worker.local;
        local.rng.seed(seed);
        local.tick.set(0);
        local.next_turn.set(0);
        local.next_fair.set(0);
        local.alarm_ns.set(NEVER);
        local.next_look.set(0);
        local.looked_ns.set(0);
        local.polled_ns.set(0);
        local.timer_ns.set(0);
        local.clock_ns.set(0);
        local.soon_ns.set(0);
        local.pace.begin();
        local.rang.set(false);
        // The first lone push of a young machine has no sentinel to rely on (SHARED-3).
        local.lone_notify.set(true);
        local.searching.set(false);
        local.patience.begin();
        local.gifts.begin();
        local.swept.set(false);
        local.swept_to.set(0);
        local.answered.set(0);
        // These too, or a seed would not repeat a run.
        local.fair_class.set(0);
        local.fair_source.set(0);
        local.stalled.set(0);
        worker
    }

    /// Gives the record back. The worker's thread has ended, its queues are empty.
    pub(crate) fn give_record(&'static self) {
        self.machine.store(ptr::null_mut(), Ordering::Relaxed);
        UNUSED.lock().push(self);
    }

    pub(crate) fn set_machine(&self, machine: *const Machine) {
        self.machine.store(machine.cast_mut(), Ordering::Release);
    }

    /// One more reference to the worker's machine.
    ///
    /// # Safety
    /// The machine is alive.
    pub(crate) unsafe fn machine_ref(&self) -> Arc<Machine> {
        let machine = self.machine.load(Ordering::Relaxed);
        // SAFETY: from Arc::as_ptr (`assemble`), and alive by contract.
        unsafe {
            Arc::increment_strong_count(machine);
            Arc::from_raw(machine)
        }
    }

    /// Its bell, made when it is first needed.
    ///
    /// # Errors
    /// No more descriptors, or no memory.
    pub(crate) fn bell(&self) -> io::Result<&Bell> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell);
        }
        let bell = Bell::new()?;
        Ok(self.bell.get_or_init(|| bell))
    }

    /// Gets it out of the reactor.
    pub(crate) fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }

    /// By the worker, back from the reactor.
    pub(crate) fn silence(&self) {
        if let Some(bell) = self.bell.get() {
            bell.silence();
        }
    }

    /// As fibers know it.
    pub(crate) fn as_home(&self) -> *const Home {
        ptr::from_ref(self).cast()
    }

    /// From what a fiber knows.
    ///
    /// # Safety
    /// `home` came from `as_home`.
    pub(crate) unsafe fn from_home(home: *const Home) -> &'static Worker {
        // SAFETY: by contract; records are never freed.
        unsafe { &*home.cast::<Worker>() }
    }

    /// Its place in the machine.
    pub(crate) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    /// True if the worker belongs to that machine.
    pub(crate) fn is_of(&self, machine: &Machine) -> bool {
        ptr::eq(self.machine.load(Ordering::Relaxed), machine)
    }

    /// The size of the machine's guards. By the worker's own thread.
    pub(crate) fn guard_bytes(&self) -> usize {
        // SAFETY: the worker's thread runs, so its machine is alive.
        unsafe { &*self.machine.load(Ordering::Relaxed) }
            .pool
            .guard_bytes()
    }

    /// The running fiber, or null. By the worker's own thread, be it in a signal handler.
    pub(crate) fn running(&self) -> *const Header {
        self.local.current.get()
    }

    /// What belongs to the worker's own thread, for the driver of the deterministic mode, whose thread that is.
    ///
    /// # Safety
    /// The calling thread is this worker's (WORKER-1).
    pub(crate) unsafe fn at_rest(&self) -> &Local {
        &self.local
    }

    /// True if there is an item in the caches.
    pub(crate) fn holds_any(&self) -> bool {
        !(self.cache.is_empty() && self.floats.is_empty())
    }

    /// True if another thread may look at the caches: two items, or more.
    pub(crate) fn has_spare(&self) -> bool {
        self.cache.len() >= 2 || self.floats.len() >= 2
    }
}

impl Own {
    /// This thread's worker, if it is one.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        let home = current::worker();
        if home.is_null() {
            return None;
        }
        // SAFETY: set by `enter` from `as_home`.
        let worker = unsafe { Worker::from_home(home) };
        Some(Self {
            worker,
            not_send: std::marker::PhantomData,
        })
    }

    /// Makes this thread that worker.
    ///
    /// # Safety
    /// No other thread is that worker, its machine lives until `leave`, and every fiber that started on it
    /// started on this thread.
    pub(crate) unsafe fn enter(worker: &'static Worker) -> (Self, *const Home) {
        let before = current::set_worker(worker.as_home());
        (
            Self {
                worker,
                not_send: std::marker::PhantomData,
            },
            before,
        )
    }

    /// Makes this thread what it was before `enter`.
    pub(crate) fn leave(before: *const Home) {
        slab::flush();
        current::set_worker(before);
    }

    #[inline]
    pub(crate) fn worker(self) -> &'static Worker {
        self.worker
    }

    /// WORKER-1.
    #[inline]
    pub(crate) fn local(self) -> &'static Local {
        &self.worker.local
    }

    #[inline]
    pub(crate) fn counters(self) -> &'static Counters {
        &self.worker.counters
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.worker.index()
    }

    /// The machine's address, as its Arc knows it.
    pub(crate) fn machine_ptr(self) -> *const Machine {
        self.worker.machine.load(Ordering::Relaxed)
    }

    /// The machine. Alive for as long as this thread is one of its workers.
    #[inline]
    pub(crate) fn machine(self) -> &'static Machine {
        // SAFETY: set before the thread entered; the contract of `enter` keeps it alive. The lifetime is
        // shortened by the callers' use: nobody stores it.
        unsafe { &*self.worker.machine.load(Ordering::Relaxed) }
    }
}
