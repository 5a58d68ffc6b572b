//! The monotonic clock, in nanoseconds.
//!
//! CLOCK_MONOTONIC: it never goes back, is not moved when the date is set, and stands still while
//! the system is suspended. Any thread and any signal handler may read it; there is no state.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since an arbitrary start (the system's boot). Good for 584 years of uptime.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Both parts are never negative for this clock, so the casts lose nothing.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The same clock as std shows it.
pub(crate) fn std_now() -> std::time::Instant {
    std::time::Instant::now()
}
