//! Calls within calls: fibers that call each other are both served, and what a served call waits for and what its target
//! waits for do not disturb each other.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::common::{Gate, Latch, MODES, Mode, Test, eventually, in_both_modes, scaled};
use crate::{close, server};
use fibers::{Fiber, Handle, Runtime};

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
    for mode in MODES {
        let test = Test::new(60);
        let (one, other) = (test.machine(mode, 1), test.machine(mode, 1));
        let two = test.machine(mode, 2);
        // One worker does one thing after the other, so here it is certain that the outer wait's reason comes first.
        // With two it is likely.
        for (here, there) in [(&one, &one), (&one, &other), (&two, &two)] {
            for outer in ["join", "call"] {
                for inner in ["join", "call", "scope", "queue", "fork"] {
                    the_outer_reason_comes_first(here, there, outer, inner);
                }
            }
        }
    }
}

/// The two waits are those of a fiber `here`; the outer one is for a fiber `there`.
fn the_outer_reason_comes_first(
    here: &Runtime,
    there: &Runtime,
    outer: &'static str,
    inner: &'static str,
) {
    let (slow, late) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
    let hold = |gate: &Arc<Gate>| {
        let gate = Arc::clone(gate);
        move || {
            gate.wait();
            7
        }
    };
    let slow_fiber = there.spawn(hold(&slow));
    let late_fiber = here.spawn(hold(&late));
    let marker = here.spawn(fibers::park);
    let target = here.spawn(move || match outer {
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
                    let (a, b) =
                        fibers::join(|| (0..5).for_each(|_| fibers::yield_now()), || late.wait());
                    assert_eq!((a, b), ((), ()));
                }
                _ => late.wait(),
            }
            late.is_open()
        }
    });
    let call = call.unwrap();
    entered.wait();
    // All that have begun are parked: the target in its inner wait.
    let workers = here.metrics().workers;
    eventually(|| here.metrics().idle_workers == workers);
    let ended_before = there.metrics().finished;
    slow.open();
    // The worker that counted the slow fiber's end has told the target before it runs anything else. What it sends to
    // the marker goes the same way, behind that.
    let marked = marker.fiber().clone();
    there.run(move || {
        let there = Handle::current().unwrap();
        while there.metrics().finished == ended_before {
            fibers::yield_now();
        }
        marked.unpark();
    });
    marker.join().unwrap();
    // So by now the target has run, if that could wake it.
    late.open();
    assert!(call.wait().unwrap(), "{inner} in {outer} ended too early");
    assert_eq!(target.join().unwrap(), 7, "{inner} in {outer}");
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
