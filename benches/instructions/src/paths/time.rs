//! Deadlines that are set and not needed, and a sleep that is cut short.

#![allow(clippy::redundant_closure, reason = "as in `sched.rs`")]

use std::time::Duration;

use fibers::Cancelled;

use super::end;

/// Does not come while a path runs.
const FAR: Duration = Duration::from_secs(3600);

/// A deadline set and taken back, no wait in between: so nobody looks at the clock meanwhile.
pub(super) fn timeout(operations: u64) {
    for i in 0..operations {
        assert_eq!(fibers::timeout(FAR, || i), Ok(i));
    }
}

/// The same around a yield, by two fibers in turn.
pub(super) fn timeout_yield(operations: u64) {
    let each = operations / 2;
    let work = move || {
        for _ in 0..each {
            fibers::timeout(FAR, || fibers::yield_now()).expect("a yield is quick");
        }
    };
    let other = fibers::spawn(work);
    work();
    end(other);
}

/// As a ping-pong of parks and unparks, one of the two with a deadline.
pub(super) fn park_timeout(operations: u64) {
    let first = fibers::current();
    let second = fibers::spawn(move || {
        for _ in 0..operations {
            fibers::park_timeout(FAR);
            first.unpark();
        }
    });
    for _ in 0..operations {
        second.fiber().unpark();
        fibers::park();
    }
    end(second);
}

/// A fiber is spawned, sleeps, is cancelled, unwinds and is joined.
pub(super) fn sleep_cancel(operations: u64) {
    for _ in 0..operations {
        let canceller = fibers::current();
        let sleeper = fibers::spawn(move || {
            // Goes on when the sleeper waits: one that has not started would be cancelled without a sleep.
            canceller.unpark();
            fibers::sleep(FAR);
        });
        fibers::park();
        sleeper.cancel().expect("it can unwind");
        let payload = sleeper.join().expect_err("it sleeps for long");
        assert!(payload.is::<Cancelled>());
    }
}
