//! Fibers and threads that do the same for a while, side by side; and some who are cancelled and run out of time.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use fibers::{Cancelled, Runtime, timeout};

use crate::common::Random;

/// One of them.
#[derive(Clone, Debug)]
pub struct Member {
    pub number: usize,
    pub is_fiber: bool,
    pub random: Random,
}

impl Member {
    /// Lets others run, at times.
    pub fn perhaps_yield(&mut self, one_in: u64) {
        if self.random.below(one_in) == 0 {
            if self.is_fiber {
                fibers::yield_now();
            } else {
                // Beside other programs a yield would cost the thread a time slice each.
                (0..200).for_each(|_| std::hint::spin_loop());
            }
        }
    }
}

/// Runs it in so many fibers of that machine and so many threads, and joins them.
pub fn crew<T: Send + 'static>(
    machine: &Runtime,
    fibers: usize,
    threads: usize,
    random: &mut Random,
    work: impl Fn(Member) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let work = Arc::new(work);
    let mut member = |number, is_fiber| Member {
        number,
        is_fiber,
        random: Random::of(random.next()),
    };
    let fiber_handles: Vec<_> = (0..fibers)
        .map(|number| {
            let (work, member) = (Arc::clone(&work), member(number, true));
            machine.spawn(move || work(member))
        })
        .collect();
    let thread_handles: Vec<_> = (fibers..fibers + threads)
        .map(|number| {
            let (work, member) = (Arc::clone(&work), member(number, false));
            std::thread::spawn(move || work(member))
        })
        .collect();
    let fibers = fiber_handles.into_iter().map(|fiber| fiber.join().unwrap());
    let threads = thread_handles
        .into_iter()
        .map(|thread| thread.join().unwrap());
    // Collected fibers first: both kinds run by then.
    fibers
        .collect::<Vec<_>>()
        .into_iter()
        .chain(threads)
        .collect()
}

/// How a wait ended that others may end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended<T> {
    With(T),
    Late,
    Cancelled,
}

/// Runs `wait` in a fiber of its own that is cancelled after a random while, or within a random time, or both.
pub fn harried<T: Send + 'static>(
    random: &mut Random,
    longest_us: u64,
    wait: impl FnOnce() -> T + Send + 'static,
) -> Ended<T> {
    let limit = Duration::from_nanos(random.below(longest_us * 1000));
    let (with_limit, with_cancel) = match random.below(3) {
        0 => (true, false),
        1 => (false, true),
        _ => (true, true),
    };
    let fiber = fibers::spawn(move || {
        if with_limit {
            timeout(limit, wait).map_or(Ended::Late, Ended::With)
        } else {
            Ended::With(wait())
        }
    });
    if with_cancel {
        for _ in 0..random.below(8) {
            fibers::yield_now();
        }
        if random.below(2) == 0 {
            fibers::sleep(Duration::from_nanos(random.below(longest_us * 1000)));
        }
        fiber.cancel().unwrap();
    }
    match fiber.join() {
        Ok(ended) => ended,
        Err(payload) if payload.is::<Cancelled>() => Ended::Cancelled,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// As `harried`, in the caller's own fiber, which must not be cancelled: within a random time.
pub fn hurried<T>(random: &mut Random, longest_us: u64, wait: impl FnOnce() -> T) -> Ended<T> {
    let limit = Duration::from_nanos(random.below(longest_us * 1000));
    match catch_unwind(AssertUnwindSafe(|| timeout(limit, wait))) {
        Ok(ended) => ended.map_or(Ended::Late, Ended::With),
        Err(payload) => std::panic::resume_unwind(payload),
    }
}
