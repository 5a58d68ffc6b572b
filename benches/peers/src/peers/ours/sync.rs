//! The sync suite by this library: its channels and locks. Everything is measured inside a fiber.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use fibers::channel::{Receiver, Sender, bounded, select, unbounded};
use fibers::sync::{Condvar, Mutex, RwLock, Semaphore, mpsc};

use super::join;
use crate::latency::{Latencies, NEVER};
use crate::sample::Sample;
use crate::section::{
    CAPACITY, CONSUMERS, PERMITS, PRODUCERS, READY, Section, WRITE_EVERY, check_sum, messages,
    steps,
};
use crate::workloads::Workload;

/// How long one fiber of `ping_pong_apart` waits for another worker to take the other.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs a workload, if it is of this suite.
pub(super) fn run(workload: Workload, size: u64) -> Option<Sample> {
    let (tasks, every) = (workload.tasks(size), workload.sampling(size));
    let sample = match workload {
        Workload::Chan1 => Sample::warmed(size, |rounds| ping_pong(1, rounds)),
        Workload::Chan1Apart => {
            ping_pong_apart(size / 10, every);
            let (took, times) = ping_pong_apart(size, every);
            Sample::new(took, size).with_quantiles(times)
        }
        Workload::Chan0 => Sample::warmed(size, |rounds| ping_pong(0, rounds)),
        Workload::Mpsc100 => Sample::warmed(size, mpsc_bounded),
        Workload::Mpsc => Sample::warmed(size, mpsc_unbounded),
        Workload::Mpmc100 => Sample::warmed(size, |count| mpmc(bounded(CAPACITY), count)),
        Workload::Mpmc => Sample::warmed(size, |count| mpmc(unbounded(), count)),
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
            semaphore(tasks, size / tasks, every, || fibers::yield_now())
        }),
        Workload::Select8Send => Sample::warmed(size, select_ready),
        Workload::Oneshot => Sample::warmed(size, oneshot),
        Workload::Reply => Sample::observed(size, |count| reply(count, every)),
        _ => return None,
    };
    Some(sample)
}

/// The first party of a ping-pong, which times one round in `every`.
fn serve(ping: &Sender<u64>, ponged: &Receiver<u64>, rounds: u64, every: u64) -> Vec<Duration> {
    let mut latencies = Latencies::new(every, rounds);
    for round in 0..rounds {
        let start = latencies.start();
        ping.send(round).expect("the second fiber listens");
        assert_eq!(ponged.recv(), Ok(round));
        latencies.stop(start);
    }
    latencies.into_times()
}

/// The second party: gives back what it gets.
fn answer(pinged: Receiver<u64>, pong: Sender<u64>) {
    for value in pinged {
        pong.send(value).expect("the first fiber listens");
    }
}

fn ping_pong(capacity: usize, rounds: u64) {
    let (ping, pinged) = bounded(capacity);
    let (pong, ponged) = bounded(capacity);
    let second = fibers::spawn(move || answer(pinged, pong));
    serve(&ping, &ponged, rounds, NEVER);
    drop(ping);
    join(second);
}

/// A fiber stays where it started: each of the two holds its worker until the other has started.
/// Returns the time from there to the end of the last round, and those of some of the rounds.
fn ping_pong_apart(rounds: u64, every: u64) -> (Duration, Vec<Duration>) {
    let (ping, pinged) = bounded(1);
    let (pong, ponged) = bounded(1);
    let started = AtomicU32::new(0);
    let meet = || -> ThreadId {
        let deadline = Instant::now() + PATIENCE;
        started.fetch_add(1, Ordering::Relaxed); // a sign of life, nothing is published
        while started.load(Ordering::Relaxed) < 2 {
            assert!(Instant::now() < deadline, "no other worker took a fiber");
            std::hint::spin_loop();
        }
        std::thread::current().id()
    };
    let (took, times, first, second) = fibers::scope(|scope| {
        let second = scope.spawn(|| {
            let home = meet();
            answer(pinged, pong);
            home
        });
        let first = scope.spawn(|| {
            let home = meet();
            let start = Instant::now();
            let times = serve(&ping, &ponged, rounds, every);
            let took = start.elapsed();
            drop(ping);
            (took, times, home)
        });
        let (took, times, first) = first.join().expect("ping-pong does not panic");
        (
            took,
            times,
            first,
            second.join().expect("ping-pong does not panic"),
        )
    });
    assert_ne!(first, second, "both fibers are on one worker");
    (took, times)
}

fn mpsc_bounded(count: u64) {
    let (sender, receiver) = mpsc::sync_channel(CAPACITY);
    for producer in 0..PRODUCERS {
        let sender: mpsc::SyncSender<u64> = sender.clone();
        fibers::spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumer listens");
            }
        });
    }
    drop(sender);
    check_sum(receiver.iter().sum(), count);
}

fn mpsc_unbounded(count: u64) {
    let (sender, receiver) = mpsc::channel();
    for producer in 0..PRODUCERS {
        let sender: mpsc::Sender<u64> = sender.clone();
        fibers::spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumer listens");
            }
        });
    }
    drop(sender);
    check_sum(receiver.iter().sum(), count);
}

/// All producers send to all consumers.
fn mpmc((sender, receiver): (Sender<u64>, Receiver<u64>), count: u64) {
    for producer in 0..PRODUCERS {
        let sender = sender.clone();
        fibers::spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumers listen");
            }
        });
    }
    drop(sender);
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|_| receiver.clone())
        .map(|receiver| fibers::spawn(move || receiver.iter().sum::<u64>()))
        .collect();
    check_sum(consumers.into_iter().map(join).sum(), count);
}

/// Runs `work` in so many fibers.
fn together<T: Send>(tasks: u64, work: impl Fn() -> T + Copy + Send + Sync) -> Vec<T> {
    fibers::scope(|scope| {
        let handles: Vec<_> = (0..tasks).map(|_| scope.spawn(work)).collect();
        let results = handles.into_iter();
        results
            .map(|handle| handle.join().expect("nobody panics"))
            .collect()
    })
}

/// Each fiber enters the section `each` times, and times how long one lock in `every` takes to get.
fn mutex(tasks: u64, each: u64, steps: u64, every: u64) -> Vec<Duration> {
    let section = Mutex::new(Section::new());
    let times = together(tasks, || {
        let mut latencies = Latencies::new(every, each);
        for _ in 0..each {
            let start = latencies.start();
            let mut section = section.lock().expect("nobody panics");
            latencies.stop(start);
            section.enter(steps);
        }
        latencies.into_times()
    });
    section.lock().expect("nobody panics").check(tasks * each);
    times.concat()
}

fn rwlock(tasks: u64, each: u64) {
    let number = RwLock::new(0);
    let work = || {
        let mut sum: u64 = 0;
        for i in 1..=each {
            if i % WRITE_EVERY == 0 {
                *number.write().expect("nobody panics") += 1;
            } else {
                sum += *number.read().expect("nobody panics");
            }
        }
        black_box(sum);
    };
    fibers::scope(|scope| (0..tasks).for_each(|_| drop(scope.spawn(work))));
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
    let turn = (Mutex::new(false), Condvar::new());
    fibers::scope(|scope| {
        scope.spawn(|| pass(&turn, true, rounds, NEVER));
        pass(&turn, false, rounds, every)
    })
}

/// Each fiber takes a permit and holds it over `hold`, `each` times; times how long one in `every` takes to get.
#[inline(always)]
fn semaphore(
    tasks: u64,
    each: u64,
    every: u64,
    hold: impl Fn() + Copy + Send + Sync,
) -> Vec<Duration> {
    let semaphore = Semaphore::new(PERMITS);
    let work = || {
        let (mut held, mut latencies) = (0, Latencies::new(every, each));
        for _ in 0..each {
            let start = latencies.start();
            let permit = semaphore.acquire();
            latencies.stop(start);
            held = black_box(held + 1);
            hold();
            drop(permit);
        }
        (held, latencies.into_times())
    };
    let (held, times): (Vec<u64>, Vec<_>) = together(tasks, work).into_iter().unzip();
    assert_eq!(held.iter().sum::<u64>(), tasks * each, "permits");
    times.concat()
}

fn select_ready(count: u64) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..READY).map(|_| bounded::<usize>(1)).unzip();
    for (index, sender) in senders.iter().enumerate() {
        sender.send(index).expect("the receiver is here");
    }
    let r = receivers;
    for _ in 0..count {
        let (index, message) = select! {
            recv(r[0]) -> message => (0, message),
            recv(r[1]) -> message => (1, message),
            recv(r[2]) -> message => (2, message),
            recv(r[3]) -> message => (3, message),
            recv(r[4]) -> message => (4, message),
            recv(r[5]) -> message => (5, message),
            recv(r[6]) -> message => (6, message),
            recv(r[7]) -> message => (7, message),
        };
        assert_eq!(message, Ok(index));
        senders[index].send(index).expect("the receiver is here");
    }
}

fn oneshot(count: u64) {
    let mut sum = 0;
    for message in 0..count {
        let (sender, receiver) = bounded(1);
        sender.send(message).expect("the receiver is here");
        sum += receiver.recv().expect("a message is there");
    }
    check_sum(sum, count);
}

fn reply(count: u64, every: u64) -> Vec<Duration> {
    let (requests, requested) = bounded::<(u64, Sender<u64>)>(1);
    let server = fibers::spawn(move || {
        for (message, reply) in requested {
            reply.send(message).expect("the client waits");
        }
    });
    let (mut sum, mut latencies) = (0, Latencies::new(every, count));
    for message in 0..count {
        let start = latencies.start();
        let (reply, replied) = bounded(1);
        requests.send((message, reply)).expect("the server listens");
        sum += replied.recv().expect("the server replies");
        latencies.stop(start);
    }
    check_sum(sum, count);
    drop(requests);
    join(server);
    latencies.into_times()
}
