//! std threads: the floor that every runtime should beat, and the yardstick for kernel wake-ups.

mod sync;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::turn::{PING, PONG, Turn};
use crate::latency::Latencies;
use crate::sample::Sample;
use crate::workloads::{Job, Workload};

/// Runs `job`, if threads can do it. The number of workers has no meaning here.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let size = job.size;
    match job.workload {
        Workload::SpawnJoin => {
            spawn_join(size / 10);
            Some(Sample::timed(size, || spawn_join(size)))
        }
        Workload::SpawnMany => {
            let reps = job.workload.reps();
            let mut sample = Sample::repeated(reps, || spawn_many(size));
            sample.ops *= size;
            Some(sample)
        }
        // Both parties are foreign threads here: one and the same workload.
        Workload::PingPong | Workload::ForeignWake => {
            let every = job.workload.sampling(size);
            Some(Sample::observed(size, |rounds| ping_pong(rounds, every)))
        }
        _ => sync::run(job),
    }
}

fn spawn_join(count: u64) {
    for _ in 0..count {
        thread::spawn(|| {}).join().expect("the thread is empty");
    }
}

fn spawn_many(count: u64) {
    let handles: Vec<_> = (0..count).map(|_| thread::spawn(|| {})).collect();
    for handle in handles {
        handle.join().expect("the thread is empty");
    }
}

fn ping_pong(rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new(Turn::default());
    let (first, turn2) = (thread::current(), turn.clone());
    let second = thread::spawn(move || {
        for _ in 0..rounds {
            turn2.wait(PONG, thread::park);
            turn2.give(PING);
            first.unpark();
        }
    });
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        turn.give(PONG);
        second.thread().unpark();
        turn.wait(PING, thread::park);
        latencies.stop(start);
    }
    second.join().expect("ping-pong does not panic");
    latencies.into_times()
}
