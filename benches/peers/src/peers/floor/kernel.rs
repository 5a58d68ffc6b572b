//! Floors that the kernel and the caches set: wakes, sleeps, pages, a line that goes to another core and back.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{ClockId, NanosleepRelativeResult, clock_nanosleep_relative, futex};
use rustix::time::Timespec;

use crate::durations::{self, SHORT};
use crate::latency::Latencies;
use crate::machine::Footprint;
use crate::peers::turn::{PING, PONG, Turn};
use crate::sample::{Sample, lateness};
use crate::workloads::{Job, Workload};

/// What a touched page takes; larger ones elsewhere would be a higher floor.
const PAGE_BYTES: usize = 4096;

/// How often a thread looks before it offers its core: a few microseconds.
const LOOKS: u32 = 100;

/// Runs a workload whose floor is here.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (workload, size) = (job.workload, job.size);
    let tasks = workload.tasks(size);
    let every = workload.sampling(size);
    match workload {
        Workload::ForeignWake => Some(Sample::observed(size, |rounds| {
            ping_pong(rounds, every, block, wake)
        })),
        Workload::PingPongApart | Workload::Chan1Apart => Some(Sample::observed(size, |rounds| {
            ping_pong(rounds, every, spin, |_| {})
        })),
        Workload::ParkedMemory => Some(pages(size)),
        Workload::Late => Some(Sample::quantile(late(tasks, size / tasks), 990)),
        Workload::Sleep50us => Some(Sample::quantile(short_sleeps(size), 500)),
        _ => None,
    }
}

/// Two threads hand a turn to and fro: `wait` gives the word and the value to wait for the end of.
fn ping_pong(
    rounds: u64,
    every: u64,
    wait: impl Fn(&AtomicU32, u32) + Copy + Send,
    wake: impl Fn(&AtomicU32) + Copy + Send,
) -> Vec<Duration> {
    let turn = Turn::default();
    let mut latencies = Latencies::new(every, rounds);
    thread::scope(|scope| {
        let turn = &turn;
        scope.spawn(move || {
            for _ in 0..rounds {
                turn.wait(PONG, || wait(turn.word(), PING));
                turn.give(PING);
                wake(turn.word());
            }
        });
        for _ in 0..rounds {
            let start = latencies.start();
            turn.give(PONG);
            wake(turn.word());
            turn.wait(PING, || wait(turn.word(), PONG));
            latencies.stop(start);
        }
    });
    latencies.into_times()
}

/// Sleeps until the word changes. Who is interrupted looks again.
fn block(word: &AtomicU32, old: u32) {
    let _ = futex::wait(word, futex::Flags::PRIVATE, old, None);
}

fn wake(word: &AtomicU32) {
    futex::wake(word, futex::Flags::PRIVATE, 1).expect("the word is ours");
}

/// Looks until the word changes. Offers its core if that takes long: the other thread may have none.
fn spin(word: &AtomicU32, old: u32) {
    let mut looks = 0;
    // Acquire comes with the look of `Turn::wait`.
    while word.load(Ordering::Relaxed) == old {
        looks += 1;
        if looks < LOOKS {
            spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// So many pages, each written to once.
fn pages(count: u64) -> Sample {
    let base = Footprint::read();
    let start = Instant::now();
    let mut memory: Vec<u8> = Vec::with_capacity(count as usize * PAGE_BYTES);
    for page in memory.spare_capacity_mut().chunks_mut(PAGE_BYTES) {
        page[0].write(1);
    }
    let sample = Sample::memory(count, start, base);
    drop(black_box(memory)); // so that the writes are not for nothing
    sample
}

fn sleep(duration: Duration) {
    let request = Timespec::try_from(duration).expect("some milliseconds are representable");
    let result = clock_nanosleep_relative(ClockId::Monotonic, &request);
    assert!(matches!(result, NanosleepRelativeResult::Ok), "{result:?}");
}

/// A thread for each task.
fn late(tasks: u64, rounds: u64) -> Vec<Duration> {
    let late = |task, round| {
        let duration = durations::late(task, round);
        let start = Instant::now();
        sleep(duration);
        lateness(start, duration)
    };
    let sleeper =
        |task| thread::spawn(move || Vec::from_iter((0..rounds).map(|round| late(task, round))));
    let sleepers: Vec<_> = (0..tasks).map(sleeper).collect();
    let times = sleepers.into_iter();
    times
        .flat_map(|sleeper| sleeper.join().expect("no sleep is early"))
        .collect()
}

fn short_sleeps(count: u64) -> Vec<Duration> {
    let short = |_| {
        let start = Instant::now();
        sleep(SHORT);
        SHORT + lateness(start, SHORT)
    };
    (0..count).map(short).collect()
}
