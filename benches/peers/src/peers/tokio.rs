//! tokio's multi-thread runtime, IO and time drivers on, as `#[tokio::main]` starts it.
//!
//! Everything is measured inside a spawned task: `block_on`'s own future is not on a worker.

mod growth;
pub(super) mod io;
mod sync;
mod time;

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, yield_now};

use super::turn::{PING, PONG, Turn};
use crate::latency::Latencies;
use crate::machine::Footprint;
use crate::sample::Sample;
use crate::workloads::{Job, Workload};

/// Runs `job`, if tokio can do it.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let runtime = runtime(job.workers);
    let (workload, size) = (job.workload, job.size);
    match workload {
        Workload::Yield1 | Workload::Yield1Two | Workload::Yield2 => {
            let tasks = workload.tasks(size);
            measure(&runtime, size, size / 10, move |size| {
                yields(tasks, size / tasks)
            })
        }
        Workload::SpawnJoin => measure(&runtime, size, size / 10, spawn_join),
        Workload::SpawnMany => {
            let reps = workload.reps();
            measure(&runtime, size * reps, size, move |total| async move {
                for _ in 0..total / size {
                    spawn_many(size).await;
                }
            })
        }
        Workload::Skynet => repeat(&runtime, workload.reps(), move || async move {
            let sum = spawn_node(0, size).await.expect("a node does not panic");
            assert_eq!(sum, size * (size - 1) / 2);
        }),
        Workload::Fib => repeat(&runtime, workload.reps(), move || async move {
            black_box(
                spawn_fib(black_box(size))
                    .await
                    .expect("fib does not panic"),
            );
        }),
        Workload::PingPong => measure(&runtime, size, size / 10, ping_pong),
        Workload::ForeignWake => {
            let every = workload.sampling(size);
            let work = |rounds| foreign_wake(&runtime, rounds, every);
            Some(Sample::observed(size, work))
        }
        Workload::ParkedMemory => {
            let sample = parked_memory(&runtime, size);
            std::mem::forget(runtime); // the process ends anyway
            Some(sample)
        }
        _ => {
            let task = runtime.spawn(async move {
                if let Some(sample) = time::run(workload, size).await {
                    return Some(sample);
                }
                match sync::run(workload, size).await {
                    None => growth::run(workload, size).await,
                    sample => sample,
                }
            });
            let sample = runtime.block_on(task).expect("the workload does not panic");
            std::mem::forget(runtime); // the process ends anyway
            sample
        }
    }
}

fn runtime(workers: usize) -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    runtime.expect("tokio starts its threads")
}

/// Runs `work(warm)`, then times `work(size)`, in a task.
fn measure<F, W>(runtime: &Runtime, size: u64, warm: u64, work: F) -> Option<Sample>
where
    F: Fn(u64) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let task = runtime.spawn(async move {
        work(warm).await;
        let start = Instant::now();
        work(size).await;
        start.elapsed()
    });
    let elapsed = runtime.block_on(task).expect("the workload does not panic");
    Some(Sample::new(elapsed, size))
}

/// Runs `work` once, then times `reps` repetitions, in a task.
fn repeat<F, W>(runtime: &Runtime, reps: u64, work: F) -> Option<Sample>
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send,
{
    let work = Arc::new(work);
    measure(runtime, reps, 1, move |reps| {
        let work = work.clone();
        async move {
            for _ in 0..reps {
                work().await;
            }
        }
    })
}

async fn yields(tasks: u64, each: u64) {
    let yielder = move || async move {
        for _ in 0..each {
            yield_now().await;
        }
    };
    let handles: Vec<_> = (0..tasks).map(|_| tokio::spawn(yielder())).collect();
    for handle in handles {
        handle.await.expect("yielding does not panic");
    }
}

async fn spawn_join(count: u64) {
    for _ in 0..count {
        tokio::spawn(async {}).await.expect("the task is empty");
    }
}

async fn spawn_many(count: u64) {
    let handles: Vec<_> = (0..count).map(|_| tokio::spawn(async {})).collect();
    for handle in handles {
        handle.await.expect("the task is empty");
    }
}

// Not inside `node`: an async function cannot prove its own future `Send` within its body.
fn spawn_node(first: u64, leaves: u64) -> JoinHandle<u64> {
    tokio::spawn(node(first, leaves))
}

async fn node(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let share = leaves / 10;
    let children: [_; 10] = std::array::from_fn(|i| spawn_node(first + i as u64 * share, share));
    let mut sum = 0;
    for child in children {
        sum += child.await.expect("a node does not panic");
    }
    sum
}

fn spawn_fib(n: u64) -> JoinHandle<u64> {
    tokio::spawn(fib(n))
}

async fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let spawned = spawn_fib(n - 1);
    let inline = Box::pin(fib(n - 2)).await;
    inline + spawned.await.expect("fib does not panic")
}

async fn ping_pong(rounds: u64) {
    let (ping, mut pinged) = mpsc::channel::<()>(1);
    let (pong, mut ponged) = mpsc::channel::<()>(1);
    let second = tokio::spawn(async move {
        while pinged.recv().await.is_some() {
            pong.send(()).await.expect("the first task listens");
        }
    });
    let first = tokio::spawn(async move {
        for _ in 0..rounds {
            ping.send(()).await.expect("the second task listens");
            ponged.recv().await.expect("the second task answers");
        }
    });
    first.await.expect("ping-pong does not panic");
    second.await.expect("ping-pong does not panic");
}

fn foreign_wake(runtime: &Runtime, rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new(Turn::default());
    let notify = Arc::new(Notify::new());
    let (thread, turn2, notify2) = (thread::current(), turn.clone(), notify.clone());
    let task = runtime.spawn(async move {
        for _ in 0..rounds {
            // A permit is given once for each turn, so no loop is needed.
            notify2.notified().await;
            turn2.give(PING);
            thread.unpark();
        }
    });
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        turn.give(PONG);
        notify.notify_one();
        turn.wait(PING, thread::park);
        latencies.stop(start);
    }
    runtime.block_on(task).expect("the task does not panic");
    latencies.into_times()
}

fn parked_memory(runtime: &Runtime, tasks: u64) -> Sample {
    let parked = Arc::new(AtomicU64::new(0));
    let never = Arc::new(Notify::new());
    let task = runtime.spawn(async move {
        spawn_many(100).await;
        let base = Footprint::read();
        let start = Instant::now();
        let mut handles = Vec::with_capacity(tasks as usize);
        for _ in 0..tasks {
            let (parked, never) = (parked.clone(), never.clone());
            handles.push(tokio::spawn(async move {
                parked.fetch_add(1, Ordering::Relaxed); // a count, nothing is published
                never.notified().await;
            }));
        }
        while parked.load(Ordering::Relaxed) < tasks {
            yield_now().await;
        }
        let sample = Sample::memory(tasks, start, base);
        std::mem::forget(handles);
        sample
    });
    runtime.block_on(task).expect("the workload does not panic")
}
