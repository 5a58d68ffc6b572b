//! The scheduler, one step at a time: scenarios over many seeds, in both modes, on one to four workers.
//!
//! `DETERMINISTIC_SEEDS=N` runs N seeds of each scenario and configuration (a fifth of them where a run has many
//! small scenarios: `races.rs` counts those); `FIBERS_TEST_SEED=N` replays one. The long run, more than a million races:
//! `DETERMINISTIC_SEEDS=2000 cargo test --release --test deterministic`

mod cancel;
mod conserved;
mod deadlines;
mod events;
mod futures;
mod fuzz;
mod gifts;
mod mode;
mod race;
mod races;
#[path = "../../examples/retries.rs"]
mod retries;
mod spawns;
mod sync;
mod time;
mod virtual_time;
mod waits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use std::time::Duration;

use fibers::testing::{self, Check, explore};
use fibers::time::Instant;
use fibers::wait::{self, Reasons};

/// Seeds of each scenario in each configuration. In all more than ten thousand runs.
fn seeds() -> std::ops::Range<u64> {
    let default = if cfg!(debug_assertions) { 100 } else { 500 };
    let count = std::env::var("DETERMINISTIC_SEEDS").map_or(default, |text| {
        text.parse().expect("DETERMINISTIC_SEEDS is a number")
    });
    0..count
}

/// A fifth of them, for scenarios of which each run has many.
fn some_seeds() -> std::ops::Range<u64> {
    0..seeds().end.div_ceil(5)
}

/// Explores the scenario with 1 to 4 workers, pinned and floating.
fn all(body: impl Fn() + Clone + Send + Sync + 'static) {
    (1..=4).for_each(|workers| with_workers(workers, body.clone()));
}

/// Explores the scenario with that many workers, pinned and floating.
fn with_workers(workers: usize, body: impl Fn() + Clone + Send + Sync + 'static) {
    for floating in [false, true] {
        let check = move |check: Check| check.workers(workers).floating(floating);
        explore(seeds(), check, body.clone());
    }
}

/// For scenarios that look at what a run leaves behind: calls `run` with the options of each run, and a text
/// that names them.
fn each(run: impl Fn(Check, &str)) {
    for workers in 1..=4 {
        for floating in [false, true] {
            for seed in seeds() {
                let check = Check::new().workers(workers).floating(floating).seed(seed);
                run(
                    check,
                    &format!("{workers} workers, floating: {floating}, seed {seed}"),
                );
            }
        }
    }
}

/// How late a handful of fibers is at the most, by the virtual clock.
const LATE: Duration = Duration::from_millis(50);
/// Longer than anything a test waits for on purpose: a wait that lasts as long was forgotten.
const HOUR: Duration = Duration::from_secs(3600);

fn us(count: usize) -> Duration {
    Duration::from_micros(count as u64)
}

/// One that nothing brings about.
fn wait_for_ever() {
    wait::sleep(Reasons::USER7);
}

/// How long `f` takes.
fn taken<R>(f: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = f();
    (start.elapsed(), result)
}

/// Asserts that something due after `wanted` took as long, and not much longer.
fn assert_on_time(taken: Duration, wanted: Duration) {
    assert!(taken >= wanted, "early: {taken:?} of {wanted:?}");
    assert!(taken < wanted + LATE, "late: {taken:?} for {wanted:?}");
}

/// Now and then lets others run.
fn perhaps_yield() {
    if testing::random(3) == 0 {
        fibers::yield_now();
    }
}

/// Counts how often such a value was dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}
