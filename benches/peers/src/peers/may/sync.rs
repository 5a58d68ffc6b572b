//! The sync suite by may: unbounded channels, and locks like std's.
//!
//! It has no bounded channels. And its `select!` is no peer of the others': each arm is a coroutine
//! of its own, and those that lose may take a message that nobody gets then.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use may::coroutine;
use may::sync::{Condvar, Mutex, RwLock, Semphore, mpmc, mpsc};

use super::{join, spawn};
use crate::latency::{Latencies, NEVER};
use crate::sample::Sample;
use crate::section::{
    CONSUMERS, PERMITS, PRODUCERS, Section, WRITE_EVERY, check_sum, messages, steps,
};
use crate::workloads::Workload;

/// Runs a workload, if may can do it.
pub(super) fn run(workload: Workload, size: u64) -> Option<Sample> {
    let (tasks, every) = (workload.tasks(size), workload.sampling(size));
    let sample = match workload {
        // Never more than one message is under way, so the lack of a bound changes nothing.
        Workload::Chan1 => Sample::warmed(size, ping_pong),
        Workload::Mpsc => Sample::warmed(size, many_to_one),
        Workload::Mpmc => Sample::warmed(size, many_to_many),
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
        Workload::Semaphore => {
            Sample::observed(size, |size| semaphore(tasks, size / tasks, every, || {}))
        }
        Workload::SemaphoreYield => Sample::observed(size, |size| {
            semaphore(tasks, size / tasks, every, coroutine::yield_now)
        }),
        Workload::Oneshot => Sample::warmed(size, oneshot),
        Workload::Reply => Sample::observed(size, |count| reply(count, every)),
        _ => return None,
    };
    Some(sample)
}

fn ping_pong(rounds: u64) {
    let (ping, pinged) = mpsc::channel::<u64>();
    let (pong, ponged) = mpsc::channel();
    let second = spawn(move || {
        for value in pinged.iter() {
            pong.send(value).expect("the first coroutine listens");
        }
    });
    for round in 0..rounds {
        ping.send(round).expect("the second coroutine listens");
        assert_eq!(ponged.recv(), Ok(round));
    }
    drop(ping);
    join(second);
}

fn many_to_one(count: u64) {
    let (sender, receiver) = mpsc::channel();
    for producer in 0..PRODUCERS {
        let sender: mpsc::Sender<u64> = sender.clone();
        spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumer listens");
            }
        });
    }
    drop(sender);
    check_sum(receiver.iter().sum(), count);
}

fn many_to_many(count: u64) {
    let (sender, receiver) = mpmc::channel();
    for producer in 0..PRODUCERS {
        let sender: mpmc::Sender<u64> = sender.clone();
        spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumers listen");
            }
        });
    }
    drop(sender);
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|_| receiver.clone())
        .map(|receiver| spawn(move || receiver.iter().sum::<u64>()))
        .collect();
    check_sum(consumers.into_iter().map(join).sum(), count);
}

/// Runs `work` in so many coroutines.
fn together<T>(tasks: u64, work: impl Fn() -> T + Clone + Send + 'static) -> Vec<T>
where
    T: Send + 'static,
{
    let handles: Vec<_> = (0..tasks).map(|_| spawn(work.clone())).collect();
    handles.into_iter().map(join).collect()
}

/// Each coroutine enters the section `each` times, and times how long one lock in `every` takes to get.
fn mutex(tasks: u64, each: u64, steps: u64, every: u64) -> Vec<Duration> {
    let section = Arc::new(Mutex::new(Section::new()));
    let shared = section.clone();
    let times = together(tasks, move || {
        let mut latencies = Latencies::new(every, each);
        for _ in 0..each {
            let start = latencies.start();
            let mut section = shared.lock().expect("nobody panics");
            latencies.stop(start);
            section.enter(steps);
        }
        latencies.into_times()
    });
    section.lock().expect("nobody panics").check(tasks * each);
    times.concat()
}

fn rwlock(tasks: u64, each: u64) {
    let number = Arc::new(RwLock::new(0));
    let shared = number.clone();
    let sums = together(tasks, move || {
        let mut sum: u64 = 0;
        for i in 1..=each {
            if i % WRITE_EVERY == 0 {
                *shared.write().expect("nobody panics") += 1;
            } else {
                sum += *shared.read().expect("nobody panics");
            }
        }
        sum
    });
    black_box(sums);
    let written = *number.read().expect("nobody panics");
    assert_eq!(written, tasks * (each / WRITE_EVERY), "writes");
}

/// Waits for the turn `mine` and gives it to the other party, `rounds` times; times one in `every`.
fn pass(turn: &(Mutex<bool>, Condvar), mine: bool, rounds: u64, every: u64) -> Vec<Duration> {
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        let mut now = turn.0.lock().expect("nobody panics");
        while *now != mine {
            now = turn.1.wait(now).expect("nobody panics");
        }
        *now = !mine;
        drop(now);
        turn.1.notify_one();
        latencies.stop(start);
    }
    latencies.into_times()
}

fn hand_over(rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new((Mutex::new(false), Condvar::new()));
    let shared = turn.clone();
    let second = spawn(move || pass(&shared, true, rounds, NEVER));
    let times = pass(&turn, false, rounds, every);
    join(second);
    times
}

/// Each coroutine takes a permit and holds it over `hold`, `each` times; times how long one in `every` takes to
/// get.
fn semaphore(
    tasks: u64,
    each: u64,
    every: u64,
    hold: impl Fn() + Clone + Send + 'static,
) -> Vec<Duration> {
    let semaphore = Arc::new(Semphore::new(PERMITS));
    let results = together(tasks, move || {
        let (mut held, mut latencies) = (0, Latencies::new(every, each));
        for _ in 0..each {
            let start = latencies.start();
            semaphore.wait();
            latencies.stop(start);
            held = black_box(held + 1);
            hold();
            semaphore.post();
        }
        (held, latencies.into_times())
    });
    let (held, times): (Vec<u64>, Vec<_>) = results.into_iter().unzip();
    assert_eq!(held.iter().sum::<u64>(), tasks * each, "permits");
    times.concat()
}

fn oneshot(count: u64) {
    let mut sum = 0;
    for message in 0..count {
        let (sender, receiver) = mpsc::channel();
        sender.send(message).expect("the receiver is here");
        sum += receiver.recv().expect("a message is there");
    }
    check_sum(sum, count);
}

fn reply(count: u64, every: u64) -> Vec<Duration> {
    let (requests, requested) = mpsc::channel::<(u64, mpsc::Sender<u64>)>();
    let server = spawn(move || {
        for (message, reply) in requested.iter() {
            reply.send(message).expect("the client waits");
        }
    });
    let (mut sum, mut latencies) = (0, Latencies::new(every, count));
    for message in 0..count {
        let start = latencies.start();
        let (reply, replied) = mpsc::channel();
        requests.send((message, reply)).expect("the server listens");
        sum += replied.recv().expect("the server replies");
        latencies.stop(start);
    }
    check_sum(sum, count);
    drop(requests);
    join(server);
    latencies.into_times()
}
