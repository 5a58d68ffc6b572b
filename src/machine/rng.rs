//! Random choices of the scheduler: the one source of them, so that a seed repeats a run.

use std::cell::Cell;

/// xorshift64* (Vigna 2016): small, and good enough to pick a victim.
#[derive(Debug)]
pub(crate) struct Rng(Cell<u64>);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = Self(Cell::new(1));
        rng.seed(seed);
        rng
    }

    /// Starts again from a seed; any number will do.
    pub(crate) fn seed(&self, seed: u64) {
        // splitmix64's finaliser, so that neighbouring seeds begin far apart. Never zero.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0.set((z ^ (z >> 31)) | 1);
    }

    pub(crate) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }
}
