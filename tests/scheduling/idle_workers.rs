//! Idle workers are put to work: as many as there is work for, and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{self, Test, builder, eventually, in_both_modes, scaled};

/// No fiber waits in this barrier: it passes only if all three run at the same time, on three threads.
#[test]
fn fibers_that_compute_run_in_parallel_when_workers_are_idle() {
    in_both_modes(60, 4, |_, machine, _| {
        for _ in 0..scaled(200, 5_000) {
            machine.run(|| {
                let arrived = Arc::new(AtomicUsize::new(0));
                let all: Vec<_> = (0..3)
                    .map(|_| {
                        let arrived = Arc::clone(&arrived);
                        fibers::spawn(move || {
                            arrived.fetch_add(1, Ordering::AcqRel);
                            while arrived.load(Ordering::Acquire) < 3 {
                                // Not a wait: the fiber keeps its worker. The kernel may run another thread.
                                std::thread::yield_now();
                            }
                        })
                    })
                    .collect();
                for fiber in all {
                    fiber.join().unwrap();
                }
            });
        }
    });
}

/// The same, from outside the machine.
#[test]
fn spawns_from_a_thread_reach_every_idle_worker() {
    in_both_modes(60, 4, |_, machine, _| {
        for _ in 0..scaled(200, 5_000) {
            let arrived = Arc::new(AtomicUsize::new(0));
            let all: Vec<_> = (0..4)
                .map(|_| {
                    let arrived = Arc::clone(&arrived);
                    machine.spawn(move || {
                        arrived.fetch_add(1, Ordering::AcqRel);
                        while arrived.load(Ordering::Acquire) < 4 {
                            std::thread::yield_now();
                        }
                    })
                })
                .collect();
            for fiber in all {
                fiber.join().unwrap();
            }
        }
    });
}

#[test]
fn one_spawn_from_outside_wakes_one_worker() {
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.build(builder(mode).workers(8).spin(std::time::Duration::ZERO));
        for _ in 0..200 {
            eventually(|| machine.metrics().idle_workers == 8);
            let before = machine.metrics();
            machine.spawn(|| ()).join().unwrap();
            eventually(|| machine.metrics().idle_workers == 8);
            let after = machine.metrics();
            // The joiner is a plain thread: its futex is not a worker's, but may be counted.
            assert_eq!(after.handoffs - before.handoffs, 1, "{before:?}\n{after:?}");
            assert_eq!(after.steals, before.steals);
            let wakes = after.futex_wakes - before.futex_wakes;
            assert_eq!(wakes, 1, "{before:?}\n{after:?}");
        }
    }
}
