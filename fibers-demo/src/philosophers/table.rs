//! The table: its forks, its seats, and what a philosopher does at one.
//!
//! A seat is written by its philosopher only and read by the screen and the host, so its counters are relaxed;
//! what the checks read at the end is ordered by the joins. What must be exclusive lies in the forks, behind
//! their mutexes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use fibers::Fiber;
use fibers::sync::{Barrier, Mutex, MutexGuard, Semaphore};
use fibers::time::Instant;

use crate::philosophers::method::{Forks, Method};
use crate::report::short_time;

/// Why a fork is never poisoned: only a panic does that, and it would end the part.
pub const POISONED: &str = "no philosopher panics with a fork in hand";

/// What is served, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everybody has had so many when dinner ends.
    pub meals: u64,
    /// How long a meal takes; zero: a yield.
    pub eat: Duration,
    /// How long it takes to get hungry again; zero: a yield.
    pub think: Duration,
    /// Whoever waits for longer has starved.
    pub patience: Duration,
}

/// What lies between two seats.
#[derive(Debug, Default)]
pub struct Fork {
    holder: Option<usize>,
    uses: u64,
    /// Times that somebody found it in another's hand: the lock has failed.
    shared: u64,
}

/// What a philosopher is about. The numbers are those of [`Doing::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Has not come, or has left.
    Away,
    /// Needs no forks.
    Thinks,
    /// Has fewer than two forks and wants both.
    Waits,
    /// Has two forks.
    Eats,
}

impl Doing {
    /// In the order of their numbers.
    pub const ALL: [Doing; 4] = [Doing::Away, Doing::Thinks, Doing::Waits, Doing::Eats];
}

/// One philosopher's counters. On cache lines of their own: neighbours mostly sit on different workers.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Seat {
    doing: AtomicU8,
    meals: AtomicU64,
    /// Nanoseconds from the opening until it began to wait; 0: it does not.
    waits_since_ns: AtomicU64,
    waited_ns_max: AtomicU64,
    put_back: AtomicU64,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Table {
    /// Fork `i` lies to the left of seat `i`.
    pub forks: Vec<Mutex<Fork>>,
    /// A seat for each philosopher.
    pub seats: Vec<Seat>,
    /// All begin together, with the host: who came first would otherwise eat while others are being seated.
    pub gong: Barrier,
    /// Lets all but one reach for forks, where they dine with a waiter.
    pub waiter: Semaphore,
    /// How two forks are taken.
    pub method: Method,
    /// What is served.
    pub plan: Plan,
    /// Philosophers that have had enough.
    fed: AtomicU64,
    is_over: AtomicBool,
    host: OnceLock<Fiber>,
    start: Instant,
}

impl Seat {
    /// Meals eaten.
    pub fn meals(&self) -> u64 {
        self.meals.load(Ordering::Relaxed)
    }

    /// What its philosopher is about now.
    pub fn doing(&self) -> Doing {
        Doing::ALL[usize::from(self.doing.load(Ordering::Relaxed))]
    }

    /// Counts a fork that was taken in vain.
    pub fn note_put_back(&self) {
        self.put_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Forks that were taken in vain.
    pub fn put_back(&self) -> u64 {
        self.put_back.load(Ordering::Relaxed)
    }

    /// The longest wait for forks that has ended.
    pub fn waited_max(&self) -> Duration {
        Duration::from_nanos(self.waited_ns_max.load(Ordering::Relaxed))
    }

    fn set(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    /// For tests that falsify the books.
    #[cfg(test)]
    pub fn set_meals(&self, meals: u64) {
        self.meals.store(meals, Ordering::Relaxed);
    }
}

impl Table {
    /// A table that is laid; nobody sits at it.
    pub fn new(size: usize, method: Method, plan: Plan) -> Table {
        Table {
            forks: (0..size).map(|_| Mutex::default()).collect(),
            seats: (0..size).map(|_| Seat::default()).collect(),
            gong: Barrier::new(size + 1),
            waiter: Semaphore::new(size - 1),
            method,
            plan,
            fed: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            host: OnceLock::new(),
            start: Instant::now(),
        }
    }

    /// Names whom to wake when all have had enough.
    pub fn open(&self, host: Fiber) -> Result<(), String> {
        self.host
            .set(host)
            .map_err(|_| "the table was opened twice".to_string())
    }

    /// Whoever sees this eats no more.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// True if everybody has had enough, or somebody starved.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// The forks to the left and to the right of a place.
    pub fn forks_of(&self, place: usize) -> (usize, usize) {
        (place, (place + 1) % self.forks.len())
    }

    /// The places to the left and to the right of a fork.
    pub fn beside(&self, fork: usize) -> [usize; 2] {
        [(fork + self.seats.len() - 1) % self.seats.len(), fork]
    }

    /// Waits for a fork. Cancellation ends the wait.
    pub fn take(&self, fork: usize) -> MutexGuard<'_, Fork> {
        self.forks[fork].lock_interruptible().expect(POISONED)
    }

    /// A philosopher's evening. Returns how many meals it had.
    pub fn dine(&self, place: usize) -> u64 {
        let seat = &self.seats[place];
        self.gong.wait();
        let mut meals = 0;
        loop {
            seat.set(Doing::Thinks);
            pass(self.plan.think);
            if self.is_over() {
                seat.set(Doing::Away);
                return meals;
            }
            let forks = self.wait_for_forks(place);
            seat.set(Doing::Eats);
            self.eat(forks, place);
            meals += 1;
            seat.meals.store(meals, Ordering::Relaxed);
            if meals == self.plan.meals {
                self.note_fed();
            }
        }
    }

    fn wait_for_forks(&self, place: usize) -> Forks<'_> {
        let seat = &self.seats[place];
        let since_ns = self.now_ns();
        seat.waits_since_ns.store(since_ns, Ordering::Relaxed);
        seat.set(Doing::Waits);
        let forks = self.method.take(self, place);
        seat.waits_since_ns.store(0, Ordering::Relaxed);
        let waited_ns = self.now_ns().saturating_sub(since_ns);
        if waited_ns > seat.waited_ns_max.load(Ordering::Relaxed) {
            seat.waited_ns_max.store(waited_ns, Ordering::Relaxed);
        }
        forks
    }

    /// Eats: for that time nobody else may hold these forks.
    fn eat(&self, mut forks: Forks<'_>, place: usize) {
        for fork in &mut forks.both {
            if fork.holder.replace(place).is_some() {
                fork.shared += 1;
            }
        }
        pass(self.plan.eat);
        for fork in &mut forks.both {
            if fork.holder.take() != Some(place) {
                fork.shared += 1;
            }
            fork.uses += 1;
        }
    }

    /// The last one to have had enough ends the dinner.
    fn note_fed(&self) {
        if self.fed.fetch_add(1, Ordering::AcqRel) + 1 == self.seats.len() as u64 {
            self.close();
            if let Some(host) = self.host.get() {
                host.unpark();
            }
        }
    }

    /// Somebody who has waited, or waits, for longer than is allowed; what to tell of it.
    pub fn starved(&self) -> Option<String> {
        let now_ns = self.now_ns();
        self.seats.iter().enumerate().find_map(|(place, seat)| {
            let waits_ns = match seat.waits_since_ns.load(Ordering::Relaxed) {
                0 => 0,
                since_ns => now_ns.saturating_sub(since_ns),
            };
            let waited = Duration::from_nanos(waits_ns).max(seat.waited_max());
            (waited > self.plan.patience).then(|| {
                let (waited, patience) = (waited.as_nanos(), self.plan.patience.as_millis());
                format!(
                    "{}: philosopher {place} starved: it waited {} for its forks, and --patience is {patience} \
                     ms: give a longer one, or a shorter --eat",
                    self.method.name(),
                    short_time(waited as f64)
                )
            })
        })
    }

    /// How often each fork was used.
    pub fn uses(&self) -> Vec<u64> {
        let uses = |fork: &Mutex<Fork>| fork.lock().expect(POISONED).uses;
        self.forks.iter().map(uses).collect()
    }

    /// Times that a fork was in two hands.
    pub fn shared(&self) -> u64 {
        let shared = |fork: &Mutex<Fork>| fork.lock().expect(POISONED).shared;
        self.forks.iter().map(shared).sum()
    }

    /// Never 0, which means that nobody waits.
    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64 + 1
    }
}

/// Lets time pass, and others run.
fn pass(time: Duration) {
    fibers::sleep(time); // zero is a yield
}
