//! The sync suite by std: its own channels and locks, a thread for each task.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Condvar, Mutex, RwLock};
use std::thread;
use std::time::Duration;

use crate::latency::{Latencies, NEVER};
use crate::sample::Sample;
use crate::section::{CAPACITY, PRODUCERS, Section, WRITE_EVERY, check_sum, messages, steps};
use crate::workloads::{Job, Workload};

/// Runs a workload, if std can do it.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (workload, size) = (job.workload, job.size);
    let (tasks, every) = (workload.tasks(size), workload.sampling(size));
    let sample = match workload {
        Workload::Chan1 => Sample::warmed(size, |rounds| ping_pong(1, rounds)),
        Workload::Chan0 => Sample::warmed(size, |rounds| ping_pong(0, rounds)),
        Workload::Mpsc100 => Sample::warmed(size, bounded),
        Workload::Mpsc => Sample::warmed(size, unbounded),
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
        Workload::Oneshot => Sample::warmed(size, oneshot),
        Workload::Reply => Sample::observed(size, |count| reply(count, every)),
        _ => return None,
    };
    Some(sample)
}

fn ping_pong(capacity: usize, rounds: u64) {
    let (ping, pinged) = sync_channel::<u64>(capacity);
    let (pong, ponged) = sync_channel(capacity);
    let second = thread::spawn(move || {
        for value in pinged {
            pong.send(value).expect("the first thread listens");
        }
    });
    for round in 0..rounds {
        ping.send(round).expect("the second thread listens");
        assert_eq!(ponged.recv(), Ok(round));
    }
    drop(ping);
    second.join().expect("ping-pong does not panic");
}

fn bounded(count: u64) {
    let (sender, receiver) = sync_channel(CAPACITY);
    for producer in 0..PRODUCERS {
        let sender: SyncSender<u64> = sender.clone();
        thread::spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumer listens");
            }
        });
    }
    drop(sender);
    consume(receiver, count);
}

fn unbounded(count: u64) {
    let (sender, receiver) = channel();
    for producer in 0..PRODUCERS {
        let sender: Sender<u64> = sender.clone();
        thread::spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumer listens");
            }
        });
    }
    drop(sender);
    consume(receiver, count);
}

/// Receives until all senders are gone.
fn consume(receiver: Receiver<u64>, count: u64) {
    check_sum(receiver.iter().sum(), count);
}

/// Each thread enters the section `each` times, and times how long one lock in `every` takes to get.
fn mutex(tasks: u64, each: u64, steps: u64, every: u64) -> Vec<Duration> {
    let section = Mutex::new(Section::new());
    let work = || {
        let mut latencies = Latencies::new(every, each);
        for _ in 0..each {
            let start = latencies.start();
            let mut section = section.lock().expect("nobody panics");
            latencies.stop(start);
            section.enter(steps);
        }
        latencies.into_times()
    };
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks).map(|_| scope.spawn(work)).collect();
        let times = threads.into_iter();
        times
            .flat_map(|thread| thread.join().expect("nobody panics"))
            .collect()
    });
    section.lock().expect("nobody panics").check(tasks * each);
    times
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
    thread::scope(|scope| (0..tasks).for_each(|_| drop(scope.spawn(work))));
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
    thread::scope(|scope| {
        scope.spawn(|| pass(&turn, true, rounds, NEVER));
        pass(&turn, false, rounds, every)
    })
}

fn oneshot(count: u64) {
    let mut sum = 0;
    for message in 0..count {
        let (sender, receiver) = sync_channel(1);
        sender.send(message).expect("the receiver is here");
        sum += receiver.recv().expect("a message is there");
    }
    check_sum(sum, count);
}

fn reply(count: u64, every: u64) -> Vec<Duration> {
    let (requests, requested) = sync_channel::<(u64, SyncSender<u64>)>(1);
    let server = thread::spawn(move || {
        for (message, reply) in requested {
            reply.send(message).expect("the client waits");
        }
    });
    let (mut sum, mut latencies) = (0, Latencies::new(every, count));
    for message in 0..count {
        let start = latencies.start();
        let (reply, replied) = sync_channel(1);
        requests.send((message, reply)).expect("the server listens");
        sum += replied.recv().expect("the server replies");
        latencies.stop(start);
    }
    check_sum(sum, count);
    drop(requests);
    server.join().expect("the server does not panic");
    latencies.into_times()
}
