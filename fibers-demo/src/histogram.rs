//! A histogram of latenesses that many workers fill at once and a screen reads meanwhile.
//!
//! Each worker counts in a lane of its own, so that counting costs a few nanoseconds and no cache line
//! travels between workers. A lane is found by a `thread_local!`, which is the worker's, not the fiber's.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::report::grouped;

/// Upper bounds of all buckets but the last, which has none.
const EDGES: [(i64, &str); Histogram::BUCKETS - 1] = [
    (50_000, "50 µs"),
    (100_000, "100 µs"),
    (250_000, "250 µs"),
    (500_000, "500 µs"),
    (1_000_000, "1 ms"),
    (2_000_000, "2 ms"),
    (5_000_000, "5 ms"),
    (10_000_000, "10 ms"),
];
/// More workers than this share lanes: slower, not wrong.
const LANES: usize = 64;
const BAR_WIDTH: u64 = 36;

static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Counters of one worker. Two cache lines apart, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane([AtomicU64; Histogram::BUCKETS]);

/// See the head of the file.
#[derive(Debug)]
pub struct Histogram([Lane; LANES]);

impl Histogram {
    /// How many buckets there are.
    pub const BUCKETS: usize = 9;

    /// An empty one.
    pub const fn new() -> Histogram {
        Histogram([const { Lane([const { AtomicU64::new(0) }; Histogram::BUCKETS]) }; LANES])
    }

    /// Counts one lateness in nanoseconds.
    pub fn add(&self, late: i64) {
        let lane = LANE.get().unwrap_or_else(|| {
            let lane = NEXT_LANE.fetch_add(1, Ordering::Relaxed) % LANES;
            LANE.set(Some(lane));
            lane
        });
        let bucket = EDGES.partition_point(|(edge, _)| *edge <= late);
        self.0[lane].0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted in this bucket.
    pub fn bucket(&self, bucket: usize) -> u64 {
        let counts = self.0.iter().map(|lane| &lane.0[bucket]);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        (0..Histogram::BUCKETS)
            .map(|bucket| self.bucket(bucket))
            .sum()
    }

    /// What is in this bucket, such as `<50 µs`.
    pub fn label(bucket: usize) -> String {
        match EDGES.get(bucket) {
            Some((_, text)) => format!("<{text}"),
            None => format!("≥{}", EDGES[EDGES.len() - 1].1),
        }
    }

    /// The whole of it as text, a line per bucket; a full bar is `total`.
    pub fn lines(&self, total: u64) -> Vec<String> {
        let line = |bucket| {
            let count = self.bucket(bucket);
            let bar = "━".repeat((count * BAR_WIDTH).div_ceil(total.max(1)) as usize);
            let label = format!("late {}", Histogram::label(bucket));
            format!("{label:<12} {bar:<36} {:>10}", grouped(count))
        };
        (0..Histogram::BUCKETS).map(line).collect()
    }

    /// The buckets as objects; the last has no bound.
    pub fn to_json(&self) -> Value {
        (0..Histogram::BUCKETS)
            .map(|bucket| {
                let below_us = EDGES.get(bucket).map(|(edge, _)| edge / 1_000);
                json!({ "below_us": below_us, "count": self.bucket(bucket) })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_belongs_to_the_bucket_above() {
        let histogram = Histogram::new();
        for late in [-5, 0, 49_999, 50_000, 9_999_999, 10_000_000, i64::MAX] {
            histogram.add(late);
        }
        let counts: Vec<u64> = (0..Histogram::BUCKETS)
            .map(|bucket| histogram.bucket(bucket))
            .collect();
        assert_eq!(counts, [3, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(histogram.count(), 7);
    }

    #[test]
    fn bars_end_where_the_figures_begin() {
        let histogram = Histogram::new();
        (0..10).for_each(|_| histogram.add(0));
        histogram.add(20_000_000);
        let lines = histogram.lines(10);
        assert_eq!(lines.len(), Histogram::BUCKETS);
        assert_eq!(lines[0].matches('━').count(), 36);
        assert_eq!(lines[8].matches('━').count(), 4);
        assert!(
            lines.iter().all(|line| line.chars().count() == 60),
            "{lines:#?}"
        );
    }
}
