//! Balance: a fiber that is about to start goes to an idle worker that has far fewer.
//!
//! A fiber stays where it starts, and a lone one starts where it was spawned. So a fiber that accepts connections, and
//! spawns one for each, would keep them all on its own worker for as long as they live. Hence a worker that
//! has more fibers than an idle one gives away those it is about to start, one at a time, but for such as somebody
//! already waits for: their spawner and they take turns. A gift costs a wake-up, which is lost on a fiber that
//! ends at once: after such a gift so many starts pass before the next one, twice as many each time. A look that
//! finds nobody to give to takes everybody's lock: some starts pass after that, too.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::fiber::header::{Header, Origin};
use crate::machine::wake::rouse;
use crate::machine::worker::{Own, Worker};

/// How many more fibers than another a worker may have.
pub(crate) const MARGIN: u64 = 8;
/// How many starts pass after a first gift that was lost, and at the most.
const PASS_MIN: u32 = 16;
const PASS_MAX: u32 = 1 << 16;
/// How many pass after a look that found nobody who has far fewer.
const PASS_LOOK: u32 = 8;

/// What has become of a worker's gifts.
#[derive(Debug)]
pub(crate) struct Gifts {
    last: Cell<Option<Gift>>,
    /// How many starts are still to pass, and how many passed after the last gift that was lost.
    pass: Cell<u32>,
    passed: Cell<u32>,
}

/// A gift, and what its receiver had started, and had, before; and how often it had looked for work.
#[derive(Clone, Copy, Debug)]
struct Gift {
    receiver: &'static Worker,
    started: u64,
    population: u64,
    looks: u32,
}

/// Whether a worker may give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum May {
    Give,
    Wait,
}

impl Gifts {
    pub(crate) const fn new() -> Self {
        Self {
            last: Cell::new(None),
            pass: Cell::new(0),
            passed: Cell::new(0),
        }
    }

    /// For a new machine.
    pub(crate) fn begin(&self) {
        self.last.set(None);
        self.pass.set(0);
        self.passed.set(0);
    }

    /// One start more: judges the last gift.
    fn consider(&self) -> May {
        let pass = self.pass.get();
        if pass > 0 {
            self.pass.set(pass - 1);
            return May::Wait;
        }
        let Some(gift) = self.last.get() else {
            return May::Give;
        };
        // What it was handed it runs before it looks: if it looks and has started nothing, it had no stack.
        let has_started = gift.receiver.counters.started.get() != gift.started;
        if !has_started && gift.receiver.looks.load(Ordering::Relaxed) == gift.looks {
            // On its way.
            return May::Wait;
        }
        self.last.set(None);
        self.judge(gift.receiver.population() > gift.population)
    }

    fn judge(&self, stays: bool) -> May {
        if stays {
            self.passed.set(0);
            return May::Give;
        }
        let pass = (2 * self.passed.get()).clamp(PASS_MIN, PASS_MAX);
        self.pass.set(pass);
        self.passed.set(pass);
        May::Wait
    }

    /// Of those who are idle it outweighs none: it takes some starts before it can, and the look takes a lock.
    fn found_nobody(&self) {
        self.pass.set(PASS_LOOK);
    }

    fn gave(&self, receiver: &'static Worker) {
        self.last.set(Some(Gift {
            receiver,
            started: receiver.counters.started.get(),
            population: receiver.population(),
            looks: receiver.looks.load(Ordering::Relaxed),
        }));
    }
}

impl Worker {
    /// How many fibers have started here and not ended, at a glance. Of pinned machines.
    pub(crate) fn population(&self) -> u64 {
        let finished = self.counters.finished.get();
        self.counters.started.get().saturating_sub(finished)
    }

    /// True if a fiber had rather start on that worker than here.
    pub(crate) fn outweighs(&self, other: &Self) -> bool {
        self.population() > other.population() + MARGIN
    }
}

impl Own {
    /// Gives an unstarted fiber from this worker's cache away, if that is as well. False: it is to start here.
    #[inline]
    pub(crate) fn gives_away(self, header: *const Header) -> bool {
        self.local().live.get() > MARGIN
            && self.machine().shared.idle.idle() > 0
            && self.give_away(header)
    }

    #[cold]
    #[inline(never)]
    fn give_away(self, header: *const Header) -> bool {
        // SAFETY: taken out of the cache, so alive and ours.
        let fiber = unsafe { &*header };
        // A job's owner waits for it, or will before long.
        let is_awaited = fiber.origin == Origin::Job || fiber.word.has_joiner();
        if is_awaited || self.machine().config.floating {
            return false;
        }
        let gifts = &self.local().gifts;
        if gifts.consider() == May::Wait {
            return false;
        }
        let mut shared = self.machine().shared.lock();
        let fewest = shared
            .idle
            .iter()
            .copied()
            .min_by_key(|worker| worker.population());
        let Some(receiver) = fewest.filter(|worker| self.worker().outweighs(worker)) else {
            gifts.found_nobody();
            return false;
        };
        gifts.gave(receiver);
        // As a hand-off (SHARED-1).
        shared.remove_idle(receiver);
        let wake = shared.hand_over(receiver, header);
        drop(shared);
        rouse(receiver, wake);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Gifts, May, PASS_MIN};
    use crate::machine::worker::Worker;

    #[test]
    fn regression_a_gift_that_found_no_stack_is_not_waited_for() {
        let receiver = Worker::take_record(0, 1);
        let gifts = Gifts::new();
        assert_eq!(gifts.consider(), May::Give);
        gifts.gave(receiver);
        (0..3).for_each(|_| assert_eq!(gifts.consider(), May::Wait));
        // It is up, and has put the fiber aside.
        receiver.looks.fetch_add(1, Ordering::Relaxed);
        (0..=PASS_MIN).for_each(|_| assert_eq!(gifts.consider(), May::Wait));
        assert_eq!(gifts.consider(), May::Give);
        receiver.give_record();
    }
}
