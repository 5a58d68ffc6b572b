//! CPU time of processes, from the kernel. The only foreign functions here.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

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
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: `usage` has room for the one struct that the kernel writes.
        let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
        assert_eq!(result, 0, "getrusage: {}", io::Error::last_os_error());
        // SAFETY: the call has succeeded, so it has written the struct.
        let usage = unsafe { usage.assume_init() };
        let time = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        Usage {
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
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

/// The CPU time of any process, all threads together, ended ones included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessClock(libc::clockid_t);

impl ProcessClock {
    /// The clock of the process `pid`.
    pub(crate) fn of(pid: u32) -> io::Result<ProcessClock> {
        let mut clock = 0;
        // SAFETY: `clock` is a writable clock id.
        let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
        match error {
            0 => Ok(ProcessClock(clock)),
            _ => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Reads it. What a running thread has used since the last tick of its core may be missing.
    pub(crate) fn read(self) -> io::Result<Duration> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a writable `struct timespec`.
        let result = unsafe { libc::clock_gettime(self.0, &mut time) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
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
        let clock = ProcessClock::of(std::process::id()).and_then(ProcessClock::read);
        assert!(clock.expect("we are alive") >= total);
        // The kernel counts a running thread's last few milliseconds late.
        let most = start.elapsed() * threads + Duration::from_millis(20);
        assert!(total <= most, "{total:?} of {most:?}");
    }
}
