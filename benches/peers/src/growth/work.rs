//! What the tasks of the growth suite do: the same for every peer.
//!
//! `go/growth.go` repeats these numbers; whoever changes one file changes both.

use std::sync::atomic::{AtomicU64, Ordering};

/// Spawns or wakes that a child does at least, so that few tasks are measured long enough.
const OPERATIONS: u64 = 400_000;

/// Timeouts that are armed and taken back beside those that are pending.
pub(crate) const TIMEOUTS: u64 = 400_000;

/// Pairs of tasks in the mixed load: more than there are workers in any row.
pub(crate) const PAIRS: u64 = 64;

/// Operations of one round of one pair: each of the two yields and sends a message, and one of them
/// spawns a task and joins it.
pub(crate) const MIXED: u64 = 5;

/// Yielding fibers of `priorities`, and how often each yields.
pub(crate) const YIELDERS: u64 = 200;
pub(crate) const YIELDS_EACH: u64 = 20_000;

/// How often `tasks` tasks are spawned and joined, or woken.
pub(crate) fn rounds(tasks: u64) -> u64 {
    OPERATIONS.div_ceil(tasks.max(1))
}

/// A roll call: one task begins a round, all others report, the last one of them tells the first.
#[derive(Debug, Default)]
pub(crate) struct RollCall {
    round: AtomicU64,
    missing: AtomicU64,
}

impl RollCall {
    /// Begins the next round. All of the one before have reported.
    pub(crate) fn begin(&self, tasks: u64) {
        // Relaxed: published by the next line.
        self.missing.store(tasks, Ordering::Relaxed);
        // Release: pairs with Acquire in `has_begun`. One thread begins rounds.
        self.round.fetch_add(1, Ordering::Release);
    }

    /// Whether `round` has begun; the first one is 1.
    pub(crate) fn has_begun(&self, round: u64) -> bool {
        self.round.load(Ordering::Acquire) >= round
    }

    /// By each task, once in each round. True for the last one.
    pub(crate) fn report(&self) -> bool {
        // Release and Acquire: what all did before is behind whoever sees nobody missing.
        self.missing.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether all have reported.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tasks_take_many_rounds_and_many_take_one() {
        assert_eq!([100, 1_000_000].map(rounds), [4_000, 1]);
        assert!(
            (1..2_000_000)
                .step_by(999)
                .all(|n| rounds(n) * n >= OPERATIONS)
        );
    }

    #[test]
    fn a_roll_call_is_complete_when_the_last_has_reported() {
        let roll = RollCall::default();
        for round in 1..=2 {
            assert!(!roll.has_begun(round));
            roll.begin(3);
            assert!(roll.has_begun(round) && !roll.is_complete());
            let last = [(); 3].map(|()| roll.report());
            assert_eq!(last, [false, false, true]);
            assert!(roll.is_complete());
        }
    }
}
