//! What `blocking` promises: the closure runs elsewhere and may borrow, the fiber alone waits, nothing cuts it short.
//!
//! The threads themselves (limits, idle ends, failures to start) are in `blocking_threads.rs`.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use common::{
    Expected, Gate, Latch, Mode, Once, Test, eventually, in_both_modes, in_every_place,
    joined_as_cancelled, on_all_machines, scaled, silence_panics, thread_id,
};
use fibers::time::{Duration, Instant};
use fibers::wait::{self, Reasons};
use fibers::{Handle, blocking, timeout};

const SHORT: Duration = Duration::from_micros(300);

#[test]
fn the_closure_borrows_and_its_value_comes_back() {
    in_every_place(60, || {
        let text = String::from("borrowed");
        let mut written = [0_u8; 4096];
        let length = blocking(|| {
            written.fill(7);
            text.len()
        });
        assert_eq!((length, text.as_str()), (8, "borrowed"));
        assert!(written.iter().all(|&byte| byte == 7));
        // Moved in, moved out.
        let moved = blocking(move || text + "!");
        assert_eq!(moved, "borrowed!");
        // A large value, and none.
        assert_eq!(blocking(|| [3_u64; 1000]), [3; 1000]);
        blocking(|| ());
    });
}

#[test]
fn what_the_closure_owned_is_dropped_before_it_returns() {
    fibers::fiber_local! {
        static LOCAL: std::cell::RefCell<Option<Once>> = std::cell::RefCell::new(None);
    }
    on_all_machines(60, |_, machine| {
        machine.run(|| {
            let drops = Arc::new(AtomicUsize::new(0));
            let once = Once(Arc::clone(&drops));
            blocking(move || drop(once));
            assert_eq!(drops.load(Ordering::Relaxed), 1);
            // The stand-in that `f` ran as ends with it.
            blocking(|| LOCAL.with(|local| *local.borrow_mut() = Some(Once(Arc::clone(&drops)))));
            assert_eq!(drops.load(Ordering::Relaxed), 2);
        });
    });
}

#[test]
fn a_panic_comes_out_with_its_payload() {
    silence_panics();
    in_every_place(60, || {
        for round in 0..3 {
            let mut kept = vec![round];
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                blocking(|| {
                    kept.push(9);
                    std::panic::panic_any(Expected(round));
                })
            }));
            let payload = unwound.unwrap_err().downcast::<Expected>().unwrap();
            assert_eq!(
                (*payload, kept.as_slice()),
                (Expected(round), &[round, 9][..])
            );
        }
        assert!(!std::thread::panicking());
        assert_eq!(blocking(|| 4), 4);
    });
}

#[test]
fn others_run_while_a_hundred_block() {
    on_all_machines(60, |_, machine| {
        let gate = Arc::new(Gate::new());
        let entered = Arc::new(AtomicUsize::new(0));
        let blocked: Vec<_> = (0..100)
            .map(|index| {
                let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
                machine.spawn(move || {
                    blocking(|| {
                        entered.fetch_add(1, Ordering::AcqRel);
                        gate.wait();
                        index
                    })
                })
            })
            .collect();
        eventually(|| entered.load(Ordering::Acquire) == 100);
        // All of them at once, and the workers are free.
        let sum = machine.run(|| {
            let all: Vec<_> = (0..200_u64)
                .map(|n| {
                    fibers::spawn(move || {
                        fibers::yield_now();
                        fibers::sleep(SHORT);
                        n
                    })
                })
                .collect();
            all.into_iter()
                .map(|fiber| fiber.join().unwrap())
                .sum::<u64>()
        });
        assert_eq!(sum, 19_900);
        assert!(blocked.iter().all(|fiber| !fiber.is_finished()));
        gate.open();
        for (index, fiber) in blocked.into_iter().enumerate() {
            assert_eq!(fiber.join().unwrap(), index);
        }
    });
}

#[test]
fn the_closure_is_on_a_thread_without_fibers() {
    on_all_machines(60, |_, machine| {
        machine.run(|| {
            let (fiber, worker) = (fibers::current().id(), thread_id());
            let mut stand_ins = Vec::new();
            for _ in 0..3 {
                let stand_in = blocking(|| {
                    assert_ne!(thread_id(), worker);
                    assert_eq!(std::thread::current().name(), Some("fibers-blocking"));
                    assert!(Handle::current().is_none());
                    assert!(!fibers::is_cancelled());
                    // What comes for the stand-in is none of the next job's.
                    let me = fibers::current();
                    me.unpark();
                    wait::wake(&me, Reasons::USER0);
                    me
                });
                assert_ne!(stand_in.id(), fiber);
                assert!(!stand_ins.contains(&stand_in.id()), "one per job");
                stand_ins.push(stand_in.id());
                stand_in.unpark();
            }
            let left = blocking(|| wait::prepare(Reasons::SENDABLE));
            assert!(left.is_empty(), "{left:?}");
            assert!(wait::prepare(Reasons::USER0).is_empty());
            // Waits of this library block the offload thread, and time goes on there.
            assert!(blocking(|| timeout(SHORT, fibers::park)).is_err());
        });
    });
}

#[test]
fn the_closure_may_use_the_library_and_block_again() {
    in_every_place(60, || {
        let outer = 5;
        let sum = blocking(|| {
            let nested = blocking(|| {
                let thread = thread_id();
                blocking(|| assert_eq!(thread_id(), thread));
                outer + 1
            });
            // A fiber of the default machine, which offloads in turn.
            let spawned = fibers::spawn(|| blocking(|| 10));
            let scoped = fibers::scope(|s| s.spawn(|| blocking(|| outer)).join().unwrap());
            nested + spawned.join().unwrap() + scoped
        });
        assert_eq!(sum, 21);
    });
}

#[test]
fn on_a_plain_thread_it_is_a_call() {
    let _test = Test::new(60);
    let (me, id) = (fibers::current(), thread_id());
    assert!(blocking(|| fibers::current() == me && thread_id() == id));
    let elsewhere = std::thread::spawn(|| {
        let id = thread_id();
        blocking(|| thread_id() == id)
    });
    assert!(elsewhere.join().unwrap());
}

/// A destructor that blocks, and remembers where.
struct Blocks(Arc<AtomicU64>);

impl Drop for Blocks {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        let thread = blocking(|| {
            assert!(Handle::current().is_none(), "no fiber's identity");
            assert!(
                timeout(SHORT, fibers::park).is_err(),
                "waits block the thread"
            );
            thread_id()
        });
        if panicking {
            self.0.store(thread as u64, Ordering::Release);
        }
    }
}

#[test]
fn where_the_fiber_must_not_switch_it_runs_in_place() {
    silence_panics();
    on_all_machines(60, |_, machine| {
        let seen = Arc::new(AtomicU64::new(0));
        machine.run({
            let seen = Arc::clone(&seen);
            move || {
                let worker = thread_id();
                let inside = fibers::on_worker_stack(|| blocking(thread_id));
                assert_eq!(inside, worker);
                assert!(Handle::current().is_some(), "the worker is itself again");
                let unwound = catch_unwind(AssertUnwindSafe(|| {
                    let _blocks = Blocks(Arc::clone(&seen));
                    let home = thread_id();
                    std::panic::panic_any(Expected(home as u64));
                }));
                let Expected(home) = *unwound.unwrap_err().downcast::<Expected>().unwrap();
                assert_eq!(seen.load(Ordering::Acquire), home);
                fibers::sleep(SHORT);
            }
        });
        // A panic in place passes through.
        let panicked = machine.spawn(|| {
            fibers::on_worker_stack(|| blocking(|| std::panic::panic_any(Expected(1))));
        });
        assert!(panicked.join().unwrap_err().is::<Expected>());
        machine.run(|| fibers::sleep(SHORT));
    });
}

#[test]
fn calls_are_served_meanwhile() {
    on_all_machines(60, |_, machine| {
        let gate = Arc::new(Gate::new());
        let fiber = machine.spawn({
            let gate = Arc::clone(&gate);
            move || blocking(|| gate.wait())
        });
        let target = fiber.fiber().clone();
        let served = target.call(|| fibers::current().id()).unwrap().wait();
        assert_eq!(served.unwrap(), target.id());
        // Even one that blocks by itself, on the same stack.
        let nested = target.call(|| blocking(|| 3)).unwrap().wait();
        assert_eq!(nested.unwrap(), 3);
        assert!(!fiber.is_finished());
        gate.open();
        fiber.join().unwrap();
    });
}

#[test]
fn a_cancelled_fiber_gets_its_value_and_unwinds_at_its_next_wait() {
    on_all_machines(60, |_, machine| {
        let (gate, entered) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let steps = Arc::new(AtomicUsize::new(0));
        let fiber = machine.spawn({
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            let steps = Arc::clone(&steps);
            move || {
                let mut borrowed = [0_u8; 256];
                let value = blocking(|| {
                    entered.open();
                    gate.wait();
                    borrowed.fill(1);
                    steps.fetch_add(1, Ordering::AcqRel);
                    7
                });
                assert_eq!((value, borrowed), (7, [1; 256]));
                assert!(fibers::is_cancelled());
                steps.fetch_add(1, Ordering::AcqRel);
                fibers::park();
                steps.fetch_add(100, Ordering::AcqRel);
            }
        });
        entered.wait();
        fiber.cancel().unwrap();
        // The machine has looked at it many times by then.
        for _ in 0..20 {
            machine.run(fibers::yield_now);
        }
        assert!(!fiber.is_finished());
        assert_eq!(steps.load(Ordering::Acquire), 0);
        gate.open();
        joined_as_cancelled(fiber);
        assert_eq!(steps.load(Ordering::Acquire), 2);
    });
}

#[test]
fn a_cancelled_fiber_unwinds_at_the_entry() {
    on_all_machines(60, |_, machine| {
        let ran = Arc::new(AtomicBool::new(false));
        let drops = Arc::new(AtomicUsize::new(0));
        let fiber = machine.spawn({
            let (ran, once) = (Arc::clone(&ran), Once(Arc::clone(&drops)));
            move || {
                fibers::current().cancel().unwrap();
                // Shielded it is not unwound.
                assert_eq!(fibers::shield(|| blocking(|| 2)), 2);
                blocking(|| {
                    let _once = once;
                    ran.store(true, Ordering::Release);
                });
            }
        });
        joined_as_cancelled(fiber);
        assert!(!ran.load(Ordering::Acquire));
        assert_eq!(drops.load(Ordering::Relaxed), 1, "the closure is dropped");
    });
}

#[test]
fn a_deadline_that_has_passed_unwinds_at_the_entry() {
    in_every_place(60, || {
        let late = timeout(Duration::ZERO, || blocking(|| panic!("it must not begin")));
        assert!(late.is_err());
        assert_eq!(timeout(Duration::from_secs(3600), || blocking(|| 1)), Ok(1));
    });
}

/// Keeps the thread until that moment has certainly passed.
fn outlast(moment: Instant) {
    while Instant::now() < moment {
        std::thread::yield_now();
    }
}

#[test]
fn a_deadline_waits_until_the_closure_has_returned() {
    on_all_machines(60, |_, machine| {
        machine.run(|| {
            // Nothing waits after it: it was in time.
            let until = Instant::now() + SHORT;
            let mut borrowed = 0;
            let value = timeout(SHORT, || {
                blocking(|| {
                    outlast(until + 4 * SHORT);
                    borrowed = 8;
                    5
                })
            });
            // In time, or caught at the entry.
            assert!(value == Ok(5) && borrowed == 8 || value.is_err() && borrowed == 0);
            let mut returned = None;
            let late = timeout(4 * SHORT, || {
                let until = Instant::now() + 8 * SHORT;
                returned = Some(blocking(|| {
                    outlast(until);
                    6
                }));
                fibers::park();
            });
            assert!(late.is_err());
            assert!(returned.is_none() || returned == Some(6));
            // And the fiber is as good as new.
            assert_eq!(blocking(|| 9), 9);
        });
    });
}

#[test]
fn machines_share_the_threads_and_end_without_them() {
    let test = Test::new(60);
    let (gate, latch) = (Arc::new(Gate::new()), Arc::new(Latch::new(2)));
    let first = test.machine(Mode::Pinned, 2);
    let second = test.machine(Mode::Floating, 2);
    let blocked = [&first, &second].map(|machine| {
        let (gate, latch) = (Arc::clone(&gate), Arc::clone(&latch));
        machine.spawn(move || {
            blocking(|| {
                latch.arrive();
                gate.wait();
                blocking(thread_id)
            })
        })
    });
    latch.wait();
    gate.open();
    for fiber in blocked {
        assert_ne!(fiber.join().unwrap(), 0);
    }
    drop(first);
    assert_eq!(second.run(|| blocking(|| 6)), 6);
    drop(second);
    let third = test.machine(Mode::Pinned, 1);
    assert_eq!(third.run(|| blocking(|| 7)), 7);
}

/// Stops a machine, too soon, whose one fiber is in `blocking`: what is told of it.
fn stop_while_one_blocks(mode: Mode) -> fibers::ShutdownReport {
    let test = Test::new(60);
    let machine = test.machine(mode, 2);
    let (gate, entered) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
    let written = Arc::new(AtomicU64::new(0));
    let builder = fibers::Builder::new().name("writer".to_owned());
    let handle = machine.handle();
    let (inner_gate, inner_entered) = (Arc::clone(&gate), Arc::clone(&entered));
    let inner_written = Arc::clone(&written);
    machine.run(move || {
        let fiber = builder.spawn(move || {
            let mut borrowed = [0_u64; 64];
            blocking(|| {
                inner_entered.open();
                inner_gate.wait();
                borrowed.fill(3);
                inner_written.store(borrowed.iter().sum(), Ordering::Release);
            });
            fibers::park();
        });
        drop(fiber.unwrap());
    });
    entered.wait();
    let report = machine.shutdown(Duration::from_millis(20)).unwrap_err();
    // It is left behind as it was; what borrows from it comes to its end, and so does the fiber.
    gate.open();
    eventually(|| written.load(Ordering::Acquire) == 192);
    eventually(|| handle.metrics().cancelled == 1);
    report
}

#[test]
fn a_shutdown_reports_who_blocks_and_leaves_the_borrow_alone() {
    for mode in common::MODES {
        let _test = Test::new(60);
        let report = loop {
            let report = stop_while_one_blocks(mode);
            // On a loaded machine its worker may be late with the answer, and is named instead: then once more.
            if report.busy_workers.is_empty() {
                break report;
            }
        };
        let text = report.to_string();
        assert!(text.contains("fiber 'writer'"), "{text}");
        assert!(text.contains("parked, waits for QUEUE"), "{text}");
        assert!(text.contains("blocking"), "{text}");
        assert_eq!(report.fibers.len(), 1);
    }
}

#[test]
fn a_patient_shutdown_waits_for_the_closure() {
    in_both_modes(60, 2, |test, _, mode| {
        let machine = test.machine(mode, 2);
        let (gate, entered) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let fiber = machine.spawn({
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            move || {
                blocking(|| {
                    entered.open();
                    gate.wait();
                });
                "not cut short"
            }
        });
        entered.wait();
        let opener = std::thread::spawn({
            let handle = machine.handle();
            move || {
                // When the stop has begun.
                eventually(|| handle.try_spawn(|| ()).is_err());
                gate.open();
            }
        });
        machine.shutdown(Duration::from_secs(60)).unwrap();
        opener.join().unwrap();
        assert_eq!(fiber.join().unwrap(), "not cut short");
    });
}

#[test]
fn a_deterministic_run_blocks_in_place() {
    let _test = Test::new(60);
    let this = thread_id();
    fibers::testing::explore(
        0..20,
        |check| check.workers(2),
        move || {
            let (gate, before) = (Gate::new(), Instant::now());
            fibers::scope(|s| {
                s.spawn(|| {
                    blocking(|| {
                        assert_eq!(thread_id(), this);
                        // It may even wait: nobody else is blocked by that.
                        gate.wait();
                    });
                    assert!(before.elapsed() >= Duration::from_secs(60));
                });
                s.spawn(|| {
                    fibers::sleep(Duration::from_secs(60));
                    gate.open();
                });
            });
        },
    );
}

#[test]
fn a_hundred_thousand_small_jobs_lose_nothing() {
    in_both_modes(120, 2, |_, machine, _| {
        let jobs = scaled(100_000, 1_000_000) / 8;
        let total: u64 = machine.run(move || {
            let fibers: Vec<_> = (0..8_u64)
                .map(|index| {
                    fibers::spawn(move || {
                        let mut sum = 0;
                        for n in 0..jobs as u64 {
                            // Written there, read here.
                            blocking(|| sum += n ^ index);
                        }
                        sum
                    })
                })
                .collect();
            fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum()
        });
        let expected = (0..8).flat_map(|index| (0..jobs as u64).map(move |n| n ^ index));
        assert_eq!(total, expected.sum());
    });
}
