//! A histogram of latencies as HdrHistogram has it: buckets that grow with the value.
//!
//! Each power of two is cut into [`STEPS`] buckets, so a quantile is at most one part in `STEPS` too
//! high, and recording is an increment.

/// Buckets of each power of two.
const STEPS: u64 = 128;

const STEP_BITS: u32 = STEPS.ilog2();

/// Enough for every `u64`.
const BUCKETS: usize = (u64::BITS - STEP_BITS + 1) as usize * STEPS as usize;

/// How often each latency occurred.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        Histogram {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }

    pub(super) fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
    }

    /// Adds what another one has recorded.
    pub(super) fn merge(&mut self, other: &Histogram) {
        let pairs = self.counts.iter_mut().zip(&other.counts);
        pairs.for_each(|(mine, others)| *mine += others);
        self.total += other.total;
    }

    /// The latency that `per_mille` of a thousand do not exceed; 0 if nothing was recorded.
    pub(super) fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank && rank > 0
        });
        reached.map_or(0, highest)
    }
}

/// Values below `STEPS` have a bucket each. Of others, the leading `STEP_BITS + 1` bits count.
fn bucket(ns: u64) -> usize {
    let shift = (ns | STEPS).ilog2() - STEP_BITS;
    (u64::from(shift) * STEPS + (ns >> shift)) as usize
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    let first = (bucket - shift * STEPS) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let powers = (0..u64::BITS).flat_map(|bit| [1 << bit, (1 << bit) + (1 << bit) / 3]);
        for value in powers.chain(0..5000).chain([u64::MAX]) {
            let bucket = bucket(value);
            let highest = highest(bucket);
            assert!(bucket < BUCKETS && value <= highest, "{value}");
            assert!(
                highest - value <= value / STEPS,
                "{value} is told as {highest}"
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_all_that_was_merged() {
        let mut low = Histogram::new();
        let mut high = Histogram::new();
        (1..=50).for_each(|ns| low.record(ns));
        (51..=100).for_each(|ns| high.record(ns));
        low.merge(&high);
        assert_eq!((low.quantile(500), low.quantile(990)), (50, 99));
        assert_eq!(low.quantile(999), 100);
        assert_eq!(Histogram::new().quantile(500), 0);
    }
}
