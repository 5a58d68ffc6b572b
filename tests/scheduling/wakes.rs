//! What a wake costs, between two fibers, from one to many; and wakes over the border between two machines.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use crate::common::{Gate, Latch, Mode, Test, eventually, in_both_modes, scaled};
use fibers::Runtime;
use fibers::wait::{self, Reasons};

/// A switch takes no lock and no system call, in either mode.
#[test]
fn two_fibers_that_wake_each_other_take_no_lock() {
    in_both_modes(60, 4, |_, machine, mode| {
        let rounds = scaled(200_000, 10_000_000);
        let (before, after) = machine.run(move || {
            let first = fibers::current();
            let second = match mode {
                // On this very worker, whatever the thieves do: they take what has not started.
                Mode::Pinned => {
                    let first = first.clone();
                    let handle = fibers::spawn_local(move || ping(&first, rounds));
                    let fiber = handle.fiber().clone();
                    drop(handle);
                    fiber
                }
                Mode::Floating => {
                    let handle = fibers::spawn({
                        let first = first.clone();
                        move || ping(&first, rounds)
                    });
                    handle.fiber().clone()
                }
            };
            let handle = fibers::Handle::current().unwrap();
            // The first round, and the other workers' way to sleep, are not what we ask for.
            for _ in 0..100 {
                second.unpark();
                wait::sleep(Reasons::USER1);
            }
            let before = handle.metrics();
            for _ in 100..rounds {
                second.unpark();
                wait::sleep(Reasons::USER1);
            }
            (before, handle.metrics())
        });
        let switches = after.switches - before.switches;
        let locks = after.lock_acquisitions - before.lock_acquisitions;
        assert!(switches as usize >= rounds / 2, "{after:?}");
        let wakes = after.futex_wakes - before.futex_wakes;
        // Other workers may fall asleep meanwhile, once in a while. Where fibers float they may also take one of the two
        // over; whom it wakes from there it takes to itself, so then both are together again.
        assert!(
            locks * 100 <= switches,
            "{mode:?}: {locks} locks in {switches} switches"
        );
        assert!(
            wakes * 100 <= switches,
            "{mode:?}: {wakes} futex wakes in {switches} switches"
        );
    });
}

fn ping(other: &fibers::Fiber, rounds: usize) {
    for _ in 0..rounds {
        wait::sleep(Reasons::UNPARK);
        wait::wake(other, Reasons::USER1);
    }
}

/// All 64 are at home with the waker: no lock at all. With three in four elsewhere: not one lock for each.
#[test]
fn waking_many_costs_no_lock_for_each() {
    let test = Test::new(120);
    let machine = test.machine(Mode::Pinned, 1);
    let locks: Vec<_> = (0..200).map(|_| wake_64(&machine, 1)).collect();
    assert_eq!(locks, [0; 200]);
    let machine = test.machine(Mode::Pinned, 4);
    let mut locks: Vec<_> = (0..200).map(|_| wake_64(&machine, 4)).collect();
    locks.sort_unstable();
    // Not in every round: where the system takes the processor from the waker, the others run what it has woken so
    // far, go to sleep, and are woken once more. With more than one processor that is rare; with one it may be half of
    // the rounds.
    let cpus = std::thread::available_parallelism().unwrap().get();
    let cheap = locks.len() / if cpus > 1 { 2 } else { 4 };
    // Two for each time that one of the three others gets up: twice at most.
    assert!(locks[cheap] <= 12, "locks for 64 wakes: {locks:?}");
}

/// The locks that all workers take while 64 fibers are woken by another; as many are at home on each worker.
fn wake_64(machine: &Runtime, workers: usize) -> u64 {
    let (parked, over) = (Arc::new(Latch::new(64)), Arc::new(Latch::new(64)));
    // Blocks its worker until every worker has one.
    let met = Arc::new(Barrier::new(workers));
    let hosts: Vec<_> = (0..workers)
        .map(|_| {
            let (parked, over, met) = (Arc::clone(&parked), Arc::clone(&over), Arc::clone(&met));
            machine.spawn(move || {
                met.wait();
                let one = || {
                    let (parked, over) = (Arc::clone(&parked), Arc::clone(&over));
                    let fiber = fibers::spawn_local(move || {
                        parked.arrive();
                        wait::sleep(Reasons::USER0);
                        over.arrive();
                    });
                    fiber.fiber().clone()
                };
                (0..64 / workers).map(|_| one()).collect::<Vec<_>>()
            })
        })
        .collect();
    let targets: Vec<_> = hosts
        .into_iter()
        .flat_map(|host| host.join().unwrap())
        .collect();
    parked.wait();
    let all_idle = || machine.metrics().idle_workers == workers as u64;
    eventually(|| machine.metrics().parked == 64 && all_idle());
    let locks = machine.run(move || {
        let handle = fibers::Handle::current().unwrap();
        let before = handle.metrics().lock_acquisitions;
        for target in &targets {
            wait::wake(target, Reasons::USER0);
        }
        // Reading the metrics takes the lock as well.
        handle.metrics().lock_acquisitions - before - 1
    });
    over.wait();
    locks
}

/// Park and wake, join, call and a wait queue, over the border between two machines; all parked in between.
#[test]
fn machines_wake_each_other() {
    for (here, there) in [
        (Mode::Pinned, Mode::Pinned),
        (Mode::Pinned, Mode::Floating),
        (Mode::Floating, Mode::Pinned),
    ] {
        let test = Test::new(120);
        let (left, right) = (test.machine(here, 2), test.machine(there, 2));
        let rounds = scaled(30_000, 1_000_000);
        // Ping-pong.
        let (turn, goal) = (Arc::new(AtomicUsize::new(0)), 2 * rounds);
        let queue = Arc::new(wait::WaitQueue::new());
        let player = |machine: &Runtime, me: usize| {
            let (turn, queue) = (Arc::clone(&turn), Arc::clone(&queue));
            machine.spawn(move || {
                for round in 0..rounds {
                    queue.wait_until(|| turn.load(Ordering::Acquire) == 2 * round + me);
                    turn.fetch_add(1, Ordering::AcqRel);
                    queue.wake_one();
                }
            })
        };
        let (a, b) = (player(&left, 0), player(&right, 1));
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(turn.load(Ordering::Relaxed), goal);
        // Spawn there and join here.
        let handle = right.handle();
        let sum = left.run(move || {
            let mut sum = 0;
            for n in 0..rounds / 10 {
                sum += handle.spawn(move || n).join().unwrap();
            }
            sum
        });
        assert_eq!(sum, (0..rounds / 10).sum());
        // Call there and wait here.
        let gate = Arc::new(Gate::new());
        let server = right.spawn({
            let gate = Arc::clone(&gate);
            move || {
                while !gate.is_open() {
                    fibers::park();
                }
                fibers::current().id()
            }
        });
        let target = server.fiber().clone();
        let seen = left.run(move || {
            let mut seen = HashSet::new();
            for _ in 0..rounds / 10 {
                let id = target.call(|| fibers::current().id()).unwrap();
                seen.insert(id.wait().unwrap());
            }
            seen
        });
        gate.open();
        server.fiber().unpark();
        assert_eq!(seen, HashSet::from([server.join().unwrap()]));
        eventually(|| left.metrics().idle_workers == 2 && right.metrics().idle_workers == 2);
    }
}
