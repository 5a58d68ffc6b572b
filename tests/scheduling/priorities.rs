//! The higher priority runs first, and a new one counts from the next turn on.
//!
//! That a low one makes progress all the same is in `fairness.rs`.

use std::sync::{Arc, Mutex};

use crate::common::{self, Gate, Mode, Test, builder};
use fibers::{Builder, Priority};

/// Runs a fiber that spawns the named ones and then lets go of the worker; the order in which they ran.
fn order_of(
    mode: Mode,
    fairness: u32,
    names: &'static [(&'static str, Priority)],
) -> Vec<&'static str> {
    let test = Test::new(60);
    let machine = test.build(builder(mode).workers(1).fairness(fairness));
    let ran = Arc::new(Mutex::new(Vec::new()));
    machine.run({
        let ran = Arc::clone(&ran);
        move || {
            let all: Vec<_> = names
                .iter()
                .map(|(name, priority)| {
                    let ran = Arc::clone(&ran);
                    let builder = Builder::new().priority(*priority);
                    builder
                        .spawn(move || ran.lock().unwrap().push(*name))
                        .unwrap()
                })
                .collect();
            for fiber in all {
                fiber.join().unwrap();
            }
        }
    });
    let ran = ran.lock().unwrap();
    ran.clone()
}

#[test]
fn the_higher_priority_runs_first_and_equals_in_the_order_of_their_spawns() {
    const L: Priority = Priority::LOW;
    const H: Priority = Priority::HIGH;
    for mode in common::MODES {
        let ran = order_of(
            mode,
            1_000_000,
            &[("l1", L), ("h1", H), ("l2", L), ("h2", H)],
        );
        assert_eq!(ran, ["h1", "h2", "l1", "l2"], "{mode:?}");
        let ran = order_of(
            mode,
            1_000_000,
            &[
                ("idle", Priority::IDLE),
                ("below", Priority::BELOW),
                ("above1", Priority::ABOVE),
                ("lowest", Priority::LOWEST),
                ("normal", Priority::NORMAL),
                ("realtime", Priority::REALTIME),
                ("above2", Priority::ABOVE),
                ("high", H),
                ("low", L),
                ("above3", Priority::ABOVE),
            ],
        );
        let wanted = [
            "realtime", "high", "above1", "above2", "above3", "normal", "below", "low", "lowest",
            "idle",
        ];
        assert_eq!(ran, wanted, "{mode:?}");
    }
}

#[test]
fn a_new_priority_counts_from_the_next_turn_on() {
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.build(builder(mode).workers(1).fairness(1_000_000));
        let ran = machine.run(|| {
            let ran = Arc::new(Mutex::new(Vec::new()));
            let go = Arc::new(Gate::new());
            let all: Vec<_> = ["slow", "fast", "plain"]
                .into_iter()
                .map(|name| {
                    let (ran, go) = (Arc::clone(&ran), Arc::clone(&go));
                    fibers::spawn(move || {
                        assert_eq!(fibers::current().priority(), Priority::NORMAL);
                        go.wait();
                        for _ in 0..3 {
                            ran.lock().unwrap().push(name);
                            fibers::yield_now();
                        }
                    })
                })
                .collect();
            let me = fibers::current();
            me.set_priority(Priority::IDLE);
            fibers::yield_now();
            me.set_priority(Priority::REALTIME);
            all[0].fiber().set_priority(Priority::LOW);
            all[1].fiber().set_priority(Priority::HIGH);
            assert_eq!(all[1].fiber().priority(), Priority::HIGH);
            go.open();
            for fiber in all {
                fiber.join().unwrap();
            }
            let ran = ran.lock().unwrap();
            ran.clone()
        });
        let wanted = [
            "fast", "fast", "fast", "plain", "plain", "plain", "slow", "slow", "slow",
        ];
        assert_eq!(ran, wanted, "{mode:?}");
    }
}
