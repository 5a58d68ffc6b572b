//! `fibers::sync::{Once, OnceLock, LazyLock}`: done once, by whoever comes first; and what is left if it is not done.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{eventually, everywhere, in_both_modes, scaled};
use fibers::sync::{LazyLock, Once, OnceLock};
use fibers::testing::{self, explore};

fn text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[test]
fn it_is_done_once_and_those_who_ask_meanwhile_wait() {
    in_both_modes(60, 2, |_, machine, _| {
        let once = Arc::new(Once::new());
        let calls = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (once, calls) = (Arc::clone(&once), Arc::clone(&calls));
            move || {
                once.call_once(|| {
                    fibers::sleep(Duration::from_millis(2));
                    calls.fetch_add(1, SeqCst);
                });
                assert_eq!(calls.load(SeqCst), 1);
            }
        };
        let waits = machine.spawn({
            let once = Arc::clone(&once);
            move || {
                once.wait();
                once.wait_force();
            }
        });
        let fibers: Vec<_> = (0..100).map(|_| machine.spawn(ask())).collect();
        let thread = std::thread::spawn(ask());
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        thread.join().unwrap();
        waits.join().unwrap();
        assert!(once.is_completed());
    });
}

#[test]
fn a_panic_poisons_as_in_std() {
    fn promise() {
        let once = Once::new();
        let panics = || catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("first"))));
        assert_eq!(text(&*panics().unwrap_err()), "first");
        let poisoned = "Once instance has previously been poisoned";
        assert_eq!(text(&*panics().unwrap_err()), poisoned);
        let waited = catch_unwind(AssertUnwindSafe(|| once.wait()));
        assert_eq!(text(&*waited.unwrap_err()), poisoned);
        let forced = catch_unwind(AssertUnwindSafe(|| {
            once.call_once_force(|state| {
                assert!(state.is_poisoned());
                panic!("second");
            });
        }));
        assert_eq!(text(&*forced.unwrap_err()), "second");
        once.call_once_force(|state| assert!(state.is_poisoned()));
        once.call_once(|| unreachable!());
        once.wait();
    }
    everywhere(60, promise);
}

#[test]
fn one_that_is_cancelled_or_late_is_done_by_the_next() {
    in_both_modes(60, 2, |_, machine, _| {
        let once = Arc::new(Once::new());
        let begun = Arc::new(AtomicBool::new(false));
        let first = machine.spawn({
            let (once, begun) = (Arc::clone(&once), Arc::clone(&begun));
            move || {
                once.call_once(|| {
                    begun.store(true, SeqCst);
                    fibers::sleep(Duration::from_secs(3600));
                });
            }
        });
        eventually(|| begun.load(SeqCst));
        let late = machine.spawn({
            let once = Arc::clone(&once);
            move || {
                fibers::timeout(Duration::from_millis(1), || {
                    once.call_once(|| unreachable!())
                })
            }
        });
        assert!(late.join().unwrap().is_err());
        let second = machine.spawn({
            let once = Arc::clone(&once);
            move || once.call_once_force(|state| assert!(!state.is_poisoned()))
        });
        first.cancel().unwrap();
        assert!(first.join().unwrap_err().is::<fibers::Cancelled>());
        second.join().unwrap();
        assert!(once.is_completed());
    });
}

#[test]
fn a_cell_is_filled_by_the_first_that_succeeds() {
    in_both_modes(60, 2, |_, machine, _| {
        let cell = Arc::new(OnceLock::new());
        let waits = machine.spawn({
            let cell = Arc::clone(&cell);
            move || *cell.wait()
        });
        let panics = catch_unwind(AssertUnwindSafe(|| cell.get_or_init(|| panic!("not yet"))));
        assert!(panics.is_err() && cell.get().is_none());
        let cancelled = machine.spawn({
            let cell = Arc::clone(&cell);
            move || {
                cell.get_or_init(|| {
                    fibers::sleep(Duration::from_secs(3600));
                    1
                });
            }
        });
        eventually(|| machine.metrics().parked >= 2);
        cancelled.cancel().unwrap();
        cancelled.join().unwrap_err();
        assert_eq!(*cell.get_or_init(|| 2), 2);
        assert_eq!(waits.join().unwrap(), 2);
        assert_eq!(cell.set(3), Err(3));
        assert_eq!(
            format!("{cell:?}"),
            format!("{:?}", std::sync::OnceLock::from(2))
        );
        assert_eq!((*cell).clone(), OnceLock::from(2));
        let mut cell = Arc::into_inner(cell).unwrap();
        *cell.get_mut().unwrap() += 1;
        assert_eq!(
            (cell.take(), cell.take(), cell.into_inner()),
            (Some(3), None, None)
        );
    });
}

#[test]
fn a_lazy_value_is_made_once_also_if_its_first_user_is_cancelled() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    in_both_modes(60, 2, |_, machine, _| {
        MADE.store(0, SeqCst);
        let value = Arc::new(LazyLock::new(|| {
            MADE.fetch_add(1, SeqCst);
            fibers::sleep(Duration::from_millis(5));
            7
        }));
        let first = machine.spawn({
            let value = Arc::clone(&value);
            move || {
                let _ = **value;
                fibers::sleep(Duration::from_secs(3600));
            }
        });
        eventually(|| MADE.load(SeqCst) == 1);
        first.cancel().unwrap();
        let users: Vec<_> = (0..10)
            .map(|_| {
                let value = Arc::clone(&value);
                machine.spawn(move || **value)
            })
            .collect();
        users
            .into_iter()
            .for_each(|user| assert_eq!(user.join().unwrap(), 7));
        first.join().unwrap_err();
        assert_eq!((MADE.load(SeqCst), LazyLock::get(&value)), (1, Some(&7)));
    });
}

#[test]
fn a_lazy_value_that_panicked_is_poisoned_for_good() {
    fn promise() {
        let mut value: LazyLock<u32> = LazyLock::new(|| panic!("no value"));
        assert_eq!(format!("{value:?}"), "LazyLock(<uninit>)");
        let used = catch_unwind(AssertUnwindSafe(|| *value));
        assert_eq!(text(&*used.unwrap_err()), "no value");
        let poisoned = "LazyLock instance has previously been poisoned";
        let used = catch_unwind(AssertUnwindSafe(|| *value));
        assert_eq!(text(&*used.unwrap_err()), poisoned);
        let used = catch_unwind(AssertUnwindSafe(|| *LazyLock::force_mut(&mut value)));
        assert_eq!(text(&*used.unwrap_err()), poisoned);
        assert!(LazyLock::get(&value).is_none() && LazyLock::get_mut(&mut value).is_none());
        let mut good = LazyLock::new(|| 3);
        *good += 1;
        assert_eq!((*good, LazyLock::get(&good)), (4, Some(&4)));
    }
    everywhere(60, promise);
}

/// Those who begin it are cancelled, late, or panic, at random points; in the end it is done exactly once.
#[test]
fn every_order_of_attempts_ends_with_it_done_once() {
    for floating in [false, true] {
        explore(
            0..scaled(2_000, 100_000) as u64,
            move |check| check.workers(3).floating(floating),
            || {
                let (once, done) = (Arc::new(Once::new()), Arc::new(AtomicUsize::new(0)));
                let attempt = |fails: bool| {
                    let (once, done) = (Arc::clone(&once), Arc::clone(&done));
                    move || {
                        let act = |_: &_| {
                            fibers::sleep(Duration::from_micros(testing::random(300) as u64));
                            if fails && testing::random(2) == 0 {
                                // As a panic, without its message.
                                std::panic::resume_unwind(Box::new("fails"));
                            }
                            done.fetch_add(1, SeqCst);
                        };
                        let patience = Duration::from_micros(testing::random(600) as u64);
                        match testing::random(3) {
                            0 => drop(fibers::timeout(patience, || once.call_once_force(act))),
                            1 => drop(fibers::timeout(patience, || once.wait_force())),
                            _ => once.call_once_force(act),
                        }
                    }
                };
                let fibers: Vec<_> = (0..5).map(|_| fibers::spawn(attempt(true))).collect();
                for fiber in &fibers {
                    fibers::sleep(Duration::from_micros(testing::random(200) as u64));
                    if testing::random(3) == 0 {
                        fiber.cancel().unwrap();
                    }
                }
                let waits = fibers::spawn({
                    let once = Arc::clone(&once);
                    move || once.wait_force()
                });
                for fiber in fibers {
                    let _ = fiber.join();
                }
                once.call_once_force(|_| {
                    done.fetch_add(1, SeqCst);
                });
                waits.join().unwrap();
                assert_eq!(done.load(SeqCst), 1);
            },
        );
    }
}
