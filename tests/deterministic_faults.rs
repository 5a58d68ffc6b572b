//! Stacks that cannot be had, at any moment of a run: every fiber runs or fails with the reason, and nothing
//! hangs. A process of its own: the failures are ordered for the whole process.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fibers::Builder;
use fibers::testing::{self, FailCall, calls_left, explore, fail_call};

const CALLS: [FailCall; 3] = [FailCall::Mmap, FailCall::GuardMarker, FailCall::Protect];

/// Orders a failure, if none is ordered.
fn break_something(soon: usize) {
    let call = CALLS[testing::random(3)];
    if calls_left(call) == 0 {
        fail_call(call, 1 + testing::random(soon) as u64);
    }
}

#[test]
fn fibers_without_a_stack_wait_or_fail_and_all_others_run() {
    let seeds = match std::env::var("DETERMINISTIC_SEEDS") {
        Ok(text) => text.parse().expect("DETERMINISTIC_SEEDS is a number"),
        Err(_) if cfg!(debug_assertions) => 100,
        Err(_) => 500,
    };
    // Over all runs: an order that never fails anything would prove nothing.
    let (refused, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for workers in 1..=3 {
        for floating in [false, true] {
            let (refused, failed) = (Arc::clone(&refused), Arc::clone(&failed));
            explore(
                0..seeds,
                |check| check.workers(workers).floating(floating).max_steps(100_000),
                move || {
                    let mut fibers = Vec::new();
                    for _ in 0..25 {
                        if testing::random(2) == 0 {
                            break_something(8);
                        }
                        let size = [16 << 10, 64 << 10, 256 << 10][testing::random(3)];
                        let how = testing::random(6);
                        let time = Duration::from_micros(testing::random(30_000) as u64);
                        // Those who starve are tried again for in naps, and time passes between two of them.
                        let spawned = Builder::new().stack_size(size).spawn(move || match how {
                            0 => {}
                            1 => fibers::sleep(time),
                            2 => _ = fibers::timeout(time, fibers::park),
                            _ => fibers::park(),
                        });
                        match spawned {
                            Ok(fiber) => fibers.push(fiber),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
                                refused.fetch_add(1, SeqCst);
                                fibers::yield_now();
                            }
                        }
                        match testing::random(6) {
                            0 | 1 => fibers::yield_now(),
                            2 => fibers::sleep(time),
                            _ => {}
                        }
                    }
                    for fiber in &fibers {
                        fiber.fiber().unpark();
                    }
                    for fiber in fibers {
                        if let Err(payload) = fiber.join() {
                            let why = payload.downcast_ref::<String>().expect("a reason");
                            assert!(why.contains("no stack for a fiber"), "{why}");
                            failed.fetch_add(1, SeqCst);
                        }
                    }
                    CALLS.iter().for_each(|&call| fail_call(call, 0));
                },
            );
        }
    }
    // The root lives and will leave its stack, so nobody else is without hope.
    assert_eq!(failed.load(SeqCst), 0);
    assert!(refused.load(SeqCst) > 0, "no spawn met a failure");
}
