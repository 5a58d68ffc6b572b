//! Switching, spawning, waking, calling.

#![allow(
    clippy::redundant_closure,
    reason = "`|| fibers::park()` is inlined into the loop, as users' calls are"
)]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use fibers::Fiber;
use fibers::sync::WaitGroup;

use super::end;

/// How many handles `spawn_many` holds before it joins them.
const MANY: u64 = 1_000;
/// How many fibers `wake_from_thread` wakes each time that its threads take turns.
const WOKEN: u64 = 100;

/// One switch away and back, by one of two fibers.
pub(super) fn yields(operations: u64) {
    let each = operations / 2;
    let other = fibers::spawn(move || (0..each).for_each(|_| fibers::yield_now()));
    (0..each).for_each(|_| fibers::yield_now());
    end(other);
}

/// A round trip of two fibers that park and unpark each other.
pub(super) fn ping_pong(operations: u64) {
    let first = fibers::current();
    let second = fibers::spawn(move || {
        for _ in 0..operations {
            fibers::park();
            first.unpark();
        }
    });
    for _ in 0..operations {
        second.fiber().unpark();
        fibers::park();
    }
    end(second);
}

/// A fiber made, run and joined, one at a time.
pub(super) fn spawn_join(operations: u64) {
    let sum: u64 = (0..operations).map(|i| end(fibers::spawn(move || i))).sum();
    assert_eq!(sum, sum_below(operations));
}

/// The same, but all are made before the first is joined.
pub(super) fn spawn_many(operations: u64) {
    let mut sum = 0;
    for _ in 0..operations / MANY {
        let handles: Vec<_> = (0..MANY).map(|i| fibers::spawn(move || i)).collect();
        sum += handles.into_iter().map(end).sum::<u64>();
    }
    assert_eq!(sum, operations / MANY * sum_below(MANY));
}

/// `join(a, b)` of two closures that do nothing.
pub(super) fn fork_join(operations: u64) {
    let pair = |i| fibers::join(|| black_box(i), || black_box(1));
    let sum: u64 = (0..operations)
        .map(|i| pair(i))
        .map(|(i, one)| i + one)
        .sum();
    assert_eq!(sum, sum_below(operations) + operations);
}

/// A parked fiber is woken by an OS thread, runs, and parks again. Both sides are counted; the worker does not
/// sleep meanwhile, so nobody calls a futex for it.
///
/// The thread and the worker take turns, a hundred wakes in each: so it is always the same of them that waits.
pub(super) fn wake_from_thread(operations: u64) {
    let (rounds, woken) = (operations / WOKEN, Arc::new(AtomicU64::new(0)));
    let started = WaitGroup::new();
    let fibers: Vec<_> = (0..WOKEN)
        .map(|_| {
            let (woken, started) = (Arc::clone(&woken), started.clone());
            fibers::spawn(move || {
                drop(started);
                for _ in 0..rounds {
                    fibers::park();
                    woken.fetch_add(1, Ordering::Relaxed); // a count, nothing is published
                }
            })
        })
        .collect();
    started.wait(); // on one worker: until all are parked
    let targets: Vec<Fiber> = fibers.iter().map(|handle| handle.fiber().clone()).collect();
    let turn = Arc::new(AtomicBool::new(false));
    let (mine, worker) = (Arc::clone(&turn), thread::current());
    let waker = thread::spawn(move || {
        for _ in 0..rounds {
            take_turn(&mine, true);
            targets.iter().for_each(Fiber::unpark);
            pass_turn(&mine, false, &worker);
        }
    });
    for round in 1..=rounds {
        pass_turn(&turn, true, waker.thread());
        take_turn(&turn, false); // with its fiber, the whole worker waits
        while woken.load(Ordering::Relaxed) < round * WOKEN {
            fibers::yield_now();
        }
    }
    waker.join().expect("no path panics");
    fibers.into_iter().for_each(end);
}

fn take_turn(turn: &AtomicBool, mine: bool) {
    while turn.load(Ordering::Acquire) != mine {
        thread::park();
    }
}

fn pass_turn(turn: &AtomicBool, to: bool, whose: &thread::Thread) {
    turn.store(to, Ordering::Release);
    whose.unpark();
}

/// A closure sent to a fiber that is parked, run there, and its result waited for.
pub(super) fn call(operations: u64) {
    let ends = Arc::new(AtomicBool::new(false));
    let server = fibers::spawn({
        let ends = Arc::clone(&ends);
        move || {
            while !ends.load(Ordering::Relaxed) {
                fibers::park();
            }
        }
    });
    let call = |i| server.fiber().call(move || i).expect("it is alive");
    let sum: u64 = (0..operations)
        .map(|i| call(i).wait().expect("no path panics"))
        .sum();
    assert_eq!(sum, sum_below(operations));
    // Relaxed: on one worker.
    ends.store(true, Ordering::Relaxed);
    server.fiber().unpark();
    end(server);
}

fibers::fiber_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// A fiber-local value is changed in place.
pub(super) fn fiber_local(operations: u64) {
    for _ in 0..operations {
        COUNT.with(|count| count.set(black_box(count.get() + 1)));
    }
    assert_eq!(COUNT.get(), operations);
}

fn sum_below(n: u64) -> u64 {
    n * (n - 1) / 2
}
