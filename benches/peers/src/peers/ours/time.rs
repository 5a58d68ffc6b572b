//! The time suite by this library. Everything is measured inside a fiber.

use std::time::{Duration, Instant};

use super::join;
use crate::durations::{self, FAR, PERIOD, SHORT};
use crate::sample::{Sample, lateness};
use crate::usage::Usage;
use crate::workloads::{TURNS, Workload};

/// Runs a workload, if it is of this suite.
pub(super) fn run(workload: Workload, size: u64) -> Option<Sample> {
    let tasks = workload.tasks(size);
    let each = size / tasks;
    match workload {
        Workload::Timeout => Some(timeouts(size)),
        Workload::Sleepers => Some(Sample::cpu(sleepers(size), 1)),
        Workload::SleepersAgain => {
            let first = sleepers(size);
            Some(Sample::cpu(sleepers(size), 1).after(first))
        }
        Workload::Intervals => Some(Sample::cpu(intervals(tasks, each), 1)),
        Workload::Deadlines => {
            deadlines(tasks, each / 10);
            Some(Sample::cpu(deadlines(tasks, each), size))
        }
        Workload::Late => Some(Sample::quantile(late(tasks, each), 990)),
        Workload::Sleep50us => Some(Sample::quantile(short_sleeps(size), 500)),
        _ => None,
    }
}

/// Yields without and with a timeout by turns, so that a slow moment hits both.
pub(super) fn timeouts(size: u64) -> Sample {
    let (mut plain, mut armed) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..=TURNS {
        let each = size / TURNS;
        let start = Instant::now();
        (0..each).for_each(|_| fibers::yield_now());
        let middle = Instant::now();
        for _ in 0..each {
            fibers::timeout(FAR, || fibers::yield_now()).expect("a yield is quick");
        }
        // The first turn is the warm-up.
        if turn > 0 {
            plain += middle - start;
            armed += middle.elapsed();
        }
    }
    Sample::difference(plain, armed, size)
}

fn sleepers(count: u64) -> Usage {
    let usage = Usage::read();
    let sleeper = |index| {
        let duration = durations::sleeper(index, count);
        fibers::spawn(move || fibers::sleep(duration))
    };
    let handles: Vec<_> = (0..count).map(sleeper).collect();
    handles.into_iter().for_each(join);
    usage.spent()
}

fn intervals(tasks: u64, ticks: u64) -> Usage {
    let (usage, start) = (Usage::read(), Instant::now());
    let ticker = move || {
        let mut interval = fibers::interval(PERIOD);
        (0..ticks).map(|_| interval.tick()).count() as u64
    };
    let handles: Vec<_> = (0..tasks).map(|_| fibers::spawn(ticker)).collect();
    let ticked: u64 = handles.into_iter().map(join).sum();
    durations::check_ticks(ticked, tasks, ticks, start.elapsed());
    usage.spent()
}

fn deadlines(tasks: u64, each: u64) -> Usage {
    let usage = Usage::read();
    let meet = move || {
        for _ in 0..each {
            let at = fibers::time::Instant::now() + FAR;
            fibers::time::deadline(at, || fibers::yield_now()).expect("a yield is quick");
        }
    };
    let handles: Vec<_> = (0..tasks).map(|_| fibers::spawn(meet)).collect();
    handles.into_iter().for_each(join);
    usage.spent()
}

fn late(tasks: u64, rounds: u64) -> Vec<Duration> {
    let sleep = |task, round| {
        let duration = durations::late(task, round);
        let start = Instant::now();
        fibers::sleep(duration);
        lateness(start, duration)
    };
    let sleeper = |task| {
        fibers::spawn(move || -> Vec<_> { (0..rounds).map(|round| sleep(task, round)).collect() })
    };
    let handles: Vec<_> = (0..tasks).map(sleeper).collect();
    handles.into_iter().flat_map(join).collect()
}

fn short_sleeps(count: u64) -> Vec<Duration> {
    let sleep = |_| {
        let start = Instant::now();
        fibers::sleep(SHORT);
        SHORT + lateness(start, SHORT)
    };
    (0..count).map(sleep).collect()
}
