//! Floor 6: the deterministic mode, for tests of what runs on fibers, this library's own scheduler first.
//!
//! One OS thread stands for all workers of a machine. It is one worker at a time, for one step at a time; a
//! seeded generator chooses which, so a run depends on its seed alone and a failure can be replayed.
//! Hidden from the documentation for now: it becomes public together with virtual time for sleeps.
//!
//! | file | what it holds |
//! |---|---|
//! | `check` | the options of a run, `explore`: one run per seed |
//! | `driver` | who does the next step, and what a step is |
//! | `chance` | what a seed decides: speeds, stalls, wake-ups for nothing |
//! | `verdict` | what a run that hangs tells; what must not be left after one |
//! | `faults` | system calls that fail on demand |
//!
//! What a seed does not fix: addresses, hash maps with random keys, the real time, other threads. A fiber
//! that blocks its thread (a wait inside `on_worker_stack`, or while it unwinds) is refused: there is no
//! other thread that could go on.

mod alarms;
mod chance;
mod check;
mod driver;
mod faults;
mod timer;
mod verdict;

pub use check::{Check, explore};
pub use faults::{FailCall, calls_left, fail_call};

use crate::machine::worker::Own;

/// A number below `bound`, drawn from the run's seed. For fibers inside a run.
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
