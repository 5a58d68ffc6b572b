//! How long the tasks of the time suite wait: the same for every peer, by index and not by chance.
//!
//! `go/time.go` repeats these numbers; whoever changes one file changes both.

use std::time::Duration;

/// A deadline that never comes: nothing here takes a minute.
pub(crate) const FAR: Duration = Duration::from_secs(60);

/// The period of `intervals`.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);

/// The sleep of `sleep-50us`.
pub(crate) const SHORT: Duration = Duration::from_micros(50);

/// Steps of the golden ratio in 64 bits of fraction: consecutive ones fall far apart and leave no
/// part of the range empty.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The sleep of one of `count` sleepers: between `count` and 2 `count` microseconds, so that one
/// ends each microsecond whatever their number. A million sleep for one to two seconds.
///
/// Neighbours in spawning order are no neighbours in time: a sorted order would flatter a heap.
pub(crate) fn sleeper(index: u64, count: u64) -> Duration {
    let share = index.wrapping_mul(GOLDEN) >> 32; // of 2^32
    Duration::from_nanos(count * 1000 + ((count * 1000 * share) >> 32))
}

/// The sleep of one task in one round of `late`: 1 to 20 ms, in whole microseconds.
pub(crate) fn late(task: u64, round: u64) -> Duration {
    let random = split_mix((task << 32) | round);
    Duration::from_micros(1_000 + random % 19_001)
}

/// Holds the ticks of `intervals` against what was asked for: none lost, none before its time.
///
/// # Panics
///
/// If they are not exact.
pub(crate) fn check_ticks(ticked: u64, tasks: u64, each: u64, took: Duration) {
    assert_eq!(ticked, tasks * each, "ticks");
    let least = PERIOD * (each - 1) as u32; // the first tick may come at once
    assert!(took >= least, "{each} ticks took only {took:?}");
}

/// The mixing step of SplitMix64: a seed to a random number.
fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_are_spread_evenly_over_their_range() {
        let count = 1_000_000;
        let mut ends = vec![0u64; 100];
        for index in 0..count {
            let micros = sleeper(index, count).as_micros() as u64;
            assert!((1_000_000..2_000_000).contains(&micros));
            ends[((micros - 1_000_000) / 10_000) as usize] += 1;
        }
        assert!(
            ends.iter().all(|&ends| (9_990..=10_010).contains(&ends)),
            "{ends:?}"
        );
    }

    #[test]
    fn late_sleeps_take_1_to_20_ms_and_half_of_them_less_than_the_middle() {
        let sleeps = (0..100).flat_map(|task| (0..100).map(move |round| late(task, round)));
        let sleeps: Vec<_> = sleeps.collect();
        let (least, most) = (Duration::from_millis(1), Duration::from_millis(20));
        assert!(sleeps.iter().all(|sleep| (least..=most).contains(sleep)));
        let short = sleeps.iter().filter(|&&sleep| sleep < (least + most) / 2);
        assert!((4_800..=5_200).contains(&short.count()));
    }
}
