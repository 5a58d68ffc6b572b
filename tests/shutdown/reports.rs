//! What does not end in time is named, and a report shows each fiber once, with what it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{Gate, Latch, MODES, Mode, Test, eventually};
use fibers::wait::{self, Reasons};
use fibers::{Cancelled, ShutdownReport};

/// Stops a machine, too soon, of which one fiber computes and never waits: what is told of it.
fn stop_too_soon(mode: Mode) -> ShutdownReport {
    let test = Test::new(60);
    let machine = test.machine(mode, 2);
    let stop = Arc::new(AtomicBool::new(false));
    let entered = Arc::new(Latch::new(2));
    // It is one half of a fork; the other half waits for it, as it must.
    let forker = fibers::Builder::new().name("forker".to_owned());
    let forker = forker.spawn_on(&machine.handle(), {
        let (stop, entered) = (Arc::clone(&stop), Arc::clone(&entered));
        move || {
            let here = || {
                entered.arrive();
                while entered.missing() != 0 {
                    std::thread::yield_now();
                }
            };
            let stolen = || {
                entered.arrive();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            };
            fibers::join(here, stolen);
        }
    });
    entered.wait();
    eventually(|| machine.metrics().parked == 1);
    let report = machine.shutdown(Duration::from_millis(50)).unwrap_err();
    stop.store(true, Ordering::Relaxed);
    // It ends all the same once it can.
    forker.unwrap().join().unwrap();
    report
}

#[test]
fn what_does_not_end_in_time_is_named() {
    for mode in MODES {
        let _test = Test::new(60);
        let report = loop {
            let report = stop_too_soon(mode);
            assert!(!report.busy_workers.is_empty(), "{report}");
            // On a loaded machine the other worker may be late, and is named too: then once more.
            if report.busy_workers.len() == 1 {
                break report;
            }
        };
        let text = report.to_string();
        assert!(text.contains("did not stop in time"), "{text}");
        assert!(text.contains("runs a fiber that does not wait"), "{text}");
        let named = report
            .fibers
            .iter()
            .filter(|fiber| fiber.name.as_deref() == Some("forker"));
        assert_eq!(named.count(), 1, "{text}");
    }
}

#[test]
fn a_report_shows_each_fiber_once_with_what_it_waits_for() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 3);
        let gate = Arc::new(Gate::new());
        let all: Vec<_> = (0..30)
            .map(|n| {
                let gate = Arc::clone(&gate);
                let builder = fibers::Builder::new().name(format!("sleeper {n}"));
                let body = move || match n % 3 {
                    0 => gate.wait(),
                    1 => fibers::park(),
                    _ => drop(wait::sleep(Reasons::USER4)),
                };
                builder.spawn_on(&machine.handle(), body).unwrap()
            })
            .collect();
        eventually(|| machine.metrics().parked == 30);
        let (mut fibers, silent) = machine.handle().fibers(Duration::from_secs(20));
        assert!(silent.is_empty(), "{silent:?}");
        fibers.sort_by_key(|fiber| fiber.id);
        assert_eq!(fibers.len(), 30, "{mode:?}: each once");
        for fiber in &fibers {
            let name = fiber.name.clone().unwrap();
            let n: usize = name.strip_prefix("sleeper ").unwrap().parse().unwrap();
            let wanted = [Reasons::QUEUE, Reasons::UNPARK, Reasons::USER4][n % 3];
            assert_eq!(fiber.state, "parked");
            assert!(fiber.waits_for.contains(wanted), "{fiber}");
            assert_eq!(all[n].fiber().id().to_string(), fiber.id.to_string());
            assert!(fiber.to_string().contains(&name));
        }
        // A worker that does not wait cannot answer, and is named instead.
        let (stop, entered) = (Arc::new(AtomicBool::new(false)), Arc::new(Gate::new()));
        let busy = machine.spawn({
            let (stop, entered) = (Arc::clone(&stop), Arc::clone(&entered));
            move || {
                entered.open();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            }
        });
        entered.wait();
        // Others may be late as well, where the machine is loaded; it alone never answers.
        eventually(|| {
            let (_, silent) = machine.handle().fibers(Duration::from_millis(300));
            assert!(!silent.is_empty(), "who is busy cannot answer");
            silent.len() == 1
        });
        stop.store(true, Ordering::Relaxed);
        busy.join().unwrap();
        drop(machine);
        for fiber in all {
            assert!(fiber.join().unwrap_err().is::<Cancelled>());
        }
    }
}
