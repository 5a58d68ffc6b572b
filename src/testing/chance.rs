//! Chance: everything that a seed decides about a run, beside the machine's own random choices.
//!
//! A run draws its temper once: how fast each worker is, whether threads stall, whether there are wake-ups
//! for nothing, how long a search lasts. Uniform choices alone would hardly ever let one worker run far
//! ahead of another, and it is there that wake-ups get lost.

use crate::machine::rng::Rng;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Chance {
    rng: Rng,
    /// How often each worker is chosen, beside the others.
    weights: Vec<usize>,
    /// One step in so many stalls a worker. Zero: none.
    stall_every: usize,
    /// One step in so many brings a wake-up for nothing. Zero: none.
    spurious_every: usize,
    /// One chance in so many that a nap ends while somebody else could go on.
    nap_every: usize,
    /// One step in so many rings for a due that has come.
    ring_every: usize,
}

/// The longest stall, in steps.
const STALL_MAX: usize = 400;

impl Chance {
    pub(super) fn new(seed: u64, workers: usize, spurious: bool) -> Self {
        // Not the workers' seeds: those are `seed + index`.
        let rng = Rng::new(seed ^ 0x5eed_0fd0_0d1e);
        let one_of = |choices: &[usize]| choices[rng.below(choices.len())];
        let weights = (0..workers).map(|_| one_of(&[1, 4, 4, 4, 16])).collect();
        let stall_every = one_of(&[0, 0, 30, 200]);
        let spurious_every = if spurious {
            one_of(&[0, 0, 20, 100])
        } else {
            0
        };
        let nap_every = one_of(&[2, 10, 100]);
        let ring_every = one_of(&[1, 3, 30]);
        Self {
            weights,
            stall_every,
            spurious_every,
            nap_every,
            ring_every,
            rng,
        }
    }

    /// A number below `bound`.
    pub(super) fn below(&self, bound: usize) -> usize {
        self.rng.below(bound)
    }

    /// How long workers spin in this run. They only look at the clock: nothing else moves meanwhile.
    pub(super) fn spin_ns(&self) -> u64 {
        [0, 0, 700, 10_000][self.below(4)]
    }

    /// Every how many picks one is a fair one.
    pub(super) fn fairness(&self) -> u32 {
        [1, 2, 3, 7, 61, 61][self.below(6)]
    }

    /// How long a look at the clock takes in this step: a thread that is preempted in a search finds much
    /// time gone.
    pub(super) fn look_ns(&self) -> u64 {
        [20, 100, 1_500, 20_000][self.below(4)]
    }

    /// The same in a search, in which nothing happens but looks at the clock: few are as good as many.
    pub(super) fn search_look_ns(&self) -> u64 {
        [700, 1_500, 20_000][self.below(3)]
    }

    /// How much time passes until the next step.
    pub(super) fn pause_ns(&self) -> u64 {
        [10, 100, 100, 1_000, 5_000, 100_000][self.below(6)]
    }

    /// For how many steps a worker stalls now, if one does.
    pub(super) fn stall(&self) -> Option<u64> {
        self.one_in(self.stall_every)
            .then(|| 1 + self.below(STALL_MAX) as u64)
    }

    /// True if somebody is woken for nothing now.
    pub(super) fn spurious(&self) -> bool {
        self.one_in(self.spurious_every)
    }

    /// True if a nap ends now, though others could go on.
    pub(super) fn nap_ends(&self) -> bool {
        self.one_in(self.nap_every)
    }

    /// True if the timer goes off now for a due that has come.
    pub(super) fn rings(&self) -> bool {
        self.one_in(self.ring_every)
    }

    /// How late the timer goes off when time jumps to a due.
    pub(super) fn late_ns(&self) -> u64 {
        [0, 0, 1_000, 60_000, 1_000_000][self.below(5)]
    }

    fn one_in(&self, every: usize) -> bool {
        every != 0 && self.below(every) == 0
    }

    /// One of these workers, the fast ones more often.
    pub(super) fn pick(&self, workers: &[usize]) -> usize {
        let total: usize = workers.iter().map(|&index| self.weights[index]).sum();
        let mut left = self.below(total);
        for &index in workers {
            if left < self.weights[index] {
                return index;
            }
            left -= self.weights[index];
        }
        unreachable!("the weights add up to the total")
    }
}
