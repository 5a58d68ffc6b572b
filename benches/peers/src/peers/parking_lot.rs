//! parking_lot: the yardstick for locks. A thread for each task.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use crate::latency::{Latencies, NEVER};
use crate::sample::Sample;
use crate::section::{Section, WRITE_EVERY, steps};
use crate::workloads::{Job, Workload};

/// Runs `job`, if it is about locks. The number of workers has no meaning here.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (workload, size) = (job.workload, job.size);
    let (tasks, every) = (workload.tasks(size), workload.sampling(size));
    let sample = match workload {
        Workload::Mutex1
        | Workload::Mutex8
        | Workload::Mutex64
        | Workload::Mutex8Long
        | Workload::Mutex64Long => {
            let steps = steps(workload);
            Sample::observed(size, |size| mutex(tasks, size / tasks, steps, every))
        }
        Workload::RwLock => Sample::warmed(size, |size| rwlock(tasks, size / tasks)),
        Workload::Condvar => Sample::observed(size, |rounds| hand_over(rounds, every)),
        _ => return None,
    };
    Some(sample)
}

/// Each thread enters the section `each` times, and times how long one lock in `every` takes to get.
fn mutex(tasks: u64, each: u64, steps: u64, every: u64) -> Vec<Duration> {
    let section = Mutex::new(Section::new());
    let work = || {
        let mut latencies = Latencies::new(every, each);
        for _ in 0..each {
            let start = latencies.start();
            let mut section = section.lock();
            latencies.stop(start);
            section.enter(steps);
        }
        latencies.into_times()
    };
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks).map(|_| scope.spawn(work)).collect();
        let times = threads.into_iter();
        times
            .flat_map(|thread| thread.join().expect("nobody panics"))
            .collect()
    });
    section.lock().check(tasks * each);
    times
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

/// Waits for the turn `mine` and gives it to the other party, `rounds` times; times one in `every`.
fn pass(turn: &(Mutex<bool>, Condvar), mine: bool, rounds: u64, every: u64) -> Vec<Duration> {
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        let mut now = turn.0.lock();
        while *now != mine {
            turn.1.wait(&mut now);
        }
        *now = !mine;
        drop(now);
        turn.1.notify_one();
        latencies.stop(start);
    }
    latencies.into_times()
}

fn hand_over(rounds: u64, every: u64) -> Vec<Duration> {
    let turn = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| pass(&turn, true, rounds, NEVER));
        pass(&turn, false, rounds, every)
    })
}
