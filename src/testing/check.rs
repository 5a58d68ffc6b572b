//! Check: the options of a deterministic run, and `explore`: many runs, one for each seed.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::machine::clock::{Clock, VirtualClock};
use crate::machine::config::{Config, Options};
use crate::machine::core::Machine;
use crate::machine::report_overflow;
use crate::machine::worker::Own;
use crate::os;
use crate::spawn::builder::Builder;
use crate::testing::chance::Chance;
use crate::testing::driver::Driver;

/// The variable that makes [`explore`] run one seed only.
const SEED_VARIABLE: &str = "FIBERS_TEST_SEED";
const STACK_BYTES: usize = 64 << 10;

/// Options of a deterministic run. See [the module](crate::testing).
///
/// ```
/// use fibers::testing::Check;
/// use fibers::time::{Duration, Instant, sleep};
///
/// let slept = Check::new().workers(2).seed(7).run(|| {
///     let start = Instant::now();
///     let fiber = fibers::spawn(|| sleep(Duration::from_secs(3600)));
///     fiber.join().unwrap();
///     start.elapsed()
/// });
/// assert!(slept >= Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a check does nothing until `run`"]
pub struct Check {
    workers: usize,
    floating: bool,
    seed: u64,
    spurious: bool,
    fairness: Option<u32>,
    fibers_max: Option<u64>,
    steps_max: u64,
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

impl Check {
    /// Two workers, pinned fibers, seed 0.
    pub fn new() -> Self {
        Self {
            workers: 2,
            floating: false,
            seed: 0,
            spurious: true,
            fairness: None,
            fibers_max: None,
            steps_max: 2_000_000,
        }
    }

    /// How many workers take turns, 1 to 1024. Default: two. Most mistakes need two or three.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Whether started fibers go from worker to worker, as on a machine built with
    /// [`RuntimeBuilder::floating`](crate::RuntimeBuilder::floating). Safe here: all workers are one thread.
    pub fn floating(mut self, floating: bool) -> Self {
        self.floating = floating;
        self
    }

    /// What the run depends on: the same seed, with the same options and program, is the same run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether workers are woken and fibers unparked for nothing now and then. Default: yes, in half of
    /// all runs; [`park`](crate::park) allows it.
    pub fn spurious(mut self, spurious: bool) -> Self {
        self.spurious = spurious;
        self
    }

    /// Every how many picks one is a fair one. Default: the seed decides.
    pub fn fairness(mut self, picks: u32) -> Self {
        self.fairness = Some(picks);
        self
    }

    /// The most fibers that may be alive at a time. Default: no limit.
    pub fn max_fibers(mut self, fibers: usize) -> Self {
        self.fibers_max = Some(fibers as u64);
        self
    }

    /// A run that has not ended after so many steps has failed. Default: two million.
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.steps_max = steps;
        self
    }

    /// Runs `f` as a fiber, `root`, of a machine of its own, all workers of which are the calling thread in
    /// turn; then stops the machine, which cancels what has not ended, waits until all has (time goes on
    /// meanwhile), and looks whether anything is left. Returns what `f` returned.
    ///
    /// *Blocks* the calling thread. A fiber that panics ends only itself, as everywhere: let `f` join what it
    /// spawns, or use a [`scope`](crate::scope), for a panic to come out of here.
    ///
    /// # Panics
    /// If `f` panics, with that panic. If nothing can go on before `f` has ended, or the run does not end: the
    /// text names the seed and what each fiber waits for. If something is left of the machine. If an option is
    /// out of range, or the caller is a fiber.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        assert!(
            Own::current().is_none(),
            "Check::run inside a fiber: this thread is a worker already"
        );
        assert!(
            !thread::panicking(),
            "Check::run while the thread is panicking"
        );
        let _altstack = os::signal::ensure_altstack();
        let chance = Chance::new(self.seed, self.workers, self.spurious);
        let machine = self
            .machine(&chance)
            .unwrap_or_else(|error| panic!("the machine of a deterministic run: {error}"));
        let leak = LeakOnPanic(Arc::clone(&machine));
        let root = Builder::new().name("root".to_owned());
        let root = match root.spawn_in(&machine, f) {
            Ok(root) => root,
            Err(refused) => panic!("failed to spawn a fiber: {}", refused.error),
        };
        let mut driver = Driver::new(&machine, chance, self.seed, self.steps_max);
        driver.run_until(&mut || root.is_finished());
        machine.stop();
        driver.run_until(&mut || false);
        let result = root.join();
        driver.look_for_leftovers();
        drop(leak);
        match result {
            Ok(value) => value,
            Err(payload) => resume_unwind(payload),
        }
    }

    fn machine(&self, chance: &Chance) -> io::Result<Arc<Machine>> {
        let options = Options {
            workers: Some(self.workers),
            stack_bytes: Some(STACK_BYTES),
            fibers_max: self.fibers_max,
            spin: Some(Duration::ZERO),
            fairness: Some(self.fairness.unwrap_or_else(|| chance.fairness())),
            pin_workers: Some(false),
            floating: self.floating,
            seed: Some(self.seed),
            ..Options::default()
        };
        // Not from the environment: it is no part of the seed.
        let config = Config {
            spin_ns: chance.spin_ns(),
            ..options.check(&|_| None)?
        };
        report_overflow::install()?;
        Machine::assemble(config, Clock::Virtual(VirtualClock::new()), false)
    }
}

/// A run that failed leaves its fibers behind with their stacks: they cannot be unwound any more.
struct LeakOnPanic(Arc<Machine>);

impl Drop for LeakOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::mem::forget(Arc::clone(&self.0));
        }
    }
}

/// Runs `body` once for each of `seeds`, with the options that `check` adds. With `FIBERS_TEST_SEED=17` in the
/// environment it runs seed 17 and no other: to repeat a failure.
///
/// ```
/// fibers::testing::explore(0..100, |check| check.workers(3), || {
///     let fibers: Vec<_> = (0..4).map(|n| fibers::spawn(move || n)).collect();
///     let sum: i32 = fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum();
///     assert_eq!(sum, 6);
/// });
/// ```
///
/// # Panics
/// If a run fails: with its seed, how to replay it, and what it said.
pub fn explore<F, T>(seeds: Range<u64>, check: impl Fn(Check) -> Check, body: F)
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    let seeds = match std::env::var(SEED_VARIABLE) {
        Ok(text) => {
            let seed: u64 = text
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("{SEED_VARIABLE} is {text:?}; expected a number"));
            seed..seed + 1
        }
        Err(_) => seeds,
    };
    let body = Arc::new(body);
    for seed in seeds {
        let body = Arc::clone(&body);
        let check = check(Check::new().seed(seed));
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| check.run(move || body()))) {
            panic!(
                "deterministic run failed with seed {seed} (replay: {SEED_VARIABLE}={seed}): {}",
                text_of(&*payload)
            );
        }
    }
}

/// What a panic said, if it said it in words.
fn text_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else {
        "a payload that is no text"
    }
}
