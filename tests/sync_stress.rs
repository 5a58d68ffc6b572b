//! Locks under load: exclusion, no lost wake-up, no lost permit; between fibers and threads, while waits are cancelled
//! and run out of time.
//!
//! A hundred thousand operations a test, with `STRESS=1` ten million (unoptimised builds a tenth of either). The seed
//! is printed. A lost wake-up shows as a test that hangs, which the watchdog ends.

mod common;
#[path = "common/crew.rs"]
mod crew;

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Expected, Random, in_both_modes, scaled, silence_panics};
use crew::{Ended, crew, harried, hurried};
use fibers::sync::{
    Arc, Barrier, Condvar, Mutex, Once, OnceLock, PoisonError, RwLock, RwLockWriteGuard,
    TryLockError,
};

/// A counter without any protection, and a word that tells of two who are inside.
#[derive(Default)]
struct Bare {
    count: UnsafeCell<u64>,
    inside: AtomicUsize,
}

// SAFETY: it is for the locks under test to keep two apart; `inside` notices if they do not.
unsafe impl Sync for Bare {}

const WRITER: usize = 1 << 32;

impl Bare {
    fn write(&self, between: impl FnOnce()) {
        assert_eq!(self.inside.swap(WRITER, Ordering::Relaxed), 0);
        // SAFETY: as asserted.
        let seen = unsafe { *self.count.get() };
        between();
        // SAFETY: as asserted.
        unsafe { *self.count.get() = seen + 1 };
        assert_eq!(self.inside.swap(0, Ordering::Relaxed), WRITER);
    }

    fn read(&self, between: impl FnOnce()) -> u64 {
        assert!(self.inside.fetch_add(1, Ordering::Relaxed) < WRITER);
        // SAFETY: as asserted, nobody writes.
        let seen = unsafe { *self.count.get() };
        between();
        // SAFETY: as above.
        assert_eq!(unsafe { *self.count.get() }, seen);
        assert!(self.inside.fetch_sub(1, Ordering::Relaxed) < WRITER);
        seen
    }
}

#[test]
fn a_mutex_keeps_all_but_one_out() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 12;
        let shared = Arc::new((Mutex::new(()), Bare::default()));
        let work = Arc::clone(&shared);
        let wrote = crew(machine, 8, 4, &mut random, move |mut member| {
            let (mutex, bare) = &*work;
            let mut wrote = 0;
            for _ in 0..each {
                let guard = if member.random.below(8) == 0 {
                    match mutex.try_lock() {
                        Ok(guard) => guard,
                        Err(TryLockError::WouldBlock) => continue,
                        Err(TryLockError::Poisoned(_)) => panic!("nobody poisons it"),
                    }
                } else {
                    mutex.lock().unwrap()
                };
                bare.write(|| member.perhaps_yield(64));
                drop(guard);
                wrote += 1;
                member.perhaps_yield(64);
            }
            wrote
        });
        assert_eq!(shared.1.read(|| ()), wrote.iter().sum::<u64>());
    });
}

#[test]
fn a_mutex_is_let_go_by_those_who_panic_and_by_those_who_are_cancelled() {
    silence_panics();
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 10 / 12;
        let shared = Arc::new((Mutex::new(()), Bare::default()));
        let work = Arc::clone(&shared);
        crew(machine, 8, 4, &mut random, move |mut member| {
            for _ in 0..each {
                let shared = Arc::clone(&work);
                match member.random.below(3) {
                    0 if member.is_fiber => {
                        harried(&mut member.random, 20, move || {
                            let guard = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                            shared.1.write(|| ());
                            // Unwound here, it must let go.
                            fibers::yield_now();
                            drop(guard);
                        });
                    }
                    1 if member.is_fiber => {
                        let failed = fibers::spawn(move || {
                            let _guard = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                            shared.1.write(|| ());
                            std::panic::panic_any(Expected(1));
                        });
                        failed.join().unwrap_err();
                    }
                    _ => {
                        let _guard = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                        shared.1.write(|| member.perhaps_yield(64));
                    }
                }
            }
        });
        assert!(shared.0.is_poisoned());
        shared.0.clear_poison();
        assert!(shared.0.try_lock().is_ok());
    });
}

#[test]
fn an_rwlock_lets_readers_share_and_writers_be_alone() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 12;
        let shared = Arc::new((RwLock::new(()), Bare::default()));
        let work = Arc::clone(&shared);
        let wrote = crew(machine, 8, 4, &mut random, move |mut member| {
            let (lock, bare) = &*work;
            let (mut wrote, mut last) = (0, 0);
            for _ in 0..each {
                match member.random.below(10) {
                    0 => {
                        let _guard = lock.write().unwrap();
                        bare.write(|| member.perhaps_yield(32));
                        wrote += 1;
                    }
                    1 => {
                        let guard = lock.write().unwrap();
                        bare.write(|| ());
                        wrote += 1;
                        let _guard = RwLockWriteGuard::downgrade(guard);
                        last = bare.read(|| member.perhaps_yield(32));
                    }
                    2 => {
                        if let Ok(_guard) = lock.try_write() {
                            bare.write(|| member.perhaps_yield(32));
                            wrote += 1;
                        }
                    }
                    3 => {
                        if let Ok(_guard) = lock.try_read() {
                            bare.read(|| member.perhaps_yield(32));
                        }
                    }
                    _ => {
                        let _guard = lock.read().unwrap();
                        let seen = bare.read(|| member.perhaps_yield(64));
                        assert!(seen >= last);
                        last = seen;
                    }
                }
                member.perhaps_yield(64);
            }
            wrote
        });
        assert_eq!(shared.1.read(|| ()), wrote.iter().sum::<u64>());
        assert!(shared.0.try_write().is_ok());
    });
}

/// A bounded queue, by the book.
#[derive(Default)]
struct Queue {
    items: Mutex<VecDeque<u64>>,
    not_empty: Condvar,
    not_full: Condvar,
}

impl Queue {
    fn push(&self, item: u64) {
        let items = self.items.lock().unwrap();
        let full = |items: &mut VecDeque<u64>| items.len() == 4;
        let mut items = self.not_full.wait_while(items, full).unwrap();
        items.push_back(item);
        drop(items);
        self.not_empty.notify_one();
    }

    fn pop(&self) -> u64 {
        let items = self.items.lock().unwrap();
        let empty = |items: &mut VecDeque<u64>| items.is_empty();
        let mut items = self.not_empty.wait_while(items, empty).unwrap();
        let item = items.pop_front().unwrap();
        drop(items);
        self.not_full.notify_one();
        item
    }
}

#[test]
fn a_queue_of_mutex_and_condvars_loses_nothing() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = (scaled(100_000, 10_000_000) / 2 / 12) as u64;
        let queue = Arc::new(Queue::default());
        let sums = crew(machine, 8, 4, &mut random, move |mut member| {
            let (mut pushed, mut popped) = (0, 0);
            for n in 0..each {
                if member.number.is_multiple_of(2) {
                    queue.push(n);
                    pushed += n;
                } else {
                    popped += queue.pop();
                }
                member.perhaps_yield(64);
            }
            (pushed, popped)
        });
        let pushed: u64 = sums.iter().map(|sum| sum.0).sum();
        assert_eq!(pushed, sums.iter().map(|sum| sum.1).sum());
    });
}

/// Permits by a mutex and a condvar that wakes one at a time: whoever is woken and does not take the permit, because
/// it was cancelled or late just then, must not keep the wake-up from the next.
struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
    out: AtomicUsize,
}

struct Permit<'a>(&'a Permits);

impl Permits {
    const ALL: usize = 2;

    fn take(&self) -> Permit<'_> {
        let free = self.free.lock().unwrap();
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap();
        *free -= 1;
        self.taken()
    }

    fn take_in(&self, limit: Duration) -> Option<Permit<'_>> {
        let free = self.free.lock().unwrap();
        let waited = self
            .freed
            .wait_timeout_while(free, limit, |free| *free == 0);
        let (mut free, result) = waited.unwrap();
        if result.timed_out() {
            return None;
        }
        *free -= 1;
        Some(self.taken())
    }

    fn taken(&self) -> Permit<'_> {
        assert!(self.out.fetch_add(1, Ordering::Relaxed) < Self::ALL);
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut free = self.0.free.lock().unwrap();
        self.0.out.fetch_sub(1, Ordering::Relaxed);
        *free += 1;
        drop(free);
        self.0.freed.notify_one();
    }
}

#[test]
fn a_permit_goes_to_the_next_when_a_waiter_is_cancelled_or_late() {
    in_both_modes(240, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 4 / 12;
        let permits = Arc::new(Permits {
            free: Mutex::new(Permits::ALL),
            freed: Condvar::new(),
            out: AtomicUsize::new(0),
        });
        let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
        let (work, tally) = (Arc::clone(&permits), Arc::clone(&counts));
        crew(machine, 8, 4, &mut random, move |mut member| {
            for _ in 0..each {
                let permits = Arc::clone(&work);
                let ended = match member.random.below(4) {
                    0 if member.is_fiber => harried(&mut member.random, 20, move || {
                        let permit = permits.take();
                        fibers::yield_now();
                        drop(permit);
                    }),
                    1 if member.is_fiber => {
                        hurried(&mut member.random, 20, || drop(permits.take()))
                    }
                    2 => {
                        let limit = Duration::from_nanos(member.random.below(20_000));
                        let permit = permits.take_in(limit);
                        permit.map_or(Ended::Late, |_permit| Ended::With(()))
                    }
                    // With nothing to end it: hangs if its wake-up is lost.
                    _ => {
                        let permit = permits.take();
                        member.perhaps_yield(4);
                        drop(permit);
                        Ended::With(())
                    }
                };
                let kind = match ended {
                    Ended::With(()) => 0,
                    Ended::Late => 1,
                    Ended::Cancelled => 2,
                };
                tally[kind].fetch_add(1, Ordering::Relaxed);
            }
        });
        println!("taken, late, cancelled: {counts:?}");
        assert_eq!(*permits.free.lock().unwrap(), Permits::ALL);
        // Some were ended early, or this has shown nothing.
        let [_, late, cancelled] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert!(late + cancelled > 0);
    });
}

#[test]
fn barriers_let_all_go_at_once() {
    const MEMBERS: usize = 9;
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let rounds = scaled(100_000, 10_000_000) / MEMBERS / 4;
        let shared = Arc::new((Barrier::new(MEMBERS), AtomicUsize::new(0)));
        let led = crew(machine, MEMBERS - 2, 2, &mut random, move |mut member| {
            let (barrier, arrived) = &*shared;
            let mut led = 0;
            for round in 1..=rounds {
                arrived.fetch_add(1, Ordering::Relaxed);
                led += usize::from(barrier.wait().is_leader());
                let seen = arrived.load(Ordering::Relaxed);
                assert!((round * MEMBERS..(round + 1) * MEMBERS).contains(&seen));
                member.perhaps_yield(16);
            }
            led
        });
        assert_eq!(led.iter().sum::<usize>(), rounds);
    });
}

#[test]
fn one_call_of_many_runs_and_the_others_see_what_it_wrote() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let rounds = scaled(100_000, 10_000_000) / 9 / 10;
        let round = |_| {
            let (wrote, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
            (Once::new(), OnceLock::new(), wrote, calls)
        };
        let all: Arc<Vec<_>> = Arc::new((0..rounds).map(round).collect());
        let work = Arc::clone(&all);
        crew(machine, 6, 3, &mut random, move |mut member| {
            for (number, (once, cell, wrote, calls)) in work.iter().enumerate() {
                let way = match member.random.below(3) {
                    // One at least must not wait for the others.
                    1 if member.number == 0 => 2,
                    way => way,
                };
                let mut call = || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    member.perhaps_yield(2);
                    wrote.store(true, Ordering::Relaxed);
                };
                match way {
                    0 => once.call_once_force(|state| {
                        assert!(!state.is_poisoned());
                        call();
                    }),
                    1 => once.wait(),
                    _ => once.call_once(call),
                }
                assert!(wrote.load(Ordering::Relaxed) && once.is_completed());
                let made = cell.get_or_init(|| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    member.perhaps_yield(2);
                    number
                });
                assert_eq!(*made, number);
            }
        });
        assert!(all.iter().all(|round| round.3.load(Ordering::Relaxed) == 2));
    });
}
