//! The scheduler's clock: the monotonic one, or a virtual one that only moves when it is told to.

use std::sync::atomic::{AtomicU64, Ordering};

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
        Some(me) => me.machine().clock.now_ns(),
        None => os::clock::now_ns(),
    }
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
    pub(crate) fn new() -> Self {
        Self {
            now_ns: AtomicU64::new(1),
            look_ns: AtomicU64::new(100),
        }
    }

    /// How long a look at the clock takes from now on.
    pub(crate) fn set_look_ns(&self, ns: u64) {
        self.look_ns.store(ns.max(1), Ordering::Relaxed);
    }

    /// Moves on. Returns the time before.
    pub(crate) fn advance(&self, ns: u64) -> u64 {
        self.now_ns.fetch_add(ns, Ordering::Relaxed)
    }
}
