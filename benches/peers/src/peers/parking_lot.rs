//! parking_lot: the yardstick for locks. A thread for each task.

use std::hint::black_box;
use std::thread;

use parking_lot::{Condvar, Mutex, RwLock};

use crate::sample::Sample;
use crate::section::{Section, WRITE_EVERY, steps};
use crate::workloads::{Job, Workload};

/// Runs `job`, if it is about locks. The number of workers has no meaning here.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (workload, size) = (job.workload, job.size);
    let tasks = workload.tasks(size);
    let sample = match workload {
        Workload::Mutex1
        | Workload::Mutex8
        | Workload::Mutex64
        | Workload::Mutex8Long
        | Workload::Mutex64Long => {
            let steps = steps(workload);
            Sample::warmed(size, |size| mutex(tasks, size / tasks, steps))
        }
        Workload::RwLock => Sample::warmed(size, |size| rwlock(tasks, size / tasks)),
        Workload::Condvar => Sample::warmed(size, hand_over),
        _ => return None,
    };
    Some(sample)
}

fn mutex(tasks: u64, each: u64, steps: u64) {
    let section = Mutex::new(Section::new());
    thread::scope(|scope| {
        for _ in 0..tasks {
            scope.spawn(|| {
                for _ in 0..each {
                    section.lock().enter(steps);
                }
            });
        }
    });
    section.lock().check(tasks * each);
}

fn rwlock(tasks: u64, each: u64) {
    let number = RwLock::new(0);
    let work = || {
        let mut sum: u64 = 0;
        for i in 1..=each {
            if i % WRITE_EVERY == 0 {
                *number.write() += 1;
            } else {
                sum += *number.read();
            }
        }
        black_box(sum);
    };
    thread::scope(|scope| (0..tasks).for_each(|_| drop(scope.spawn(work))));
    assert_eq!(*number.read(), tasks * (each / WRITE_EVERY), "writes");
}

/// Waits for the turn `mine` and gives it to the other party, `rounds` times.
fn pass(turn: &(Mutex<bool>, Condvar), mine: bool, rounds: u64) {
    for _ in 0..rounds {
        let mut now = turn.0.lock();
        while *now != mine {
            turn.1.wait(&mut now);
        }
        *now = !mine;
        drop(now);
        turn.1.notify_one();
    }
}

fn hand_over(rounds: u64) {
    let turn = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| pass(&turn, true, rounds));
        pass(&turn, false, rounds);
    });
}
