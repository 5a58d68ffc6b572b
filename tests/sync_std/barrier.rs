//! Promises of std's `Barrier`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::sync::{Arc, Barrier, BarrierWaitResult};
use super::thread;

pub fn one_of_all_leads() {
    const N: usize = 10;
    let barrier = Arc::new(Barrier::new(N));
    let handles: Vec<_> = (0..N)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.wait().is_leader())
        })
        .collect();
    let leaders = handles.into_iter().map(|handle| handle.join().unwrap());
    assert_eq!(leaders.filter(|leads| *leads).count(), 1);
}

pub fn nobody_goes_on_before_the_last_has_come() {
    const N: usize = 4;
    let (barrier, arrived) = (Barrier::new(N), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..N {
            s.spawn(|| {
                arrived.fetch_add(1, Ordering::Relaxed);
                barrier.wait();
                assert_eq!(arrived.load(Ordering::Relaxed), N);
            });
        }
    });
}

pub fn it_is_used_again_and_again() {
    const N: usize = 5;
    const ROUNDS: usize = 50;
    let barrier = Barrier::new(N);
    let (rounds, leaders) = ([const { AtomicUsize::new(0) }; ROUNDS], AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..N {
            s.spawn(|| {
                for round in &rounds {
                    round.fetch_add(1, Ordering::Relaxed);
                    if barrier.wait().is_leader() {
                        leaders.fetch_add(1, Ordering::Relaxed);
                    }
                    assert_eq!(round.load(Ordering::Relaxed), N);
                }
            });
        }
    });
    assert_eq!(leaders.into_inner(), ROUNDS);
}

pub fn more_than_the_number_wait_for_the_next_turn() {
    let (barrier, leaders) = (Barrier::new(3), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..12 {
            s.spawn(|| {
                if barrier.wait().is_leader() {
                    leaders.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(leaders.into_inner(), 4);
}

pub fn of_one_and_of_none() {
    for n in [0, 1] {
        let barrier = Barrier::new(n);
        for _ in 0..3 {
            assert!(barrier.wait().is_leader());
        }
    }
}

pub fn made_and_shown() -> Vec<String> {
    static BARRIER: Barrier = Barrier::new(2);
    let other = thread::spawn(|| BARRIER.wait());
    let mine: BarrierWaitResult = BARRIER.wait();
    let theirs = other.join().unwrap();
    assert_ne!(mine.is_leader(), theirs.is_leader());
    let mut said = vec![format!("{mine:?}"), format!("{theirs:?}")];
    said.sort();
    said.push(format!("{BARRIER:?}"));
    said
}
