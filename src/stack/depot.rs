//! The depot: one class's idle stacks, and which of them should give memory back.
//!
//! Pure: no system call, no lock, no clock; addresses are only moved between lists. The pool calls
//! with the class's lock held.
//!
//! Three lists by what a stack still holds (states at the head of the room), taken from in this
//! order, each at its hot end:
//! ```text
//!   cold end                                             hot end
//!   [ cold ......... ] [ lean ........ ] [ warm .............. ] <- give, take
//! ```
//! DEPOT-1: `low` is the least that lean and warm together held since the last round. As only the
//! hot end moves, the `low` stacks at the cold end were not used since: those are *unused*.
//!
//! A round first *releases* half of the unused, so that a peak decays, but leaves `floor` stacks
//! whatever happens. Once nothing is left to release it *trims* the unused ones to their top,
//! which undoes a deep call. Trimming comes second because what is released soon needs none.

use std::collections::VecDeque;

use super::class::StackRef;

/// Stacks that the pool works on in a round, outside the lock.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// To give all their memory back; then `Depot::released`, else `Depot::untouched`.
    pub(super) release: Vec<StackRef>,
    /// To give back all but their top; then `Depot::trimmed`, else `Depot::untouched`.
    pub(super) trim: Vec<StackRef>,
}

/// One class's idle stacks.
#[derive(Debug, Default)]
pub(super) struct Depot {
    /// Hot end: the back.
    warm: VecDeque<StackRef>,
    lean: VecDeque<StackRef>,
    cold: Vec<StackRef>,
    /// DEPOT-1.
    low: usize,
}

impl Depot {
    /// Appends up to `want` stacks to `out`, the hottest last.
    pub(super) fn take(&mut self, out: &mut Vec<StackRef>, want: usize) {
        let start = out.len();
        let hottest_first = || {
            let lean_or_cold = || self.lean.pop_back().or_else(|| self.cold.pop());
            self.warm.pop_back().or_else(lean_or_cold)
        };
        out.extend(std::iter::from_fn(hottest_first).take(want));
        out[start..].reverse();
        self.low = self.low.min(self.holding());
    }

    /// Takes in stacks, the hottest last.
    pub(super) fn give(&mut self, stacks: impl Iterator<Item = StackRef>) {
        self.warm.extend(stacks);
    }

    /// How many stacks here hold memory.
    pub(super) fn holding(&self) -> usize {
        self.warm.len() + self.lean.len()
    }

    /// How many stacks here hold none.
    pub(super) fn cold(&self) -> &[StackRef] {
        &self.cold
    }

    /// Everything that is here.
    pub(super) fn drain(&mut self) -> Vec<StackRef> {
        let all = self
            .cold
            .drain(..)
            .chain(self.lean.drain(..))
            .chain(self.warm.drain(..));
        all.collect()
    }

    /// Whether rounds to come would find work if nobody used the stacks meanwhile.
    pub(super) fn has_more(&self, floor: usize) -> bool {
        self.holding() > floor || !self.warm.is_empty()
    }

    /// Begins a round: picks at most so many stacks, and takes them out of the depot.
    pub(super) fn start_round(
        &mut self,
        floor: usize,
        release_max: usize,
        trim_max: usize,
    ) -> Round {
        let unused = self.low;
        let mut round = Round::default();
        let above_floor = self.holding().saturating_sub(floor);
        let release = unused.div_ceil(2).min(above_floor).min(release_max);
        // DEPOT-1: the cold end, lean before warm.
        let from_lean = release.min(self.lean.len());
        round.release.extend(self.lean.drain(..from_lean));
        round.release.extend(self.warm.drain(..release - from_lean));
        if release == 0 {
            let trim = unused.saturating_sub(self.lean.len()).min(trim_max);
            round.trim.extend(self.warm.drain(..trim));
        }
        self.low = self.holding();
        round
    }

    /// These hold no memory any more.
    pub(super) fn released(&mut self, stacks: &[StackRef]) {
        self.cold.extend_from_slice(stacks);
    }

    /// These hold their top only. They come back as unused as they were.
    pub(super) fn trimmed(&mut self, stacks: &[StackRef]) {
        self.lean.extend(stacks);
        self.low += stacks.len();
    }

    /// Nothing was done to these. They come back as unused as they were.
    pub(super) fn untouched(&mut self, stacks: &[StackRef]) {
        for &stack in stacks.iter().rev() {
            self.warm.push_front(stack);
        }
        self.low += stacks.len();
    }
}
