//! `fibers::sync::{Condvar, Barrier}`: no notification is lost, none wakes two; who is cancelled does not hold the mutex.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Random, eventually, everywhere, in_both_modes, scaled};
use fibers::sync::{Barrier, Condvar, Mutex};
use fibers::testing::{self, explore};

type Pair = Arc<(Mutex<usize>, Condvar)>;

fn pair() -> Pair {
    Arc::new((Mutex::new(0), Condvar::new()))
}

#[test]
fn a_timed_wait_ends_in_time_and_holds_the_mutex() {
    fn promise() {
        let (mutex, changed) = (Mutex::new(1), Condvar::new());
        let short = Duration::from_millis(2);
        let (guard, result) = changed.wait_timeout(mutex.lock().unwrap(), short).unwrap();
        assert!(result.timed_out() && *guard == 1 && mutex.try_lock().is_err());
        let (guard, result) = changed
            .wait_timeout_while(guard, short, |value| *value == 1)
            .unwrap();
        assert!(result.timed_out());
        let (guard, result) = changed
            .wait_timeout_while(guard, Duration::ZERO, |value| *value == 2)
            .unwrap();
        assert!(!result.timed_out());
        #[expect(deprecated, reason = "std has it")]
        let (guard, notified) = changed.wait_timeout_ms(guard, 1).unwrap();
        assert!(!notified && mutex.try_lock().is_err());
        drop(guard);
        changed.notify_one();
        changed.notify_all();
    }
    everywhere(60, promise);
}

#[test]
fn waiters_are_notified_in_the_order_in_which_they_came() {
    in_both_modes(60, 2, |_, machine, _| {
        let (pair, order) = (pair(), Arc::new(Mutex::new(Vec::new())));
        let fibers: Vec<_> = (0..50)
            .map(|n| {
                let (pair, order) = (Arc::clone(&pair), Arc::clone(&order));
                let fiber = machine.spawn(move || {
                    let guard = pair.1.wait(pair.0.lock().unwrap()).unwrap();
                    order.lock().unwrap().push(n);
                    drop(guard);
                });
                eventually(|| machine.metrics().parked == n + 1);
                fiber
            })
            .collect();
        for n in 0..20 {
            pair.1.notify_one();
            eventually(|| order.lock().unwrap().len() == n + 1);
        }
        pair.1.notify_all();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        let order = order.lock().unwrap();
        assert_eq!(order[..20], (0..20).collect::<Vec<_>>());
        assert_eq!(order.len(), 50);
    });
}

/// A bounded queue, by fibers of two machines and threads: whatever is lost hangs it.
#[test]
fn fibers_and_threads_hand_over_through_one_queue() {
    let each = scaled(10_000, 500_000);
    in_both_modes(120, 2, |test, machine, mode| {
        let other = test.machine(mode, 1);
        let shared = Arc::new((Mutex::new(0_usize), Condvar::new(), Condvar::new()));
        let put = || {
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..each {
                    let mut filled = shared
                        .1
                        .wait_while(shared.0.lock().unwrap(), |filled| *filled == 3)
                        .unwrap();
                    *filled += 1;
                    drop(filled);
                    shared.2.notify_one();
                }
            }
        };
        let take = || {
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..each {
                    let mut filled = shared
                        .2
                        .wait_while(shared.0.lock().unwrap(), |filled| *filled == 0)
                        .unwrap();
                    *filled -= 1;
                    shared.1.notify_one();
                }
            }
        };
        let fibers = [
            machine.spawn(put()),
            machine.spawn(take()),
            other.spawn(put()),
            other.spawn(take()),
        ];
        let threads = [std::thread::spawn(put()), std::thread::spawn(take())];
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(*shared.0.lock().unwrap(), 0);
    });
}

#[test]
fn a_cancelled_waiter_does_not_hold_the_mutex_and_poisons_nothing() {
    in_both_modes(60, 2, |_, machine, _| {
        let pair = pair();
        let waiter = machine.spawn({
            let pair = Arc::clone(&pair);
            move || {
                let guard = pair.1.wait(pair.0.lock().unwrap());
                drop(guard);
            }
        });
        eventually(|| machine.metrics().parked == 1);
        // Held while it is unwound: it must not wait for this.
        let held = pair.0.lock().unwrap();
        waiter.cancel().unwrap();
        assert!(waiter.join().unwrap_err().is::<fibers::Cancelled>());
        drop(held);
        assert!(!pair.0.is_poisoned() && pair.0.try_lock().is_ok());
    });
}

/// Each unit of work is announced by one notification. Workers are cancelled and late at random points; a
/// notification that goes with one of them leaves a unit behind, and the run hangs.
#[test]
fn no_notification_goes_with_a_waiter_that_is_cancelled_or_late() {
    for floating in [false, true] {
        explore(
            0..scaled(2_000, 100_000) as u64,
            move |check| check.workers(3).floating(floating),
            || {
                let pair = pair();
                let (units, done) = (6, Arc::new(AtomicUsize::new(0)));
                let work = || {
                    let (pair, done) = (Arc::clone(&pair), Arc::clone(&done));
                    move || {
                        loop {
                            let patience = Duration::from_micros(testing::random(400) as u64);
                            let take = || {
                                let guard = pair.0.lock().unwrap();
                                let mut guard =
                                    pair.1.wait_while(guard, |units| *units == 0).unwrap();
                                *guard -= 1;
                                done.fetch_add(1, SeqCst);
                            };
                            if testing::random(2) == 0 {
                                let _ = fibers::timeout(patience, take);
                            } else {
                                take();
                            }
                        }
                    }
                };
                let workers: Vec<_> = (0..5).map(|_| fibers::spawn(work())).collect();
                for n in 0..units {
                    fibers::sleep(Duration::from_micros(testing::random(200) as u64));
                    *pair.0.lock().unwrap() += 1;
                    pair.1.notify_one();
                    if n < 4
                        && testing::random(2) == 0
                        && let Some(worker) = workers.get(n)
                    {
                        worker.cancel().unwrap();
                    }
                }
                while done.load(SeqCst) < units {
                    fibers::sleep(Duration::from_millis(1));
                }
                for worker in &workers {
                    worker.cancel().unwrap();
                }
                for worker in workers {
                    worker.join().unwrap_err();
                }
                assert!(pair.0.try_lock().is_ok());
            },
        );
    }
}

#[test]
fn a_barrier_has_one_leader_each_time() {
    let rounds = scaled(1_000, 50_000);
    in_both_modes(120, 2, |_, machine, _| {
        let barrier = Arc::new(Barrier::new(6));
        let (leaders, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (barrier, leaders) = (Arc::clone(&barrier), Arc::clone(&leaders));
            let inside = Arc::clone(&inside);
            move || {
                for round in 0..rounds {
                    inside.fetch_add(1, SeqCst);
                    if barrier.wait().is_leader() {
                        leaders.fetch_add(1, SeqCst);
                    }
                    assert!(inside.load(SeqCst) >= 6 * (round + 1), "let go too early");
                    barrier.wait();
                }
            }
        };
        let fibers: Vec<_> = (0..4).map(|_| machine.spawn(work())).collect();
        let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(work())).collect();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(leaders.load(SeqCst), rounds);
    });
}

#[test]
fn a_barrier_of_none_or_one_holds_nobody_up() {
    fn promise() {
        for size in [0, 1] {
            let barrier = Barrier::new(size);
            for _ in 0..3 {
                assert!(barrier.wait().is_leader());
            }
        }
    }
    everywhere(60, promise);
}

/// A participant that is cancelled has not arrived; one whose generation is complete returns.
#[test]
fn a_cancelled_arrival_is_taken_back() {
    for floating in [false, true] {
        explore(
            0..scaled(2_000, 100_000) as u64,
            move |check| check.workers(3).floating(floating),
            || {
                let barrier = Arc::new(Barrier::new(3));
                let passed = Arc::new(AtomicUsize::new(0));
                let meet = || {
                    let (barrier, passed) = (Arc::clone(&barrier), Arc::clone(&passed));
                    move || {
                        barrier.wait();
                        passed.fetch_add(1, SeqCst);
                    }
                };
                let fibers: Vec<_> = (0..6).map(|_| fibers::spawn(meet())).collect();
                for fiber in &fibers {
                    fibers::sleep(Duration::from_micros(testing::random(100) as u64));
                    if testing::random(2) == 0 {
                        fiber.cancel().unwrap();
                    }
                }
                // One that comes again and again, and gives up, takes its arrival back too.
                while fibers::timeout(Duration::from_millis(20), meet()).is_ok() {}
                for fiber in &fibers {
                    fiber.cancel().unwrap();
                }
                let mut through = 0;
                for fiber in fibers {
                    through += usize::from(fiber.join().is_ok());
                }
                assert!(through <= passed.load(SeqCst));
                assert_eq!(passed.load(SeqCst) % 3, 0, "let go by fewer than three");
            },
        );
    }
}

/// As above on real workers: who notifies, and who cancels, at the same moment.
#[test]
fn a_notification_and_a_cancellation_at_once_lose_nothing() {
    let rounds = scaled(1_000, 50_000);
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        for _ in 0..rounds {
            let pair = pair();
            let take = || {
                let pair = Arc::clone(&pair);
                move || {
                    let guard = pair.0.lock().unwrap();
                    *pair.1.wait_while(guard, |units| *units == 0).unwrap() -= 1;
                }
            };
            let (first, second) = (machine.spawn(take()), machine.spawn(take()));
            for _ in 0..random.below(3) {
                fibers::yield_now();
            }
            let notifier = machine.spawn({
                let pair = Arc::clone(&pair);
                move || {
                    *pair.0.lock().unwrap() += 1;
                    pair.1.notify_one();
                }
            });
            first.cancel().unwrap();
            notifier.join().unwrap();
            if first.join().is_ok() {
                *pair.0.lock().unwrap() += 1;
                pair.1.notify_one();
            }
            second.join().unwrap();
        }
    });
}
