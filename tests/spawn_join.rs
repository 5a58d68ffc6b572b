//! What fibers promise beyond std's threads where they are spawned and joined: no wake-up is lost and no result is
//! dropped twice, `join` forks and joins, `spawn_local` takes what is not `Send`.
//!
//! What they promise as std's do is in `std_thread.rs`.

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Counted, Expected, Test, eventually, everywhere, in_both_modes, silence_panics};

/// A million in a long run.
#[test]
fn spawn_and_join_one_at_a_time_loses_no_wake_up() {
    in_both_modes(120, 2, |_, machine, _| {
        let rounds = common::scaled(200_000, 10_000_000) as u64;
        let sum = machine.run(move || {
            let mut sum = 0;
            for n in 0..rounds {
                sum += fibers::spawn(move || n).join().unwrap();
            }
            sum
        });
        assert_eq!(sum, rounds * (rounds - 1) / 2);
        // From outside every spawn goes through the idle list.
        for n in 0..rounds / 20 {
            assert_eq!(machine.spawn(move || n).join().unwrap(), n);
        }
    });
}

#[test]
fn ten_thousand_results_nobody_takes_are_each_dropped_once() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    in_both_modes(60, 3, |_, machine, _| {
        DROPS.store(0, Ordering::Relaxed);
        machine.run(|| {
            for n in 0..10_000 {
                let handle = fibers::spawn(|| Counted(&DROPS));
                match n % 3 {
                    0 => drop(handle),
                    1 => drop(handle.join().unwrap()),
                    _ => {
                        fibers::yield_now();
                        drop(handle);
                    }
                }
            }
        });
        eventually(|| DROPS.load(Ordering::Relaxed) == 10_000);
    });
}

#[test]
fn a_thread_of_the_default_machine_has_its_own_handle() {
    let _test = Test::new(60);
    let name = std::thread::current().name().map(str::to_owned);
    assert_eq!(fibers::current().name(), name.as_deref());
    let mine = fibers::current();
    assert_eq!(mine, fibers::current());
    let other = std::thread::spawn(|| fibers::current().id())
        .join()
        .unwrap();
    assert_ne!(mine.id(), other);
}

#[test]
fn join_of_two_closures_borrows_and_returns_both() {
    fn promise() {
        fn sum(numbers: &[u64]) -> u64 {
            if numbers.len() <= 4 {
                return numbers.iter().sum();
            }
            let (left, right) = numbers.split_at(numbers.len() / 2);
            let (left, right) = fibers::join(|| sum(left), || sum(right));
            left + right
        }
        let numbers: Vec<u64> = (0..4000).collect();
        assert_eq!(sum(&numbers), 4000 * 3999 / 2);
        let (mut a, mut b) = (0, 0);
        fibers::join(|| a = 1, || b = 2);
        assert_eq!((a, b), (1, 2));
    }
    everywhere(60, promise);
}

#[test]
fn a_panic_in_either_half_of_a_join_comes_out_after_the_other_has_ended() {
    fn promise() {
        let catch = |f: &dyn Fn()| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            result
                .unwrap_err()
                .downcast::<Expected>()
                .map(|e| e.0)
                .unwrap()
        };
        for _ in 0..50 {
            let other = AtomicUsize::new(0);
            let first = catch(&|| {
                fibers::join(
                    || std::panic::panic_any(Expected(1)),
                    || other.fetch_add(1, Ordering::Relaxed),
                );
            });
            assert_eq!(first, 1);
            // Ended, or dropped unrun: it does not run later.
            let seen = other.load(Ordering::Relaxed);
            fibers::yield_now();
            assert_eq!(other.load(Ordering::Relaxed), seen);
            let second = catch(&|| {
                let slow = || (0..10).for_each(|_| fibers::yield_now());
                fibers::join(slow, || std::panic::panic_any(Expected(2)));
            });
            assert_eq!(second, 2);
            let both = catch(&|| {
                let _: ((), ()) = fibers::join(
                    || {
                        fibers::yield_now();
                        std::panic::panic_any(Expected(1))
                    },
                    || std::panic::panic_any(Expected(2)),
                );
            });
            assert_eq!(both, 1);
        }
    }
    silence_panics();
    everywhere(60, promise);
}

#[test]
fn spawn_local_takes_what_is_not_send() {
    let test = Test::new(60);
    let promise = || {
        let shared = std::rc::Rc::new(Cell::new(0));
        let fibers: Vec<_> = (0..10)
            .map(|_| {
                let shared = std::rc::Rc::clone(&shared);
                let thread = common::thread_id();
                fibers::spawn_local(move || {
                    for _ in 0..10 {
                        shared.set(shared.get() + 1);
                        fibers::yield_now();
                        assert_eq!(common::thread_id(), thread);
                    }
                    std::rc::Rc::clone(&shared)
                })
            })
            .collect();
        for fiber in fibers {
            assert!(std::rc::Rc::ptr_eq(&fiber.join().unwrap(), &shared));
        }
        assert_eq!(shared.get(), 100);
    };
    test.machine(common::Mode::Pinned, 3).run(promise);
    test.local().run(promise);
}
