//! Promises of std's `Condvar`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::sync::{Arc, Condvar, LockResult, Mutex, MutexGuard, WaitTimeoutResult};
use super::thread;
use crate::places::panic_text;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(1000);

pub fn notifying_nobody_does_nothing() {
    let condvar = Condvar::new();
    condvar.notify_one();
    condvar.notify_all();
    // A notification is not kept for who comes later.
    let mutex = Mutex::new(false);
    let guard = mutex.lock().unwrap();
    let (_guard, result) = condvar
        .wait_timeout_while(guard, SHORT, |ready| !*ready)
        .unwrap();
    assert!(result.timed_out());
}

pub fn notify_one_wakes_who_waits() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let mut ready = shared.0.lock().unwrap();
    let other = Arc::clone(&shared);
    let handle = thread::spawn(move || {
        *other.0.lock().unwrap() = true;
        other.1.notify_one();
    });
    while !*ready {
        ready = shared.1.wait(ready).unwrap();
    }
    // It is held again.
    assert!(shared.0.try_lock().is_err());
    drop(ready);
    handle.join().unwrap();
}

pub fn each_notify_one_lets_one_go_on() {
    let (mutex, condvar) = (Mutex::new((0, 0)), Condvar::new());
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                let mut state = mutex.lock().unwrap();
                state.0 += 1;
                while state.1 == 0 {
                    state = condvar.wait(state).unwrap();
                }
                state.1 -= 1;
                state.0 -= 1;
            });
        }
        while mutex.lock().unwrap().0 < 8 {
            thread::yield_now();
        }
        for left in (0..8).rev() {
            mutex.lock().unwrap().1 = 1;
            condvar.notify_one();
            // One permit wakes at least one who takes it; without a lost wake-up nobody needs a second.
            while mutex.lock().unwrap().0 > left {
                thread::yield_now();
            }
        }
    });
    assert_eq!(mutex.into_inner().unwrap(), (0, 0));
}

pub fn notify_all_wakes_all() {
    const N: usize = 16;
    let (mutex, arrived, open) = (Mutex::new((0, false)), Condvar::new(), Condvar::new());
    thread::scope(|s| {
        let handles: Vec<_> = (0..N)
            .map(|_| {
                s.spawn(|| {
                    let mut state = mutex.lock().unwrap();
                    state.0 += 1;
                    if state.0 == N {
                        arrived.notify_one();
                    }
                    while !state.1 {
                        state = open.wait(state).unwrap();
                    }
                })
            })
            .collect();
        let mut state = mutex.lock().unwrap();
        while state.0 < N {
            state = arrived.wait(state).unwrap();
        }
        state.1 = true;
        open.notify_all();
        drop(state);
        for handle in handles {
            handle.join().unwrap();
        }
    });
}

pub fn wait_while_looks_before_it_waits_and_after() {
    let (mutex, condvar) = (Mutex::new(3), Condvar::new());
    // False at once: nobody would wake it.
    let guard = condvar
        .wait_while(mutex.lock().unwrap(), |left| *left != 3)
        .unwrap();
    assert_eq!(*guard, 3);
    drop(guard);
    thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..3 {
                *mutex.lock().unwrap() -= 1;
                condvar.notify_all();
                thread::yield_now();
            }
        });
        let guard = condvar
            .wait_while(mutex.lock().unwrap(), |left| *left > 0)
            .unwrap();
        assert_eq!(*guard, 0);
    });
    // The condition may change the value.
    let guard = condvar
        .wait_while(mutex.lock().unwrap(), |value| {
            *value += 1;
            *value < 1
        })
        .unwrap();
    assert_eq!(*guard, 1);
}

pub fn wait_timeout_is_never_early() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let mut guard = mutex.lock().unwrap();
    for wanted in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let begin = Instant::now();
        // Std allows to wake for nothing.
        loop {
            let (again, result) = condvar.wait_timeout(guard, wanted).unwrap();
            guard = again;
            if result.timed_out() {
                break;
            }
        }
        assert!(begin.elapsed() >= wanted);
        assert!(mutex.try_lock().is_err(), "it is held again");
    }
}

pub fn wait_timeout_tells_that_it_was_woken() {
    for limit in [LONG, Duration::MAX] {
        let (mutex, condvar) = (Mutex::new(false), Condvar::new());
        thread::scope(|s| {
            let mut guard = mutex.lock().unwrap();
            s.spawn(|| {
                *mutex.lock().unwrap() = true;
                condvar.notify_one();
            });
            while !*guard {
                let (again, result) = condvar.wait_timeout(guard, limit).unwrap();
                assert!(!result.timed_out());
                guard = again;
            }
        });
    }
}

pub fn wait_timeout_while_ends_by_either() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let begin = Instant::now();
    let (guard, result) = condvar
        .wait_timeout_while(mutex.lock().unwrap(), SHORT, |_| true)
        .unwrap();
    assert!(result.timed_out() && begin.elapsed() >= SHORT);
    drop(guard);
    let (guard, result) = condvar
        .wait_timeout_while(mutex.lock().unwrap(), Duration::ZERO, |_| false)
        .unwrap();
    assert!(!result.timed_out());
    drop(guard);
    thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..10 {
                *mutex.lock().unwrap() += 1;
                condvar.notify_one();
                thread::yield_now();
            }
        });
        let guard = mutex.lock().unwrap();
        let (guard, result) = condvar
            .wait_timeout_while(guard, LONG, |n| *n < 10)
            .unwrap();
        assert!(!result.timed_out());
        assert_eq!(*guard, 10);
    });
}

#[allow(deprecated, reason = "it is part of std")]
pub fn wait_timeout_ms_tells_whether_it_was_woken() {
    let (mutex, condvar) = (Mutex::new(false), Condvar::new());
    let mut guard = mutex.lock().unwrap();
    loop {
        let (again, woken) = condvar.wait_timeout_ms(guard, 1).unwrap();
        guard = again;
        if !woken {
            break;
        }
    }
    thread::scope(|s| {
        s.spawn(|| {
            *mutex.lock().unwrap() = true;
            condvar.notify_all();
        });
        while !*guard {
            let (again, woken) = condvar.wait_timeout_ms(guard, 1_000_000).unwrap();
            assert!(woken);
            guard = again;
        }
    });
}

pub fn waiting_lets_go_of_the_mutex() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let mut guard = mutex.lock().unwrap();
                *guard += 1;
                condvar.notify_all();
                // All four are inside at once, so all have let go.
                while *guard < 4 {
                    guard = condvar.wait(guard).unwrap();
                }
            });
        }
    });
}

pub fn one_condvar_after_another_mutex() {
    let condvar = Condvar::new();
    for _ in 0..3 {
        let mutex = Mutex::new(0);
        thread::scope(|s| {
            let guard = mutex.lock().unwrap();
            s.spawn(|| {
                *mutex.lock().unwrap() = 1;
                condvar.notify_one();
            });
            drop(condvar.wait_while(guard, |value| *value == 0).unwrap());
        });
    }
}

pub fn turns_without_a_lost_wake_up() {
    let (mutex, condvar) = (Mutex::new(0u32), Condvar::new());
    thread::scope(|s| {
        for me in 0..3 {
            let (mutex, condvar) = (&mutex, &condvar);
            s.spawn(move || {
                for _ in 0..200 {
                    let mut turn = condvar
                        .wait_while(mutex.lock().unwrap(), |turn| *turn % 3 != me)
                        .unwrap();
                    *turn += 1;
                    condvar.notify_all();
                }
            });
        }
    });
    assert_eq!(mutex.into_inner().unwrap(), 600);
}

pub fn a_notification_may_come_without_the_lock() {
    for _ in 0..50 {
        let (mutex, condvar) = (Mutex::new(false), Condvar::new());
        thread::scope(|s| {
            s.spawn(|| {
                let mut ready = mutex.lock().unwrap();
                *ready = true;
                drop(ready);
                condvar.notify_one();
            });
            drop(
                condvar
                    .wait_while(mutex.lock().unwrap(), |ready| !*ready)
                    .unwrap(),
            );
        });
    }
}

pub fn a_poisoned_mutex_is_told_of_after_the_wait() {
    let shared = Arc::new((Mutex::new(1), Condvar::new()));
    let guard = shared.0.lock().unwrap();
    let other = Arc::clone(&shared);
    let failed = thread::spawn(move || {
        let _guard = other.0.lock().unwrap();
        other.1.notify_one();
        panic!("expected");
    });
    let waited = shared.1.wait(guard);
    failed.join().unwrap_err();
    // Unless it woke for nothing before the other had come.
    if let Err(error) = waited {
        assert_eq!(*error.into_inner(), 1);
    } else {
        drop(waited);
    }
    assert!(shared.0.is_poisoned());
    let poisoned = || shared.0.lock().unwrap_err().into_inner();
    let error = shared.1.wait_timeout(poisoned(), SHORT).unwrap_err();
    assert_eq!(*error.into_inner().0, 1);
    let error = shared
        .1
        .wait_timeout_while(poisoned(), SHORT, |_| true)
        .unwrap_err();
    // The condition is not looked at, as the first wait says so.
    drop(error.into_inner());
    let guard = shared.1.wait_while(poisoned(), |_| false).unwrap();
    assert_eq!(*guard, 1);
    drop(guard);
    assert!(shared.0.is_poisoned());
}

pub fn a_condition_that_panics_poisons_the_mutex() -> Vec<String> {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let mut said = vec![panic_text(|| {
        drop(condvar.wait_while(mutex.lock().unwrap(), |_| panic!("expected")));
    })];
    assert!(mutex.is_poisoned());
    mutex.clear_poison();
    said.push(panic_text(|| {
        let _result =
            condvar.wait_timeout_while(mutex.lock().unwrap(), LONG, |_| panic!("expected 2"));
    }));
    assert!(mutex.is_poisoned());
    mutex.clear_poison();
    // After a wait, too.
    let asked = AtomicUsize::new(0);
    thread::scope(|s| {
        let waiter = s.spawn(|| {
            panic_text(|| {
                let _result = condvar.wait_while(mutex.lock().unwrap(), |value| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    assert!(*value == 0, "expected 3");
                    true
                });
            })
        });
        while asked.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        *mutex.lock().unwrap() = 1;
        condvar.notify_all();
        said.push(waiter.join().unwrap());
    });
    assert!(mutex.is_poisoned());
    assert!(mutex.try_lock().is_err());
    said
}

pub fn made_and_shown() -> Vec<String> {
    static CONDVAR: Condvar = Condvar::new();
    static MUTEX: Mutex<bool> = Mutex::new(false);
    *MUTEX.lock().unwrap() = false;
    let handle = thread::spawn(|| {
        *MUTEX.lock().unwrap() = true;
        CONDVAR.notify_all();
    });
    drop(
        CONDVAR
            .wait_while(MUTEX.lock().unwrap(), |ready| !*ready)
            .unwrap(),
    );
    handle.join().unwrap();
    vec![format!("{:?}, {:?}", Condvar::default(), Condvar::new())]
}

pub fn the_result_of_a_timed_wait_is_a_value() -> Vec<String> {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let wait = |more| -> WaitTimeoutResult {
        condvar
            .wait_timeout_while(mutex.lock().unwrap(), SHORT, |()| more)
            .unwrap()
            .1
    };
    let (out, in_time) = (wait(true), wait(false));
    let copy = out;
    assert!(out == copy && out != in_time);
    #[allow(clippy::clone_on_copy, reason = "both are promised")]
    let clone = out.clone();
    vec![format!("{out:?}, {in_time:?}, {clone:?}")]
}

pub fn values_are_reached_through_the_guard_only() {
    // The guard comes back with the lifetime it had, and values without a destructor or a default will do.
    fn waits<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        condvar.wait_while(guard, |_| false)
    }
    struct Plain<'a>(&'a str);
    let text = String::from("borrowed");
    let mutex = Mutex::new(Plain(&text));
    assert_eq!(
        waits(&Condvar::new(), mutex.lock().unwrap()).unwrap().0,
        "borrowed"
    );
}

pub fn a_full_buffer_and_an_empty_one() {
    const ITEMS: u32 = 500;
    let (buffer, not_empty, not_full) = (Mutex::new(Vec::new()), Condvar::new(), Condvar::new());
    let sum = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                for item in 0..ITEMS {
                    let full = |buffer: &mut Vec<u32>| buffer.len() == 2;
                    let mut buffer = not_full.wait_while(buffer.lock().unwrap(), full).unwrap();
                    buffer.push(item);
                    not_empty.notify_one();
                }
            });
            s.spawn(|| {
                for _ in 0..ITEMS {
                    let empty = |buffer: &mut Vec<u32>| buffer.is_empty();
                    let mut buffer = not_empty.wait_while(buffer.lock().unwrap(), empty).unwrap();
                    sum.fetch_add(buffer.pop().unwrap() as usize, Ordering::Relaxed);
                    not_full.notify_one();
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), (0..ITEMS as usize).sum::<usize>() * 2);
}
