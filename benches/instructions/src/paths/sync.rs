//! Locks that nobody else wants, and one that two fibers pass to and fro.

use std::hint::black_box;

use fibers::sync::{Condvar, Mutex, RwLock, Semaphore};

/// Lock, increment, unlock.
pub(super) fn mutex(operations: u64) {
    let number = Mutex::new(0);
    for _ in 0..operations {
        let mut number = number.lock().expect("no path panics");
        *number = black_box(*number + 1);
    }
    assert_eq!(number.into_inner().ok(), Some(operations));
}

/// Lock for reading, read, unlock.
pub(super) fn rwlock_read(operations: u64) {
    let one = RwLock::new(1);
    let read = |_| black_box(*one.read().expect("no path panics"));
    assert_eq!((0..operations).map(read).sum::<u64>(), operations);
}

/// A round trip of two fibers that pass a turn, by a mutex and a condition variable.
pub(super) fn condvar(operations: u64) {
    let turn = (Mutex::new(false), Condvar::new());
    let pass = |mine: bool| {
        for _ in 0..operations {
            let mut now = turn.0.lock().expect("no path panics");
            while *now != mine {
                now = turn.1.wait(now).expect("no path panics");
            }
            *now = !mine;
            drop(now);
            turn.1.notify_one();
        }
    };
    fibers::scope(|scope| {
        scope.spawn(|| pass(true));
        pass(false);
    });
}

/// A permit taken and given back.
pub(super) fn semaphore(operations: u64) {
    let semaphore = Semaphore::new(1);
    for i in 0..operations {
        let permit = semaphore.acquire().expect("it is not closed");
        black_box(i);
        drop(permit);
    }
    assert_eq!(semaphore.available_permits(), 1);
}
