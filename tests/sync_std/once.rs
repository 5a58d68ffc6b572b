//! Promises of std's `Once` and `OnceState`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::sync::{Arc, Once, OnceState};
use super::thread;
use crate::places::panic_text;

fn poison(once: &Once) {
    assert_eq!(
        panic_text(|| once.call_once(|| panic!("expected"))),
        "expected"
    );
}

pub fn the_first_call_runs_and_no_other() {
    let once = Once::new();
    let mut calls = 0;
    once.call_once(|| calls += 1);
    once.call_once(|| calls += 1);
    once.call_once_force(|_| calls += 1);
    assert_eq!(calls, 1);
    assert!(once.is_completed());
}

pub fn all_wait_for_the_one_that_runs() {
    for _ in 0..20 {
        let (once, calls) = (Once::new(), AtomicUsize::new(0));
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    thread::yield_now();
                    once.call_once(|| {
                        thread::yield_now();
                        calls.fetch_add(1, Ordering::Relaxed);
                    });
                    assert_eq!(calls.load(Ordering::Relaxed), 1);
                });
            }
        });
    }
}

pub fn it_is_completed_when_the_call_has_returned() {
    let once = Once::new();
    assert!(!once.is_completed());
    once.call_once(|| assert!(!once.is_completed()));
    assert!(once.is_completed());
    let forced = Once::new();
    forced.call_once_force(|state| assert!(!state.is_poisoned()));
    assert!(forced.is_completed());
}

pub fn a_panic_poisons_it() -> Vec<String> {
    let once = Once::new();
    poison(&once);
    assert!(!once.is_completed());
    let mut said = vec![
        panic_text(|| once.call_once(|| unreachable!())),
        panic_text(|| once.wait()),
    ];
    // And is seen by others.
    let said_there = thread::scope(|s| {
        let other = s.spawn(|| panic_text(|| once.call_once(|| unreachable!())));
        other.join().unwrap()
    });
    said.push(said_there);
    once.call_once_force(|state| assert!(state.is_poisoned()));
    assert!(once.is_completed());
    once.call_once(|| unreachable!());
    once.wait();
    said
}

pub fn a_forced_call_may_panic_again() {
    let once = Once::new();
    poison(&once);
    for _ in 0..2 {
        let said = panic_text(|| {
            once.call_once_force(|state| {
                assert!(state.is_poisoned());
                panic!("expected");
            });
        });
        assert_eq!(said, "expected");
    }
    once.call_once_force(|state| assert!(state.is_poisoned()));
    assert!(once.is_completed());
}

pub fn those_who_waited_for_a_call_that_panicked_are_told() {
    let once = Arc::new(Once::new());
    let (inside, waiting) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runner = thread::spawn({
        let (once, inside, waiting) =
            (Arc::clone(&once), Arc::clone(&inside), Arc::clone(&waiting));
        move || {
            panic_text(|| {
                once.call_once(|| {
                    inside.store(1, Ordering::Release);
                    while waiting.load(Ordering::Acquire) < 3 {
                        thread::yield_now();
                    }
                    panic!("expected");
                });
            })
        }
    });
    while inside.load(Ordering::Acquire) == 0 {
        thread::yield_now();
    }
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let (once, waiting) = (Arc::clone(&once), Arc::clone(&waiting));
            thread::spawn(move || {
                waiting.fetch_add(1, Ordering::Release);
                panic_text(|| once.call_once(|| unreachable!()))
            })
        })
        .collect();
    assert_eq!(runner.join().unwrap(), "expected");
    for waiter in waiters {
        let said = waiter.join().unwrap();
        assert_eq!(said, "Once instance has previously been poisoned");
    }
}

pub fn wait_returns_when_it_is_done() {
    let (once, done) = (Once::new(), AtomicUsize::new(0));
    thread::scope(|s| {
        for force in [false, true, false, true] {
            let (once, done) = (&once, &done);
            s.spawn(move || {
                if force {
                    once.wait_force();
                } else {
                    once.wait();
                }
                assert_eq!(done.load(Ordering::Relaxed), 1);
                assert!(once.is_completed());
            });
        }
        for _ in 0..5 {
            thread::yield_now();
        }
        once.call_once(|| {
            thread::yield_now();
            done.store(1, Ordering::Relaxed);
        });
    });
    once.wait();
    once.wait_force();
}

pub fn wait_force_waits_through_a_poisoning() {
    let (once, done) = (Once::new(), AtomicUsize::new(0));
    poison(&once);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                once.wait_force();
                assert_eq!(done.load(Ordering::Relaxed), 1);
            });
        }
        for _ in 0..5 {
            thread::yield_now();
        }
        once.call_once_force(|state| {
            assert!(state.is_poisoned());
            done.store(1, Ordering::Relaxed);
        });
    });
}

pub fn one_call_may_make_another() {
    let (outer, inner) = (Once::new(), Once::new());
    let mut order = Vec::new();
    outer.call_once(|| {
        inner.call_once(|| order.push("inner"));
        order.push("outer");
    });
    assert_eq!(order, ["inner", "outer"]);
}

pub fn a_call_may_wait() {
    static ONCE: Once = Once::new();
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let handles: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                ONCE.call_once(|| {
                    thread::spawn(|| CALLS.store(1, Ordering::Relaxed))
                        .join()
                        .unwrap();
                });
                assert_eq!(CALLS.load(Ordering::Relaxed), 1);
            })
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
}

pub fn made_and_shown() -> Vec<String> {
    const fn many() -> [Once; 2] {
        [const { Once::new() }; 2]
    }
    static MANY: [Once; 2] = many();
    #[allow(deprecated, reason = "it is part of std")]
    let old: Once = super::sync::ONCE_INIT;
    let mut said = vec![format!("{old:?}")];
    MANY.iter().for_each(|once| once.call_once(|| ()));
    poison(&old);
    said.push(format!("{:?}, {:?}", MANY[0], old));
    old.call_once_force(|state: &OnceState| said.push(format!("{state:?}")));
    said
}

pub fn a_closure_that_does_not_run_is_dropped() {
    let once = Once::new();
    once.call_once(|| ());
    let kept = Arc::new(());
    let captured = Arc::clone(&kept);
    once.call_once(move || drop(captured));
    assert_eq!(Arc::strong_count(&kept), 1);
}
