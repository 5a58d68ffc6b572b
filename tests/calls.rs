//! What calls between fibers promise: where, when and how often they run, and what becomes of those that
//! cannot.

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{
    Counted, Expected, Gate, Latch, MODES, Mode, Test, eventually, everywhere, in_both_modes,
    scaled,
};
use fibers::wait::{self, Reasons};
use fibers::{CallSlot, Fiber, JoinHandle, Runtime, Sent, process_calls};

/// A fiber that parks until the gate opens, and so serves calls.
fn server(machine: &Runtime) -> (JoinHandle<()>, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let fiber = machine.spawn({
        let gate = Arc::clone(&gate);
        move || {
            while !gate.is_open() {
                fibers::park();
            }
        }
    });
    (fiber, gate)
}

fn close(server: (JoinHandle<()>, Arc<Gate>)) {
    server.1.open();
    server.0.fiber().unpark();
    server.0.join().unwrap();
}

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
fn a_finished_fiber_gives_the_closure_back() {
    fn promise() {
        let target = fibers::spawn(|| ());
        let fiber = target.fiber().clone();
        target.join().unwrap();
        let drops = AtomicUsize::new(0);
        for n in 1..=10 {
            // Borrowed for 'static by leaking nothing: the value goes into the closure and comes back.
            let value = Box::new(n);
            let refused = fiber.call(move || *value).unwrap_err();
            assert_eq!(refused.to_string(), "the called fiber has ended");
            assert_eq!(refused.into_inner()(), n);
        }
        drop(Counted(&drops));
        let slot = CallSlot::new(|| unreachable!());
        assert_eq!(slot.send(&fiber), Sent::Ended);
        assert!(!slot.is_queued());
        assert_eq!(slot.send(&fiber), Sent::Ended);
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
fn fibers_that_call_each_other_and_wait_are_both_served() {
    in_both_modes(60, 2, |test, machine, _| {
        let other = test.machine(Mode::Pinned, 1);
        for (left, right) in [(machine, machine), (machine, &other)] {
            let (met, done) = (Arc::new(Latch::new(2)), Arc::new(Latch::new(2)));
            let peers: Arc<[Mutex<Option<Fiber>>; 2]> = Arc::default();
            let player = |machine: &Runtime, me: usize| {
                let (met, done, peers) = (Arc::clone(&met), Arc::clone(&done), Arc::clone(&peers));
                machine.spawn(move || {
                    *peers[me].lock().unwrap() = Some(fibers::current());
                    met.meet();
                    let peer = peers[1 - me].lock().unwrap().clone().unwrap();
                    let mut sum = 0;
                    for n in 0..scaled(10_000, 1_000_000) {
                        sum += peer.call(move || n).unwrap().wait().unwrap();
                    }
                    done.serve();
                    sum
                })
            };
            let (a, b) = (player(left, 0), player(right, 1));
            assert_eq!(a.join().unwrap(), b.join().unwrap());
        }
    });
}

/// Each fiber calls the next, all round, all at once.
#[test]
fn a_ring_of_calls_does_not_deadlock() {
    in_both_modes(60, 3, |_, machine, _| {
        let (met, done) = (Arc::new(Latch::new(50)), Arc::new(Latch::new(50)));
        let ring: Arc<Mutex<Vec<Option<Fiber>>>> = Arc::new(Mutex::new(vec![None; 50]));
        let all: Vec<_> = (0..50)
            .map(|me| {
                let (met, done, ring) = (Arc::clone(&met), Arc::clone(&done), Arc::clone(&ring));
                machine.spawn(move || {
                    ring.lock().unwrap()[me] = Some(fibers::current());
                    met.meet();
                    let next = ring.lock().unwrap()[(me + 1) % 50].clone().unwrap();
                    for _ in 0..20 {
                        assert_eq!(next.call(fibers::current).unwrap().wait().unwrap(), next);
                    }
                    done.serve();
                })
            })
            .collect();
        for fiber in all {
            fiber.join().unwrap();
        }
    });
}

#[test]
fn a_call_may_call_and_wait_itself() {
    in_both_modes(60, 2, |_, machine, _| {
        let (first, second) = (server(machine), server(machine));
        let next = second.0.fiber().clone();
        let call = first.0.fiber().call(move || {
            let here = fibers::current();
            let back = here.clone();
            // The second calls the first back, which is in this very call, waiting.
            let call = next.call(move || back.call(|| 7).unwrap().wait().unwrap());
            fibers::yield_now();
            (
                here,
                call.unwrap().wait().unwrap(),
                fibers::spawn(|| 1).join().unwrap(),
            )
        });
        let (here, seven, one) = call.unwrap().wait().unwrap();
        assert_eq!((&here, seven, one), (first.0.fiber(), 7, 1));
        close(first);
        close(second);
    });
}

/// A fiber that waits serves a call, and the call waits itself. What the outer wait is for comes first: that
/// must not end the inner wait, nor be lost for the outer one.
#[test]
fn a_wait_inside_a_served_call_is_not_ended_by_what_the_outer_wait_is_for() {
    in_both_modes(30, 2, |_, machine, _| {
        for outer in ["join", "call"] {
            for inner in ["join", "call", "scope", "queue", "fork"] {
                let (slow, late) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
                let hold = |gate: &Arc<Gate>| {
                    let gate = Arc::clone(gate);
                    move || {
                        gate.wait();
                        7
                    }
                };
                let slow_fiber = machine.spawn(hold(&slow));
                let late_fiber = machine.spawn(hold(&late));
                let target = machine.spawn(move || match outer {
                    "join" => slow_fiber.join().unwrap(),
                    _ => {
                        // At its end, after the gate.
                        let call = slow_fiber.fiber().call(|| 7).unwrap();
                        call.wait().unwrap()
                    }
                });
                let entered = Arc::new(Gate::new());
                let call = target.fiber().call({
                    let (entered, late) = (Arc::clone(&entered), Arc::clone(&late));
                    move || {
                        entered.open();
                        match inner {
                            "join" => assert_eq!(late_fiber.join().unwrap(), 7),
                            "call" => {
                                let call = late_fiber.fiber().call(|| 7).unwrap();
                                assert_eq!(call.wait().unwrap(), 7);
                            }
                            "scope" => fibers::scope(|s| {
                                s.spawn(|| late.wait());
                            }),
                            "fork" => {
                                // The other half is stolen, or runs here.
                                let (a, b) = fibers::join(
                                    || (0..5).for_each(|_| fibers::yield_now()),
                                    || late.wait(),
                                );
                                assert_eq!((a, b), ((), ()));
                            }
                            _ => late.wait(),
                        }
                        late.is_open()
                    }
                });
                let call = call.unwrap();
                entered.wait();
                (0..20).for_each(|_| fibers::yield_now());
                slow.open();
                // The outer wait's reason is on its way; nothing announces that it has come.
                std::thread::sleep(std::time::Duration::from_millis(2));
                late.open();
                assert!(call.wait().unwrap(), "{inner} in {outer} ended too early");
                assert_eq!(target.join().unwrap(), 7, "{inner} in {outer}");
            }
        }
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

/// T23.
#[test]
fn a_slot_is_sent_again_and_again_and_never_twice_at_once() {
    in_both_modes(120, 2, |_, machine, _| {
        let server = server(machine);
        let ran = Arc::new(AtomicUsize::new(0));
        let slot = Arc::new(CallSlot::new({
            let ran = Arc::clone(&ran);
            move || {
                ran.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let mut queued = 0;
        for _ in 0..scaled(100_000, 1_000_000) {
            match slot.send(server.0.fiber()) {
                Sent::Queued => queued += 1,
                Sent::AlreadyQueued | Sent::Running => {}
                Sent::Ended => panic!("the server lives"),
            }
            if !slot.is_queued() {
                // Once it is not queued, what it did is seen.
                assert_eq!(ran.load(Ordering::Relaxed), queued);
            }
        }
        eventually(|| !slot.is_queued());
        assert_eq!(ran.load(Ordering::Relaxed), queued);
        // Two senders share the slot.
        let senders = [(); 3].map(|()| {
            let (slot, target) = (Arc::clone(&slot), server.0.fiber().clone());
            machine.spawn(move || {
                let sends = (0..scaled(20_000, 1_000_000))
                    .filter(|_| slot.send(&target) == Sent::Queued)
                    .count();
                fibers::yield_now();
                sends
            })
        });
        queued += senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .sum::<usize>();
        eventually(|| !slot.is_queued());
        assert_eq!(ran.load(Ordering::Relaxed), queued);
        close(server);
    });
}

#[test]
fn a_slot_tells_its_state() {
    in_both_modes(60, 2, |_, machine, _| {
        let (gate, entered) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let slot = CallSlot::new({
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            move || {
                entered.open();
                gate.wait();
            }
        });
        let target = machine.spawn(|| {
            wait::sleep(Reasons::USER0);
            process_calls()
        });
        assert!(!slot.is_queued());
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        assert_eq!(slot.send(target.fiber()), Sent::AlreadyQueued);
        assert!(slot.is_queued());
        wait::wake(target.fiber(), Reasons::USER0);
        entered.wait();
        assert_eq!(slot.send(target.fiber()), Sent::Running);
        assert!(slot.is_queued());
        gate.open();
        assert_eq!(target.join().unwrap(), 1);
        assert!(!slot.is_queued());
    });
}

/// A slot that is dropped while it is queued runs all the same.
#[test]
fn a_dropped_slot_still_runs() {
    in_both_modes(60, 1, |_, machine, _| {
        let ran = Arc::new(AtomicBool::new(false));
        let target = machine.spawn(|| wait::sleep(Reasons::USER0));
        let slot = CallSlot::new({
            let ran = Arc::clone(&ran);
            move || ran.store(true, Ordering::Relaxed)
        });
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        drop(slot);
        wait::wake(target.fiber(), Reasons::USER0);
        target.join().unwrap();
        assert!(ran.load(Ordering::Relaxed));
    });
}

#[test]
fn a_slot_whose_call_panics_ends_the_process_with_a_message() {
    const NAME: &str = "a_slot_whose_call_panics_ends_the_process_with_a_message";
    if common::child_case().is_some() {
        let machine = Runtime::new().unwrap();
        let target = machine.spawn(|| wait::sleep(Reasons::USER0));
        let slot = CallSlot::new(|| panic!("in the slot"));
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        wait::wake(target.fiber(), Reasons::USER0);
        let _ = target.join();
        return;
    }
    let ended = common::child(NAME, "panic", &[]);
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:#?}");
    assert!(
        ended.stderr.contains("a call sent by a CallSlot panicked"),
        "{ended:#?}"
    );
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

/// A pipeline of calls, each stage a fiber of its own: a small actor system.
#[test]
fn actors_by_calls() {
    in_both_modes(60, 3, |_, machine, _| {
        let servers: Vec<_> = (0..10).map(|_| server(machine)).collect();
        let chain: VecDeque<_> = servers
            .iter()
            .map(|server| server.0.fiber().clone())
            .collect();
        fn pass(mut chain: VecDeque<Fiber>, hops: usize) -> usize {
            match chain.pop_front() {
                None => hops,
                Some(next) => next
                    .call(move || pass(chain, hops + 1))
                    .unwrap()
                    .wait()
                    .unwrap(),
            }
        }
        // A server that waits serves the next call on top: as deep as there are callers.
        let all: Vec<_> = (0..30)
            .map(|_| {
                let chain = chain.clone();
                machine.spawn(move || pass(chain, 0))
            })
            .collect();
        for fiber in all {
            assert_eq!(fiber.join().unwrap(), 10);
        }
        let caught = catch_unwind(AssertUnwindSafe(|| pass(chain, 0)));
        assert_eq!(caught.unwrap(), 10);
        for server in servers {
            close(server);
        }
    });
}
