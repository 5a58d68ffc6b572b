//! Promises of std's `spawn` and `JoinHandle`.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::thread;
use crate::common::Expected;

pub fn join_returns_the_result() {
    assert_eq!(thread::spawn(|| 6 * 7).join().unwrap(), 42);
    assert_eq!(thread::spawn(|| [7u64; 200]).join().unwrap(), [7; 200]);
    thread::spawn(|| ()).join().unwrap();
    let text = thread::spawn(|| String::from("long enough to be on the heap")).join();
    assert_eq!(text.unwrap(), "long enough to be on the heap");
}

pub fn join_returns_the_payload_of_a_panic() {
    fn payload<T: Any + Send>(value: T) -> Box<dyn Any + Send> {
        let failed = thread::spawn(move || std::panic::panic_any(value));
        let result: thread::Result<()> = failed.join();
        result.unwrap_err()
    }
    assert_eq!(*payload("expected").downcast::<&str>().unwrap(), "expected");
    assert_eq!(
        *payload(Expected(9)).downcast::<Expected>().unwrap(),
        Expected(9)
    );
    let formatted = thread::spawn(|| {
        std::panic::resume_unwind(Box::new(format!("expected {}", 1)));
    });
    let text = formatted.join().unwrap_err().downcast::<String>();
    assert_eq!(*text.unwrap(), "expected 1");
}

pub fn what_happened_before_is_seen() {
    // Spawn publishes to the thread, and the thread's end to the joiner, though all is Relaxed. Nobody else has the word.
    let word = Arc::new(AtomicUsize::new(0));
    for round in 0..100 {
        let (before, after) = (2 * round + 1, 2 * round + 2);
        word.store(before, Ordering::Relaxed);
        let theirs = Arc::clone(&word);
        let seen = thread::spawn(move || {
            let seen = theirs.load(Ordering::Relaxed);
            theirs.store(after, Ordering::Relaxed);
            seen
        });
        assert_eq!(seen.join().unwrap(), before);
        assert_eq!(word.load(Ordering::Relaxed), after);
    }
}

pub fn is_finished_turns_true_once_and_join_does_not_wait_then() {
    let go = Arc::new(AtomicBool::new(false));
    let handle = thread::spawn({
        let go = Arc::clone(&go);
        move || {
            while !go.load(Ordering::Acquire) {
                thread::yield_now();
            }
            5
        }
    });
    assert!(!handle.is_finished());
    go.store(true, Ordering::Release);
    while !handle.is_finished() {
        thread::yield_now();
    }
    assert!(handle.is_finished());
    assert_eq!(handle.join().unwrap(), 5);
}

pub fn spawn_from_a_spawned_thread() {
    fn deeper(left: u32) -> u32 {
        if left == 0 {
            return 0;
        }
        thread::spawn(move || deeper(left - 1)).join().unwrap() + 1
    }
    assert_eq!(deeper(50), 50);
}

pub fn a_detached_thread_goes_on() {
    let (done, me) = (Arc::new(AtomicBool::new(false)), thread::current());
    drop(thread::spawn({
        let done = Arc::clone(&done);
        move || {
            thread::yield_now();
            done.store(true, Ordering::Release);
            me.unpark();
        }
    }));
    while !done.load(Ordering::Acquire) {
        thread::park();
    }
}

pub fn a_handle_may_be_joined_elsewhere() {
    let first = thread::spawn(|| 1);
    let second = thread::spawn(move || first.join().unwrap() + 1);
    let third = std::thread::spawn(move || second.join().unwrap() + 1);
    // A plain thread waits for a fiber; this one for a plain thread, which blocks it.
    assert_eq!(third.join().unwrap(), 3);
}

pub fn captures_are_dropped_before_join_returns() {
    let drops = Arc::new(AtomicUsize::new(0));
    struct Capture(Arc<AtomicUsize>);
    impl Drop for Capture {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for round in 0..100 {
        let capture = Capture(Arc::clone(&drops));
        let fails = round % 2 == 1;
        let result = thread::spawn(move || {
            let _moved = &capture;
            assert!(!fails, "expected");
        })
        .join();
        assert_eq!(result.is_err(), fails);
        assert_eq!(drops.load(Ordering::Relaxed), round + 1);
    }
}

pub fn panicking_is_true_in_destructors_of_an_unwind_only() {
    struct Look(Arc<Mutex<Vec<bool>>>);
    impl Drop for Look {
        fn drop(&mut self) {
            self.0
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .push(thread::panicking());
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    assert!(!thread::panicking());
    let look = Look(Arc::clone(&seen));
    thread::spawn(move || drop(look)).join().unwrap();
    let look = Look(Arc::clone(&seen));
    let failed = thread::spawn(move || {
        let _look = look;
        panic!("expected");
    });
    assert!(failed.join().is_err());
    assert!(!thread::panicking());
    assert_eq!(*seen.lock().unwrap(), [false, true]);
}
