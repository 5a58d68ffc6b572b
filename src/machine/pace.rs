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
/// and for each that there are more of, it pauses so long between two wake-ups; the least slack of late at the most.
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
    /// The least slack of the fibers that began to wait since then, and before.
    slack_ns: Cell<u64>,
    slack_before_ns: Cell<u64>,
    /// When the worker last got up for a deadline.
    up_ns: Cell<u64>,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            begin_ns: Cell::new(0),
            begin_fired: Cell::new(0),
            pause_ns: Cell::new(0),
            slack_ns: Cell::new(SLACK_MAX_NS),
            slack_before_ns: Cell::new(SLACK_MAX_NS),
            up_ns: Cell::new(0),
        }
    }

    /// For a new machine.
    pub(crate) fn begin(&self) {
        self.begin_ns.set(0);
        self.begin_fired.set(0);
        self.pause_ns.set(0);
        self.slack_ns.set(SLACK_MAX_NS);
        self.slack_before_ns.set(SLACK_MAX_NS);
        self.up_ns.set(0);
    }

    /// A fiber begins to wait, and may be woken so much after its deadline.
    pub(crate) fn may_be_late_by(&self, slack_ns: u64) {
        if slack_ns < self.slack_ns.get() {
            self.slack_ns.set(slack_ns);
            self.pause_ns.set(self.pause_ns.get().min(slack_ns));
        }
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
        let slack_ns = self.slack_ns.replace(SLACK_MAX_NS);
        let before_ns = self.slack_before_ns.replace(slack_ns);
        self.pause_ns.set(pause_ns.min(slack_ns).min(before_ns));
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

    #[test]
    fn no_pause_is_longer_than_the_least_slack_of_late() {
        let pace = Pace::new();
        let (begin_ns, dense) = (1_000 * MS, 1_000 * PACE_NS / MS);
        let pause_ns = |at_ns| pace.next_up_ns() - at_ns;
        let mut fired = 0;
        let mut now_ns = begin_ns;
        let mut up = || {
            fired += dense;
            now_ns += PACE_NS;
            pace.up(now_ns, fired);
            now_ns
        };
        up();
        let at_ns = up();
        assert_eq!(pause_ns(at_ns), SLACK_MAX_NS);
        // At once, and as long as such a fiber may still wait.
        pace.may_be_late_by(60_000);
        pace.may_be_late_by(70_000);
        assert_eq!(pause_ns(at_ns), 60_000);
        for _ in 0..2 {
            let at_ns = up();
            assert_eq!(pause_ns(at_ns), 60_000);
        }
        let at_ns = up();
        assert_eq!(pause_ns(at_ns), SLACK_MAX_NS);
    }
}
