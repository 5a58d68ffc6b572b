//! Timer: virtual time. The driver is the machine's clock, and the timers that end workers' sleeps and serve heaps.
//!
//! While somebody can go on, time passes a little with each step and each look at the clock, as the seed decides.
//! A due that has come meanwhile is rung for a little late, as timers are. When nobody can go on, nothing but time
//! is left to change anything: it passes by a nap, if one ends before the next due, or jumps to that due. Only if
//! there is neither a due nor a nap that might still find something is the run at its end.

use crate::fiber::alarm::NEVER;
use crate::machine::clock::Clock;
use crate::machine::sleep::{NAP_LAST, RETRY};
use crate::testing::driver::{Driver, Phase};

/// A due is not rung for later than that.
const LATE_MAX_NS: u64 = 5_000_000;
/// After so many naps in a row, between which nobody did anything, a further one finds nothing: a sentinel compares
/// what it sees with what it saw at its last nap. (Naps for the sake of starving fibers are followed by something: a
/// retry.)
const NAPS_MAX: u32 = 4;

/// What happens when no worker has anything to do.
pub(super) enum Idle {
    /// A deadline came, and its worker was notified.
    Rang,
    /// A nap is over: of one of these workers.
    Nap(Vec<usize>),
    /// Nothing any more.
    Stuck,
}

impl Driver {
    /// The time, without looking at the clock.
    pub(super) fn now_ns(&self) -> u64 {
        match &self.machine().clock {
            Clock::Virtual(clock) => clock.peek_ns(),
            Clock::Monotonic => unreachable!("a driven machine has a virtual clock"),
        }
    }

    fn pass_until(&self, at_ns: u64) {
        if let Clock::Virtual(clock) = &self.machine().clock {
            clock.jump_to(at_ns);
        }
    }

    /// Time passes before a step (a search, perhaps), and the timer may go off.
    pub(super) fn tick(&mut self, search: bool) {
        if let Clock::Virtual(clock) = &self.machine().clock {
            clock.set_look_ns(if search {
                self.chance.search_look_ns()
            } else {
                self.chance.look_ns()
            });
            clock.advance(self.chance.pause_ns());
        }
        let Some(due_ns) = self.next_due() else {
            return;
        };
        let now_ns = self.now_ns();
        if due_ns <= now_ns && (now_ns - due_ns >= LATE_MAX_NS || self.chance.rings()) {
            self.ring();
        }
    }

    /// When the worker's heap is to be served: by itself, or by anybody if the machine floats. `NEVER`: it is up, or has
    /// no entries.
    pub(super) fn due_ns(&self, index: usize) -> u64 {
        if self.machine().config.floating {
            self.machine().dues.show(|dues| dues[index])
        } else {
            self.local(index).due_ns.get()
        }
    }

    /// The earliest due that nobody has been told of.
    fn next_due(&self) -> Option<u64> {
        let floating = self.machine().config.floating;
        let dues = (0..self.machine().workers.len())
            .filter(|&index| floating || !self.is_wanted(index))
            .map(|index| self.due_ns(index));
        dues.min().filter(|&due_ns| due_ns != NEVER)
    }

    /// Every timer whose time has come goes off.
    fn ring(&self) {
        if self.machine().config.floating {
            self.machine().ring();
            return;
        }
        let now_ns = self.now_ns();
        for index in 0..self.machine().workers.len() {
            if matches!(self.phase(index), Phase::Down(_)) && self.due_ns(index) <= now_ns {
                // As one whose futex call has timed out: it rises and looks at the clock.
                let _ = self.machine().workers[index].sleep.notify();
            }
        }
    }

    /// Nobody has anything to do: what is the next thing to happen?
    pub(super) fn idle(&mut self) -> Idle {
        let nappers: Vec<usize> = (0..self.machine().workers.len())
            .filter(|&index| self.naps(index))
            .collect();
        let nap = if self.machine().is_starving() {
            RETRY
        } else {
            NAP_LAST
        };
        let nap_ends_ns = self.now_ns().saturating_add(nap.as_nanos() as u64);
        let napping = !nappers.is_empty() && self.naps_in_vain < NAPS_MAX;
        match self.next_due() {
            Some(due_ns) if !napping || due_ns <= nap_ends_ns => {
                self.pass_until(due_ns.saturating_add(self.chance.late_ns()));
                self.ring();
                Idle::Rang
            }
            _ if napping => {
                self.naps_in_vain += 1;
                self.pass_until(nap_ends_ns);
                Idle::Nap(nappers)
            }
            _ => Idle::Stuck,
        }
    }
}
