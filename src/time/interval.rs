//! Interval: ticks at equal distances.

use std::time::Duration;

use crate::time::{Instant, sleep_until};

/// What becomes of ticks that were missed because the fiber came back late.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum MissedTick {
    /// They are caught up, one after another without a pause, until the schedule is met again.
    #[default]
    Burst,
    /// The next tick comes one period after the late one, and so on: the schedule moves.
    Delay,
    /// They are left out: the next tick is the schedule's next one in the future.
    Skip,
}

/// Ticks at equal distances. Made by [`interval`]. Costs nothing between two ticks.
///
/// ```
/// use fibers::time::{Duration, Instant, interval};
///
/// let start = Instant::now();
/// let mut ticks = interval(Duration::from_millis(2));
/// for _ in 0..4 {
///     ticks.tick(); // the first one at once
/// }
/// assert!(start.elapsed() >= Duration::from_millis(6));
/// ```
#[derive(Clone, Debug)]
pub struct Interval {
    next: Option<Instant>,
    period: Duration,
    missed: MissedTick,
}

/// Ticks now, and then once in every `period`.
///
/// A period of zero ticks as often as it is asked (each tick lets other fibers run); one of
/// [`Duration::MAX`] ticks once.
#[must_use]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then once in every `period`.
#[must_use]
pub fn interval_at(start: impl Into<Instant>, period: Duration) -> Interval {
    Interval {
        next: Some(start.into()),
        period,
        missed: MissedTick::default(),
    }
}

impl Interval {
    /// Waits for the next tick; returns the moment for which it was scheduled.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and enclosing deadlines unwind; the tick is then
    /// still to come.
    #[inline(always)]
    pub fn tick(&mut self) -> Instant {
        let Some(at) = self.next else {
            // Beyond the clock's range.
            sleep_until(Instant(u64::MAX));
            unreachable!("the end of time");
        };
        sleep_until(at);
        self.next = self.after(at);
        at
    }

    /// The tick after the one at `at`, which has just come.
    fn after(&self, at: Instant) -> Option<Instant> {
        let next = at.checked_add(self.period)?;
        if self.missed == MissedTick::Burst {
            return Some(next);
        }
        let now = Instant::now();
        if now < next {
            return Some(next);
        }
        match self.missed {
            MissedTick::Skip if !self.period.is_zero() => {
                let behind = now.duration_since(at).as_nanos();
                let period = self.period.as_nanos();
                let ahead = period - behind % period;
                now.checked_add(Duration::from_nanos(u64::try_from(ahead).ok()?))
            }
            _ => now.checked_add(self.period),
        }
    }

    /// The distance between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What becomes of missed ticks. Default: [`MissedTick::Burst`].
    #[must_use]
    pub fn missed_tick(&self) -> MissedTick {
        self.missed
    }

    /// Decides what becomes of missed ticks.
    pub fn set_missed_tick(&mut self, missed: MissedTick) {
        self.missed = missed;
    }

    /// As [`set_missed_tick`](Self::set_missed_tick), in a chain.
    #[must_use]
    pub fn with_missed_tick(mut self, missed: MissedTick) -> Self {
        self.missed = missed;
        self
    }

    /// Begins anew: the next tick comes one period from now.
    pub fn reset(&mut self) {
        self.next = Instant::now().checked_add(self.period);
    }
}
