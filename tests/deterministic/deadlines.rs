//! Deadlines: nested, passed before they begin, caught and waited on, around scopes, forks, calls and shields.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fibers::testing;
use fibers::time::{Elapsed, Instant, deadline, sleep, timeout};
use fibers::wait::{self, Reasons};
use fibers::{Cancelled, shield};

use crate::{Counted, HOUR, LATE, all, assert_on_time, perhaps_yield, taken, us, wait_for_ever};

/// One that does not return by itself, of any kind.
fn some_long_wait() {
    match testing::random(6) {
        0 => sleep(HOUR),
        1 => wait_for_ever(),
        2 => drop(wait::sleep_until(Reasons::USER7, Instant::now() + HOUR)),
        3 => drop(fibers::spawn(wait_for_ever).join()),
        4 => loop {
            fibers::park();
        },
        _ => loop {
            fibers::yield_now();
        },
    }
    unreachable!("a deadline ends it");
}

#[test]
fn of_two_deadlines_the_earlier_one_ends_its_call() {
    all(|| {
        let (short, long) = (us(testing::random(200)), HOUR);
        // The inner one: the outer call goes on.
        let (took, outer) = taken(|| {
            timeout(long, || {
                let inner = timeout(short, some_long_wait);
                assert!(inner.is_err());
                sleep(us(20));
                "went on"
            })
        });
        assert_eq!(outer, Ok("went on"));
        assert_on_time(took, short + us(20));
        // The outer one.
        let (took, outer) = taken(|| {
            timeout(short, || {
                let _ = timeout(long, some_long_wait);
                unreachable!("unwound");
            })
        });
        assert!(outer == Err(Elapsed));
        assert_on_time(took, short);
    });
}

#[test]
fn of_two_deadlines_that_have_passed_the_earlier_one_comes_first() {
    all(|| {
        let inner = Instant::now() + us(20 + testing::random(50));
        // Of equal ones the inner.
        for (outer, inner_first) in [(inner + us(1), true), (inner, true), (inner - us(1), false)] {
            let mut inner_ended = false;
            let ended = deadline(outer, || {
                if testing::random(2) == 0 {
                    // Both have passed when the wait begins.
                    shield(|| sleep(us(100)));
                }
                inner_ended = deadline(inner, some_long_wait).is_err();
                some_long_wait();
            });
            assert!(inner_ended == inner_first && ended.is_err());
            assert!(inner.elapsed() < LATE);
        }
    });
}

#[test]
fn a_deadline_that_has_passed_leaves_what_needs_no_wait() {
    all(|| {
        for time in [Duration::ZERO, us(1)] {
            assert_eq!(timeout(time, || 5), Ok(5));
        }
        let passed = Instant::now() - HOUR;
        assert_eq!(deadline(passed, || 5), Ok(5));
        fibers::current().unpark();
        assert_eq!(
            deadline(passed, fibers::park),
            Ok(()),
            "its permit is there"
        );
        let done = fibers::spawn(|| 5);
        while !done.is_finished() {
            fibers::yield_now();
        }
        assert_eq!(deadline(passed, || done.join().unwrap()), Ok(5));
        // And nothing else.
        let (took, ended) = taken(|| deadline(passed, some_long_wait));
        assert!(ended.is_err() && took < LATE);
        let (took, ended) = taken(|| timeout(Duration::ZERO, some_long_wait));
        assert!(ended.is_err() && took < LATE);
        // It is over with its call.
        sleep(us(30));
    });
}

#[test]
fn a_deadline_that_never_comes_changes_nothing() {
    all(|| {
        let (took, ended) = taken(|| timeout(Duration::MAX, || sleep(us(50))));
        assert!(ended.is_ok());
        assert_on_time(took, us(50));
        let inside = timeout(Duration::MAX, || timeout(us(10), some_long_wait));
        assert_eq!(inside, Ok(Err(Elapsed)));
        let around = timeout(us(10), || timeout(Duration::MAX, some_long_wait));
        assert!(around.is_err());
    });
}

#[test]
fn who_catches_the_unwind_is_unwound_again_at_the_next_wait() {
    all(|| {
        let (took, result) = taken(|| {
            timeout(us(20), || {
                for _ in 0..3 {
                    catch_unwind(some_long_wait).expect_err("unwound");
                }
                "came to its end"
            })
        });
        // Late, but a result.
        assert_eq!(result, Ok("came to its end"));
        assert!(took < LATE);
        // It does not haunt what comes after.
        assert_on_time(taken(|| sleep(us(30))).0, us(30));
    });
}

/// A payload that was kept belongs to a call that is over; no other call takes it for its own.
#[test]
fn an_old_payload_ends_no_other_call() {
    fn caught() -> Box<dyn std::any::Any + Send> {
        timeout(us(10), || {
            catch_unwind(some_long_wait).expect_err("unwound")
        })
        .expect("it returned")
    }
    all(|| {
        let old = caught();
        let outcome = catch_unwind(AssertUnwindSafe(|| timeout(HOUR, || resume_unwind(old))));
        assert!(outcome.is_err(), "it passes through");
        assert!(timeout(us(10), some_long_wait).is_err());
    });
}

#[test]
fn a_shield_hides_the_deadlines_around_it_and_not_those_inside() {
    all(|| {
        let (took, ended) = taken(|| timeout(us(20), || shield(|| sleep(us(500)))));
        assert!(ended.is_ok(), "what is shielded is not ended");
        assert_on_time(took, us(500));
        let (took, ended) = taken(|| {
            timeout(us(20), || {
                shield(|| sleep(us(500)));
                some_long_wait();
            })
        });
        assert!(ended.is_err(), "it was pending");
        assert_on_time(took, us(500));
        let (took, ended) = taken(|| {
            timeout(us(20), || {
                let inside = shield(|| timeout(us(300), some_long_wait));
                assert!(inside.is_err());
                some_long_wait();
            })
        });
        assert!(ended.is_err());
        assert_on_time(took, us(300));
        // A shield in a shield, and one that is left by an unwind of its inside.
        let twice = timeout(us(20), || shield(|| shield(|| sleep(us(40)))));
        assert!(twice.is_ok());
        let left = timeout(us(20), || {
            catch_unwind(|| shield(|| resume_unwind(Box::new("planned")))).unwrap_err();
            some_long_wait();
        });
        assert!(left.is_err());
    });
}

#[test]
fn a_scope_that_is_out_of_time_cancels_its_fibers_and_waits_for_them() {
    all(|| {
        let time = us(testing::random(100));
        let shielded = us([0, 700][testing::random(2)]);
        let (counted, closures) = (Arc::new(AtomicUsize::new(0)), 3);
        // The fibers write into this frame when they end, however late.
        let slots: [AtomicUsize; 3] = Default::default();
        let joins = testing::random(2) == 0;
        let (took, ended) = taken(|| {
            timeout(time, || {
                fibers::scope(|s| {
                    let fibers: Vec<_> = slots
                        .iter()
                        .map(|slot| {
                            let counted = Counted(Arc::clone(&counted));
                            s.spawn(move || {
                                let _counted = counted;
                                shield(|| {
                                    sleep(shielded);
                                    slot.store(1, SeqCst);
                                });
                                some_long_wait();
                            })
                        })
                        .collect();
                    if joins {
                        fibers.into_iter().for_each(|f| f.join().unwrap());
                    }
                });
            })
        });
        assert!(ended.is_err());
        assert!(took >= time && took < time + shielded + LATE, "{took:?}");
        assert_eq!(counted.load(SeqCst), closures, "left before they had ended");
    });
}

/// A tree of forks, some halves of which are stolen: out of time, all of its leaves end, and once.
#[test]
fn a_fork_that_is_out_of_time_ends_both_halves() {
    fn fork(depth: u32, ended: &Arc<AtomicUsize>, begun: &AtomicUsize) {
        begun.fetch_add(1, SeqCst);
        let _counted = Counted(Arc::clone(ended));
        if depth == 0 {
            perhaps_yield();
            some_long_wait();
        }
        fibers::join(
            || fork(depth - 1, ended, begun),
            || fork(depth - 1, ended, begun),
        );
    }
    all(|| {
        let (ended, begun) = (Arc::default(), AtomicUsize::new(0));
        let time = us(testing::random(200));
        let (took, end) = taken(|| timeout(time, || fork(3, &ended, &begun)));
        assert!(end.is_err());
        assert_on_time(took, time);
        assert_eq!(
            ended.load(SeqCst),
            begun.load(SeqCst),
            "nobody is left behind"
        );
    });
}

#[test]
fn the_wait_for_a_call_is_given_up_and_the_call_runs() {
    all(|| {
        let server = fibers::spawn(|| sleep(3 * LATE));
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = Counted(Arc::clone(&ran));
        let call = server.fiber().call(move || {
            let _counted = counted;
            sleep(2 * LATE);
        });
        let call = call.expect("it has not ended");
        let ended = timeout(us(testing::random(100)), || call.wait().unwrap());
        assert!(ended.is_err());
        server.join().unwrap();
        assert_eq!(ran.load(SeqCst), 1);
    });
}

/// A call waits on the target's stack, so under the target's deadlines: they end it too, and its sender is told.
#[test]
fn a_call_that_waits_is_under_the_deadline_of_its_target() {
    all(|| {
        let counted = Arc::new(AtomicUsize::new(0));
        let target = fibers::spawn(|| {
            let (took, ended) = taken(|| timeout(us(200), || fibers::spawn(wait_for_ever).join()));
            assert!(ended.is_err());
            assert_on_time(took, us(200));
            sleep(us(20));
        });
        let guard = Counted(Arc::clone(&counted));
        let sent = target.fiber().call(move || {
            let _guard = guard;
            some_long_wait();
        });
        let answer = sent.expect("it has not ended").wait();
        assert!(answer.expect_err("cut short").is::<Cancelled>());
        assert_eq!(counted.load(SeqCst), 1);
        // A deadline of its own is its own, unless this call too comes under the target's.
        let inside = target
            .fiber()
            .call(|| timeout(us(5), some_long_wait).is_err());
        if let Ok(answer) = inside {
            match answer.wait() {
                Ok(own) => assert!(own),
                Err(payload) => assert!(payload.is::<Cancelled>()),
            }
        }
        target.join().unwrap();
    });
}

/// Waits when it is dropped, unless that would block: while an unwind is on its way.
struct WaitsInDrop(
    #[expect(dead_code, reason = "counts by its own drop")] Counted,
    Duration,
);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        if !fibers::panicking() {
            sleep(self.1);
        }
    }
}

#[test]
fn a_destructor_that_waits_is_unwound_like_any_code_and_runs_once() {
    all(|| {
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = || Counted(Arc::clone(&ended));
        let (took, end) = taken(|| {
            timeout(us(30), || {
                let _first = counted();
                let _long = WaitsInDrop(counted(), HOUR);
                let _short = WaitsInDrop(counted(), us(20));
                let _last = counted();
            })
        });
        assert!(
            end.is_err(),
            "the deadline came while the destructor waited"
        );
        assert_on_time(took, us(30));
        assert_eq!(ended.load(SeqCst), 4);
        // Unwound before they are reached.
        let end = timeout(us(30), || {
            let _long = WaitsInDrop(counted(), HOUR);
            let _boxed: Vec<_> = (0..5).map(|_| Box::new(counted())).collect();
            some_long_wait();
        });
        assert!(end.is_err());
        assert_eq!(ended.load(SeqCst), 10);
    });
}

#[test]
fn frames_are_unwound_in_order_and_once() {
    all(|| {
        fn nest(depth: usize, order: &std::cell::RefCell<Vec<usize>>) {
            struct Notes<'a>(usize, &'a std::cell::RefCell<Vec<usize>>);
            impl Drop for Notes<'_> {
                fn drop(&mut self) {
                    self.1.borrow_mut().push(self.0);
                }
            }
            let _notes = Notes(depth, order);
            match depth {
                0 => some_long_wait(),
                _ if testing::random(2) == 0 => {
                    let _ = timeout(HOUR, || nest(depth - 1, order));
                    unreachable!("unwound");
                }
                _ => nest(depth - 1, order),
            }
        }
        let order = std::cell::RefCell::default();
        assert!(timeout(us(30), || nest(6, &order)).is_err());
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5, 6]);
    });
}
