//! `fibers::sync::{Event, Notify, WaitGroup}`: who waits is let go, once, and nothing is lost.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Random, eventually, everywhere, in_both_modes, scaled};
use fibers::sync::{Event, Mutex, Notify, WaitGroup};
use fibers::testing::{self, explore};

#[test]
fn an_event_holds_until_it_is_reset() {
    fn promise() {
        static EVENT: Event = Event::new();
        EVENT.reset();
        let short = Duration::from_millis(1);
        assert!(!EVENT.is_set() && !EVENT.wait_timeout(short));
        EVENT.set();
        EVENT.wait();
        assert!(EVENT.is_set() && EVENT.wait_timeout(Duration::ZERO));
        EVENT.set();
        EVENT.reset();
        EVENT.reset();
        assert!(!EVENT.wait_timeout(Duration::ZERO));
        assert_eq!(format!("{EVENT:?}"), "Event { set: false, .. }");
    }
    everywhere(60, promise);
}

#[test]
fn who_waits_when_it_is_set_goes_on_though_it_is_reset() {
    in_both_modes(60, 2, |_, machine, _| {
        let event = Arc::new(Event::new());
        for _ in 0..scaled(100, 5_000) {
            let guests: Vec<_> = (0..50)
                .map(|_| {
                    let event = Arc::clone(&event);
                    machine.spawn(move || event.wait())
                })
                .collect();
            eventually(|| machine.metrics().parked == 50);
            event.set();
            event.reset();
            guests.into_iter().for_each(|guest| guest.join().unwrap());
        }
    });
}

#[test]
fn what_was_written_before_the_set_is_seen() {
    let rounds = scaled(2_000, 200_000);
    in_both_modes(120, 2, |_, machine, _| {
        for round in 0..rounds {
            // Plain data: the event alone orders it.
            struct Cell(std::cell::UnsafeCell<usize>);
            // SAFETY: written before the event is set, read after.
            unsafe impl Sync for Cell {}
            let shared = Arc::new((Cell(std::cell::UnsafeCell::new(0)), Event::new()));
            let reader = machine.spawn({
                let shared = Arc::clone(&shared);
                move || {
                    shared.1.wait();
                    // SAFETY: as above.
                    unsafe { *shared.0.0.get() }
                }
            });
            if round % 2 == 0 {
                fibers::yield_now();
            }
            // SAFETY: as above.
            unsafe { *shared.0.0.get() = round };
            shared.1.set();
            assert_eq!(reader.join().unwrap(), round);
        }
    });
}

#[test]
fn one_notification_is_kept_and_no_more() {
    fn promise() {
        let notify = Notify::new();
        let short = Duration::from_millis(1);
        assert!(!notify.wait_timeout(short));
        notify.notify_waiters();
        assert!(!notify.wait_timeout(short), "notify_waiters keeps nothing");
        notify.notify_one();
        notify.notify_one();
        notify.wait();
        assert!(!notify.wait_timeout(short), "two are kept as one");
    }
    everywhere(60, promise);
}

#[test]
fn notifications_go_to_who_has_waited_longest() {
    in_both_modes(60, 2, |_, machine, _| {
        let (notify, order) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
        let fibers: Vec<_> = (0..60)
            .map(|n| {
                let (notify, order) = (Arc::clone(&notify), Arc::clone(&order));
                let fiber = machine.spawn(move || {
                    notify.wait();
                    order.lock().unwrap().push(n);
                });
                eventually(|| machine.metrics().parked == n + 1);
                fiber
            })
            .collect();
        for n in 0..20 {
            notify.notify_one();
            eventually(|| order.lock().unwrap().len() == n + 1);
        }
        notify.notify_waiters();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(order.lock().unwrap()[..20], (0..20).collect::<Vec<_>>());
        assert!(!notify.wait_timeout(Duration::ZERO));
    });
}

/// Each notification is taken by exactly one wait, or kept: whatever is cancelled or late.
#[test]
fn no_notification_goes_with_a_waiter_that_is_cancelled_or_late() {
    for floating in [false, true] {
        explore(
            0..scaled(2_000, 100_000) as u64,
            move |check| check.workers(3).floating(floating),
            || {
                let (notify, got) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
                let wait = || {
                    let (notify, got) = (Arc::clone(&notify), Arc::clone(&got));
                    move || {
                        let patience = Duration::from_micros(testing::random(300) as u64);
                        let came = match testing::random(3) {
                            0 => notify.wait_timeout(patience),
                            1 => fibers::timeout(patience, || notify.wait()).is_ok(),
                            _ => {
                                notify.wait();
                                true
                            }
                        };
                        got.fetch_add(usize::from(came), SeqCst);
                    }
                };
                let waiters: Vec<_> = (0..6).map(|_| fibers::spawn(wait())).collect();
                for waiter in &waiters {
                    fibers::sleep(Duration::from_micros(testing::random(100) as u64));
                    if testing::random(3) == 0 {
                        waiter.cancel().unwrap();
                    }
                }
                // One at a time, and the next when it was taken: so none is merged with another.
                let mut sent = 0;
                for _ in 0..3 {
                    notify.notify_one();
                    sent += 1;
                    fibers::sleep(Duration::from_micros(testing::random(400) as u64));
                    // Who was given it may not have run yet.
                    while got.load(SeqCst) < sent {
                        let mine = notify.wait_timeout(Duration::from_millis(1));
                        got.fetch_add(usize::from(mine), SeqCst);
                    }
                }
                for waiter in &waiters {
                    waiter.cancel().unwrap();
                }
                for waiter in waiters {
                    let _ = waiter.join();
                }
                assert_eq!(got.load(SeqCst), sent);
                assert!(!notify.wait_timeout(Duration::ZERO));
            },
        );
    }
}

/// Two that wake each other through two of them, one a thread: what is lost hangs them.
#[test]
fn fibers_and_threads_notify_each_other() {
    let rounds = scaled(20_000, 1_000_000);
    in_both_modes(120, 2, |_, machine, _| {
        let pair = Arc::new((Notify::new(), Notify::new()));
        let other = {
            let pair = Arc::clone(&pair);
            move || {
                for _ in 0..rounds {
                    pair.0.wait();
                    pair.1.notify_one();
                }
            }
        };
        let one = {
            let pair = Arc::clone(&pair);
            move || {
                for _ in 0..rounds {
                    pair.0.notify_one();
                    pair.1.wait();
                }
            }
        };
        let thread = std::thread::spawn(other.clone());
        machine.spawn(one.clone()).join().unwrap();
        thread.join().unwrap();
        let (first, second) = (machine.spawn(one), machine.spawn(other));
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_group_waits_for_all_its_members_however_they_end() {
    in_both_modes(60, 2, |_, machine, _| {
        let mut random = Random::new();
        for _ in 0..scaled(300, 10_000) {
            let group = WaitGroup::new();
            let done = Arc::new(AtomicUsize::new(0));
            let members = random.below(6) as usize;
            for n in 0..members {
                let (member, done) = (group.clone(), Arc::clone(&done));
                let body = move || {
                    let _member = member.clone();
                    drop(member);
                    done.fetch_add(1, SeqCst);
                    if n % 3 == 0 {
                        // As a panic, without its message.
                        std::panic::resume_unwind(Box::new("ends"));
                    }
                };
                if n % 2 == 0 {
                    drop(machine.spawn(body));
                } else {
                    drop(std::thread::spawn(body));
                }
            }
            group.wait();
            assert_eq!(done.load(SeqCst), members);
        }
        let group = WaitGroup::default();
        let member = group.clone();
        let waiter = machine.spawn(move || group.wait());
        eventually(|| machine.metrics().parked == 1);
        waiter.cancel().unwrap();
        waiter.join().unwrap_err();
        // The cancelled one is no member any more.
        member.wait();
    });
}
