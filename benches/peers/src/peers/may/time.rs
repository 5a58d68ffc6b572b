//! The part of the time suite that may can do: it sleeps. It has no timeout around a computation, no
//! interval, and a million of its stacks would need more mappings than the kernel gives by default.

use std::time::{Duration, Instant};

use may::coroutine;

use super::{join, spawn};
use crate::durations::{self, SHORT};
use crate::sample::{Sample, lateness};
use crate::workloads::Workload;

/// Runs a workload, if may can do it.
pub(super) fn run(workload: Workload, size: u64) -> Option<Sample> {
    let tasks = workload.tasks(size);
    match workload {
        Workload::Late => Some(Sample::quantile(late(tasks, size / tasks), 990)),
        Workload::Sleep50us => Some(Sample::quantile(short_sleeps(size), 500)),
        _ => None,
    }
}

fn late(tasks: u64, rounds: u64) -> Vec<Duration> {
    let sleep = |task, round| {
        let duration = durations::late(task, round);
        let start = Instant::now();
        coroutine::sleep(duration);
        lateness(start, duration)
    };
    let sleeper =
        |task| spawn(move || -> Vec<_> { (0..rounds).map(|round| sleep(task, round)).collect() });
    let handles: Vec<_> = (0..tasks).map(sleeper).collect();
    handles.into_iter().flat_map(join).collect()
}

fn short_sleeps(count: u64) -> Vec<Duration> {
    let sleep = |_| {
        let start = Instant::now();
        coroutine::sleep(SHORT);
        SHORT + lateness(start, SHORT)
    };
    (0..count).map(sleep).collect()
}
