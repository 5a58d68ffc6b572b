//! A pipeline of bounded buffers: a source, a pool that shares one receiver, a stage that brings the results back
//! into order, and a sink that answers at the end.

use std::collections::BTreeMap;

use super::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use super::sync::{Arc, LazyLock, Mutex};
use super::thread;

const ITEMS: u64 = 400;

static PRIMES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let prime = |n: &u64| {
        (2..*n)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    (2..100).filter(prime).collect()
});

fn source(out: SyncSender<(u64, String)>) {
    for n in 0..ITEMS {
        out.send((n, format!("{n:04}"))).unwrap();
    }
}

/// Takes the next item under the lock, and holds it while it waits: the others wait for the lock.
fn worker(items: &Mutex<Receiver<(u64, String)>>, out: &SyncSender<(u64, u64)>) -> usize {
    let mut done = 0;
    loop {
        let next = items.lock().unwrap().recv();
        let Ok((number, text)) = next else {
            return done;
        };
        let value: u64 = text.bytes().map(|byte| u64::from(byte - b'0')).sum();
        if number.is_multiple_of(16) {
            thread::yield_now();
        }
        out.send((number, value)).unwrap();
        done += 1;
    }
}

fn in_order(items: &Receiver<(u64, u64)>, out: &Sender<u64>) {
    let (mut next, mut early) = (0, BTreeMap::new());
    for (number, value) in items {
        early.insert(number, value);
        while let Some(value) = early.remove(&next) {
            out.send(value).unwrap();
            next += 1;
        }
    }
    assert!(early.is_empty());
}

pub fn run() -> String {
    let (items_tx, items) = sync_channel(2);
    let (results_tx, results) = sync_channel(0);
    let (ordered_tx, ordered) = channel();
    let items = Arc::new(Mutex::new(items));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (items, out) = (Arc::clone(&items), results_tx.clone());
            thread::spawn(move || worker(&items, &out))
        })
        .collect();
    drop(results_tx);
    let sorter = thread::spawn(move || in_order(&results, &ordered_tx));
    let sink = thread::spawn(move || {
        let digits: Vec<u64> = ordered.iter().collect();
        let primes = digits.iter().filter(|value| PRIMES.contains(value)).count();
        (digits.len(), digits.iter().sum::<u64>(), primes)
    });
    let first = thread::spawn(move || source(items_tx));
    first.join().unwrap();
    let done: usize = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    sorter.join().unwrap();
    assert_eq!(done, ITEMS as usize);
    format!("{:?}", sink.join().unwrap())
}
