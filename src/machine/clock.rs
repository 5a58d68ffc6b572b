//! The scheduler's clock: the monotonic one, or a virtual one that only moves when it is told to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::fiber::alarm::NEVER;
use crate::machine::worker::Own;
use crate::os;

/// See the head of the file.
#[derive(Debug)]
pub(crate) enum Clock {
    Monotonic,
    Virtual(VirtualClock),
}

/// Time in the deterministic mode. Relaxed throughout: one thread uses it.
#[derive(Debug)]
pub(crate) struct VirtualClock {
    now_ns: AtomicU64,
    look_ns: AtomicU64,
}

/// The time where the caller runs: its machine's clock, or the system's.
#[inline]
pub(crate) fn current_ns() -> u64 {
    match Own::current() {
        Some(me) => me.now_ns(),
        None => os::clock::now_ns(),
    }
}

/// As [`current_ns`], or very little later, and cheaper: to add a duration to.
#[inline]
pub(crate) fn soon_ns() -> u64 {
    match Own::current() {
        Some(me) => me.soon_ns(),
        None => os::clock::now_ns(),
    }
}

/// True if that moment has come. What was known before is looked at first: a fiber that is woken at its
/// deadline finds the time at which its alarm found it due.
#[inline]
pub(crate) fn has_come(at_ns: u64) -> bool {
    Own::current().is_some_and(|me| at_ns <= me.local().clock_ns.get()) || at_ns <= current_ns()
}

impl Clock {
    /// Nanoseconds since some moment in the past.
    pub(crate) fn now_ns(&self) -> u64 {
        match self {
            Self::Monotonic => os::clock::now_ns(),
            // Every look is a little later than the one before, so that a wait for time ends.
            Self::Virtual(clock) => clock.advance(clock.look_ns.load(Ordering::Relaxed)),
        }
    }
}

impl VirtualClock {
    /// Where it begins: a day after zero, so that programs may look back.
    pub(crate) const BEGIN_NS: u64 = 86_400_000_000_000;

    pub(crate) fn new() -> Self {
        Self {
            now_ns: AtomicU64::new(Self::BEGIN_NS),
            look_ns: AtomicU64::new(100),
        }
    }

    /// How long a look at the clock takes from now on.
    pub(crate) fn set_look_ns(&self, ns: u64) {
        self.look_ns.store(ns.max(1), Ordering::Relaxed);
    }

    /// Moves on. Returns the time before.
    pub(crate) fn advance(&self, ns: u64) -> u64 {
        let now_ns = self.peek_ns();
        self.set_ns(now_ns.saturating_add(ns));
        now_ns
    }

    /// The time, which does not move on by this look.
    pub(crate) fn peek_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    /// Moves on to that moment, unless it is past.
    pub(crate) fn jump_to(&self, at_ns: u64) {
        self.set_ns(self.peek_ns().max(at_ns));
    }

    fn set_ns(&self, now_ns: u64) {
        // Before `NEVER`: a deadline that never comes does not come at the end of time either.
        self.now_ns.store(now_ns.min(NEVER - 1), Ordering::Relaxed);
    }
}
