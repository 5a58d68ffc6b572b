//! Bugs of sleeping, deadlines and cancellation that were found once, by attack, and must not come back. Each test
//! says what happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fibers::{
    Elapsed, JoinHandle, on_worker_stack, park, park_timeout, sleep, spawn, timeout, yield_now,
};

mod common;
use common::{Mode, Test, eventually, silence_panics};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct SleepsInDrop(Arc<AtomicUsize>);

impl Drop for SleepsInDrop {
    fn drop(&mut self) {
        sleep(ms(20));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The result of a fiber, dropped with its handle inside a deadline: its destructor waited, was unwound, and that
/// ended the process.
#[test]
fn regression_a_result_whose_destructor_waits_is_dropped_whole() {
    let test = Test::new(30);
    let machine = test.machine(Mode::Pinned, 1);
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let dropped = Arc::clone(&dropped);
        let late = machine.run(move || {
            timeout(ms(5), || {
                let fiber = spawn(|| SleepsInDrop(dropped));
                while !fiber.is_finished() {
                    yield_now();
                }
                drop(fiber);
                park();
            })
        });
        assert_eq!(late, Err(Elapsed));
    }
    // One whose fiber was late is dropped where that ended.
    eventually(|| dropped.load(Ordering::Relaxed) == 3);
}

/// Calls that kept coming kept a timed wait, or one under a deadline, from ever looking at the time.
#[test]
fn regression_a_flood_of_calls_holds_up_no_timed_wait() {
    let waits: [fn() -> bool; 5] = [
        || {
            sleep(ms(10));
            true
        },
        || {
            park_timeout(ms(10));
            true
        },
        || spawn(park).join_timeout(ms(10)).is_err(),
        || timeout(ms(10), || sleep(ms(1_000_000))).is_err(),
        || timeout(ms(10), || park_timeout(ms(1_000_000))).is_err(),
    ];
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 1);
    for wait in waits {
        let ended = machine.run(move || {
            let waiter: JoinHandle<bool> = spawn(wait);
            // The watchdog ends this if the waiter does not.
            while !waiter.is_finished() {
                let _ = waiter.fiber().call(|| ());
                yield_now();
            }
            waiter.join().unwrap()
        });
        assert!(ended);
    }
    // The same by wakes: each ends one wait of a loop that a deadline is to end.
    let late = machine.run(|| {
        let waiter = spawn(|| {
            timeout(ms(10), || -> () {
                loop {
                    park_timeout(ms(500))
                }
            })
        });
        while !waiter.is_finished() {
            waiter.fiber().unpark();
            yield_now();
        }
        waiter.join().unwrap()
    });
    assert_eq!(late, Err(Elapsed));
}

/// A floating fiber was woken at its deadline by the worker on which it was armed and by no other: while that one
/// blocked, it waited.
#[test]
fn regression_a_floating_deadline_does_not_wait_for_its_worker() {
    let test = Test::new(30);
    for workers in [2, 4] {
        let machine = test.machine(Mode::Floating, workers);
        for _ in 0..3 {
            machine.run(|| {
                let sleeper = spawn(|| sleep(ms(20)));
                let begin = Instant::now();
                while begin.elapsed() < ms(5) {
                    yield_now();
                }
                on_worker_stack(|| sleeper.join().unwrap());
            });
        }
    }
}

struct ParksInDrop(Arc<AtomicUsize>);

impl Drop for ParksInDrop {
    fn drop(&mut self) {
        if timeout(ms(5), park) == Err(Elapsed) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A deadline that a destructor set for itself while the thread was panicking was without effect: the wait inside it
/// blocked the thread for ever.
#[test]
fn regression_a_deadline_works_in_a_destructor_of_an_unwind() {
    silence_panics();
    let test = Test::new(30);
    let timed_out = Arc::new(AtomicUsize::new(0));
    let machine = test.machine(Mode::Pinned, 2);
    let guard = ParksInDrop(Arc::clone(&timed_out));
    let payload = machine
        .spawn(move || {
            let _guard = guard;
            panic!("on purpose");
        })
        .join()
        .unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "on purpose");
    let guard = ParksInDrop(Arc::clone(&timed_out));
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let _guard = guard;
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    // And one in an unwind by a deadline that encloses it.
    let guard = ParksInDrop(Arc::clone(&timed_out));
    let late = machine.run(move || {
        timeout(ms(5), || {
            let _guard = guard;
            park();
        })
    });
    assert_eq!(late, Err(Elapsed));
    assert_eq!(timed_out.load(Ordering::Relaxed), 3);
}

/// In a deterministic run a wait that would block the one thread is refused by a panic; it came when others knew
/// of the waiter's frame already, and unwound that.
#[test]
fn regression_a_refused_wait_leaves_no_record_behind() {
    silence_panics();
    let _test = Test::new(30);
    for seed in 0..20 {
        fibers::testing::Check::new().workers(1).seed(seed).run(|| {
            let queue = Arc::new(fibers::wait::WaitQueue::new());
            let refused = catch_unwind(AssertUnwindSafe(|| {
                on_worker_stack(|| queue.wait_until(|| false));
            }));
            assert!(refused.is_err());
            assert!(queue.is_empty(), "a record of a frame that is gone");
            let ended = spawn(yield_now);
            let refused = catch_unwind(AssertUnwindSafe(|| on_worker_stack(|| ended.join())));
            assert!(refused.is_err());
            queue.wake_all();
            (0..10).for_each(|_| yield_now());
        });
    }
}
