//! `fibers::sync::RwLock`: who gets in, in which order, for how long; what a panic and a cancellation leave behind.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::{Random, Test, eventually, everywhere, in_both_modes, scaled};
use fibers::sync::{RwLock, RwLockWriteGuard, TryLockError};
use fibers::testing::{self, explore};

#[test]
fn readers_share_and_a_writer_is_alone() {
    fn promise() {
        let lock = RwLock::new(1);
        let first = lock.read().unwrap();
        let second = lock.try_read().unwrap();
        assert_eq!(*first + *second, 2);
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        let short = Duration::from_millis(1);
        assert!(matches!(
            lock.write_timeout(short),
            Err(TryLockError::WouldBlock)
        ));
        drop((first, second));
        let mut writer = lock.write().unwrap();
        *writer = 2;
        assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
        assert!(matches!(
            lock.read_timeout(short),
            Err(TryLockError::WouldBlock)
        ));
        assert_eq!(
            format!("{lock:?}"),
            "RwLock { data: <locked>, poisoned: false, .. }"
        );
        drop(writer);
        assert_eq!(*lock.read_timeout(short).unwrap(), 2);
        *lock.write_timeout(short).unwrap() += 1;
        assert_eq!(*lock.read_interruptible().unwrap(), 3);
        *lock.write_interruptible().unwrap() += 1;
        assert_eq!(
            format!("{lock:?}"),
            "RwLock { data: 4, poisoned: false, .. }"
        );
        assert_eq!(lock.into_inner().unwrap(), 4);
    }
    everywhere(60, promise);
}

/// Pairs of numbers that a writer keeps equal, read and written by fibers of two machines and by threads.
#[test]
fn fibers_and_threads_see_whole_values_only() {
    let rounds = scaled(20_000, 400_000);
    in_both_modes(120, 2, |test, machine, mode| {
        let other = test.machine(mode, 1);
        let lock = Arc::new(RwLock::new((0_usize, 0_usize)));
        let work = |seed: u64| {
            let lock = Arc::clone(&lock);
            move || {
                let mut random = Random::of(seed);
                let mut written = 0;
                for _ in 0..rounds {
                    match random.below(16) {
                        0 => {
                            let mut value = lock.write().unwrap();
                            value.0 += 1;
                            if random.below(8) == 0 {
                                fibers::yield_now();
                            }
                            value.1 += 1;
                            written += 1;
                        }
                        1 => {
                            let mut value = lock.write().unwrap();
                            value.0 += 1;
                            value.1 += 1;
                            written += 1;
                            let value = RwLockWriteGuard::downgrade(value);
                            assert_eq!(value.0, value.1);
                        }
                        _ => {
                            let value = lock.read().unwrap();
                            let first = value.0;
                            if random.below(64) == 0 {
                                fibers::yield_now();
                            }
                            assert_eq!(first, value.1);
                        }
                    }
                }
                written
            }
        };
        let fibers: Vec<_> = (0..6).map(|n| machine.spawn(work(n))).collect();
        let others: Vec<_> = (6..8).map(|n| other.spawn(work(n))).collect();
        let threads: Vec<_> = (8..10).map(|n| std::thread::spawn(work(n))).collect();
        let written: usize = fibers
            .into_iter()
            .chain(others)
            .map(|fiber| fiber.join().unwrap())
            .chain(threads.into_iter().map(|thread| thread.join().unwrap()))
            .sum();
        assert_eq!(*lock.read().unwrap(), (written, written));
    });
}

#[test]
fn a_writer_that_panics_poisons_and_a_reader_does_not() {
    fn promise() {
        let lock = RwLock::new(1);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _reader = lock.read().unwrap();
            panic!("in a reader");
        }));
        assert!(!lock.is_poisoned());
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _writer = lock.write().unwrap();
            panic!("in a writer");
        }));
        assert!(lock.is_poisoned());
        assert_eq!(**lock.read().unwrap_err().get_ref(), 1);
        assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
        *lock.write().unwrap_err().into_inner() = 2;
        lock.clear_poison();
        assert_eq!(*lock.read().unwrap(), 2);
    }
    everywhere(60, promise);
}

#[test]
fn a_writer_that_is_cancelled_or_late_does_not_poison() {
    in_both_modes(60, 2, |_, machine, _| {
        let lock = Arc::new(RwLock::new(1));
        let holder = machine.spawn({
            let lock = Arc::clone(&lock);
            move || {
                let _writer = lock.write().unwrap();
                fibers::sleep(Duration::from_secs(3600));
            }
        });
        eventually(|| lock.try_read().is_err());
        holder.cancel().unwrap();
        assert!(holder.join().unwrap_err().is::<fibers::Cancelled>());
        assert!(!lock.is_poisoned());
        let late = machine.spawn({
            let lock = Arc::clone(&lock);
            move || {
                fibers::timeout(Duration::from_millis(1), || {
                    let _writer = lock.write().unwrap();
                    fibers::sleep(Duration::from_secs(3600));
                })
            }
        });
        assert!(late.join().unwrap().is_err());
        assert_eq!(*lock.write().unwrap(), 1);
    });
}

/// Readers that overlap without a gap, and a writer among them; then the other way round.
#[test]
fn neither_a_stream_of_readers_nor_one_of_writers_keeps_anybody_out() {
    in_both_modes(120, 2, |_, machine, _| {
        for victim_writes in [true, false] {
            let lock = Arc::new(RwLock::new(0_u64));
            let stop = Arc::new(AtomicBool::new(false));
            let begun = Arc::new(AtomicUsize::new(0));
            let storm = |long: Duration| {
                let (lock, stop, begun) =
                    (Arc::clone(&lock), Arc::clone(&stop), Arc::clone(&begun));
                move || {
                    begun.fetch_add(1, SeqCst);
                    while !stop.load(SeqCst) {
                        if victim_writes {
                            let _reader = lock.read().unwrap();
                            fibers::sleep(long);
                        } else {
                            let _writer = lock.write().unwrap();
                            fibers::sleep(long);
                        }
                    }
                }
            };
            let mut all: Vec<_> = (0..4)
                .map(|n| machine.spawn(storm(Duration::from_micros(150 + 70 * n))))
                .collect();
            let thread = std::thread::spawn(storm(Duration::from_micros(200)));
            eventually(|| begun.load(SeqCst) == 5);
            let victim = machine.spawn({
                let lock = Arc::clone(&lock);
                move || {
                    for _ in 0..20 {
                        if victim_writes {
                            *lock.write().unwrap() += 1;
                        } else {
                            let _ = *lock.read().unwrap();
                        }
                    }
                }
            });
            victim.join().unwrap();
            stop.store(true, SeqCst);
            all.drain(..).for_each(|fiber| fiber.join().unwrap());
            thread.join().unwrap();
        }
    });
}

/// By the virtual clock: a millisecond, and what those hold it for that are inside by then; and how late fibers are.
#[test]
fn who_has_waited_for_a_millisecond_is_next() {
    const LATE: Duration = Duration::from_millis(50);
    for victim_writes in [true, false] {
        explore(
            0..scaled(500, 20_000) as u64,
            |check| check.workers(2),
            move || {
                let lock = Arc::new(RwLock::new(()));
                let over = Arc::new(AtomicBool::new(false));
                let storm: Vec<_> = (0..4)
                    .map(|_| {
                        let (lock, over) = (Arc::clone(&lock), Arc::clone(&over));
                        fibers::spawn(move || {
                            for _ in 0..500 {
                                if over.load(SeqCst) {
                                    break;
                                }
                                let hold = Duration::from_micros(100 + testing::random(300) as u64);
                                if victim_writes {
                                    let _reader = lock.read().unwrap();
                                    fibers::sleep(hold);
                                } else {
                                    let _writer = lock.write().unwrap();
                                    fibers::sleep(hold);
                                }
                            }
                        })
                    })
                    .collect();
                fibers::sleep(Duration::from_micros(testing::random(2_000) as u64));
                let start = fibers::time::Instant::now();
                if victim_writes {
                    drop(lock.write().unwrap());
                } else {
                    drop(lock.read().unwrap());
                }
                let waited = start.elapsed();
                over.store(true, SeqCst);
                assert!(
                    waited < LATE,
                    "waited {waited:?}, and the storm lasts 100 ms and more"
                );
                storm.into_iter().for_each(|fiber| fiber.join().unwrap());
            },
        );
    }
}

#[test]
fn a_downgrade_lets_readers_in_and_no_writer() {
    in_both_modes(60, 2, |_, machine, _| {
        let lock = Arc::new(RwLock::new(1));
        let mut writer = lock.write().unwrap();
        let readers: Vec<_> = (0..40)
            .map(|_| {
                let lock = Arc::clone(&lock);
                machine.spawn(move || *lock.read().unwrap())
            })
            .collect();
        // Behind all of them in the line.
        eventually(|| machine.metrics().parked == 40);
        let second = machine.spawn({
            let lock = Arc::clone(&lock);
            move || *lock.write().unwrap() = 3
        });
        eventually(|| machine.metrics().parked == 41);
        // Until they are starved: then nothing but the downgrade lets them in.
        let parked = Instant::now();
        eventually(|| parked.elapsed() > Duration::from_millis(10));
        *writer = 2;
        let reader = RwLockWriteGuard::downgrade(writer);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 2);
        }
        assert!(!second.is_finished());
        drop(reader);
        second.join().unwrap();
        assert_eq!(*lock.read().unwrap(), 3);
    });
}

/// Readers that wait for a starved writer only need not wait for the readers inside.
#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    in_both_modes(60, 2, |_, machine, _| {
        for cancelled in [false, true] {
            let lock = Arc::new(RwLock::new(1));
            let held = lock.read().unwrap();
            let writer = machine.spawn({
                let lock = Arc::clone(&lock);
                move || {
                    if cancelled {
                        drop(lock.write_interruptible());
                    } else {
                        drop(lock.write_timeout(Duration::from_millis(100)));
                    }
                }
            });
            eventually(|| matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
            let readers: Vec<_> = (0..20)
                .map(|_| {
                    let lock = Arc::clone(&lock);
                    machine.spawn(move || *lock.read().unwrap())
                })
                .collect();
            if cancelled {
                eventually(|| machine.metrics().parked == 21);
                writer.cancel().unwrap();
            }
            for reader in readers {
                assert_eq!(reader.join().unwrap(), 1);
            }
            assert_eq!(writer.join().is_err(), cancelled);
            drop(held);
        }
    });
}

/// All in the deterministic mode: a reader of what is being written, or a wait that is never ended, ends the run.
#[test]
fn every_order_of_readers_writers_timeouts_and_cancellations_leaves_it_free() {
    for floating in [false, true] {
        explore(
            0..scaled(2_000, 100_000) as u64,
            move |check| check.workers(3).floating(floating),
            || {
                let lock = Arc::new(RwLock::new(0));
                let inside = Arc::new(AtomicUsize::new(0));
                let fibers: Vec<_> = (0..6)
                    .map(|_| {
                        let (lock, inside) = (Arc::clone(&lock), Arc::clone(&inside));
                        fibers::spawn(move || {
                            for _ in 0..3 {
                                one_visit(&lock, &inside);
                            }
                        })
                    })
                    .collect();
                for fiber in &fibers {
                    fibers::sleep(Duration::from_micros(testing::random(400) as u64));
                    if testing::random(3) == 0 {
                        fiber.cancel().unwrap();
                    }
                }
                for fiber in fibers {
                    if let Err(payload) = fiber.join() {
                        assert!(payload.is::<fibers::Cancelled>());
                    }
                }
                assert!(lock.try_write().is_ok());
            },
        );
    }
}

fn one_visit(lock: &RwLock<usize>, inside: &AtomicUsize) {
    const WRITER: usize = 1000;
    let hold = || match testing::random(4) {
        0 => fibers::yield_now(),
        1 => fibers::sleep(Duration::from_micros(testing::random(2_000) as u64)),
        _ => {}
    };
    /// Even if what is inside is unwound.
    struct Inside<'a>(&'a AtomicUsize, usize);
    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(self.1, SeqCst);
        }
    }
    let patience = Duration::from_micros(testing::random(1_500) as u64);
    match testing::random(6) {
        choice @ 0..3 => {
            let guard = match choice {
                0 => Ok(lock.read().unwrap()),
                1 => Ok(lock.read_interruptible().unwrap()),
                _ => lock.read_timeout(patience),
            };
            let Ok(_guard) = guard else { return };
            assert!(inside.fetch_add(1, SeqCst) < WRITER, "beside a writer");
            let _inside = Inside(inside, 1);
            hold();
        }
        choice => {
            let guard = match choice {
                3 => Ok(lock.write().unwrap()),
                4 => Ok(lock.write_interruptible().unwrap()),
                _ => lock.write_timeout(patience),
            };
            let Ok(guard) = guard else { return };
            let alone = {
                assert_eq!(inside.fetch_add(WRITER, SeqCst), 0, "not alone");
                Inside(inside, WRITER)
            };
            hold();
            drop(alone);
            if testing::random(2) == 0 {
                let _reader = RwLockWriteGuard::downgrade(guard);
                assert!(
                    inside.fetch_add(1, SeqCst) < WRITER,
                    "a writer got in between"
                );
                let _inside = Inside(inside, 1);
                hold();
            }
        }
    }
}

/// On real workers: those who give up leave nothing behind, whatever comes at the same moment.
#[test]
fn waits_that_end_early_lose_no_wake() {
    let rounds = scaled(300, 20_000);
    in_both_modes(120, 2, |_: &Test, machine, _| {
        let mut random = Random::new();
        for _ in 0..rounds {
            let lock = Arc::new(RwLock::new(()));
            let held = lock.write().unwrap();
            let fibers: Vec<_> = (0..6)
                .map(|n| {
                    let lock = Arc::clone(&lock);
                    let patience = Duration::from_micros(random.below(300));
                    machine.spawn(move || match n % 4 {
                        0 => drop(lock.read_timeout(patience)),
                        1 => drop(lock.write_timeout(patience)),
                        2 => drop(lock.read_interruptible()),
                        _ => drop(lock.write_interruptible()),
                    })
                })
                .collect();
            let start = Instant::now();
            let pause = Duration::from_micros(random.below(300));
            while start.elapsed() < pause {
                std::hint::spin_loop();
            }
            fibers[(random.below(6)) as usize].cancel().unwrap();
            drop(held);
            for fiber in fibers {
                if let Err(payload) = fiber.join() {
                    assert!(payload.is::<fibers::Cancelled>());
                }
            }
            assert!(lock.try_write().is_ok());
        }
    });
}
