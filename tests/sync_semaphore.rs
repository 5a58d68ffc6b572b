//! `fibers::sync::Semaphore`: never too many inside, no permit is ever lost, nobody is overtaken.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::{Random, eventually, everywhere, in_both_modes, scaled};
use fibers::sync::{AcquireError, Mutex, Semaphore, TryAcquireError};
use fibers::testing::{self, explore};

#[test]
fn permits_are_counted() {
    fn promise() {
        static FIXED: Semaphore = Semaphore::new(3);
        assert_eq!(FIXED.available_permits(), 3);
        let semaphore = Semaphore::new(3);
        let one = semaphore.acquire().unwrap();
        let two = semaphore.try_acquire_many(2).unwrap();
        assert_eq!((one.num_permits(), two.num_permits()), (1, 2));
        let none = TryAcquireError::NoPermits;
        assert_eq!(semaphore.try_acquire().unwrap_err(), none);
        let short = Duration::from_millis(1);
        assert_eq!(semaphore.acquire_timeout(short).unwrap_err(), none);
        assert_eq!(semaphore.acquire_many_timeout(2, short).unwrap_err(), none);
        drop(two);
        assert_eq!(semaphore.try_acquire_many(3).unwrap_err(), none);
        drop(semaphore.acquire_many(2).unwrap());
        one.forget();
        assert_eq!(semaphore.available_permits(), 2);
        semaphore.add_permits(3);
        drop(semaphore.acquire_many_timeout(5, short).unwrap());
        drop(semaphore.acquire_many(0).unwrap());
        assert_eq!(semaphore.available_permits(), 5);
        assert_eq!(
            format!("{semaphore:?}"),
            "Semaphore { permits: 5, closed: false, .. }"
        );
        let full = Semaphore::new(Semaphore::MAX_PERMITS);
        let more = std::panic::catch_unwind(|| full.add_permits(1));
        assert!(more.is_err() && full.available_permits() == Semaphore::MAX_PERMITS);
    }
    everywhere(60, promise);
}

#[test]
fn closing_sends_everybody_away() {
    in_both_modes(60, 2, |_, machine, _| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire().unwrap();
        let waiters: Vec<_> = (1..50)
            .map(|n| {
                let semaphore = Arc::clone(&semaphore);
                machine.spawn(move || match n % 2 {
                    0 => semaphore.acquire_many(n).map(drop).map_err(|_| ()),
                    _ => match semaphore.acquire_timeout(Duration::from_secs(3600)) {
                        Err(TryAcquireError::Closed) => Err(()),
                        _ => Ok(()),
                    },
                })
            })
            .collect();
        eventually(|| machine.metrics().parked == 49);
        assert!(!semaphore.is_closed());
        semaphore.close();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Err(()));
        }
        drop(held);
        assert!(semaphore.is_closed() && semaphore.available_permits() == 1);
        let refused: Result<(), AcquireError> = semaphore.acquire().map(drop);
        assert_eq!(refused.unwrap_err().to_string(), "semaphore closed");
        let closed = TryAcquireError::Closed;
        assert_eq!(semaphore.try_acquire().unwrap_err(), closed);
        semaphore.close();
    });
}

#[test]
fn a_large_request_is_not_overtaken() {
    in_both_modes(60, 2, |_, machine, _| {
        let (semaphore, order) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let wanted = [1, 5, 1, 2, 1];
        let fibers: Vec<_> = wanted
            .into_iter()
            .enumerate()
            .map(|(index, n)| {
                let (semaphore, order) = (Arc::clone(&semaphore), Arc::clone(&order));
                let fiber = machine.spawn(move || {
                    let permit = semaphore.acquire_many(n).unwrap();
                    order.lock().unwrap().push(index);
                    permit.forget();
                });
                eventually(|| machine.metrics().parked == index as u64 + 1);
                fiber
            })
            .collect();
        let served = || order.lock().unwrap().len();
        for n in 1..=10 {
            semaphore.add_permits(1);
            // Though there are permits: the one of five is first.
            assert_eq!(
                semaphore.try_acquire().unwrap_err(),
                TryAcquireError::NoPermits
            );
            let expected = match n {
                0 => 0,
                1..6 => 1,
                6 => 2,
                7 | 8 => 3,
                9 => 4,
                _ => 5,
            };
            eventually(|| served() == expected);
            if n == 9 {
                break;
            }
        }
        semaphore.add_permits(1);
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn who_gives_up_at_the_head_lets_those_behind_through() {
    in_both_modes(60, 2, |_, machine, _| {
        let semaphore = Arc::new(Semaphore::new(2));
        let large = machine.spawn({
            let semaphore = Arc::clone(&semaphore);
            move || drop(semaphore.acquire_many(9))
        });
        eventually(|| machine.metrics().parked == 1);
        let small: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                machine.spawn(move || semaphore.acquire().unwrap().forget())
            })
            .collect();
        eventually(|| machine.metrics().parked == 3);
        large.cancel().unwrap();
        small.into_iter().for_each(|fiber| fiber.join().unwrap());
        large.join().unwrap_err();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

/// By fibers of two machines and by threads: so many inside, and all permits back at the end.
#[test]
fn fibers_and_threads_are_never_too_many_inside() {
    const PERMITS: usize = 5;
    let rounds = scaled(10_000, 500_000);
    in_both_modes(120, 2, |test, machine, mode| {
        let other = test.machine(mode, 1);
        let semaphore = Arc::new(Semaphore::new(PERMITS));
        let inside = Arc::new(AtomicUsize::new(0));
        let work = |seed: u64| {
            let (semaphore, inside) = (Arc::clone(&semaphore), Arc::clone(&inside));
            move || {
                let mut random = Random::of(seed);
                for _ in 0..rounds {
                    let n = 1 + random.below(PERMITS as u64) as u32;
                    let permit = match random.below(8) {
                        0 => semaphore.try_acquire_many(n).ok(),
                        1 => semaphore
                            .acquire_many_timeout(n, Duration::from_micros(random.below(200)))
                            .ok(),
                        _ => semaphore.acquire_many(n).ok(),
                    };
                    let Some(permit) = permit else { continue };
                    let n = permit.num_permits();
                    assert!(inside.fetch_add(n, SeqCst) + n <= PERMITS, "too many");
                    if random.below(16) == 0 {
                        fibers::yield_now();
                    }
                    inside.fetch_sub(n, SeqCst);
                    drop(permit);
                }
            }
        };
        let fibers: Vec<_> = (0..6).map(|n| machine.spawn(work(n))).collect();
        let others: Vec<_> = (6..8).map(|n| other.spawn(work(n))).collect();
        let threads: Vec<_> = (8..10).map(|n| std::thread::spawn(work(n))).collect();
        fibers
            .into_iter()
            .chain(others)
            .for_each(|fiber| fiber.join().unwrap());
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available_permits(), PERMITS);
    });
}

/// In the deterministic mode: timeouts, deadlines and cancellations at random points against releases.
#[test]
fn no_permit_goes_with_a_waiter_that_is_cancelled_or_late() {
    const PERMITS: usize = 3;
    for floating in [false, true] {
        explore(
            0..scaled(2_000, 100_000) as u64,
            move |check| check.workers(3).floating(floating),
            || {
                let semaphore = Arc::new(Semaphore::new(PERMITS));
                let work = || {
                    let semaphore = Arc::clone(&semaphore);
                    move || {
                        let n = 1 + testing::random(PERMITS) as u32;
                        let patience = Duration::from_micros(testing::random(300) as u64);
                        let hold = Duration::from_micros(testing::random(300) as u64);
                        match testing::random(4) {
                            0 => {
                                let permit = semaphore.acquire_many_timeout(n, patience);
                                fibers::sleep(hold);
                                drop(permit);
                            }
                            1 => {
                                let _ = fibers::timeout(patience, || {
                                    let _permit = semaphore.acquire_many(n).unwrap();
                                    fibers::sleep(hold);
                                });
                            }
                            _ => {
                                let _permit = semaphore.acquire_many(n).unwrap();
                                fibers::sleep(hold);
                            }
                        }
                    }
                };
                let fibers: Vec<_> = (0..8).map(|_| fibers::spawn(work())).collect();
                for fiber in &fibers {
                    fibers::sleep(Duration::from_micros(testing::random(150) as u64));
                    if testing::random(3) == 0 {
                        fiber.cancel().unwrap();
                    }
                }
                for fiber in fibers {
                    if let Err(payload) = fiber.join() {
                        assert!(payload.is::<fibers::Cancelled>());
                    }
                }
                assert_eq!(semaphore.available_permits(), PERMITS);
                drop(semaphore.try_acquire_many(PERMITS as u32).unwrap());
            },
        );
    }
}

/// The same on real workers: a release, a cancellation and the end of a timeout at once.
#[test]
fn permits_survive_any_race_of_release_cancellation_and_timeout() {
    let rounds = scaled(1_000, 50_000);
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let semaphore = Arc::new(Semaphore::new(2));
        for _ in 0..rounds {
            let held = semaphore.acquire_many(2).unwrap();
            let fibers: Vec<_> = (0..5)
                .map(|n| {
                    let semaphore = Arc::clone(&semaphore);
                    let patience = Duration::from_micros(random.below(150));
                    machine.spawn(move || match n % 3 {
                        0 => drop(semaphore.acquire_timeout(patience)),
                        1 => drop(fibers::timeout(patience, || {
                            drop(semaphore.acquire_many(2))
                        })),
                        _ => drop(semaphore.acquire()),
                    })
                })
                .collect();
            let pause = Duration::from_micros(random.below(150));
            let start = Instant::now();
            while start.elapsed() < pause {
                std::hint::spin_loop();
            }
            fibers[random.below(5) as usize].cancel().unwrap();
            drop(held);
            for fiber in fibers {
                if let Err(payload) = fiber.join() {
                    assert!(payload.is::<fibers::Cancelled>());
                }
            }
            assert_eq!(semaphore.available_permits(), 2);
        }
    });
}
