//! The time suite by tokio. Everything is measured inside a spawned task.

use std::time::{Duration, Instant};

use tokio::task::yield_now;
use tokio::time::{interval, sleep, timeout, timeout_at};

use crate::durations::{self, FAR, PERIOD, SHORT};
use crate::sample::{Sample, lateness};
use crate::usage::Usage;
use crate::workloads::{TURNS, Workload};

/// Runs a workload, if it is of this suite.
pub(super) async fn run(workload: Workload, size: u64) -> Option<Sample> {
    let tasks = workload.tasks(size);
    let each = size / tasks;
    match workload {
        Workload::Timeout => Some(timeouts(size).await),
        Workload::Sleepers => Some(Sample::cpu(sleepers(size).await, 1)),
        Workload::SleepersAgain => {
            let first = sleepers(size).await;
            Some(Sample::cpu(sleepers(size).await, 1).after(first))
        }
        Workload::Intervals => Some(Sample::cpu(intervals(tasks, each).await, 1)),
        Workload::Deadlines => {
            deadlines(tasks, each / 10).await;
            Some(Sample::cpu(deadlines(tasks, each).await, size))
        }
        Workload::Late => Some(Sample::quantile(late(tasks, each).await, 990)),
        Workload::Sleep50us => Some(Sample::quantile(short_sleeps(size).await, 500)),
        _ => None,
    }
}

/// Yields without and with a timeout by turns, so that a slow moment hits both.
pub(super) async fn timeouts(size: u64) -> Sample {
    let (mut plain, mut armed) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..=TURNS {
        let each = size / TURNS;
        let start = Instant::now();
        for _ in 0..each {
            yield_now().await;
        }
        let middle = Instant::now();
        for _ in 0..each {
            timeout(FAR, yield_now()).await.expect("a yield is quick");
        }
        // The first turn is the warm-up.
        if turn > 0 {
            plain += middle - start;
            armed += middle.elapsed();
        }
    }
    Sample::difference(plain, armed, size)
}

async fn sleepers(count: u64) -> Usage {
    let usage = Usage::read();
    let sleeper = |index| tokio::spawn(sleep(durations::sleeper(index, count)));
    let handles: Vec<_> = (0..count).map(sleeper).collect();
    for handle in handles {
        handle.await.expect("sleeping does not panic");
    }
    usage.spent()
}

/// Ticks missed are made up for, as by default.
async fn intervals(tasks: u64, ticks: u64) -> Usage {
    let (usage, start) = (Usage::read(), Instant::now());
    let ticker = move || async move {
        let mut interval = interval(PERIOD);
        let mut ticked = 0;
        for _ in 0..ticks {
            interval.tick().await;
            ticked += 1;
        }
        ticked
    };
    let handles: Vec<_> = (0..tasks).map(|_| tokio::spawn(ticker())).collect();
    let mut ticked = 0;
    for handle in handles {
        ticked += handle.await.expect("ticking does not panic");
    }
    durations::check_ticks(ticked, tasks, ticks, start.elapsed());
    usage.spent()
}

async fn deadlines(tasks: u64, each: u64) -> Usage {
    let usage = Usage::read();
    let meet = move || async move {
        for _ in 0..each {
            let at = tokio::time::Instant::now() + FAR;
            timeout_at(at, yield_now()).await.expect("a yield is quick");
        }
    };
    let handles: Vec<_> = (0..tasks).map(|_| tokio::spawn(meet())).collect();
    for handle in handles {
        handle.await.expect("no deadline passes");
    }
    usage.spent()
}

async fn late(tasks: u64, rounds: u64) -> Vec<Duration> {
    let sleeper = move |task| async move {
        let mut times = Vec::with_capacity(rounds as usize);
        for round in 0..rounds {
            let duration = durations::late(task, round);
            let start = Instant::now();
            sleep(duration).await;
            times.push(lateness(start, duration));
        }
        times
    };
    let handles: Vec<_> = (0..tasks).map(|task| tokio::spawn(sleeper(task))).collect();
    let mut times = Vec::new();
    for handle in handles {
        times.extend(handle.await.expect("nobody wakes early"));
    }
    times
}

async fn short_sleeps(count: u64) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let start = Instant::now();
        sleep(SHORT).await;
        times.push(SHORT + lateness(start, SHORT));
    }
    times
}
