//! Promises of std's `thread::scope`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::thread;
use crate::common::{Counted, Expected};

pub fn scoped_threads_borrow() {
    let words = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
    let mut lengths = [0; 3];
    let mut last = 0;
    let sum = thread::scope(|s| {
        for (word, length) in words.iter().zip(&mut lengths) {
            s.spawn(move || *length = word.len());
        }
        s.spawn(|| last = words.len());
        let handle = s.spawn(|| words.iter().map(String::len).sum::<usize>());
        assert!(!handle.thread().id().eq(&thread::current().id()));
        handle.join().unwrap()
    });
    assert_eq!((sum, lengths, last), (11, [3, 3, 5], 3));
}

pub fn scoped_threads_spawn_in_their_scope() {
    let count = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..4 {
                    s.spawn(|| count.fetch_add(1, Ordering::Relaxed));
                }
                thread::scope(|inner| {
                    inner.spawn(|| count.fetch_add(10, Ordering::Relaxed));
                });
            });
        }
    });
    assert_eq!(count.into_inner(), 4 * 4 + 4 * 10);
}

pub fn a_scope_ends_after_its_threads() {
    for _ in 0..300 {
        let ended = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    thread::yield_now();
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }
}

pub fn a_scoped_result_that_nobody_takes_is_dropped_before_the_scope_ends() {
    for _ in 0..300 {
        let drops = AtomicUsize::new(0);
        thread::scope(|s| {
            // Detached before, and after, it has a result.
            drop(s.spawn(|| Counted(&drops)));
            let kept = s.spawn(|| Counted(&drops));
            while !kept.is_finished() {
                thread::yield_now();
            }
            drop(kept);
            s.spawn(|| Counted(&drops));
        });
        assert_eq!(drops.load(Ordering::Relaxed), 3);
    }
}

pub fn joins_race_with_the_end_of_a_scope() {
    for _ in 0..300 {
        let go = AtomicBool::new(false);
        let (first, second) = thread::scope(|s| {
            let first = s.spawn(|| {
                while !go.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                1
            });
            let second = s.spawn(|| {
                go.store(true, Ordering::Relaxed);
                2
            });
            s.spawn(thread::yield_now);
            (first.join().unwrap(), second.join().unwrap())
        });
        assert_eq!((first, second), (1, 2));
    }
}

pub fn a_scope_panics_for_a_thread_that_nobody_joined() {
    let survivors = AtomicUsize::new(0);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        thread::scope(|s| {
            s.spawn(|| panic!("expected"));
            s.spawn(|| {
                for _ in 0..10 {
                    thread::yield_now();
                }
                survivors.fetch_add(1, Ordering::Relaxed);
            });
        });
    }));
    let text = result.unwrap_err().downcast::<&str>().unwrap();
    assert!(text.starts_with("a scoped "), "{text}");
    assert_eq!(survivors.load(Ordering::Relaxed), 1);
}

pub fn a_joined_panic_does_not_fail_its_scope() {
    let failed = thread::scope(|s| {
        let failing: thread::ScopedJoinHandle<()> = s.spawn(|| panic!("expected"));
        failing.join().is_err()
    });
    assert!(failed);
}

pub fn a_panic_in_the_scope_itself_waits_for_its_threads() {
    let ended = AtomicUsize::new(0);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        thread::scope(|s| {
            for _ in 0..5 {
                s.spawn(|| {
                    for _ in 0..5 {
                        thread::yield_now();
                    }
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
            std::panic::panic_any(Expected(3));
        });
    }));
    assert_eq!(
        *result.unwrap_err().downcast::<Expected>().unwrap(),
        Expected(3)
    );
    assert_eq!(ended.load(Ordering::Relaxed), 5);
}
