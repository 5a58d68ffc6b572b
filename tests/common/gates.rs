//! Waiting for each other: for what is announced, by gates and latches, and for what nobody announces, by looking.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fibers::wait::WaitQueue;

/// Looks until it is true. A watchdog must stand behind it.
#[track_caller]
pub fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        fibers::yield_now();
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Looks until it is true, but not for longer than `limit`. What it said last.
pub fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A gate that opens once, for fibers and threads.
#[derive(Debug, Default)]
pub struct Gate {
    open: AtomicBool,
    queue: WaitQueue,
}

impl Gate {
    /// Closed.
    pub const fn new() -> Self {
        Self {
            open: AtomicBool::new(false),
            queue: WaitQueue::new(),
        }
    }

    /// Waits until it is open.
    pub fn wait(&self) {
        self.queue.wait_until(|| self.open.load(Ordering::Acquire));
    }

    /// Opens it.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.queue.wake_all();
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

/// Counts up to a goal, for fibers and threads.
#[derive(Debug)]
pub struct Latch {
    missing: AtomicUsize,
    queue: WaitQueue,
}

impl Latch {
    /// Opens after so many arrivals.
    pub const fn new(arrivals: usize) -> Self {
        Self {
            missing: AtomicUsize::new(arrivals),
            queue: WaitQueue::new(),
        }
    }

    /// One arrival. Does not wait.
    pub fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.queue.wake_all();
        }
    }

    /// How many have not arrived.
    pub fn missing(&self) -> usize {
        self.missing.load(Ordering::Acquire)
    }

    /// Waits until all have arrived.
    pub fn wait(&self) {
        self.queue
            .wait_until(|| self.missing.load(Ordering::Acquire) == 0);
    }

    /// One arrival; runs the calls that come until the others have arrived. (A queue serves no calls.)
    pub fn serve(&self) {
        self.arrive();
        while self.missing() != 0 {
            fibers::process_calls();
            fibers::yield_now();
        }
    }

    /// One arrival, and waits for the others.
    pub fn meet(&self) {
        self.arrive();
        self.wait();
    }
}
