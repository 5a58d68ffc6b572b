//! What becomes of a call: it runs once and in order, or comes back; its result or panic goes to who waits for it, and is
//! dropped once if nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{
    self, Counted, Expected, Gate, MODES, Once, Test, eventually, everywhere, in_both_modes, scaled,
};
use crate::{close, server};
use fibers::{CallSlot, Sent};

#[test]
fn a_finished_fiber_gives_the_closure_back() {
    fn promise() {
        let target = fibers::spawn(|| ());
        let fiber = target.fiber().clone();
        target.join().unwrap();
        let drops = Arc::new(AtomicUsize::new(0));
        let dropped = || drops.load(Ordering::Relaxed);
        for n in 1..=10 {
            // What it has captured comes back with it, and goes where it runs.
            let (value, capture) = (Box::new(n), Once(Arc::clone(&drops)));
            let call = move || {
                let _capture = capture;
                *value
            };
            let refused = fiber.call(call).unwrap_err();
            assert_eq!(refused.to_string(), "the called fiber has ended");
            let call = refused.into_inner();
            assert_eq!(dropped(), n - 1);
            assert_eq!(call(), n);
            assert_eq!(dropped(), n);
        }
        // Or with the refusal.
        let capture = Once(Arc::clone(&drops));
        let refused = fiber.call(move || drop(capture)).unwrap_err();
        assert_eq!(dropped(), 10);
        drop(refused);
        assert_eq!(dropped(), 11);
        // A slot keeps it.
        let capture = Once(Arc::clone(&drops));
        let slot = CallSlot::new(move || unreachable!("{:?}", capture.0));
        assert_eq!(slot.send(&fiber), Sent::Ended);
        assert!(!slot.is_queued());
        assert_eq!(slot.send(&fiber), Sent::Ended);
        assert_eq!(dropped(), 11);
        drop(slot);
        assert_eq!(dropped(), 12);
    }
    everywhere(60, promise);
}

/// Sending races with the target's end: each call either runs once or comes back.
#[test]
fn every_call_runs_once_or_comes_back() {
    in_both_modes(120, 3, |_, machine, _| {
        static RAN: AtomicUsize = AtomicUsize::new(0);
        RAN.store(0, Ordering::Relaxed);
        let (mut sent, mut back) = (0, 0);
        for round in 0..scaled(20_000, 1_000_000) {
            let target = machine.spawn(move || {
                for _ in 0..round % 40 {
                    std::hint::spin_loop();
                }
                if round % 3 == 0 {
                    fibers::yield_now();
                }
            });
            for _ in 0..3 {
                match target.fiber().call(|| RAN.fetch_add(1, Ordering::Relaxed)) {
                    Ok(handle) => {
                        sent += 1;
                        if round % 2 == 0 {
                            handle.wait().unwrap();
                        }
                    }
                    Err(refused) => {
                        let _ = refused.into_inner();
                        back += 1;
                    }
                }
            }
            target.join().unwrap();
        }
        // The end of a fiber is after its calls.
        assert_eq!(RAN.load(Ordering::Relaxed), sent);
        assert_eq!(sent + back, 3 * scaled(20_000, 1_000_000));
    });
}

/// Shutdown: the target's calls run at its end; a caller that waits is unwound, and its call runs too.
#[test]
fn calls_of_a_machine_that_stops_run_or_come_back() {
    for mode in MODES {
        for _ in 0..scaled(500, 5000) {
            let test = Test::new(60);
            let (dying, living) = (test.machine(mode, 2), test.machine(mode, 1));
            let gate = Arc::new(Gate::new());
            let target = dying.spawn({
                let gate = Arc::clone(&gate);
                move || gate.wait()
            });
            let fiber = target.fiber().clone();
            static RAN: AtomicUsize = AtomicUsize::new(0);
            RAN.store(0, Ordering::Relaxed);
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let fiber = fiber.clone();
                    living.spawn(
                        move || match fiber.call(|| RAN.fetch_add(1, Ordering::Relaxed)) {
                            Ok(call) => usize::from(call.wait().is_ok()),
                            Err(_) => 0,
                        },
                    )
                })
                .collect();
            // Waits for a call to a fiber of a machine that goes on; is cancelled meanwhile.
            let deaf = living.spawn({
                let gate = Arc::clone(&gate);
                move || gate.wait()
            });
            let waiter = dying.spawn({
                let deaf = deaf.fiber().clone();
                move || {
                    deaf.call(|| RAN.fetch_add(1, Ordering::Relaxed))
                        .unwrap()
                        .wait()
                }
            });
            drop(dying);
            let served: usize = callers
                .into_iter()
                .map(|caller| caller.join().unwrap())
                .sum();
            assert_eq!(RAN.load(Ordering::Relaxed), served);
            assert!(
                waiter
                    .join()
                    .is_err_and(|payload| payload.is::<fibers::Cancelled>())
            );
            assert!(target.join().is_err());
            let left = if deaf.is_finished() { 0 } else { 1 };
            gate.open();
            deaf.join().unwrap();
            let ran = RAN.load(Ordering::Relaxed);
            assert!(ran == served || ran == served + left, "{ran} {served}");
        }
    }
}

/// T22.
#[test]
fn calls_of_one_sender_run_in_their_order_and_each_once() {
    in_both_modes(120, 3, |_, machine, _| {
        let each = scaled(100_000, 1_000_000);
        let seen: Arc<[AtomicUsize; 8]> = Arc::default();
        let server = server(machine);
        let mut fibers = Vec::new();
        let mut threads = Vec::new();
        for sender in 0..8 {
            let (seen, target) = (Arc::clone(&seen), server.0.fiber().clone());
            let work = move || {
                for n in 0..each {
                    let seen = Arc::clone(&seen);
                    let call = move || assert_eq!(seen[sender].fetch_add(1, Ordering::Relaxed), n);
                    let handle = target.call(call).unwrap();
                    if n % 1000 == 999 {
                        handle.wait().unwrap();
                    }
                }
            };
            if sender % 2 == 0 {
                fibers.push(machine.spawn(work));
            } else {
                threads.push(std::thread::spawn(work));
            }
        }
        for fiber in fibers {
            fiber.join().unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        close(server);
        for count in seen.iter() {
            assert_eq!(count.load(Ordering::Relaxed), each);
        }
    });
}

#[test]
fn a_panic_in_a_call_goes_to_the_caller_and_leaves_the_target_alone() {
    common::silence_panics();
    in_both_modes(60, 2, |_, machine, _| {
        let server = server(machine);
        for n in 0..100 {
            let call = server
                .0
                .fiber()
                .call(move || std::panic::panic_any(Expected(n)))
                .unwrap();
            let payload = call.wait().unwrap_err();
            assert_eq!(*payload.downcast::<Expected>().unwrap(), Expected(n));
        }
        // A panic that nobody waits for.
        drop(
            server
                .0
                .fiber()
                .call(|| std::panic::panic_any(Expected(0)))
                .unwrap(),
        );
        assert!(
            !server
                .0
                .fiber()
                .call(fibers::panicking)
                .unwrap()
                .wait()
                .unwrap()
        );
        close(server);
        // At the target's end, too.
        let target = machine.spawn(|| {
            fibers::current()
                .call(|| std::panic::panic_any(Expected(1)))
                .unwrap()
        });
        assert!(target.join().unwrap().wait().is_err());
        assert_eq!(machine.metrics().panicked, 0);
    });
}

#[test]
fn a_result_that_nobody_takes_is_dropped_once() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    in_both_modes(60, 2, |_, machine, _| {
        DROPS.store(0, Ordering::Relaxed);
        let server = server(machine);
        for n in 0..1000 {
            let call = server.0.fiber().call(|| Counted(&DROPS)).unwrap();
            match n % 3 {
                0 => drop(call),
                1 => drop(call.wait().unwrap()),
                _ => {
                    eventually(|| !call.is_queued());
                    drop(call);
                }
            }
        }
        close(server);
        eventually(|| DROPS.load(Ordering::Relaxed) == 1000);
        assert_eq!(DROPS.load(Ordering::Relaxed), 1000);
    });
}

#[test]
fn a_handle_may_be_waited_for_by_another_fiber() {
    in_both_modes(60, 2, |_, machine, _| {
        let server = server(machine);
        let calls: Vec<_> = (0..100)
            .map(|n| server.0.fiber().call(move || n).unwrap())
            .collect();
        let waiters: Vec<_> = calls
            .into_iter()
            .map(|call| machine.spawn(move || call.wait().unwrap()))
            .collect();
        let sum: i32 = waiters
            .into_iter()
            .map(|waiter| waiter.join().unwrap())
            .sum();
        assert_eq!(sum, 99 * 50);
        close(server);
    });
}
