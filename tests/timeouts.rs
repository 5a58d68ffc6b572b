//! What `timeout` and `deadline` promise: they end whatever waits, by unwinding it to where they were called, and
//! nothing else; of several deadlines each ends its own call; what has come counts, however late.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant as StdInstant;

use common::{Counted, Expected, Gate, MODES, Mode, Test, everywhere, in_every_place};
use fibers::time::{Duration, Elapsed, Instant, deadline, interval};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{shield, sleep, timeout};

const SHORT: Duration = Duration::from_micros(300);
const LONG: Duration = Duration::from_secs(3600);

/// Every wait that lasts for ever if nobody ends it.
const WAITS: &[(&str, fn())] = &[
    ("park", fibers::park),
    ("yield_now", || {
        loop {
            fibers::yield_now();
        }
    }),
    ("sleep", || sleep(LONG)),
    ("sleep without end", || sleep(Duration::MAX)),
    ("park_timeout", || fibers::park_timeout(LONG)),
    ("zero sleeps", || {
        loop {
            sleep(Duration::ZERO);
        }
    }),
    ("wait::sleep", || {
        wait::sleep(Reasons::USER0);
    }),
    ("wait::sleep_until", || {
        wait::sleep_until(Reasons::USER0, Instant::now() + LONG);
    }),
    ("a queue", || WaitQueue::new().wait_until(|| false)),
    ("a queue, for a time", || {
        WaitQueue::new().wait_timeout(LONG, || false);
    }),
    ("join", || {
        let _ = doomed(fibers::spawn(fibers::park)).join();
    }),
    ("join_timeout", || {
        let _ = doomed(fibers::spawn(fibers::park)).join_timeout(LONG);
    }),
    ("a call", || {
        // A sleep with a mask that does not say so serves no calls.
        let target = fibers::spawn(|| {
            wait::sleep(Reasons::USER0);
        });
        let call = target.fiber().call(|| ()).unwrap();
        DOOMED.lock().unwrap().push(target.fiber().clone());
        let _ = call.wait();
    }),
    ("a scope", || {
        fibers::scope(|s| {
            s.spawn(fibers::park);
        });
    }),
    ("a join in a scope", || {
        fibers::scope(|s| {
            let _ = s.spawn(fibers::park).join();
        });
    }),
    ("the first half of a fork", || {
        fibers::join(fibers::park, || ());
    }),
    ("both halves of a fork", || {
        fibers::join(fibers::park, fibers::park);
    }),
    ("ticks", || {
        let mut ticks = interval(LONG);
        loop {
            ticks.tick();
        }
    }),
    ("an outer deadline inside", || {
        let _ = timeout(LONG, fibers::park);
    }),
];

/// Fibers that a wait which was given up left to themselves.
static DOOMED: Mutex<Vec<fibers::Fiber>> = Mutex::new(Vec::new());

fn doomed<T>(fiber: fibers::JoinHandle<T>) -> fibers::JoinHandle<T> {
    DOOMED.lock().unwrap().push(fiber.fiber().clone());
    fiber
}

#[test]
fn a_deadline_ends_every_kind_of_wait() {
    fn promise() {
        for (name, wait) in WAITS {
            let drops = AtomicUsize::new(0);
            let begin = StdInstant::now();
            let ended = timeout(SHORT, || {
                let _counted = Counted(&drops);
                wait();
            });
            assert!(ended.is_err(), "{name} returned");
            assert!(begin.elapsed() >= SHORT, "{name} ended early");
            assert_eq!(drops.load(Ordering::Relaxed), 1, "{name}");
            let at = Instant::now() + SHORT;
            assert!(deadline(at, wait).is_err(), "{name} returned");
            assert!(Instant::now() >= at, "{name} ended early");
        }
        for fiber in std::mem::take(&mut *DOOMED.lock().unwrap()) {
            fiber.cancel().unwrap();
        }
    }
    in_every_place(60, promise);
}

/// Each round of such a loop does not wait for anything. Bounded by a time of its own, so that it fails where the
/// deadline is not noticed.
fn ends_a_loop(round: fn(), around: fn(&dyn Fn())) {
    let ended = timeout(SHORT, || {
        around(&|| {
            let give_up = StdInstant::now() + Duration::from_secs(30);
            while StdInstant::now() < give_up {
                round();
            }
        });
    });
    assert!(ended.is_err(), "nobody noticed the deadline");
}

#[test]
fn a_deadline_ends_a_loop_of_yields_on_the_worker_s_stack() {
    fn promise() {
        ends_a_loop(fibers::yield_now, |body| fibers::on_worker_stack(body));
    }
    in_every_place(60, promise);
}

#[test]
fn a_deadline_ends_a_loop_of_park_timeouts_for_no_time() {
    fn promise() {
        let round = || fibers::park_timeout(Duration::ZERO);
        ends_a_loop(round, |body| body());
    }
    in_every_place(60, promise);
}

/// One of the next few: a worker looks at the clock at least at every eighth pick. On a floating machine another thread
/// may have taken it on itself to wake the fiber, and lost its CPU before it has: then it takes longer.
#[test]
fn a_deadline_that_has_passed_ends_one_of_the_next_yields() {
    const SOON: Duration = Duration::from_micros(20);
    fn promise() {
        for yields in [fibers::yield_now, || sleep(Duration::ZERO)] {
            assert!(timeout(Duration::ZERO, yields).is_err(), "of zero");
            for n in 0..50 {
                (0..n).for_each(|_| fibers::yield_now());
                let late = timeout(SOON, || {
                    let begin = StdInstant::now();
                    while begin.elapsed() < 2 * SOON {
                        std::hint::spin_loop();
                    }
                    (0..9).for_each(|_| yields());
                    if floats() {
                        (0..10_000_000).for_each(|_| yields());
                    }
                });
                assert!(late.is_err(), "long past, the {n}th time");
            }
            let behind_a_shield = timeout(SHORT, || {
                shield(|| sleep(2 * SHORT));
                yields();
            });
            assert!(behind_a_shield.is_err(), "behind a shield");
        }
    }
    /// Nothing is spawned to a worker of such a machine.
    fn floats() -> bool {
        let refused = fibers::Builder::new().spawn_local(|| ()).map(drop);
        refused.is_err_and(|error| error.kind() == std::io::ErrorKind::Unsupported)
    }
    fn enclosed() {
        promise();
        assert!(timeout(LONG, promise).is_ok());
    }
    in_every_place(60, enclosed);
}

#[test]
fn what_needs_no_wait_is_returned_however_late() {
    fn promise() {
        let text = String::from("borrowed");
        for limit in [Duration::ZERO, SHORT, LONG, Duration::MAX] {
            assert_eq!(timeout(limit, || text.len()), Ok(8));
            assert_eq!(deadline(Instant::now(), || &*text), Ok("borrowed"));
        }
        let late = timeout(SHORT, || {
            let begin = StdInstant::now();
            while begin.elapsed() < 2 * SHORT {
                std::hint::spin_loop();
            }
            6
        });
        assert_eq!(late, Ok(6));
        // What is there already needs no wait either, though the deadline has passed.
        let there = timeout(Duration::ZERO, || {
            fibers::current().unpark();
            fibers::park();
            wait::wake(&fibers::current(), Reasons::USER3);
            let came = wait::sleep(Reasons::USER3);
            WaitQueue::new().wait_until(|| true);
            came
        });
        assert_eq!(there, Ok(Reasons::USER3));
        // And then the first real wait is the last.
        assert!(timeout(Duration::ZERO, fibers::park).is_err());
        let past = StdInstant::now();
        assert!(deadline(past, || sleep(LONG)).is_err());
    }
    in_every_place(60, promise);
}

#[test]
fn code_that_catches_the_unwind_is_unwound_again_until_it_returns() {
    fn promise() {
        let caught = Cell::new(0);
        let lived = timeout(SHORT, || {
            while caught.get() < 50 {
                let unwound = catch_unwind(AssertUnwindSafe(fibers::park));
                caught.set(caught.get() + u32::from(unwound.is_err()));
            }
            "came to its end"
        });
        assert_eq!(lived, Ok("came to its end"));
        assert_eq!(caught.get(), 50);
        // A payload that was kept means nothing later.
        let kept = timeout(SHORT, || catch_unwind(fibers::park).unwrap_err()).unwrap();
        let again = catch_unwind(AssertUnwindSafe(|| {
            timeout(LONG, || std::panic::resume_unwind(kept))
        }));
        assert!(again.is_err(), "it went past a deadline that had not come");
        // And nothing is left of all that.
        fibers::yield_now();
        assert!(timeout(LONG, || sleep(SHORT)).is_ok());
    }
    everywhere(60, promise);
}

#[test]
fn a_panic_comes_out_as_it_is() {
    fn promise() {
        let failed = catch_unwind(|| {
            timeout(LONG, || {
                fibers::yield_now();
                std::panic::panic_any(Expected(5));
            })
        });
        assert!(failed.unwrap_err().is::<Expected>());
        // In a destructor that the deadline runs, caught there.
        struct Panics<'a>(&'a Cell<bool>);
        impl Drop for Panics<'_> {
            fn drop(&mut self) {
                let caught = catch_unwind(|| std::panic::panic_any(Expected(6)));
                self.0.set(caught.unwrap_err().is::<Expected>());
            }
        }
        let dropped = Cell::new(false);
        let ended = timeout(SHORT, || {
            let _panics = Panics(&dropped);
            fibers::park();
        });
        assert!(ended.is_err() && dropped.get() && !std::thread::panicking());
    }
    common::silence_panics();
    everywhere(60, promise);
}

#[test]
fn a_shield_hides_the_deadlines_outside_and_none_inside() {
    fn promise() {
        let begin = StdInstant::now();
        let (shielded, after) = (Cell::new(false), Cell::new(false));
        let ended = timeout(SHORT, || {
            shield(|| {
                // Far past the deadline outside.
                sleep(4 * SHORT);
                assert!(timeout(SHORT, fibers::park).is_err());
                shield(fibers::yield_now);
                fibers::yield_now();
                assert_eq!(fibers::spawn(|| 2).join().unwrap(), 2);
                shielded.set(true);
            });
            fibers::park();
            after.set(true);
        });
        assert!(ended.is_err() && shielded.get() && !after.get());
        assert!(begin.elapsed() >= 5 * SHORT);
        // Inside of it an unwind may begin; it ends at its own deadline.
        let value = shield(|| {
            timeout(LONG, || {
                let inner = timeout(SHORT, || shield(|| timeout(SHORT, fibers::park)));
                assert!(inner.unwrap().is_err());
                9
            })
        });
        assert_eq!(value, Ok(9));
        // A panic lowers it too.
        let failed = catch_unwind(|| {
            timeout(LONG, || {
                shield(|| std::panic::panic_any(Expected(1)));
            })
        });
        assert!(failed.unwrap_err().is::<Expected>());
        assert!(timeout(SHORT, fibers::park).is_err());
    }
    common::silence_panics();
    everywhere(60, promise);
}

/// A target's deadline that cuts a served call short is no cancellation of the sender, who hears of it.
#[test]
fn a_call_inside_a_deadline_is_cut_short_and_its_sender_goes_on() {
    for mode in MODES {
        let test = Test::new(60);
        let (machine, other) = (test.machine(mode, 1), test.machine(Mode::Pinned, 1));
        let (sent, over) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let target = machine.spawn({
            let (sent, over) = (Arc::clone(&sent), Arc::clone(&over));
            move || {
                // Until the call is there, which a gate does not serve.
                sent.wait();
                let ended = timeout(20 * SHORT, fibers::park);
                over.open();
                fibers::park();
                ended.is_err()
            }
        });
        let target_fiber = target.fiber().clone();
        let sender = other.spawn(move || {
            let cut = target_fiber.call(fibers::park).unwrap();
            sent.open();
            let payload = cut.wait().unwrap_err();
            assert!(payload.is::<fibers::Cancelled>());
            assert!(!fibers::is_cancelled());
            // Its deadline is over: the next call may wait as long as it likes.
            over.wait();
            let whole = target_fiber.call(|| sleep(SHORT)).unwrap();
            whole.wait().unwrap();
            target_fiber.unpark();
        });
        sender.join().unwrap();
        assert!(target.join().unwrap());
    }
}

/// Those that were spawned and not joined go on.
#[test]
fn a_deadline_ends_the_caller_only() {
    fn promise() {
        let gate = Arc::new(Gate::new());
        let mut child = None;
        let ended = timeout(SHORT, || {
            let gate = Arc::clone(&gate);
            child = Some(fibers::spawn(move || {
                gate.wait();
                11
            }));
            fibers::park();
        });
        assert!(ended.is_err());
        gate.open();
        assert_eq!(child.unwrap().join().unwrap(), 11);
    }
    everywhere(60, promise);
}

/// A destructor that waits while a deadline unwinds it: for a time, and for another fiber.
#[test]
fn a_destructor_may_wait_while_a_deadline_unwinds_it() {
    struct Waits<'a>(&'a Cell<u32>);
    impl Drop for Waits<'_> {
        fn drop(&mut self) {
            let begin = StdInstant::now();
            sleep(SHORT);
            fibers::park_timeout(SHORT);
            assert!(!WaitQueue::new().wait_timeout(SHORT, || false));
            assert!(begin.elapsed() >= 3 * SHORT);
            assert_eq!(fibers::spawn(|| 4).join().unwrap(), 4);
            // Deadlines of its own end what they enclose, and what was unwound before stays where it is.
            let begin = StdInstant::now();
            assert!(timeout(SHORT, fibers::park).is_err());
            assert!(timeout(LONG, || timeout(SHORT, fibers::park)).is_ok());
            assert!(timeout(SHORT, || timeout(LONG, fibers::park)).is_err());
            assert!(begin.elapsed() >= 3 * SHORT);
            assert_eq!(timeout(LONG, || 6), Ok(6));
            self.0.set(self.0.get() + 1);
        }
    }
    fn promise() {
        let waited = Cell::new(0);
        let ended = timeout(SHORT, || {
            let _waits = Waits(&waited);
            fibers::park();
        });
        assert!(ended.is_err() && waited.get() == 1);
    }
    // The worker that blocks cannot run what its fiber spawned: another one must.
    let test = Test::new(60);
    promise();
    for mode in MODES {
        for workers in [2, 4] {
            test.machine(mode, workers).run(promise);
        }
    }
}

#[test]
fn elapsed_is_an_error_that_says_so() {
    let elapsed = timeout(Duration::ZERO, fibers::park).unwrap_err();
    assert_eq!(elapsed.to_string(), "deadline has elapsed");
    let error = std::io::Error::from(elapsed);
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(error.get_ref().is_some_and(|inner| inner.is::<Elapsed>()));
    fn is_error<E: std::error::Error + Send + Sync + Copy + Eq>(_: E) {}
    is_error(elapsed);
}
