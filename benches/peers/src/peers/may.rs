//! may's stackful coroutines, default stack size, pinned workers as by default.
//!
//! Above some ten thousands of live coroutines may dies, as each stack costs two mappings and the
//! kernel's `vm.max_map_count` is 65530 by default; the runner shows that.

mod growth;
pub(super) mod io;
mod sync;
mod time;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use may::coroutine::{self, JoinHandle};

use super::turn::{PING, PONG, Turn};
use crate::latency::Latencies;
use crate::machine::Footprint;
use crate::sample::Sample;
use crate::workloads::{Job, Workload};

/// Runs `job`, if may can do it.
pub(super) fn run(job: &Job) -> Option<Sample> {
    may::config().set_workers(job.workers);
    let (workload, size) = (job.workload, job.size);
    match workload {
        Workload::Yield1 | Workload::Yield1Two | Workload::Yield2 => {
            let tasks = workload.tasks(size);
            measure(size, size / 10, move |size| yields(tasks, size / tasks))
        }
        Workload::SpawnJoin => measure(size, size / 10, spawn_join),
        Workload::SpawnMany => measure(size * workload.reps(), size, move |total| {
            for _ in 0..total / size {
                spawn_many(size);
            }
        }),
        Workload::Skynet => repeat(workload.reps(), move || {
            assert_eq!(node(0, size), size * (size - 1) / 2);
        }),
        Workload::Fib => repeat(workload.reps(), move || {
            black_box(fib(black_box(size)));
        }),
        Workload::PingPong => measure(size, size / 10, ping_pong),
        Workload::ForeignWake => {
            let every = workload.sampling(size);
            Some(Sample::observed(size, |rounds| foreign_wake(rounds, every)))
        }
        Workload::ParkedMemory => Some(join(spawn(move || parked_memory(size)))),
        _ => join(spawn(move || {
            time::run(workload, size)
                .or_else(|| sync::run(workload, size))
                .or_else(|| growth::run(workload, size))
        })),
    }
}

fn spawn<F, T>(work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // SAFETY: may asks that a coroutine keeps no reference to a thread-local across a switch and
    // stays within its stack. The workloads use no thread-locals, and their frames hold some
    // hundred bytes; the recursive ones spawn at each level, or go at most 30 levels deep.
    unsafe { coroutine::spawn(work) }
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("the workload does not panic")
}

/// Runs `work(warm)`, then times `work(size)`, in a coroutine.
fn measure(size: u64, warm: u64, work: impl Fn(u64) + Send + 'static) -> Option<Sample> {
    Some(join(spawn(move || {
        work(warm);
        Sample::timed(size, || work(size))
    })))
}

/// Runs `work` once, then times `reps` repetitions, in a coroutine.
fn repeat(reps: u64, work: impl Fn() + Send + 'static) -> Option<Sample> {
    Some(join(spawn(move || Sample::repeated(reps, work))))
}

fn yields(tasks: u64, each: u64) {
    let yielder = move || (0..each).for_each(|_| coroutine::yield_now());
    let handles: Vec<_> = (0..tasks).map(|_| spawn(yielder)).collect();
    handles.into_iter().for_each(join);
}

fn spawn_join(count: u64) {
    for _ in 0..count {
        join(spawn(|| {}));
    }
}

fn spawn_many(count: u64) {
    let handles: Vec<_> = (0..count).map(|_| spawn(|| {})).collect();
    handles.into_iter().for_each(join);
}

fn node(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let share = leaves / 10;
    let children: [_; 10] = std::array::from_fn(|i| {
        let first = first + i as u64 * share;
        spawn(move || node(first, share))
    });
    children.into_iter().map(join).sum()
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let spawned = spawn(move || fib(n - 1));
    let inline = fib(n - 2);
    inline + join(spawned)
}

fn ping_pong(rounds: u64) {
    let turn = Arc::new(Turn::default());
    let (first, turn2) = (coroutine::current(), turn.clone());
    let second = spawn(move || {
        for _ in 0..rounds {
            turn2.wait(PONG, coroutine::park);
            turn2.give(PING);
            first.unpark();
        }
    });
    for _ in 0..rounds {
        turn.give(PONG);
        second.coroutine().unpark();
        turn.wait(PING, coroutine::park);
    }
    join(second);
}

fn foreign_wake(rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new(Turn::default());
    let (thread, turn2) = (thread::current(), turn.clone());
    let task = spawn(move || {
        for _ in 0..rounds {
            turn2.wait(PONG, coroutine::park);
            turn2.give(PING);
            thread.unpark();
        }
    });
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        turn.give(PONG);
        task.coroutine().unpark();
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
        handles.push(spawn(move || {
            parked.fetch_add(1, Ordering::Relaxed); // a count, nothing is published
            coroutine::park();
        }));
    }
    while parked.load(Ordering::Relaxed) < tasks {
        coroutine::yield_now();
    }
    let sample = Sample::memory(tasks, start, base);
    std::mem::forget(handles);
    sample
}
