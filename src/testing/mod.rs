//! Deterministic tests of programs that run on fibers: one thread, an order that a seed decides, virtual time.
//!
//! On real threads a test sees the few interleavings that its machine happens to produce that day, and it lasts as
//! long as the program under it sleeps. A run of this module executes the same code, scheduler included, on one OS
//! thread that stands for all workers in turn. A seed decides who goes on at each step, so many seeds are many
//! interleavings, and one that fails can be run again, exactly. Time is virtual: an hour of sleep takes no time.
//!
//! # How to write one
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
//! use fibers::time::{Duration, Instant, sleep, timeout};
//!
//! // An ordinary program: it does not know that it is tested.
//! fn ask_three_times(asked: &AtomicU32) -> Option<u32> {
//!     for pause in [1, 10, 60] {
//!         asked.fetch_add(1, SeqCst);
//!         if let Ok(answer) = timeout(Duration::from_secs(5), || {
//!             // Stands for a server that is too slow now and then.
//!             sleep(Duration::from_secs(fibers::testing::random(20) as u64));
//!             42
//!         }) {
//!             return Some(answer);
//!         }
//!         sleep(Duration::from_secs(60 * pause));
//!     }
//!     None
//! }
//!
//! // 200 seeds, on three workers. The closure runs as a fiber of a new machine each time.
//! fibers::testing::explore(0..200, |check| check.workers(3), || {
//!     let start = Instant::now();
//!     let asked = AtomicU32::new(0);
//!     match ask_three_times(&asked) {
//!         Some(answer) => assert_eq!(answer, 42),
//!         None => {
//!             assert_eq!(asked.into_inner(), 3);
//!             assert!(start.elapsed() >= Duration::from_secs(71 * 60));
//!         }
//!     }
//! });
//! ```
//!
//! [`explore`] runs a closure once for each seed, with options ([`Check`]) of your choice. [`Check::run`] makes a
//! single run and returns what the closure returned. Both are called from plain threads, such as those of
//! `cargo test`. Inside a run, [`random`] is the run's own source of chance: for delays, sizes, faults. A larger
//! example is `examples/retries.rs`: clients that back off for an hour, a thousand times in a second.
//!
//! A run checks more than the closure's assertions. When the closure has returned, the machine stops: what still
//! runs is cancelled, and has to end. And after each step and at the end the scheduler is looked at for
//! contradictions, and for anything left behind: those would be mistakes of this library.
//!
//! # What a seed decides
//!
//! Everything that is chance on real threads: which worker goes on, for how many steps a worker gets no CPU, when
//! a sleeping one wakes up for nothing, how much time passes between two steps, how late a timer goes off, from
//! whom a worker steals. What is decided once per run, such as how fast each worker is beside the others, differs
//! from seed to seed; so a thousand seeds find more than one run a thousand times as long. A worker's turn lasts
//! until its fiber waits: nothing interrupts a fiber between two waits, as if that stretch took no time.
//!
//! # Virtual time
//!
//! [`sleep`](crate::sleep), [`timeout`](crate::timeout), every other wait with a limit,
//! [`interval`](crate::interval) and [`time::Instant::now`](crate::time::Instant::now) go by a clock of the run's own.
//! While some fiber can go on it advances by fractions of a millisecond with each step and each look at it. When
//! none can, it jumps to the next deadline. `std::time::Instant::now()` and `std::thread::sleep` know nothing of that:
//! take instants from [`fibers::time`](crate::time).
//!
//! Nothing wakes early by that clock. How late it wakes is the seed's choice, within what real machines do: a tenth
//! of a millisecond mostly, a millisecond now and then, and some ten milliseconds among many busy fibers or when a
//! worker gets no CPU. A test that asserts how long something took should grant it that.
//!
//! Time goes on in the same way while the machine stops: a [`shield`](crate::shield) that sleeps for an hour gets it.
//!
//! # When a run fails
//!
//! The panic of [`explore`] names the seed: `deterministic run failed with seed 17 (replay: FIBERS_TEST_SEED=17)`.
//! With that variable set, `explore` runs this seed alone: `FIBERS_TEST_SEED=17 cargo test my_test`. A failure of the
//! same program with the same options repeats exactly, in a debugger or with more output, too.
//!
//! If no fiber can go on, no deadline is left and the closure has not returned, the run fails with what each
//! fiber waits for:
//!
//! ```text
//! nothing can go on: a deadlock, a lost wake-up, or a wait for something outside the run (seed 0, after 26 steps and 5.0s of virtual time)
//!   fiber 'consumer' (id 1) on worker 0: parked, waits for QUEUE (a lock, a channel, a join, a scope, a call, blocking or a wait queue)
//!   fiber 'root' (id 2) on worker 0: parked, waits for QUEUE (a lock, a channel, a join, a scope, a call, blocking or a wait queue)
//!   fiber 'client' (id 3) on worker 1: parked, waits for UNPARK
//! machine: lists 0x0, control 0x0, idle workers [0, 1], sentinel None, searchers 0, ...
//! ```
//!
//! `root` is the closure. The lines after the fibers' tell the scheduler's state. A run that goes on for ever fails
//! with the same report after [`max_steps`](Check::max_steps), and then there may be deadlines in it:
//! `parked, waits for UNPARK, until 1.5s from now`.
//!
//! ```
//! use fibers::testing::Check;
//! use fibers::wait::{self, Reasons};
//!
//! let run = || Check::new().seed(7).run(|| wait::sleep(Reasons::USER3));
//! let report = std::panic::catch_unwind(run).unwrap_err();
//! let report = report.downcast_ref::<String>().unwrap();
//! assert!(report.contains("fiber 'root'") && report.contains("waits for USER3"));
//! ```
//!
//! # What is refused
//!
//! All workers are one thread, so whoever would block it for good ends the run with a panic that says who it was: a
//! wait without a limit inside [`on_worker_stack`](crate::on_worker_stack), or in a destructor while the fiber
//! unwinds (from a panic, or because it was cancelled or out of time; std then aborts the process, as for any panic in
//! such a place). There, a wait with a limit lasts as long as it may, and nobody else runs meanwhile. [`Check::run`]
//! inside a fiber is refused, too.
//!
//! # Limits
//!
//! - What the library does not see is not part of the run: other threads, real time, files and sockets, the order of a
//!   `HashMap` with random keys. A run that depends on them is not a function of its seed. A `std::sync::Mutex` is
//!   fine as long as it is not held over a wait; one that is may hang the test.
//! - [`blocking`](crate::blocking) and [`fs`](crate::fs) make their calls in place: there is no other thread. Virtual time
//!   stands still meanwhile.
//! - The steps of a run are the stretches between waits. Two atomic operations next to each other are never
//!   separated; for lock-free code there are other tools, such as `loom`.
//! - Time jumps only when nobody can go on. A fiber that calls [`yield_now`](crate::yield_now) until a moment has come
//!   holds it up, and runs into `max_steps` if that moment is more than half a minute away. Let it sleep.
//! - A run that has failed leaves its fibers and their stacks behind, in a process that is about to report the failure.

// | file | what it holds |
// |---|---|
// | `check` | the options of a run, `explore`: one run per seed |
// | `driver` | who does the next step, and what a step is |
// | `chance` | what a seed decides: speeds, stalls, lateness, wake-ups for nothing |
// | `timer` | virtual time: how it passes, when it jumps |
// | `verdict`, `alarms` | what a run that hangs tells; what must hold after each step, and at the end |
// | `faults` | system calls that fail on demand, for the library's own tests |

mod alarms;
mod chance;
mod check;
mod driver;
mod faults;
mod timer;
mod verdict;

pub use check::{Check, explore};
#[doc(hidden)]
pub use faults::{FailCall, calls_left, fail_call};

use crate::machine::worker::Own;

/// A number below `bound`, drawn from the run's seed; 0 if `bound` is 0. For fibers inside a run.
///
/// ```
/// let dice = || (0..5).map(|_| 1 + fibers::testing::random(6)).collect::<Vec<_>>();
/// let check = fibers::testing::Check::new().seed(3);
/// assert_eq!(check.run(dice), check.run(dice));
/// ```
///
/// # Panics
/// If the caller is not a fiber of a deterministic run.
#[must_use]
pub fn random(bound: usize) -> usize {
    driven().local().rng.below(bound.max(1))
}

/// The worker that runs the calling fiber, by number. For fibers inside a run.
///
/// # Panics
/// If the caller is not a fiber of a deterministic run.
#[must_use]
pub fn worker() -> usize {
    driven().index()
}

/// Passes this worker over for the next `steps` steps after the running fiber has switched out, as if its
/// thread got no CPU; shorter if no other worker can do anything. For fibers inside a run.
///
/// # Panics
/// If the caller is not a fiber of a deterministic run.
pub fn stall_worker(steps: u64) {
    driven().local().stalled.set(steps);
}

fn driven() -> Own {
    Own::current()
        .filter(|me| me.machine().is_driven())
        .expect("only a fiber of a deterministic run may call this")
}
