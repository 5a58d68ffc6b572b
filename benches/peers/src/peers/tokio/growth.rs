//! The growth suite by tokio. Everything is measured inside a spawned task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{Notify, mpsc};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{spawn_many, time};
use crate::durations::FAR;
use crate::growth::work::{self, MIXED, PAIRS, RollCall, TIMEOUTS};
use crate::sample::Sample;
use crate::workloads::Workload;

/// Runs a workload, if it is of this suite and tokio has the like.
pub(super) async fn run(workload: Workload, size: u64) -> Option<Sample> {
    match workload {
        Workload::GrowSpawn => Some(spawns(size).await),
        Workload::GrowWake => Some(wakes(size).await),
        Workload::GrowTimers => Some(timers(size).await),
        Workload::GrowWorkers => {
            mixed(size / 10).await;
            let start = Instant::now();
            mixed(size).await;
            Some(Sample::new(start.elapsed(), size))
        }
        _ => None,
    }
}

async fn spawns(tasks: u64) -> Sample {
    spawn_many(tasks).await;
    let rounds = work::rounds(tasks);
    let start = Instant::now();
    for _ in 0..rounds {
        spawn_many(tasks).await;
    }
    Sample::new(start.elapsed(), rounds * tasks)
}

/// Wakes all, and waits until all have reported.
async fn call(roll: &RollCall, parked: &[Arc<Notify>], complete: &Notify) {
    roll.begin(parked.len() as u64);
    parked.iter().for_each(|notify| notify.notify_one());
    complete.notified().await;
}

async fn wakes(tasks: u64) -> Sample {
    let rounds = work::rounds(tasks);
    let roll = Arc::new(RollCall::default());
    let complete = Arc::new(Notify::new());
    let mut parked = Vec::with_capacity(tasks as usize);
    // All have started when they have reported for the first time; the first call is the warm-up.
    roll.begin(tasks);
    for _ in 0..tasks {
        let (roll, complete) = (roll.clone(), complete.clone());
        let notify = Arc::new(Notify::new());
        parked.push(notify.clone());
        tokio::spawn(async move {
            for _ in 0..rounds + 2 {
                if roll.report() {
                    complete.notify_one();
                }
                // A permit is given once for each call, so no loop is needed.
                notify.notified().await;
            }
        });
    }
    complete.notified().await;
    call(&roll, &parked, &complete).await;
    let start = Instant::now();
    for _ in 0..rounds {
        call(&roll, &parked, &complete).await;
    }
    Sample::new(start.elapsed(), rounds * tasks)
}

async fn timers(pending: u64) -> Sample {
    let waiting = Arc::new(AtomicU64::new(0));
    for _ in 0..pending {
        let waiting = waiting.clone();
        tokio::spawn(async move {
            let never = Notify::new();
            let wait = async {
                waiting.fetch_add(1, Ordering::Relaxed); // a count, nothing is published
                never.notified().await;
            };
            timeout(FAR, wait)
                .await
                .expect("nothing here takes a minute");
        });
    }
    while waiting.load(Ordering::Relaxed) < pending {
        yield_now().await;
    }
    time::timeouts(TIMEOUTS).await
}

async fn mixed(operations: u64) {
    let rounds = operations / (PAIRS * MIXED);
    let mut handles = Vec::new();
    for _ in 0..PAIRS {
        let (ping, pinged) = mpsc::channel(1);
        let (pong, ponged) = mpsc::channel(1);
        handles.push(tokio::spawn(ask(ping, ponged, rounds)));
        handles.push(tokio::spawn(answer(pinged, pong)));
    }
    for handle in handles {
        handle.await.expect("the mixed load does not panic");
    }
}

async fn ask(ping: mpsc::Sender<u64>, mut ponged: mpsc::Receiver<u64>, rounds: u64) {
    for round in 0..rounds {
        yield_now().await;
        let spawned = tokio::spawn(async move { round }).await;
        let spawned = spawned.expect("the task only returns");
        ping.send(spawned).await.expect("the other task listens");
        assert_eq!(ponged.recv().await, Some(round));
    }
}

async fn answer(mut pinged: mpsc::Receiver<u64>, pong: mpsc::Sender<u64>) {
    while let Some(value) = pinged.recv().await {
        yield_now().await;
        pong.send(value).await.expect("the first task listens");
    }
}
