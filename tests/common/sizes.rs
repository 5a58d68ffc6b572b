//! How much, for how long and by which seed: what the environment has a say in.

use std::time::Duration;

/// True in a long run.
pub fn stress() -> bool {
    std::env::var_os("STRESS").is_some_and(|value| value != "0")
}

/// A size: of every run, or of a long one. Unoptimised builds take a tenth of either.
pub fn scaled(usual: usize, stressed: usize) -> usize {
    let size = if stress() { stressed } else { usual };
    if cfg!(debug_assertions) {
        (size / 10).max(1)
    } else {
        size
    }
}

/// What a watchdog makes of a limit in seconds.
pub fn limit(limit_s: u64) -> Duration {
    // The limits are meant for a machine that does nothing else; this one may be anybody's.
    let loaded = if stress() { 20 } else { 3 };
    Duration::from_secs(limit_s * loaded * number("TEST_PATIENCE", 1))
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or(default),
        Err(_) => default,
    }
}

/// A small random generator (splitmix64). Prints its seed, which the harness shows if the test fails.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by `TEST_SEED`, else by the time.
    pub fn new() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |now| now.as_nanos() as u64);
        let seed = number("TEST_SEED", now);
        eprintln!("seed: TEST_SEED={seed}");
        Self(seed)
    }

    /// Of that seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
