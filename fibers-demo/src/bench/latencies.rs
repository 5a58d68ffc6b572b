//! How long things took, in little memory however many they are: 64 buckets for each doubling, so that a
//! figure read from it is too high by less than 1.6 percent, and never too low.
//!
//! One for each client, added up at the end: no two workers write to the same one.

use serde_json::{Value, json};

use crate::report::short_time;

const BITS: u32 = 6;
const STEPS: u64 = 1 << BITS;
/// About 68 seconds; what takes longer counts as this.
const NS_MAX: u64 = (1 << 36) - 1;

/// See the head of the file.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u32>,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        Latencies {
            counts: vec![0; bucket(NS_MAX) + 1],
        }
    }

    /// Counts one of so many nanoseconds.
    pub fn add(&mut self, ns: u128) {
        let ns = u64::try_from(ns).unwrap_or(NS_MAX).min(NS_MAX);
        let count = &mut self.counts[bucket(ns)];
        *count = count.saturating_add(1);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Latencies) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Nanoseconds that this share of all does not exceed; 0 if there was none.
    pub fn at(&self, share: f64) -> u64 {
        let rank = ((share * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return highest(bucket as u64);
            }
        }
        0
    }

    /// The figure for one share, as text.
    pub fn text(&self, share: f64) -> String {
        short_time(self.at(share) as f64)
    }

    /// The usual shares, in microseconds.
    pub fn to_json(&self) -> Value {
        let us = |share| self.at(share) as f64 / 1e3;
        json!({
            "count": self.count(),
            "p50_us": us(0.5),
            "p99_us": us(0.99),
            "p999_us": us(0.999),
            "max_us": us(1.0),
        })
    }
}

/// Up to two times `STEPS` each number has a bucket of its own; then the steps double with the numbers.
fn bucket(ns: u64) -> usize {
    let doublings = (ns | 1).ilog2().saturating_sub(BITS);
    (u64::from(doublings) * STEPS + (ns >> doublings)) as usize
}

/// The highest number of a bucket.
fn highest(bucket: u64) -> u64 {
    let doublings = (bucket / STEPS).saturating_sub(1);
    let step = bucket - doublings * STEPS;
    ((step + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut lowest = 0;
        for bucket_number in 0..bucket(NS_MAX) {
            assert_eq!(bucket(lowest), bucket_number);
            let highest = highest(bucket_number as u64);
            assert_eq!(bucket(highest), bucket_number);
            assert!((highest - lowest) * STEPS <= lowest, "too wide at {lowest}");
            lowest = highest + 1;
        }
    }

    #[test]
    fn shares_are_close_to_those_of_a_sorted_list() {
        let mut latencies = Latencies::new();
        let mut list: Vec<u64> = (0..10_000)
            .map(|place| (1e9_f64.powf(chance::unit(3, place))) as u64)
            .collect();
        let (mut left, mut right) = (Latencies::new(), Latencies::new());
        for (index, ns) in list.iter().enumerate() {
            [&mut left, &mut right][index % 2].add(u128::from(*ns));
        }
        latencies.merge(&left);
        latencies.merge(&right);
        list.sort_unstable();
        assert_eq!(latencies.count(), 10_000);
        for (share, index) in [(0.0, 0), (0.5, 4_999), (0.99, 9_899), (1.0, 9_999)] {
            let (exact, read) = (list[index], latencies.at(share));
            assert!(
                (exact..=exact + exact / 60).contains(&read),
                "{exact} {read}"
            );
        }
    }

    #[test]
    fn none_and_far_too_long_have_figures_as_well() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.at(0.5), 0);
        latencies.add(u128::MAX);
        assert_eq!(latencies.at(0.5), NS_MAX);
    }
}
