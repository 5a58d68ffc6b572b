//! Channels that nobody sends into: a moment, or moments at regular distances. The waiting is the receiver's own, so
//! they cost no entry anywhere while nobody waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::instant::Instant;
use crate::machine::clock::current_ns;
use crate::wait::cancel;
use crate::wait::deadline::after;

/// See the head of the file.
pub(super) struct Timer<T> {
    /// When the next message is there. `NEVER`: none comes any more.
    next_ns: AtomicU64,
    /// From when a message is taken to the next one; zero: there is only one.
    every_ns: u64,
    make: fn(Instant) -> T,
    capacity: usize,
}

impl Timer<std::time::Instant> {
    pub(super) fn at(moment: Instant) -> Self {
        Self::new(moment.0, 0)
    }

    pub(super) fn tick(every: Duration) -> Self {
        // A tick that is always there still is a tick: of a nanosecond.
        let every_ns = u64::try_from(every.as_nanos()).unwrap_or(NEVER).max(1);
        Self::new(after(current_ns(), every), every_ns)
    }

    fn new(next_ns: u64, every_ns: u64) -> Self {
        Self {
            next_ns: AtomicU64::new(next_ns),
            every_ns,
            make: Instant::into,
            capacity: 1,
        }
    }
}

impl<T> Timer<T> {
    pub(super) fn never() -> Self {
        Self {
            next_ns: AtomicU64::new(NEVER),
            every_ns: 0,
            make: |_| unreachable!("no message ever comes"),
            capacity: 0,
        }
    }

    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns.load(Ordering::Relaxed)
    }

    pub(super) fn is_due(&self) -> bool {
        let next_ns = self.next_ns();
        next_ns != NEVER && next_ns <= current_ns()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn try_recv(&self) -> Option<T> {
        let mut next_ns = self.next_ns();
        loop {
            if next_ns == NEVER {
                return None;
            }
            let now_ns = current_ns();
            if now_ns < next_ns {
                return None;
            }
            let following_ns = if self.every_ns == 0 {
                NEVER
            } else {
                now_ns.saturating_add(self.every_ns)
            };
            // Relaxed: the moment is all there is.
            match self.next_ns.compare_exchange(
                next_ns,
                following_ns,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some((self.make)(Instant(next_ns))),
                Err(now) => next_ns = now,
            }
        }
    }

    /// `None`: it is `at_ns`.
    pub(super) fn recv(&self, at_ns: u64) -> Option<T> {
        loop {
            if let Some(message) = self.try_recv() {
                return Some(message);
            }
            let until_ns = self.next_ns().min(at_ns);
            let slept = if until_ns == NEVER {
                cancel::sleep_serving(0).map(Some)
            } else {
                cancel::sleep_serving_until(0, until_ns)
            };
            match slept {
                Err(unwind) => unwind.unwind(),
                Ok(None) if until_ns == at_ns => return self.try_recv(),
                Ok(_) => {}
            }
        }
    }
}
