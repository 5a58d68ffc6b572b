//! What a deadline costs that does not come: `timeout(60 s, yield_now)` beside `yield_now` alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::options::{self, Common};

/// Rounds of each, taken in turn; the best counts, as everything else is somebody's noise.
const ROUNDS: u32 = 7;

/// The best times for `count` turns each.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// How many turns.
    pub count: u64,
    /// With a deadline around each yield.
    pub timeout: Duration,
    /// Without.
    pub plain: Duration,
}

impl Cost {
    /// What one deadline added to its yield, in nanoseconds; negative if the noise was larger.
    pub fn extra_ns(&self) -> f64 {
        self.timeout_ns() - self.yield_ns()
    }

    /// One yield under a deadline.
    pub fn timeout_ns(&self) -> f64 {
        self.timeout.as_nanos() as f64 / self.count as f64
    }

    /// One yield.
    pub fn yield_ns(&self) -> f64 {
        self.plain.as_nanos() as f64 / self.count as f64
    }
}

/// Measures on one worker, whose only fiber yields to itself.
pub fn measure(common: &Common) -> Result<Cost, String> {
    let one_worker = Common {
        workers: Some(1),
        ..common.clone()
    };
    let machine = one_worker.machine("cost", None)?;
    let count = common.size(None, 200_000, 20_000);
    let cost = machine.run(move || {
        let mut best = Cost {
            count,
            timeout: Duration::MAX,
            plain: Duration::MAX,
        };
        let minute = black_box(Duration::from_secs(60));
        for _ in 0..ROUNDS {
            let plain = timed(count, fibers::yield_now);
            let timeout = timed(count, || {
                // Cannot elapse: a round takes some milliseconds.
                let _ = fibers::timeout(minute, fibers::yield_now);
            });
            best.plain = best.plain.min(plain);
            best.timeout = best.timeout.min(timeout);
        }
        best
    });
    options::stop(machine)?;
    Ok(cost)
}

fn timed(count: u64, turn: impl Fn()) -> Duration {
    let start = Instant::now();
    (0..count).for_each(|_| turn());
    start.elapsed()
}
