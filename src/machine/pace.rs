//! Pace: how often a worker gets up for deadlines.
//!
//! A wake-up costs some 7 us of CPU, whoever is woken. Where deadlines are sparse each is worth one, and its fiber is
//! woken on time; where they are dense several share one. So each worker counts how many of its fibers were woken for
//! deadlines over the last milliseconds in which it got up for one, and pauses accordingly between two such wake-ups.
//! No clock is read for that: a worker that rises for a deadline knows the time.

use std::cell::Cell;

use crate::machine::alarm::SLACK_MAX_NS;

/// So many deadlines a millisecond may each wake a worker,
const PUNCTUAL_PER_MS: u64 = 12;
/// and for each that there are more of, it pauses so long between two wake-ups; `SLACK_MAX_NS` at the most.
const PAUSE_STEP_NS: u64 = 20_000;
/// Over so long they are counted, at least.
const PACE_NS: u64 = 8_000_000;

/// How dense a worker's deadlines are, and how long it therefore pauses between two wake-ups for them.
#[derive(Debug)]
pub(crate) struct Pace {
    begin_ns: Cell<u64>,
    /// How many fibers had been woken for deadlines by then.
    begin_fired: Cell<u64>,
    pause_ns: Cell<u64>,
    /// When the worker last got up for a deadline.
    up_ns: Cell<u64>,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            begin_ns: Cell::new(0),
            begin_fired: Cell::new(0),
            pause_ns: Cell::new(0),
            up_ns: Cell::new(0),
        }
    }

    /// For a new machine.
    pub(crate) fn begin(&self) {
        self.begin_ns.set(0);
        self.begin_fired.set(0);
        self.pause_ns.set(0);
        self.up_ns.set(0);
    }

    /// The worker got up for a deadline; so many fibers have been woken for theirs so far.
    pub(crate) fn up(&self, now_ns: u64, fired: u64) {
        self.up_ns.set(now_ns);
        let passed_ns = now_ns.saturating_sub(self.begin_ns.get());
        if passed_ns < PACE_NS {
            return;
        }
        let since = fired.saturating_sub(self.begin_fired.get());
        let per_ms = since.saturating_mul(1_000_000) / passed_ns;
        let pause_ns = per_ms.saturating_sub(PUNCTUAL_PER_MS) * PAUSE_STEP_NS;
        self.pause_ns.set(pause_ns.min(SLACK_MAX_NS));
        self.begin_ns.set(now_ns);
        self.begin_fired.set(fired);
    }

    /// Before then it need not get up for a deadline.
    pub(crate) fn next_up_ns(&self) -> u64 {
        self.up_ns.get().saturating_add(self.pause_ns.get())
    }
}

#[cfg(test)]
mod tests {
    use super::{PACE_NS, PUNCTUAL_PER_MS, Pace, SLACK_MAX_NS};

    const MS: u64 = 1_000_000;

    /// So many deadlines a millisecond, over two counts.
    fn pause_ns(per_ms: u64) -> u64 {
        let pace = Pace::new();
        let begin_ns = 1_000 * MS;
        pace.up(begin_ns, 0);
        pace.up(begin_ns + PACE_NS, per_ms * PACE_NS / MS);
        pace.next_up_ns() - (begin_ns + PACE_NS)
    }

    #[test]
    fn sparse_deadlines_are_punctual_and_dense_ones_share_wake_ups() {
        assert_eq!(pause_ns(0), 0);
        assert_eq!(pause_ns(PUNCTUAL_PER_MS), 0);
        let mut last_ns = 0;
        for per_ms in PUNCTUAL_PER_MS + 1..100 {
            let now_ns = pause_ns(per_ms);
            assert!(now_ns > last_ns || now_ns == SLACK_MAX_NS);
            last_ns = now_ns;
        }
        assert_eq!(last_ns, SLACK_MAX_NS);
        assert_eq!(pause_ns(u64::MAX / PACE_NS), SLACK_MAX_NS);
    }

    #[test]
    fn a_count_lasts_a_while_and_what_was_dense_may_become_sparse() {
        let pace = Pace::new();
        let begin_ns = 1_000 * MS;
        pace.up(begin_ns, 0);
        pace.up(begin_ns + PACE_NS - 1, 1_000);
        assert_eq!(pace.next_up_ns(), begin_ns + PACE_NS - 1);
        pace.up(begin_ns + PACE_NS, 1_000);
        assert_eq!(pace.next_up_ns(), begin_ns + PACE_NS + SLACK_MAX_NS);
        pace.up(begin_ns + 2 * PACE_NS, 1_001);
        assert_eq!(pace.next_up_ns(), begin_ns + 2 * PACE_NS);
    }
}
