//! Waits, wakes, calls, cancellation: no wake is lost, none is taken by the wrong wait.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use fibers::testing;
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, JoinHandle};

use crate::{Counted, all, each, perhaps_yield};

/// Parks until `done`; spurious returns are allowed.
pub(crate) fn park_until(done: impl Fn() -> bool) {
    while !done() {
        fibers::park();
    }
}
#[test]
fn ping_pong_by_park_and_unpark() {
    all(|| {
        let turn = Arc::new(AtomicUsize::new(0));
        let root = fibers::current();
        let rounds = 6;
        let pong = fibers::spawn({
            let turn = Arc::clone(&turn);
            move || {
                for round in 0..rounds {
                    park_until(|| turn.load(SeqCst) > 2 * round);
                    turn.fetch_add(1, SeqCst);
                    root.unpark();
                }
            }
        });
        for round in 0..rounds {
            turn.fetch_add(1, SeqCst);
            pong.fiber().unpark();
            park_until(|| turn.load(SeqCst) == 2 * round + 2);
        }
        pong.join().unwrap();
    });
}

#[test]
fn an_unpark_before_the_park_and_before_the_start_is_kept() {
    all(|| {
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let fiber = fibers::spawn(|| {
                    perhaps_yield();
                    fibers::park();
                });
                perhaps_yield();
                fiber.fiber().unpark();
                fiber
            })
            .collect();
        fibers.into_iter().for_each(|f| f.join().unwrap());
        fibers::current().unpark();
        perhaps_yield();
        fibers::park();
    });
}

#[test]
fn many_wakers_of_one_fiber_lose_no_reason() {
    const USERS: [Reasons; 4] = [
        Reasons::USER0,
        Reasons::USER1,
        Reasons::USER2,
        Reasons::USER3,
    ];
    all(|| {
        let root = fibers::current();
        let wakers: Vec<_> = USERS
            .iter()
            .map(|&reason| {
                let root = root.clone();
                fibers::spawn(move || {
                    perhaps_yield();
                    wait::wake(&root, reason);
                    perhaps_yield();
                    wait::wake(&root, reason);
                })
            })
            .collect();
        let mut missing = USERS.iter().fold(Reasons::NONE, |all, &r| all | r);
        while !missing.is_empty() {
            let came = wait::sleep(missing);
            assert!(missing.contains(came), "{came:?} out of {missing:?}");
            missing = missing & !came;
        }
        wakers.into_iter().for_each(|f| f.join().unwrap());
    });
}

#[test]
fn two_fibers_that_call_each_other_are_both_served() {
    all(|| {
        let root = fibers::current();
        let other = fibers::spawn(move || {
            perhaps_yield();
            // The root waits for a call or a join, and serves us meanwhile.
            let answer = root.call(|| 20).expect("the root lives");
            perhaps_yield();
            answer.wait().unwrap() + 1
        });
        perhaps_yield();
        let sum = match other.fiber().call(|| 100) {
            Ok(answer) => answer.wait().unwrap(),
            Err(ended) => (ended.into_inner())(),
        };
        assert_eq!(sum + other.join().unwrap(), 121);
    });
}

#[test]
fn a_call_to_a_fiber_that_ends_is_run_or_given_back() {
    all(|| {
        let target = fibers::spawn(perhaps_yield);
        let ran = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (target, ran) = (target.fiber().clone(), Arc::clone(&ran));
                fibers::spawn(move || {
                    perhaps_yield();
                    let counted = Arc::clone(&ran);
                    match target.call(move || counted.fetch_add(1, SeqCst)) {
                        Ok(answer) => {
                            perhaps_yield();
                            answer.wait().unwrap()
                        }
                        Err(ended) => (ended.into_inner())(),
                    };
                })
            })
            .collect();
        perhaps_yield();
        target.join().unwrap();
        callers.into_iter().for_each(|f| f.join().unwrap());
        assert_eq!(ran.load(SeqCst), 3);
    });
}

/// A semaphore out of a wait queue: what a channel or a lock would be built like.
#[derive(Default)]
struct Permits {
    free: AtomicUsize,
    queue: WaitQueue,
}

impl Permits {
    fn take(&self) {
        while !self.try_take() {
            self.queue.wait_until(|| self.free.load(SeqCst) > 0);
        }
    }
    fn try_take(&self) -> bool {
        self.free
            .fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1))
            .is_ok()
    }
    fn give(&self, count: usize) {
        self.free.fetch_add(count, SeqCst);
        if count == 1 {
            self.queue.wake_one();
        } else {
            self.queue.wake_all();
        }
    }
}

/// A permit, given back even if the fiber is cancelled.
struct GivesBack(Arc<Permits>);

impl Drop for GivesBack {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

#[test]
fn a_wait_queue_wakes_as_many_as_can_go_on() {
    all(|| {
        let permits = Arc::new(Permits::default());
        let takers: Vec<_> = (0..5)
            .map(|_| {
                let permits = Arc::clone(&permits);
                fibers::spawn(move || {
                    perhaps_yield();
                    permits.take();
                })
            })
            .collect();
        let mut left = 5;
        while left > 0 {
            perhaps_yield();
            let count = 1 + testing::random(left);
            permits.give(count);
            left -= count;
        }
        takers.into_iter().for_each(|f| f.join().unwrap());
        assert!(permits.queue.is_empty());
    });
}

/// A waiter that is cancelled, and whose wake is still on its way, must wake the next in its place. That
/// takes a wake from another worker between a fiber's being picked and its run, so many are cancelled.
#[test]
fn a_cancelled_waiter_passes_the_baton_on() {
    all(|| {
        let permits = Arc::new(Permits::default());
        let takers: Vec<_> = (0..6)
            .map(|_| {
                let permits = Arc::clone(&permits);
                fibers::spawn(move || {
                    let taken = catch_unwind(AssertUnwindSafe(|| permits.take()));
                    let _back = taken.is_ok().then(|| GivesBack(permits));
                    // What was owed to the cancelled wait has come: this one waits for its own.
                    scope_with_one();
                    if let Err(payload) = taken {
                        resume_unwind(payload);
                    }
                    fibers::yield_now();
                })
            })
            .collect();
        (0..testing::random(12)).for_each(|_| fibers::yield_now());
        let victims: Vec<_> = takers[..5].iter().map(|t| t.fiber().clone()).collect();
        let canceller = fibers::spawn(move || {
            for victim in victims {
                perhaps_yield();
                victim.cancel().unwrap();
            }
        });
        perhaps_yield();
        permits.give(1);
        // The last one is not cancelled, and gets its turn.
        let lost = takers
            .into_iter()
            .map(JoinHandle::join)
            .map(|end| end.is_err());
        assert!(!lost.last().unwrap());
        canceller.join().unwrap();
        assert!(permits.queue.is_empty());
        assert_eq!(permits.free.load(SeqCst), 1);
    });
}

#[test]
fn cancelled_fibers_unwind_once_and_are_seen_as_cancelled() {
    each(|check, which| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&dropped);
        let handles = check.run(move || {
            let handles: Vec<JoinHandle<()>> = (0..5)
                .map(|_| {
                    let counted = Counted(Arc::clone(&seen));
                    fibers::spawn(move || {
                        let _counted = counted;
                        loop {
                            fibers::park();
                            perhaps_yield();
                        }
                    })
                })
                .collect();
            // The root ends, and so everything is cancelled, at some moment in between.
            (0..testing::random(10)).for_each(|_| fibers::yield_now());
            handles
        });
        assert_eq!(dropped.load(SeqCst), 5, "{which}");
        for handle in handles {
            let payload = handle.join().expect_err("it ran for ever");
            assert!(payload.is::<Cancelled>(), "{which}");
        }
    });
}

/// A scope must not be left before its fiber has ended.
fn scope_with_one() {
    let done = AtomicUsize::new(0);
    fibers::scope(|s| {
        s.spawn(|| {
            (0..testing::random(4)).for_each(|_| fibers::yield_now());
            done.fetch_add(1, SeqCst);
        });
    });
    assert_eq!(done.load(SeqCst), 1);
}

/// A wait that is cancelled at the moment when its wake comes must take that wake with it: the next wait
/// would return too early, here out of a scope whose fiber still borrows from it.
#[test]
fn the_wake_of_a_cancelled_wait_is_not_left_for_the_next() {
    all(|| {
        let permits = Arc::new(Permits::default());
        let root = fibers::current();
        let victim = fibers::spawn({
            let permits = Arc::clone(&permits);
            move || {
                let which = testing::random(3);
                let wait = || match which {
                    0 => drop(fibers::spawn(perhaps_yield).join()),
                    1 => permits.take(),
                    _ => drop(root.call(perhaps_yield).map(fibers::CallHandle::wait)),
                };
                let _ = catch_unwind(AssertUnwindSafe(wait));
                scope_with_one();
            }
        });
        (0..testing::random(6)).for_each(|_| fibers::yield_now());
        if testing::random(2) == 0 {
            permits.give(1);
            victim.cancel().unwrap();
        } else {
            victim.cancel().unwrap();
            permits.give(1);
        }
        // A victim that was cancelled before it began does not run at all.
        if let Err(payload) = victim.join() {
            assert!(payload.is::<Cancelled>());
        }
        assert!(permits.queue.is_empty());
    });
}
