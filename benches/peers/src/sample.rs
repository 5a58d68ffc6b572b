//! What one child process measured, and the helpers that measure it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::machine::Footprint;
use crate::usage::Usage;

/// One measurement. The runner turns it into the row's unit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Wall time of the measured part, or its CPU time, or a lateness, by workload. A difference of
    /// two measurements may be negative.
    pub(crate) ns: i64,
    /// What `ns` is divided by: operations, tasks or repetitions.
    pub(crate) ops: u64,
    /// Further figures by name, such as `bytes` and `mappings`; `table.rs` knows the names it shows.
    #[serde(default)]
    pub(crate) extra: BTreeMap<String, f64>,
}

impl Sample {
    /// Times `work`, which does `ops` operations.
    pub(crate) fn timed(ops: u64, work: impl FnOnce()) -> Sample {
        let start = Instant::now();
        work();
        Sample::new(start.elapsed(), ops)
    }

    /// Runs a tenth of `work(ops)` to warm up, then times all of it.
    pub(crate) fn warmed(ops: u64, work: impl Fn(u64)) -> Sample {
        work(ops / 10);
        Sample::timed(ops, || work(ops))
    }

    /// As [`Sample::warmed`], beside the quantiles of the single operations that `work` has timed.
    pub(crate) fn observed(ops: u64, work: impl Fn(u64) -> Vec<Duration>) -> Sample {
        work(ops / 10);
        let start = Instant::now();
        let times = work(ops);
        Sample::new(start.elapsed(), ops).with_quantiles(times)
    }

    /// `ops` operations took `time`.
    pub(crate) fn new(time: Duration, ops: u64) -> Sample {
        Sample {
            ns: signed_ns(time),
            ops,
            extra: BTreeMap::new(),
        }
    }

    /// Runs `work` once to warm up, then times `reps` repetitions of it.
    pub(crate) fn repeated(reps: u64, mut work: impl FnMut()) -> Sample {
        let first = Sample::timed(1, &mut work);
        let sample = Sample::timed(reps, || (0..reps).for_each(|_| work()));
        sample.with("first_ns", first.ns as f64)
    }

    /// The growth of the process since `base`, for `tasks` parked since `start`.
    pub(crate) fn memory(tasks: u64, start: Instant, base: Footprint) -> Sample {
        let elapsed = start.elapsed();
        // The last tasks have counted themselves but may not have parked yet.
        std::thread::sleep(Duration::from_millis(100));
        let now = Footprint::read();
        Sample::new(elapsed, tasks)
            .with("bytes", now.bytes.saturating_sub(base.bytes) as f64)
            .with(
                "mappings",
                now.mappings.saturating_sub(base.mappings) as f64,
            )
    }

    /// The CPU time of `ops` operations, all threads of the process together.
    pub(crate) fn cpu(spent: Usage, ops: u64) -> Sample {
        Sample::new(spent.user + spent.system, ops)
            .with("user_ns", spent.user.as_nanos() as f64)
            .with("system_ns", spent.system.as_nanos() as f64)
    }

    /// Keeps the CPU time of an earlier run of the same work beside this one's.
    pub(crate) fn after(self, first: Usage) -> Sample {
        self.with("first_user_ns", first.user.as_nanos() as f64)
            .with("first_system_ns", first.system.as_nanos() as f64)
    }

    /// What `ops` operations cost more in `armed` than in `plain`. Nothing is clamped.
    pub(crate) fn difference(plain: Duration, armed: Duration, ops: u64) -> Sample {
        let (plain, armed) = (signed_ns(plain), signed_ns(armed));
        Sample {
            ns: armed - plain,
            ops,
            extra: BTreeMap::new(),
        }
        .with("plain_ns", plain as f64 / ops as f64)
        .with("armed_ns", armed as f64 / ops as f64)
    }

    /// The figure that `per_mille` of a thousand of `times` do not exceed; beside it the usual ones.
    pub(crate) fn quantile(mut times: Vec<Duration>, per_mille: usize) -> Sample {
        times.sort_unstable();
        Sample::new(rank(&times, per_mille), 1).with_quantiles(times)
    }

    /// Adds the usual quantiles of `times`, if there are any.
    pub(crate) fn with_quantiles(mut self, mut times: Vec<Duration>) -> Sample {
        times.sort_unstable();
        for (name, per_mille) in [("p50_ns", 500), ("p99_ns", 990), ("p999_ns", 999)] {
            if !times.is_empty() {
                self = self.with(name, rank(&times, per_mille).as_nanos() as f64);
            }
        }
        self
    }

    /// Adds a further figure.
    pub(crate) fn with(mut self, name: &str, value: f64) -> Sample {
        self.extra.insert(name.to_string(), value);
        self
    }
}

/// By how much a sleep of `asked` that began at `start` ends late.
///
/// # Panics
///
/// If it ends early: no runtime may do that, and it would look good in the table.
pub(crate) fn lateness(start: Instant, asked: Duration) -> Duration {
    let took = start.elapsed();
    took.checked_sub(asked)
        .unwrap_or_else(|| panic!("a sleep of {asked:?} took only {took:?}"))
}

/// The time of a sorted list that `per_mille` of a thousand do not exceed.
fn rank(times: &[Duration], per_mille: usize) -> Duration {
    times[(times.len() * per_mille).div_ceil(1000) - 1]
}

fn signed_ns(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times = |count| (1..=count).rev().map(Duration::from_nanos).collect();
        assert_eq!(Sample::quantile(times(1000), 990).ns, 990);
        assert_eq!(Sample::quantile(times(1000), 990).extra["p999_ns"], 999.0);
        assert_eq!(Sample::quantile(times(1), 990).ns, 1);
        assert_eq!(Sample::quantile(times(5), 500).ns, 3);
    }

    #[test]
    fn what_was_timed_stands_beside_the_mean() {
        let times = |count| (1..=count).rev().map(Duration::from_micros).collect();
        let sample = Sample::observed(1000, times);
        assert_eq!(sample.ops, 1000);
        assert_eq!(
            (sample.extra["p50_ns"], sample.extra["p99_ns"]),
            (5e5, 9.9e5)
        );
        assert!(Sample::observed(1, |_| Vec::new()).extra.is_empty());
    }

    #[test]
    fn a_difference_may_be_negative() {
        let [small, large] = [200, 500].map(Duration::from_nanos);
        assert_eq!(Sample::difference(small, large, 10).ns, 300);
        assert_eq!(Sample::difference(large, small, 10).ns, -300);
    }
}
