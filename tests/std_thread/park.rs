//! Promises of std's `park` and `unpark`.

use super::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub fn an_unpark_before_the_park_is_not_lost() {
    for _ in 0..200 {
        thread::current().unpark();
        thread::park();
    }
    let me = thread::current();
    let other = thread::spawn(move || me.unpark());
    other.join().unwrap();
    thread::park();
}

pub fn permits_of_unpark_do_not_add_up() {
    for _ in 0..50 {
        for _ in 0..5 {
            thread::current().unpark();
        }
        thread::park();
        let told = Arc::new(AtomicBool::new(false));
        let waker = thread::spawn({
            let (told, me) = (Arc::clone(&told), thread::current());
            move || {
                thread::yield_now();
                told.store(true, Ordering::Release);
                me.unpark();
            }
        });
        let mut returns = 0;
        while !told.load(Ordering::Acquire) {
            thread::park();
            returns += 1;
        }
        // Spurious returns are allowed; one per permit that was thrown away would be five.
        assert!(returns <= 3, "{returns} parks returned for one unpark");
        waker.join().unwrap();
        // What the waker left if we had not parked yet.
        thread::current().unpark();
        thread::park();
    }
}

pub fn a_parked_thread_is_woken_by_another() {
    for _ in 0..100 {
        let done = Arc::new(AtomicBool::new(false));
        let sleeper = thread::spawn({
            let done = Arc::clone(&done);
            move || {
                while !done.load(Ordering::Acquire) {
                    thread::park();
                }
            }
        });
        done.store(true, Ordering::Release);
        sleeper.thread().unpark();
        sleeper.join().unwrap();
    }
}

pub fn unpark_of_a_finished_thread_does_nothing() {
    let handle = thread::spawn(|| ());
    let gone = handle.thread().clone();
    handle.join().unwrap();
    for _ in 0..3 {
        gone.unpark();
    }
}
