//! crossbeam-channel: the yardstick for channels and select. A thread for each task.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};

use crate::latency::Latencies;
use crate::sample::Sample;
use crate::section::{CAPACITY, CONSUMERS, PRODUCERS, READY, check_sum, messages};
use crate::workloads::{Job, Workload};

/// Runs `job`, if it is about channels. The number of workers has no meaning here.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (size, every) = (job.size, job.workload.sampling(job.size));
    let sample = match job.workload {
        Workload::Chan1 => Sample::warmed(size, |rounds| ping_pong(1, rounds)),
        Workload::Chan0 => Sample::warmed(size, |rounds| ping_pong(0, rounds)),
        Workload::Mpsc100 => Sample::warmed(size, |count| flood(bounded(CAPACITY), 1, count)),
        Workload::Mpsc => Sample::warmed(size, |count| flood(unbounded(), 1, count)),
        Workload::Mpmc100 => {
            Sample::warmed(size, |count| flood(bounded(CAPACITY), CONSUMERS, count))
        }
        Workload::Mpmc => Sample::warmed(size, |count| flood(unbounded(), CONSUMERS, count)),
        Workload::Select8Send => Sample::warmed(size, select_ready),
        Workload::Oneshot => Sample::warmed(size, oneshot),
        Workload::Reply => Sample::observed(size, |count| reply(count, every)),
        _ => return None,
    };
    Some(sample)
}

fn ping_pong(capacity: usize, rounds: u64) {
    let (ping, pinged) = bounded::<u64>(capacity);
    let (pong, ponged) = bounded(capacity);
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

/// All producers send to `consumers`; this thread is the first of them.
fn flood((sender, receiver): (Sender<u64>, Receiver<u64>), consumers: u64, count: u64) {
    for producer in 0..PRODUCERS {
        let sender = sender.clone();
        thread::spawn(move || {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumers listen");
            }
        });
    }
    drop(sender);
    let consume = |receiver: Receiver<u64>| receiver.iter().sum::<u64>();
    let others: Vec<_> = (1..consumers)
        .map(|_| receiver.clone())
        .map(|receiver| thread::spawn(move || consume(receiver)))
        .collect();
    let mut sum = consume(receiver);
    for other in others {
        sum += other.join().expect("a consumer does not panic");
    }
    check_sum(sum, count);
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
    let server = thread::spawn(move || {
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
    server.join().expect("the server does not panic");
    latencies.into_times()
}
