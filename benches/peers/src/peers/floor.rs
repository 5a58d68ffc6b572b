//! The floor: what the work of a row takes of the processor and the kernel alone, without a runtime. README.md
//! says for each row what that is.
//!
//! No peer: it schedules nothing, so nobody is behind it. Only the floor of `late`, `yield2` and the rounds
//! between two threads has more than one thread; tasks that take turns are coroutines, resumed one after the
//! other.

mod kernel;
mod stack;
mod sync;

use std::thread;

use corosensei::Coroutine;

use self::stack::Coloured;
use crate::sample::Sample;
use crate::workloads::{Job, Workload};

type Routine = Coroutine<(), (), (), Coloured>;

/// Runs `job`, if it has a floor; [`Workload::has_floor`] tells.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (workload, size) = (job.workload, job.size);
    match workload {
        Workload::Yield1 | Workload::Yield1Two | Workload::Yield2 => {
            let tasks = workload.tasks(size);
            let workers = job.workers as u64;
            Some(Sample::warmed(size, |size| {
                yields(workers, tasks, size / tasks);
            }))
        }
        Workload::SpawnJoin => Some(Sample::warmed(size, spawn_join)),
        // A round trip is a yield of each of two.
        Workload::PingPong | Workload::PingPongLocal => {
            Some(Sample::warmed(size, |rounds| yields(1, 2, rounds)))
        }
        _ => kernel::run(job).or_else(|| sync::run(job)),
    }
}

/// Each thread has its share of the coroutines.
fn yields(threads: u64, tasks: u64, each: u64) {
    thread::scope(|scope| {
        for thread in 0..threads {
            let share = tasks * thread / threads..tasks * (thread + 1) / threads;
            scope.spawn(move || {
                let routines = share.map(|index| yielder(index, each));
                take_turns(&mut Vec::from_iter(routines), each);
            });
        }
    });
}

/// A coroutine that suspends so many times.
fn yielder(index: u64, times: u64) -> Routine {
    Coroutine::with_stack(Coloured::new(index), move |yielder, ()| {
        for _ in 0..times {
            yielder.suspend(());
        }
    })
}

/// Resumes one after the other. Each suspends `rounds` times, and returns when it is resumed once more.
fn take_turns(routines: &mut [Routine], rounds: u64) {
    for _ in 0..=rounds {
        for routine in &mut *routines {
            routine.resume(());
        }
    }
}

/// All on one stack, which a runtime would have in its pool.
fn spawn_join(count: u64) {
    let mut stack = Coloured::new(0);
    for _ in 0..count {
        let mut routine = Routine::with_stack(stack, |_, ()| {});
        routine.resume(());
        stack = routine.into_stack();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::{self, Suite};

    #[test]
    fn who_is_said_to_have_a_floor_has_one() {
        let rows =
            [Suite::Cpu, Suite::Time, Suite::Sync].map(|suite| workloads::rows(suite, 2, true));
        for row in rows.iter().flatten() {
            let job = Job {
                workload: row.workload,
                workers: row.workers,
                size: 400,
            };
            let name = row.workload.name();
            assert_eq!(run(&job).is_some(), row.workload.has_floor(), "{name}");
        }
    }
}
