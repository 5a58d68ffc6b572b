//! Cancellation: what it ends, what it leaves alone, and that nothing which was held or owed is lost by it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use fibers::testing;
use fibers::time::{Instant, deadline, sleep, sleep_until, timeout};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Builder, Cancelled, Handle, JoinHandle, Priority, shield};

use crate::{Counted, HOUR, LATE, all, perhaps_yield, taken, us, wait_for_ever};

/// Asserts that the fiber's end was a cancellation.
fn assert_cancelled<T>(end: std::thread::Result<T>) {
    let payload = end.err().expect("it was cancelled");
    assert!(payload.is::<Cancelled>());
}

/// One of the waits that a cancellation ends, for ever.
fn some_endless_wait() -> ! {
    loop {
        match testing::random(8) {
            0 => sleep(HOUR),
            1 => wait_for_ever(),
            2 => _ = wait::sleep_until(Reasons::USER7, Instant::now() + HOUR),
            3 => WaitQueue::new().wait_until(|| false),
            // The fiber of the scope may be ended first, by `cancel_all`.
            4 => fibers::scope(|s| drop(s.spawn(wait_for_ever))),
            5 => _ = timeout(HOUR, || timeout(HOUR, wait_for_ever)),
            6 => fibers::park_timeout(HOUR),
            _ => fibers::yield_now(),
        }
    }
}

#[test]
fn whatever_waits_is_ended_and_dropped_once() {
    all(|| {
        let ended = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..5)
            .map(|_| {
                let counted = Counted(Arc::clone(&ended));
                fibers::spawn(move || {
                    let _counted = counted;
                    perhaps_yield();
                    some_endless_wait();
                })
            })
            .collect();
        for handle in &handles {
            (0..testing::random(6)).for_each(|_| fibers::yield_now());
            handle.cancel().unwrap();
        }
        let (took, ()) = taken(|| {
            handles
                .into_iter()
                .for_each(|handle| assert_cancelled(handle.join()));
        });
        assert!(took < LATE);
        assert_eq!(ended.load(SeqCst), 5);
    });
}

#[test]
fn a_cancellation_is_sticky_and_what_does_not_wait_comes_to_its_end() {
    all(|| {
        let fiber = fibers::spawn(|| {
            fibers::current().cancel().unwrap();
            for _ in 0..3 {
                assert!(fibers::is_cancelled());
                let unwound = catch_unwind(some_endless_wait).expect_err("unwound");
                assert!(unwound.is::<Cancelled>());
            }
            // What is there needs no wait.
            fibers::current().unpark();
            fibers::park();
            "came to its end"
        });
        match fiber.join() {
            Ok(text) => assert_eq!(text, "came to its end"),
            Err(_) => unreachable!("it caught them all"),
        }
        // Of no effect on one that has ended, nor on anybody else.
        let fiber = fibers::spawn(|| 5);
        let other = fiber.fiber().clone();
        assert_eq!(fiber.join().unwrap(), 5);
        other.cancel().unwrap();
        assert!(!fibers::is_cancelled());
        fibers::yield_now();
    });
}

#[test]
fn a_shield_puts_a_cancellation_off() {
    all(|| {
        let entered = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&entered);
        let time = us(testing::random(300));
        let fiber = fibers::spawn(move || {
            let begun = catch_unwind(|| {
                shield(|| {
                    seen.store(true, SeqCst);
                    assert_eq!(fibers::spawn(|| 7).join().unwrap(), 7);
                    let (took, ()) = taken(|| sleep(time));
                    assert!(took >= time);
                    assert!(timeout(us(5), wait_for_ever).is_err());
                    fibers::scope(|s| drop(s.spawn(|| sleep(us(20)))));
                    while !fibers::is_cancelled() {
                        fibers::yield_now();
                    }
                });
            });
            assert!(begun.is_ok());
            some_endless_wait();
        });
        while !entered.load(SeqCst) {
            fibers::yield_now();
        }
        aim_and_cancel(&fiber, time);
        assert_cancelled(fiber.join());
    });
}

fn aim_and_cancel<T>(fiber: &JoinHandle<T>, about: std::time::Duration) {
    match testing::random(3) {
        0 => {}
        1 => sleep(about),
        _ => sleep(about / 2),
    }
    fiber.cancel().unwrap();
}

/// The table of causes (`fibers::wait`): two at the same moment, the one that counts, and what becomes of the other.
#[test]
fn of_two_causes_one_is_reported_and_the_other_waits() {
    all(|| {
        let me = fibers::current;
        let past = || Instant::now() - us(50);
        let unwound_by_cancel = |f: &dyn Fn()| {
            let unwound = catch_unwind(AssertUnwindSafe(f)).expect_err("unwound");
            assert!(unwound.is::<Cancelled>());
        };
        // A reason, and a deadline around.
        let mut reported = 0;
        let second = deadline(past(), || {
            wait::wake(&me(), Reasons::USER0);
            assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
            reported += 1;
            wait::sleep(Reasons::USER0);
        });
        assert!(reported == 1 && second.is_err());
        // A reason, and its own time.
        wait::wake(&me(), Reasons::USER0);
        let came = wait::sleep_until(Reasons::USER0, past());
        assert!(came.contains(Reasons::USER0));
        assert_eq!(wait::sleep_until(Reasons::USER0, past()), Reasons::TIMEOUT);
        // Its own time, and a deadline around: the earlier one, its own if they are equal.
        let at = past();
        for (own, counts) in [(at - us(1), 1), (at, 1), (at + us(1), 0)] {
            reported = 0;
            let second = deadline(at, || {
                assert_eq!(wait::sleep_until(Reasons::NONE, own), Reasons::TIMEOUT);
                reported += 1;
                wait_for_ever();
            });
            assert!(reported == counts && second.is_err());
        }
        reported = 0;
        // The same where the wait returns with what ended it, whose ever it is.
        let second = deadline(past(), || {
            let mask = Reasons::USER0 | Reasons::TIMEOUT;
            let time = wait::sleep_until(mask, Instant::now() + HOUR);
            assert_eq!(time, Reasons::TIMEOUT);
            let time = wait::sleep(Reasons::USER0 | Reasons::TIMEOUT);
            assert_eq!(time, Reasons::TIMEOUT);
            reported += 1;
            wait_for_ever();
        });
        assert!(reported == 1 && second.is_err());
        // From here on cancelled.
        let fiber = fibers::spawn(move || {
            me().cancel().unwrap();
            // A reason, and a cancellation.
            wait::wake(&me(), Reasons::USER0);
            assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
            unwound_by_cancel(&|| wait_for_ever());
            // A cancellation, and a time: its own, one around.
            unwound_by_cancel(&|| _ = wait::sleep_until(Reasons::USER0, past()));
            unwound_by_cancel(&|| _ = deadline(past(), || sleep_until(Instant::now() + HOUR)));
            // A wait that takes it as an answer gets it, as often as it asks.
            for _ in 0..2 {
                let came = wait::sleep(Reasons::USER0 | Reasons::CANCEL);
                assert_eq!(came, Reasons::CANCEL);
            }
        });
        fiber.join().unwrap();
    });
}

/// Who is spawned before is cancelled, or over already; who is spawned after lives on. Also by fibers that are
/// themselves being cancelled.
#[test]
fn cancel_all_ends_what_was_spawned_before_and_nothing_else() {
    type Kept = Arc<std::sync::Mutex<Vec<(usize, JoinHandle<()>)>>>;
    fn spawn(kept: &Kept, calls: &Arc<AtomicUsize>, breeds: bool) {
        // No other fiber runs between this look and the spawn.
        let born = calls.load(SeqCst);
        let (mine, now) = (Arc::clone(kept), Arc::clone(calls));
        let body = move || {
            perhaps_yield();
            if breeds {
                spawn(&mine, &now, false);
            }
            if testing::random(3) == 0 {
                shield(|| sleep(us(testing::random(50))));
            }
            if breeds {
                spawn(&mine, &now, false);
            }
            if born < ROUNDS {
                some_endless_wait();
            }
            for _ in 0..3 {
                sleep(us(testing::random(10)));
                fibers::yield_now();
            }
        };
        let handle = match testing::random(3) {
            0 => fibers::spawn(body),
            1 => Builder::new().priority(Priority::HIGH).spawn(body).unwrap(),
            _ => Builder::new().spawn(body).unwrap(),
        };
        kept.lock().unwrap().push((born, handle));
    }
    const ROUNDS: usize = 2;
    all(|| {
        // The root was there before as well.
        shield(|| {
            let (kept, calls): (Kept, _) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
            for _ in 0..ROUNDS {
                (0..3).for_each(|_| spawn(&kept, &calls, true));
                (0..testing::random(12)).for_each(|_| fibers::yield_now());
                Handle::current().expect("a fiber").cancel_all().unwrap();
                calls.fetch_add(1, SeqCst);
            }
            (0..3).for_each(|_| spawn(&kept, &calls, true));
            loop {
                let Some((born, handle)) = kept.lock().unwrap().pop() else {
                    break;
                };
                let end = handle.join();
                if born < ROUNDS {
                    assert_cancelled(end);
                } else {
                    assert!(end.is_ok(), "spawned after, and ended with the others");
                }
            }
            while !fibers::is_cancelled() {
                fibers::yield_now();
            }
        });
    });
}

#[test]
fn cancelled_in_a_scope_in_a_destructor_in_a_deadline() {
    struct Joins(Option<JoinHandle<()>>);
    impl Drop for Joins {
        fn drop(&mut self) {
            // During an unwind a wait would block the thread: then only the handle is dropped.
            if let Some(handle) = self.0.take().filter(|_| !fibers::panicking()) {
                handle.join().unwrap();
            }
        }
    }
    all(|| {
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = Counted(Arc::clone(&ended));
        let child = Counted(Arc::clone(&ended));
        let fiber = fibers::spawn(move || {
            let _outer = counted;
            let slot = AtomicUsize::new(0);
            let _ = timeout(HOUR, || {
                fibers::scope(|s| {
                    s.spawn(|| {
                        let _child = child;
                        let _ = timeout(HOUR, some_endless_wait);
                        slot.fetch_add(1, SeqCst);
                    });
                    perhaps_yield();
                    let _joins = Joins(Some(fibers::spawn(|| some_endless_wait())));
                    perhaps_yield();
                });
            });
            unreachable!("cancelled");
        });
        aim_and_cancel(&fiber, us(testing::random(40)));
        assert_cancelled(fiber.join());
        assert_eq!(ended.load(SeqCst), 2);
    });
}

/// A destructor that waits while its fiber unwinds keeps its thread, here the only one: what is there ends the wait,
/// else time passes and nothing more. (What would wait without a limit is refused.)
#[test]
fn while_it_unwinds_a_fiber_waits_alone() {
    struct Waits(Arc<AtomicUsize>, Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let (others, me) = (self.0.load(SeqCst), fibers::current());
            let time = us(testing::random(500));
            let (took, ()) = taken(|| sleep(time));
            assert!(took >= time);
            me.unpark();
            fibers::park();
            wait::wake(&me, Reasons::USER0);
            let (took, came) = taken(|| wait::sleep_until(Reasons::USER0, Instant::now() + HOUR));
            assert!(came.contains(Reasons::USER0) && took < LATE);
            assert_eq!(self.0.load(SeqCst), others, "somebody ran meanwhile");
            self.1.fetch_add(1, SeqCst);
        }
    }
    let seen_in_all = Arc::new(AtomicUsize::new(0));
    let total = Arc::clone(&seen_in_all);
    all(move || {
        let (steps, waited) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let busy = Arc::clone(&steps);
        let other = fibers::spawn(move || {
            loop {
                busy.fetch_add(1, SeqCst);
                fibers::yield_now();
            }
        });
        let (seen, ends) = (Arc::clone(&steps), Arc::clone(&waited));
        let victim = fibers::spawn(move || {
            let _waits = Waits(seen, ends);
            if testing::random(2) == 0 {
                let _ = timeout(us(testing::random(50)), || some_endless_wait());
                std::panic::resume_unwind(Box::new(Cancelled));
            }
            some_endless_wait();
        });
        while steps.load(SeqCst) < 20 {
            sleep(us(5));
        }
        victim.cancel().unwrap();
        assert_cancelled(victim.join());
        other.cancel().unwrap();
        assert_cancelled(other.join());
        // Unless it was cancelled before it began.
        assert!(waited.load(SeqCst) <= 1);
        total.fetch_add(waited.load(SeqCst), SeqCst);
    });
    assert!(seen_in_all.load(SeqCst) > 0);
}
