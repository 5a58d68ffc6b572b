//! The sync suite by tokio. Everything is measured inside a spawned task.
//!
//! It has no channel without capacity, none with several receivers that share the messages, and no
//! condition variable: `Notify` stands in for that.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::select;
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;

use crate::latency::{Latencies, NEVER};
use crate::sample::Sample;
use crate::section::{
    CAPACITY, PERMITS, PRODUCERS, READY, Section, WRITE_EVERY, check_sum, messages, steps,
};
use crate::workloads::Workload;

/// Runs a workload, if tokio can do it.
pub(super) async fn run(workload: Workload, size: u64) -> Option<Sample> {
    let (tasks, every) = (workload.tasks(size), workload.sampling(size));
    let sample = match workload {
        Workload::Chan1 => warmed(size, ping_pong).await,
        Workload::Mpsc100 => warmed(size, mpsc_bounded).await,
        Workload::Mpsc => warmed(size, mpsc_unbounded).await,
        Workload::Mutex1
        | Workload::Mutex8
        | Workload::Mutex64
        | Workload::Mutex8Long
        | Workload::Mutex64Long => {
            let steps = steps(workload);
            observed(size, |size| mutex(tasks, size / tasks, steps, every)).await
        }
        Workload::RwLock => warmed(size, |size| rwlock(tasks, size / tasks)).await,
        Workload::Condvar => observed(size, |rounds| hand_over(rounds, every)).await,
        Workload::Semaphore => {
            let nothing = || async {};
            observed(size, |size| semaphore(tasks, size / tasks, every, nothing)).await
        }
        Workload::SemaphoreYield => {
            let work = |size| semaphore(tasks, size / tasks, every, yield_now);
            observed(size, work).await
        }
        Workload::Select8Send => warmed(size, select_ready).await,
        Workload::Oneshot => warmed(size, oneshots).await,
        Workload::Reply => observed(size, |count| reply(count, every)).await,
        _ => return None,
    };
    Some(sample)
}

/// Runs a tenth of `work(ops)` to warm up, then times all of it.
async fn warmed<W: Future<Output = ()>>(ops: u64, work: impl Fn(u64) -> W) -> Sample {
    work(ops / 10).await;
    let start = Instant::now();
    work(ops).await;
    Sample::new(start.elapsed(), ops)
}

/// The same, beside the quantiles of the single operations that `work` has timed.
async fn observed<W>(ops: u64, work: impl Fn(u64) -> W) -> Sample
where
    W: Future<Output = Vec<Duration>>,
{
    work(ops / 10).await;
    let start = Instant::now();
    let times = work(ops).await;
    Sample::new(start.elapsed(), ops).with_quantiles(times)
}

/// Runs `work` in so many tasks.
async fn together<W>(tasks: u64, work: impl Fn() -> W) -> Vec<W::Output>
where
    W: Future<Output: Send> + Send + 'static,
{
    let handles: Vec<_> = (0..tasks).map(|_| tokio::spawn(work())).collect();
    let mut results = Vec::new();
    for handle in handles {
        results.push(handle.await.expect("nobody panics"));
    }
    results
}

async fn ping_pong(rounds: u64) {
    let (ping, mut pinged) = mpsc::channel::<u64>(1);
    let (pong, mut ponged) = mpsc::channel(1);
    let second = tokio::spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).await.expect("the first task listens");
        }
    });
    for round in 0..rounds {
        ping.send(round).await.expect("the second task listens");
        assert_eq!(ponged.recv().await, Some(round));
    }
    drop(ping);
    second.await.expect("ping-pong does not panic");
}

async fn mpsc_bounded(count: u64) {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    for producer in 0..PRODUCERS {
        let sender = sender.clone();
        tokio::spawn(async move {
            for message in messages(producer, count) {
                sender.send(message).await.expect("the consumer listens");
            }
        });
    }
    drop(sender);
    let mut sum = 0;
    while let Some(message) = receiver.recv().await {
        sum += message;
    }
    check_sum(sum, count);
}

async fn mpsc_unbounded(count: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for producer in 0..PRODUCERS {
        let sender = sender.clone();
        tokio::spawn(async move {
            for message in messages(producer, count) {
                sender.send(message).expect("the consumer listens");
            }
        });
    }
    drop(sender);
    let mut sum = 0;
    while let Some(message) = receiver.recv().await {
        sum += message;
    }
    check_sum(sum, count);
}

/// Each task enters the section `each` times, and times how long one lock in `every` takes to get.
async fn mutex(tasks: u64, each: u64, steps: u64, every: u64) -> Vec<Duration> {
    let section = Arc::new(Mutex::new(Section::new()));
    let work = || {
        let section = section.clone();
        async move {
            let mut latencies = Latencies::new(every, each);
            for _ in 0..each {
                let start = latencies.start();
                let mut section = section.lock().await;
                latencies.stop(start);
                section.enter(steps);
            }
            latencies.into_times()
        }
    };
    let times = together(tasks, work).await;
    section.lock().await.check(tasks * each);
    times.concat()
}

async fn rwlock(tasks: u64, each: u64) {
    let number = Arc::new(RwLock::new(0));
    let work = || {
        let number = number.clone();
        async move {
            let mut sum: u64 = 0;
            for i in 1..=each {
                if i % WRITE_EVERY == 0 {
                    *number.write().await += 1;
                } else {
                    sum += *number.read().await;
                }
            }
            sum
        }
    };
    black_box(together(tasks, work).await);
    let written = *number.read().await;
    assert_eq!(written, tasks * (each / WRITE_EVERY), "writes");
}

/// Waits for the turn `mine` and gives it to the other party, `rounds` times; times one in `every`.
async fn pass(
    turn: Arc<(Mutex<bool>, Notify)>,
    mine: bool,
    rounds: u64,
    every: u64,
) -> Vec<Duration> {
    let mut latencies = Latencies::new(every, rounds);
    for _ in 0..rounds {
        let start = latencies.start();
        let mut now = turn.0.lock().await;
        while *now != mine {
            // Enlisted before the lock is let go, as a condition variable does it: otherwise the
            // other party might take back the permit that it has left for us.
            let mut notified = pin!(turn.1.notified());
            notified.as_mut().enable();
            drop(now);
            notified.await;
            now = turn.0.lock().await;
        }
        *now = !mine;
        drop(now);
        turn.1.notify_one();
        latencies.stop(start);
    }
    latencies.into_times()
}

async fn hand_over(rounds: u64, every: u64) -> Vec<Duration> {
    let turn = Arc::new((Mutex::new(false), Notify::new()));
    let second = tokio::spawn(pass(turn.clone(), true, rounds, NEVER));
    let times = pass(turn, false, rounds, every).await;
    second.await.expect("nobody panics");
    times
}

/// Each task takes a permit and holds it over `hold`, `each` times; times how long one in `every` takes to get.
async fn semaphore<H, F>(tasks: u64, each: u64, every: u64, hold: H) -> Vec<Duration>
where
    H: Fn() -> F + Copy + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let semaphore = Arc::new(Semaphore::new(PERMITS));
    let work = || {
        let semaphore = semaphore.clone();
        async move {
            let (mut held, mut latencies) = (0, Latencies::new(every, each));
            for _ in 0..each {
                let start = latencies.start();
                let permit = semaphore.acquire().await.expect("nobody closes it");
                latencies.stop(start);
                held = black_box(held + 1);
                hold().await;
                drop(permit);
            }
            (held, latencies.into_times())
        }
    };
    let results = together(tasks, work).await;
    let (held, times): (Vec<u64>, Vec<_>) = results.into_iter().unzip();
    assert_eq!(held.iter().sum::<u64>(), tasks * each, "permits");
    times.concat()
}

async fn select_ready(count: u64) {
    let (senders, mut receivers): (Vec<_>, Vec<_>) =
        (0..READY).map(|_| mpsc::channel::<usize>(1)).unzip();
    for (index, sender) in senders.iter().enumerate() {
        sender.send(index).await.expect("the receiver is here");
    }
    let [r0, r1, r2, r3, r4, r5, r6, r7] = &mut receivers[..] else {
        unreachable!("there are {READY} of them")
    };
    for _ in 0..count {
        let (index, message) = select! {
            message = r0.recv() => (0, message),
            message = r1.recv() => (1, message),
            message = r2.recv() => (2, message),
            message = r3.recv() => (3, message),
            message = r4.recv() => (4, message),
            message = r5.recv() => (5, message),
            message = r6.recv() => (6, message),
            message = r7.recv() => (7, message),
        };
        assert_eq!(message, Some(index));
        let sent = senders[index].send(index).await;
        sent.expect("the receiver is here");
    }
}

async fn oneshots(count: u64) {
    let mut sum = 0;
    for message in 0..count {
        let (sender, receiver) = oneshot::channel();
        sender.send(message).expect("the receiver is here");
        sum += receiver.await.expect("a message is there");
    }
    check_sum(sum, count);
}

async fn reply(count: u64, every: u64) -> Vec<Duration> {
    let (requests, mut requested) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(1);
    let server = tokio::spawn(async move {
        while let Some((message, reply)) = requested.recv().await {
            reply.send(message).expect("the client waits");
        }
    });
    let (mut sum, mut latencies) = (0, Latencies::new(every, count));
    for message in 0..count {
        let start = latencies.start();
        let (reply, replied) = oneshot::channel();
        let request = requests.send((message, reply)).await;
        request.expect("the server listens");
        sum += replied.await.expect("the server replies");
        latencies.stop(start);
    }
    check_sum(sum, count);
    drop(requests);
    server.await.expect("the server does not panic");
    latencies.into_times()
}
