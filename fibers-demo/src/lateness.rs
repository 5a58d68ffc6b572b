//! How late things came that were to come at a deadline. What comes early is an error: a deadline is a
//! promise that nothing happens before it.

use std::time::Duration;

use fibers::time::Instant;
use serde_json::{Value, json};

use crate::report::{grouped, short_time};

/// Nanoseconds from `deadline` to now; negative before it.
pub fn after(deadline: Instant) -> i64 {
    let now = Instant::now();
    let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    nanoseconds(now.saturating_duration_since(deadline))
        - nanoseconds(deadline.saturating_duration_since(now))
}

/// Many of them: nanoseconds, sorted, none negative.
#[derive(Debug)]
pub struct Lateness(Vec<i64>);

impl Lateness {
    /// Of these, in any order, of things called `what`. An error if one came early.
    pub fn of(mut nanoseconds: Vec<i64>, what: &str) -> Result<Lateness, String> {
        nanoseconds.sort_unstable();
        let early = nanoseconds.partition_point(|late| *late < 0);
        if early > 0 {
            return Err(format!(
                "{} of {} {what} ended before their deadlines, by up to {}; expected none",
                grouped(early as u64),
                grouped(nanoseconds.len() as u64),
                short_time(nanoseconds[0].unsigned_abs() as f64)
            ));
        }
        Ok(Lateness(nanoseconds))
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The one that this share of all does not exceed; 0 if there was none.
    fn at(&self, share: f64) -> i64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let late = self.0.get(rank.max(1) - 1).or(self.0.last());
        late.copied().unwrap_or(0)
    }

    /// The figure for one share, as text.
    pub fn text(&self, share: f64) -> String {
        short_time(self.at(share) as f64)
    }

    /// The usual shares, in microseconds.
    pub fn to_json(&self) -> Value {
        let us = |share| self.at(share) as f64 / 1e3;
        json!({
            "count": self.0.len(),
            "p50_us": us(0.5),
            "p99_us": us(0.99),
            "p999_us": us(0.999),
            "max_us": us(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_thousand() {
        let lateness = Lateness::of((1..=1000).rev().collect(), "things").unwrap();
        for (share, late) in [(0.0, 1), (0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            assert_eq!(lateness.at(share), late);
        }
        assert_eq!(Lateness::of(vec![], "things").unwrap().at(0.5), 0);
        assert_eq!(Lateness::of(vec![7], "things").unwrap().at(0.001), 7);
    }

    #[test]
    fn early_is_an_error_that_says_by_how_much() {
        let error = Lateness::of(vec![3, -2_500, 0, -1], "naps").unwrap_err();
        assert!(error.contains("2 of 4 naps"), "{error}");
        assert!(error.contains("2.5 µs"), "{error}");
    }

    #[test]
    fn before_a_deadline_is_negative() {
        let hour = Duration::from_secs(3600);
        assert!(after(Instant::now()) >= 0);
        assert!(after(Instant::now() + hour) < -3_500_000_000_000);
    }
}
