//! Instant: a moment of the monotonic clock, or of the virtual one in a deterministic run.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::machine::clock::current_ns;
use crate::os;

/// A moment. As [`std::time::Instant`], from and into which it converts.
///
/// In a run of [`testing`](crate::testing) it is a moment of the run's virtual time: a program that takes its
/// instants from here can be tested without waiting. Otherwise the clock is std's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub(crate) u64);

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(current_ns())
    }

    /// How long ago it was; zero if it lies in the future.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().saturating_duration_since(*self)
    }

    /// How much later it is than `earlier`; zero if it is not. As [`std::time::Instant::duration_since`].
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// How much later it is than `earlier`; zero if it is not.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How much later it is than `earlier`; `None` if it is earlier itself.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// The sum, if the clock can show it (it counts nanoseconds, for 584 years).
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        let ns = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(ns).map(Self)
    }

    /// The difference, if the clock can show it.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        let ns = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(ns).map(Self)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", Duration::from_nanos(self.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    /// # Panics
    /// If the clock cannot show the sum.
    fn add(self, duration: Duration) -> Self {
        self.checked_add(duration)
            .expect("overflow when adding duration to instant")
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    /// # Panics
    /// If the clock cannot show the difference.
    fn sub(self, duration: Duration) -> Self {
        self.checked_sub(duration)
            .expect("overflow when subtracting duration from instant")
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Std's moments are of the system's clock; in a deterministic run one that lies so far ahead of it becomes one
/// that lies as far ahead of the virtual clock.
impl From<std::time::Instant> for Instant {
    fn from(instant: std::time::Instant) -> Self {
        // Std's clock first: what passes until the other is read makes the result later, never earlier.
        let std_now = os::clock::std_now();
        let now = current_ns();
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(match instant.checked_duration_since(std_now) {
            Some(ahead) => now.saturating_add(ns(ahead)),
            None => now.saturating_sub(ns(std_now.duration_since(instant))),
        })
    }
}

impl From<Instant> for std::time::Instant {
    fn from(instant: Instant) -> Self {
        let now = current_ns();
        let std_now = os::clock::std_now();
        let ahead = Duration::from_nanos(instant.0.saturating_sub(now));
        let ago = Duration::from_nanos(now.saturating_sub(instant.0));
        // Centuries away std may refuse; then it is as good as now and then some.
        std_now
            .checked_add(ahead)
            .and_then(|instant| instant.checked_sub(ago))
            .unwrap_or(std_now)
    }
}
