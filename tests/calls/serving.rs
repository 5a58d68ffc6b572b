//! Where and when a call runs: as the target, in the waits that serve calls, when it looks, or at its end.

use std::sync::{Arc, Mutex};

use crate::common::{Gate, eventually, everywhere, in_both_modes};
use crate::{close, server};
use fibers::wait::{self, Reasons};
use fibers::{Fiber, process_calls};

#[test]
fn a_call_runs_as_the_target() {
    in_both_modes(60, 2, |test, machine, mode| {
        let server = server(machine);
        let target = server.0.fiber().clone();
        let promise = move || {
            let stack = 0_u8;
            let (id, there) = target
                .call(|| {
                    let stack = 0_u8;
                    (fibers::current().id(), (&raw const stack).addr())
                })
                .unwrap()
                .wait()
                .unwrap();
            assert_eq!(id, target.id());
            assert_ne!(id, fibers::current().id());
            // On another stack than ours: further away than any frame.
            assert!(there.abs_diff((&raw const stack).addr()) > 4096);
        };
        machine.run(promise.clone());
        test.machine(mode, 1).run(promise.clone());
        promise();
        close(server);
    });
}

#[test]
fn a_target_that_never_looks_runs_its_calls_at_its_end() {
    in_both_modes(60, 2, |_, machine, _| {
        let gate = Arc::new(Gate::new());
        let order = Arc::new(Mutex::new(Vec::new()));
        let target = machine.spawn({
            let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
            move || {
                // Serves no calls: a queue is not one of the waits that do.
                gate.wait();
                order.lock().unwrap().push(0);
            }
        });
        eventually(|| machine.metrics().parked == 1);
        let handles: Vec<_> = (1..=10)
            .map(|n| {
                let order = Arc::clone(&order);
                target
                    .fiber()
                    .call(move || order.lock().unwrap().push(n))
                    .unwrap()
            })
            .collect();
        assert!(handles.iter().all(|handle| handle.is_queued()));
        gate.open();
        for handle in handles {
            handle.wait().unwrap();
        }
        target.join().unwrap();
        assert_eq!(*order.lock().unwrap(), (0..=10).collect::<Vec<_>>());
    });
}

#[test]
fn a_call_to_a_fiber_that_has_not_started_runs_later() {
    in_both_modes(60, 1, |_, machine, _| {
        machine.run(|| {
            let target = fibers::spawn(|| ());
            let call = target.fiber().call(|| fibers::current().id()).unwrap();
            assert!(call.is_queued());
            assert_eq!(call.wait().unwrap(), target.fiber().id());
            target.join().unwrap();
        });
    });
}

#[test]
fn park_join_and_the_wait_for_a_call_serve_calls_other_sleeps_do_not() {
    in_both_modes(60, 2, |_, machine, _| {
        let caller = |target: &Fiber| target.call(|| 5).unwrap().wait().unwrap();
        // In join.
        let gate = Arc::new(Gate::new());
        let slow = machine.spawn({
            let gate = Arc::clone(&gate);
            move || gate.wait()
        });
        let joiner = machine.spawn(move || slow.join().unwrap());
        assert_eq!(caller(joiner.fiber()), 5);
        // In the wait for another call, whose target does not look.
        let deaf = machine.spawn({
            let gate = Arc::clone(&gate);
            move || gate.wait()
        });
        let waiter = machine.spawn({
            let deaf = deaf.fiber().clone();
            move || deaf.call(|| ()).unwrap().wait().unwrap()
        });
        assert_eq!(caller(waiter.fiber()), 5);
        gate.open();
        deaf.join().unwrap();
        waiter.join().unwrap();
        joiner.join().unwrap();
        // Not in a sleep that does not accept CALL; process_calls runs them, and says how many.
        let sleeper = machine.spawn(|| {
            wait::sleep(Reasons::USER0);
            process_calls()
        });
        eventually(|| machine.metrics().parked == 1);
        let calls: Vec<_> = (0..7)
            .map(|_| sleeper.fiber().call(|| ()).unwrap())
            .collect();
        assert!(calls.iter().all(|call| call.is_queued()));
        wait::wake(sleeper.fiber(), Reasons::USER0);
        assert_eq!(sleeper.join().unwrap(), 7);
        // A sleep that accepts CALL returns with it; running them is the sleeper's.
        let sleeper = machine.spawn(|| {
            let come = wait::sleep(Reasons::CALL | Reasons::USER0);
            (come, process_calls(), process_calls())
        });
        sleeper.fiber().call(|| ()).unwrap().wait().unwrap();
        assert_eq!(sleeper.join().unwrap(), (Reasons::CALL, 1, 0));
    });
}

#[test]
fn a_call_to_oneself_runs_when_one_looks() {
    fn promise() {
        let me = fibers::current();
        let call = me.call(|| 3).unwrap();
        assert!(call.is_queued());
        assert_eq!(process_calls(), 1);
        assert!(!call.is_queued());
        assert_eq!(call.wait().unwrap(), 3);
        assert_eq!(me.call(|| 4).unwrap().wait().unwrap(), 4);
    }
    everywhere(60, promise);
}

#[test]
fn a_plain_thread_can_be_called_while_it_waits() {
    in_both_modes(60, 2, |_, machine, _| {
        let thread = fibers::current();
        let here = std::thread::current().id();
        let fiber = machine.spawn(move || {
            thread
                .call(|| std::thread::current().id())
                .unwrap()
                .wait()
                .unwrap()
        });
        assert_eq!(fiber.join().unwrap(), here);
    });
}
