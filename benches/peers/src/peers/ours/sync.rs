//! The sync suite by this library: its channels and locks. Everything is measured inside a fiber.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use fibers::channel::{Receiver, Sender, bounded, select, unbounded};
use fibers::sync::{Condvar, Mutex, RwLock, Semaphore, mpsc};

use super::join;
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
    let tasks = workload.tasks(size);
    let sample = match workload {
        Workload::Chan1 => Sample::warmed(size, |rounds| ping_pong(1, rounds)),
        Workload::Chan1Apart => {
            ping_pong_apart(size / 10);
            Sample::new(ping_pong_apart(size), size)
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
            Sample::warmed(size, |size| mutex(tasks, size / tasks, steps))
        }
        Workload::RwLock => Sample::warmed(size, |size| rwlock(tasks, size / tasks)),
        Workload::Condvar => Sample::warmed(size, hand_over),
        Workload::Semaphore => Sample::warmed(size, |size| semaphore(tasks, size / tasks, || {})),
        Workload::SemaphoreYield => Sample::warmed(size, |size| {
            semaphore(tasks, size / tasks, || fibers::yield_now())
        }),
        Workload::Select8Send => Sample::warmed(size, select_ready),
        Workload::Oneshot => Sample::warmed(size, oneshot),
        Workload::Reply => Sample::warmed(size, reply),
        _ => return None,
    };
    Some(sample)
}

/// The first party of a ping-pong.
fn serve(ping: &Sender<u64>, ponged: &Receiver<u64>, rounds: u64) {
    for round in 0..rounds {
        ping.send(round).expect("the second fiber listens");
        assert_eq!(ponged.recv(), Ok(round));
    }
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
    serve(&ping, &ponged, rounds);
    drop(ping);
    join(second);
}

/// A fiber stays where it started: each of the two holds its worker until the other has started.
/// Returns the time from there to the end of the last round.
fn ping_pong_apart(rounds: u64) -> Duration {
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
    let (took, first, second) = fibers::scope(|scope| {
        let second = scope.spawn(|| {
            let home = meet();
            answer(pinged, pong);
            home
        });
        let first = scope.spawn(|| {
            let home = meet();
            let start = Instant::now();
            serve(&ping, &ponged, rounds);
            let took = start.elapsed();
            drop(ping);
            (took, home)
        });
        let (took, first) = first.join().expect("ping-pong does not panic");
        (
            took,
            first,
            second.join().expect("ping-pong does not panic"),
        )
    });
    assert_ne!(first, second, "both fibers are on one worker");
    took
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

fn mutex(tasks: u64, each: u64, steps: u64) {
    let section = Mutex::new(Section::new());
    fibers::scope(|scope| {
        for _ in 0..tasks {
            scope.spawn(|| {
                for _ in 0..each {
                    section.lock().expect("nobody panics").enter(steps);
                }
            });
        }
    });
    section.lock().expect("nobody panics").check(tasks * each);
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

/// Waits for the turn `mine` and gives it to the other party, `rounds` times.
fn pass(turn: &(Mutex<bool>, Condvar), mine: bool, rounds: u64) {
    for _ in 0..rounds {
        let mut now = turn.0.lock().expect("nobody panics");
        while *now != mine {
            now = turn.1.wait(now).expect("nobody panics");
        }
        *now = !mine;
        drop(now);
        turn.1.notify_one();
    }
}

fn hand_over(rounds: u64) {
    let turn = (Mutex::new(false), Condvar::new());
    fibers::scope(|scope| {
        scope.spawn(|| pass(&turn, true, rounds));
        pass(&turn, false, rounds);
    });
}

/// Each task takes a permit and holds it over `hold`, `each` times.
#[inline(always)]
fn semaphore(tasks: u64, each: u64, hold: impl Fn() + Copy + Send + Sync) {
    let semaphore = Semaphore::new(PERMITS);
    let work = || {
        let mut held = 0;
        for _ in 0..each {
            let permit = semaphore.acquire();
            held = black_box(held + 1);
            hold();
            drop(permit);
        }
        held
    };
    let held: u64 = fibers::scope(|scope| {
        let handles: Vec<_> = (0..tasks).map(|_| scope.spawn(work)).collect();
        let held = handles.into_iter();
        held.map(|handle| handle.join().expect("nobody panics"))
            .sum()
    });
    assert_eq!(held, tasks * each, "permits");
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

fn reply(count: u64) {
    let (requests, requested) = bounded::<(u64, Sender<u64>)>(1);
    let server = fibers::spawn(move || {
        for (message, reply) in requested {
            reply.send(message).expect("the client waits");
        }
    });
    let mut sum = 0;
    for message in 0..count {
        let (reply, replied) = bounded(1);
        requests.send((message, reply)).expect("the server listens");
        sum += replied.recv().expect("the server replies");
    }
    check_sum(sum, count);
    drop(requests);
    join(server);
}
