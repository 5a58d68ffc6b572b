//! How long single operations take, of which a few are timed: a clock costs as much as some operations.

use std::time::{Duration, Instant};

/// One in so many is none at all.
pub(crate) const NEVER: u64 = 1 << 62;

/// What one task has timed.
#[derive(Debug)]
pub(crate) struct Latencies {
    every: u64,
    /// So many operations until the next one that is timed, which is then 1.
    left: u64,
    times: Vec<Duration>,
}

impl Latencies {
    /// Will time one in `every` of `operations`, the first one last.
    pub(crate) fn new(every: u64, operations: u64) -> Latencies {
        Latencies {
            every,
            left: every,
            times: Vec::with_capacity((operations / every) as usize),
        }
    }

    /// An operation begins: the time, if it is one of those.
    #[inline(always)]
    pub(crate) fn start(&mut self) -> Option<Instant> {
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        self.left = self.every;
        Some(Instant::now())
    }

    /// It has ended.
    #[inline(always)]
    pub(crate) fn stop(&mut self, start: Option<Instant>) {
        if let Some(start) = start {
            self.times.push(start.elapsed());
        }
    }

    /// What was timed.
    pub(crate) fn into_times(self) -> Vec<Duration> {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operation_in_so_many_is_timed_and_not_the_first() {
        let mut latencies = Latencies::new(17, 1000);
        let timed = |latencies: &mut Latencies| {
            let start = latencies.start();
            latencies.stop(start);
            start.is_some()
        };
        let timed: Vec<_> = (0..1000).filter(|_| timed(&mut latencies)).collect();
        assert_eq!((timed[0], timed[1]), (16, 33));
        assert_eq!(latencies.into_times().len(), 58);
    }
}
