//! This library: only this file and `ours/` name it. Public API only, default settings.

#![allow(
    clippy::redundant_closure,
    reason = "`|| fibers::park()` is inlined into the loop, so that the processor predicts the switch"
)]

mod growth;
pub(super) mod io;
mod sync;
mod time;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fibers::{JoinHandle, Runtime};

use super::turn::{PING, PONG, Turn};
use crate::latency::{Latencies, NEVER};
use crate::machine::Footprint;
use crate::sample::Sample;
use crate::workloads::{Job, Workload};

/// How long `ping_pong_apart` waits for another worker to take its fiber.
const STEAL_PATIENCE: Duration = Duration::from_secs(30);

/// Runs `job`, if we can do it.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let runtime = machine(job);
    let (workload, size) = (job.workload, job.size);
    match workload {
        Workload::Yield1 | Workload::Yield1Two | Workload::Yield2 => {
            let tasks = workload.tasks(size);
            measure(&runtime, size, size / 10, move |size| {
                yields(tasks, size / tasks)
            })
        }
        Workload::SpawnJoin => measure(&runtime, size, size / 10, spawn_join),
        Workload::SpawnMany => measure(&runtime, size * workload.reps(), size, move |total| {
            for _ in 0..total / size {
                spawn_many(size);
            }
        }),
        Workload::Skynet => repeat(&runtime, workload.reps(), move || {
            assert_eq!(node(0, size), size * (size - 1) / 2);
        }),
        Workload::Fib => repeat(&runtime, workload.reps(), move || {
            black_box(fib(black_box(size)));
        }),
        Workload::ForkJoin => repeat(&runtime, workload.reps(), move || {
            black_box(fork_join(black_box(size)));
        }),
        Workload::PingPong => measure(&runtime, size, size / 10, ping_pong),
        Workload::PingPongLocal => measure(&runtime, size, size / 10, ping_pong_local),
        Workload::PingPongApart => {
            let every = workload.sampling(size);
            let work = move || Sample::observed(size, |rounds| ping_pong_apart(rounds, every));
            Some(runtime.run(work))
        }
        Workload::ForeignWake => {
            let every = workload.sampling(size);
            let work = |rounds| foreign_wake(&runtime, rounds, every);
            Some(Sample::observed(size, work))
        }
        Workload::ParkedMemory => {
            let sample = runtime.run(move || parked_memory(size));
            std::mem::forget(runtime); // the process ends anyway
            Some(sample)
        }
        _ => {
            let sample = runtime.run(move || {
                time::run(workload, size)
                    .or_else(|| sync::run(workload, size))
                    .or_else(|| growth::run(workload, size))
            });
            std::mem::forget(runtime); // the process ends anyway
            sample
        }
    }
}

fn machine(job: &Job) -> Runtime {
    let runtime = if job.workload == Workload::ParkedMemory {
        let fibers_max = job.size as usize + 1000;
        Runtime::builder()
            .workers(job.workers)
            .max_fibers(fibers_max)
            .build()
    } else {
        Runtime::builder().workers(job.workers).build()
    };
    runtime.expect("the machine starts its workers")
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("the workload does not panic")
}

/// Runs `work(warm)`, then times `work(size)`, in a fiber.
fn measure(
    runtime: &Runtime,
    size: u64,
    warm: u64,
    work: impl Fn(u64) + Send + 'static,
) -> Option<Sample> {
    Some(runtime.run(move || {
        work(warm);
        Sample::timed(size, || work(size))
    }))
}

/// Runs `work` once, then times `reps` repetitions, in a fiber.
fn repeat(runtime: &Runtime, reps: u64, work: impl Fn() + Send + 'static) -> Option<Sample> {
    Some(runtime.run(move || Sample::repeated(reps, work)))
}

fn yields(tasks: u64, each: u64) {
    let yielder = move || (0..each).for_each(|_| fibers::yield_now());
    let handles: Vec<_> = (0..tasks).map(|_| fibers::spawn(yielder)).collect();
    handles.into_iter().for_each(join);
}

fn spawn_join(count: u64) {
    for _ in 0..count {
        join(fibers::spawn(|| {}));
    }
}

fn spawn_many(count: u64) {
    let handles: Vec<_> = (0..count).map(|_| fibers::spawn(|| {})).collect();
    handles.into_iter().for_each(join);
}

fn node(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let share = leaves / 10;
    let children: [_; 10] = std::array::from_fn(|i| {
        let first = first + i as u64 * share;
        fibers::spawn(move || node(first, share))
    });
    children.into_iter().map(join).sum()
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let spawned = fibers::spawn(move || fib(n - 1));
    let inline = fib(n - 2);
    inline + join(spawned)
}

fn fork_join(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = fibers::join(|| fork_join(n - 1), || fork_join(n - 2));
    a + b
}

/// The second party of a ping-pong: gives each of `rounds` turns back.
fn answer(turn: &Turn, rounds: u64, first: &fibers::Fiber) {
    for _ in 0..rounds {
        turn.wait(PONG, || fibers::park());
        turn.give(PING);
        first.unpark();
    }
}

/// The first party of a ping-pong, which times one round in `every`.
fn serve(turn: &Turn, rounds: u64, second: &fibers::Fiber, every: u64) -> Vec<Duration> {
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        turn.give(PONG);
        second.unpark();
        turn.wait(PING, || fibers::park());
        latencies.stop(start);
    }
    latencies.into_times()
}

fn ping_pong(rounds: u64) {
    let turn = Arc::new(Turn::default());
    let (first, turn2) = (fibers::current(), turn.clone());
    let second = fibers::spawn(move || answer(&turn2, rounds, &first));
    serve(&turn, rounds, second.fiber(), NEVER);
    join(second);
}

fn ping_pong_local(rounds: u64) {
    let turn = Arc::new(Turn::default());
    let (first, turn2) = (fibers::current(), turn.clone());
    let second = fibers::spawn_local(move || answer(&turn2, rounds, &first));
    serve(&turn, rounds, second.fiber(), NEVER);
    second.join().expect("ping-pong does not panic");
}

/// A fiber stays where it started: hold this worker until another one has started the second fiber.
fn ping_pong_apart(rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new(Turn::default());
    let started = Arc::new(AtomicBool::new(false));
    let (first, turn2, started2) = (fibers::current(), turn.clone(), started.clone());
    let second = fibers::spawn(move || {
        started2.store(true, Ordering::Relaxed); // a sign of life, nothing is published
        answer(&turn2, rounds, &first);
    });
    let deadline = Instant::now() + STEAL_PATIENCE;
    while !started.load(Ordering::Relaxed) {
        assert!(
            Instant::now() < deadline,
            "no other worker took the second fiber"
        );
        std::hint::spin_loop();
    }
    let times = serve(&turn, rounds, second.fiber(), every);
    join(second);
    times
}

fn foreign_wake(runtime: &Runtime, rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new(Turn::default());
    let (thread, turn2) = (thread::current(), turn.clone());
    let task = runtime.spawn(move || {
        for _ in 0..rounds {
            turn2.wait(PONG, || fibers::park());
            turn2.give(PING);
            thread.unpark();
        }
    });
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        turn.give(PONG);
        task.fiber().unpark();
        turn.wait(PING, thread::park);
        latencies.stop(start);
    }
    join(task);
    latencies.into_times()
}

fn parked_memory(tasks: u64) -> Sample {
    spawn_many(100);
    let base = Footprint::read();
    let start = Instant::now();
    let parked = Arc::new(AtomicU64::new(0));
    let mut handles = Vec::with_capacity(tasks as usize);
    for _ in 0..tasks {
        let parked = parked.clone();
        handles.push(fibers::spawn(move || {
            parked.fetch_add(1, Ordering::Relaxed); // a count, nothing is published
            fibers::park();
        }));
    }
    while parked.load(Ordering::Relaxed) < tasks {
        fibers::yield_now();
    }
    let sample = Sample::memory(tasks, start, base);
    std::mem::forget(handles);
    sample
}
