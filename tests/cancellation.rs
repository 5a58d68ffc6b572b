//! What cancelling one fiber promises: whatever it waits in ends, its joiner hears of it, and nothing else is
//! touched.
//!
//! What the unwind passes through (destructors, locks, shields, calls) is in `unwinding.rs`, scopes and forks are in
//! `cancelled_scopes.rs`, all fibers of a machine in `cancel_all.rs`.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant as StdInstant;

use common::{Gate, Mode, Once, Test, eventually, joined_as_cancelled, on_all_machines};
use fibers::time::{Duration, Instant, interval};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, is_cancelled, shield, sleep, timeout};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_micros(300);

/// Waits that last for ever if nobody ends them.
const WAITS: &[(&str, fn())] = &[
    ("park", fibers::park),
    ("yields", || {
        loop {
            fibers::yield_now();
        }
    }),
    ("zero sleeps", || {
        loop {
            sleep(Duration::ZERO);
        }
    }),
    ("sleep", || sleep(LONG)),
    ("sleep without end", || sleep(Duration::MAX)),
    ("sleep_until", || fibers::sleep_until(Instant::now() + LONG)),
    ("park_timeout", || fibers::park_timeout(LONG)),
    ("wait::sleep", || {
        wait::sleep(Reasons::USER0 | Reasons::TIMEOUT);
    }),
    ("wait::sleep_until", || {
        wait::sleep_until(Reasons::NONE, Instant::now() + LONG);
    }),
    ("a queue", || WaitQueue::new().wait_until(|| false)),
    ("a queue, for a time", || {
        WaitQueue::new().wait_timeout(LONG, || false);
    }),
    ("join", || {
        let _ = fibers::spawn(fibers::park).join();
    }),
    ("join_timeout", || {
        let _ = fibers::spawn(fibers::park).join_timeout(LONG);
    }),
    ("a call", || {
        let target = fibers::spawn(|| wait::sleep(Reasons::USER0));
        let _ = target.fiber().call(|| ()).unwrap().wait();
    }),
    ("a scope", || {
        fibers::scope(|s| drop(s.spawn(fibers::park)));
    }),
    ("a fork", || {
        fibers::join(fibers::park, fibers::park);
    }),
    ("ticks", || {
        let mut ticks = interval(LONG);
        loop {
            ticks.tick();
        }
    }),
    ("a deadline", || {
        let _ = timeout(LONG, fibers::park);
    }),
    ("a deadline past a shield", || {
        shield(|| timeout(SHORT, fibers::park).unwrap_err());
        fibers::park();
    }),
];

#[test]
fn every_kind_of_wait_is_ended_from_anywhere() {
    on_all_machines(60, |test, machine| {
        let other = test.machine(Mode::Pinned, 1);
        let drops = Arc::new(AtomicUsize::new(0));
        for round in 0..3 {
            let entered = Arc::new(AtomicUsize::new(0));
            let all: Vec<_> = WAITS
                .iter()
                .map(|(name, wait)| {
                    let (once, entered) = (Once(Arc::clone(&drops)), Arc::clone(&entered));
                    let fiber = machine.spawn(move || {
                        let _once = once;
                        entered.fetch_add(1, Ordering::Release);
                        wait();
                    });
                    (name, fiber)
                })
                .collect();
            // Some have come to their waits by then, others have not.
            eventually(|| entered.load(Ordering::Acquire) == WAITS.len());
            let targets: Vec<_> = all.iter().map(|(_, fiber)| fiber.fiber().clone()).collect();
            let cancel = move || targets.iter().for_each(|target| target.cancel().unwrap());
            match round {
                0 => cancel(),
                1 => machine.run(cancel),
                _ => other.run(cancel),
            }
            for (name, fiber) in all {
                let payload = fiber.join().unwrap_err();
                let cancelled = payload.downcast::<Cancelled>().expect(name);
                assert_eq!(cancelled.to_string(), "the fiber was cancelled");
            }
            assert_eq!(drops.swap(0, Ordering::Relaxed), WAITS.len());
        }
        // The waits are over for their fibers alone: what they joined goes on.
        eventually(|| machine.metrics().parked == 9);
        assert_eq!(machine.run(|| 5), 5);
        assert_eq!(machine.metrics().panicked, 0);
    });
}

#[test]
fn each_handle_can_cancel() {
    let promise = || {
        let joined = fibers::spawn(fibers::park);
        joined.cancel().unwrap();
        joined_as_cancelled(joined);
        let by_fiber = fibers::spawn(fibers::park);
        by_fiber.thread().clone().cancel().unwrap();
        joined_as_cancelled(by_fiber);
        let named = fibers::Builder::new().name("named".to_owned());
        let named = named.spawn(fibers::park).unwrap();
        named.fiber().cancel().unwrap();
        joined_as_cancelled(named);
        fibers::scope(|s| {
            let scoped = s.spawn(fibers::park);
            scoped.cancel().unwrap();
            assert!(scoped.join().unwrap_err().is::<Cancelled>());
            // Nor does one that nobody joins fail its scope: no panic.
            s.spawn(fibers::park).cancel().unwrap();
        });
    };
    promise();
    on_all_machines(60, move |_, machine| machine.run(promise));
    let local = || {
        let started = fibers::spawn_local(fibers::park);
        fibers::yield_now();
        started.cancel().unwrap();
        assert!(started.join().unwrap_err().is::<Cancelled>());
        let unstarted = fibers::spawn_local(|| unreachable!("it never starts"));
        unstarted.cancel().unwrap();
        let ended: std::thread::Result<()> = unstarted.join();
        assert!(ended.unwrap_err().is::<Cancelled>());
    };
    let test = Test::new(60);
    test.machine(Mode::Pinned, 2).run(local);
    test.local().run(move || {
        promise();
        local();
    });
}

#[test]
fn a_fiber_cancelled_before_its_start_never_runs() {
    on_all_machines(60, |_, machine| {
        let (ran, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut all = Vec::new();
        let (entered, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Gate::new()));
        let busy: Vec<_> = (0..machine.metrics().workers)
            .map(|_| {
                let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
                machine.spawn(move || {
                    entered.fetch_add(1, Ordering::AcqRel);
                    while !go_on.is_open() {
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        eventually(|| entered.load(Ordering::Acquire) == busy.len());
        for _ in 0..100 {
            let (ran, once) = (Arc::clone(&ran), Once(Arc::clone(&drops)));
            let fiber = machine.spawn(move || {
                let _once = once;
                ran.fetch_add(1, Ordering::Relaxed);
            });
            fiber.cancel().unwrap();
            all.push(fiber);
        }
        assert_eq!(drops.load(Ordering::Relaxed), 0, "dropped on their machine");
        go_on.open();
        let cancelled = all.into_iter().map(|fiber| fiber.join());
        let cancelled = cancelled.filter(|ended| {
            let payload = ended.as_ref().err();
            payload.is_some_and(|payload| payload.is::<Cancelled>())
        });
        assert_eq!(cancelled.count(), 100);
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        assert_eq!(drops.load(Ordering::Relaxed), 100);
        for fiber in busy {
            fiber.join().unwrap();
        }
    });
}

#[test]
fn a_fiber_that_does_not_wait_any_more_comes_to_its_end() {
    on_all_machines(60, |_, machine| {
        let (entered, go_on) = (Arc::new(Gate::new()), Arc::new(AtomicBool::new(false)));
        let fiber = machine.spawn({
            let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
            move || {
                entered.open();
                while !go_on.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                7
            }
        });
        entered.wait();
        fiber.cancel().unwrap();
        go_on.store(true, Ordering::Release);
        let target = fiber.fiber().clone();
        assert_eq!(fiber.join().unwrap(), 7);
        // After the end it does nothing.
        target.cancel().unwrap();
        let done = machine.spawn(|| 8);
        eventually(|| done.is_finished());
        done.cancel().unwrap();
        assert_eq!(done.join().unwrap(), 8);
        // What has come counts, even if the cancellation came first.
        let woken = machine.spawn(|| {
            wait::wake(&fibers::current(), Reasons::USER0);
            fibers::current().cancel().unwrap();
            (wait::sleep(Reasons::USER0), wait::sleep(Reasons::CANCEL))
        });
        let came = (Reasons::USER0, Reasons::CANCEL);
        assert_eq!(woken.join().unwrap(), came);
    });
}

/// Bounded by a time of its own, so that it fails where the cancellation is not noticed.
#[test]
fn a_fiber_that_only_computes_can_see_that_it_is_cancelled() {
    on_all_machines(60, |_, machine| {
        for has_waited in [false, true] {
            let entered = Arc::new(AtomicBool::new(false));
            let fiber = machine.spawn({
                let entered = Arc::clone(&entered);
                move || {
                    if has_waited {
                        sleep(SHORT);
                    }
                    assert!(!is_cancelled());
                    entered.store(true, Ordering::Release);
                    let give_up = StdInstant::now() + Duration::from_secs(30);
                    while !is_cancelled() && StdInstant::now() < give_up {
                        std::hint::spin_loop();
                    }
                    is_cancelled()
                }
            });
            eventually(|| entered.load(Ordering::Acquire));
            fiber.cancel().unwrap();
            let seen = fiber.join().unwrap();
            assert!(seen, "not seen; it had waited before: {has_waited}");
        }
    });
}

/// Cancels a fiber that waits so on the worker's stack.
fn is_ended_on_the_worker_stack(wait: fn()) {
    on_all_machines(60, |_, machine| {
        let (entered, drops) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let once = Once(Arc::clone(&drops));
        let fiber = machine.spawn({
            let entered = Arc::clone(&entered);
            move || {
                sleep(SHORT);
                fibers::on_worker_stack(|| {
                    let _once = once;
                    entered.store(true, Ordering::Release);
                    wait();
                });
            }
        });
        eventually(|| entered.load(Ordering::Acquire));
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        // And the worker is itself again.
        machine.run(|| sleep(SHORT));
    });
}

#[test]
fn a_fiber_that_waits_on_the_worker_s_stack_is_ended() {
    is_ended_on_the_worker_stack(fibers::park);
    is_ended_on_the_worker_stack(|| sleep(LONG));
    is_ended_on_the_worker_stack(|| WaitQueue::new().wait_until(|| false));
    is_ended_on_the_worker_stack(|| {
        let _ = timeout(LONG, fibers::park);
    });
}

/// Bounded by a time of its own, as above.
#[test]
fn a_fiber_that_yields_on_the_worker_s_stack_is_ended() {
    is_ended_on_the_worker_stack(|| {
        let give_up = StdInstant::now() + Duration::from_secs(30);
        while StdInstant::now() < give_up {
            fibers::yield_now();
        }
    });
}

#[test]
fn a_plain_thread_cannot_be_cancelled() {
    let _test = Test::new(60);
    let me = fibers::current();
    me.cancel().unwrap();
    assert!(!is_cancelled());
    fibers::yield_now();
    sleep(SHORT);
    me.unpark();
    fibers::park();
    assert!(timeout(SHORT, fibers::park).is_err());
    assert_eq!(fibers::spawn(|| 2).join().unwrap(), 2);
}

#[test]
fn a_fiber_may_cancel_itself_and_live_to_its_next_wait() {
    on_all_machines(60, |_, machine| {
        let fiber = machine.spawn(|| {
            assert!(!is_cancelled());
            fibers::current().cancel().unwrap();
            assert!(is_cancelled());
            // What catches the unwind is unwound again.
            for (name, wait) in WAITS {
                let unwound = catch_unwind(AssertUnwindSafe(wait));
                assert!(unwound.unwrap_err().is::<Cancelled>(), "{name}");
                assert!(is_cancelled());
            }
            "came to its end"
        });
        assert_eq!(fiber.join().unwrap(), "came to its end");
    });
}

#[test]
fn a_cancelled_joiner_leaves_its_fiber_alone() {
    on_all_machines(60, |_, machine| {
        let (gate, ends) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
        let target = machine.spawn({
            let (gate, once) = (Arc::clone(&gate), Once(Arc::clone(&ends)));
            move || {
                gate.wait();
                once
            }
        });
        let joiner = machine.spawn(move || drop(target.join()));
        eventually(|| machine.metrics().parked == 2);
        joiner.cancel().unwrap();
        joined_as_cancelled(joiner);
        assert_eq!(ends.load(Ordering::Relaxed), 0, "it goes on");
        gate.open();
        eventually(|| ends.load(Ordering::Relaxed) == 1);
    });
}
