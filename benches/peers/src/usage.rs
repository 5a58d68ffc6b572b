//! CPU time of this process, from the kernel.
//!
//! The only foreign function here: std links the C library but shows no `getrusage`, and a crate for
//! one call is not worth it.

use std::ffi::{c_int, c_long};
use std::io;
use std::time::Duration;

const RUSAGE_SELF: c_int = 0;

/// `struct timeval`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct TimeVal {
    seconds: c_long,
    micros: c_long,
}

/// `struct rusage` of Linux: two times, then fourteen numbers that nobody reads here.
#[repr(C)]
#[derive(Debug, Default)]
struct RUsage {
    user: TimeVal,
    system: TimeVal,
    others: [c_long; 14],
}

unsafe extern "C" {
    fn getrusage(who: c_int, usage: *mut RUsage) -> c_int;
}

/// What all threads of this process have used so far, ended ones included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// In our own code.
    pub(crate) user: Duration,
    /// In the kernel: page faults, timers, futexes.
    pub(crate) system: Duration,
}

impl Usage {
    /// Reads the present usage.
    pub(crate) fn read() -> Usage {
        let mut usage = RUsage::default();
        // SAFETY: `usage` is a writable `struct rusage` of this platform's layout, and the kernel
        // writes no further than its end.
        let result = unsafe { getrusage(RUSAGE_SELF, &mut usage) };
        assert_eq!(result, 0, "getrusage: {}", io::Error::last_os_error());
        Usage {
            user: usage.user.into(),
            system: usage.system.into(),
        }
    }

    /// What was used since this was read.
    pub(crate) fn spent(self) -> Usage {
        let now = Usage::read();
        Usage {
            user: now.user.saturating_sub(self.user),
            system: now.system.saturating_sub(self.system),
        }
    }
}

impl From<TimeVal> for Duration {
    fn from(time: TimeVal) -> Duration {
        Duration::from_secs(time.seconds as u64) + Duration::from_micros(time.micros as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_shows_up_and_is_no_more_than_all_threads_could_do() {
        let (start, usage) = (Instant::now(), Usage::read());
        while start.elapsed() < Duration::from_millis(50) {
            black_box(start);
        }
        let spent = usage.spent();
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let total = spent.user + spent.system;
        assert!(total > Duration::ZERO);
        // The kernel counts a running thread's last few milliseconds late.
        let most = start.elapsed() * threads + Duration::from_millis(20);
        assert!(total <= most, "{total:?} of {most:?}");
    }
}
