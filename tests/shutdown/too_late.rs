//! What has not started when a machine stops is dropped unrun, and what comes afterwards is given back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::common::{Counted, Gate, MODES, Test, eventually};
use fibers::wait::{self, Reasons};
use fibers::{Cancelled, Priority};

#[test]
fn fibers_that_never_started_are_dropped_and_joined_as_cancelled() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    for mode in MODES {
        DROPS.store(0, Ordering::Relaxed);
        let test = Test::new(60);
        let machine = test.machine(mode, 1);
        let (gate, entered) = (Arc::new(Barrier::new(2)), Arc::new(Gate::new()));
        let busy = machine.spawn({
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            move || {
                entered.open();
                gate.wait();
            }
        });
        entered.wait();
        let ran = Arc::new(AtomicBool::new(false));
        let unstarted: Vec<_> = (0..1000_u32)
            .map(|n| {
                let (ran, capture) = (Arc::clone(&ran), Counted(&DROPS));
                let builder =
                    fibers::Builder::new().priority(Priority::new((n % 8) as u8).unwrap());
                let body = move || {
                    let _capture = &capture;
                    ran.store(true, Ordering::Relaxed);
                };
                builder.spawn_on(&machine.handle(), body).unwrap()
            })
            .collect();
        let handle = machine.handle();
        let stopper = std::thread::spawn(move || machine.shutdown(Duration::from_secs(50)));
        // The refusal is the sign that the stop has begun.
        eventually(|| handle.try_spawn(|| ()).is_err());
        gate.wait();
        stopper.join().unwrap().unwrap();
        assert!(busy.join().is_ok());
        for fiber in unstarted {
            assert!(fiber.join().unwrap_err().is::<Cancelled>());
        }
        assert!(!ran.load(Ordering::Relaxed));
        assert_eq!(DROPS.load(Ordering::Relaxed), 1000);
    }
}

#[test]
fn a_stopped_machine_gives_the_closure_back() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 2);
        let handle = machine.handle();
        drop(machine);
        let value = Box::new(5);
        let refused = handle.try_spawn(move || *value).unwrap_err();
        assert!(refused.to_string().contains("shut down"), "{refused}");
        assert_eq!((refused.closure)(), 5);
        let error = fibers::Builder::new().spawn_on(&handle, || ()).unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        let panic = catch_unwind(AssertUnwindSafe(|| handle.spawn(|| ()))).unwrap_err();
        let text = panic.downcast::<String>().unwrap();
        assert!(
            text.contains("failed to spawn a fiber") && text.contains("shut down"),
            "{text}"
        );
        assert_eq!(handle.fibers(Duration::from_millis(1)).0, []);
        // From a fiber of that machine while it stops.
        let machine = test.machine(mode, 1);
        let fiber = machine.spawn(|| {
            wait::sleep(Reasons::CANCEL);
            let refused = fibers::Builder::new().spawn(|| ());
            let scoped = catch_unwind(|| fibers::scope(|s| drop(s.spawn(|| ()))));
            refused.is_err() && scoped.is_err()
        });
        eventually(|| machine.metrics().parked == 1);
        drop(machine);
        assert!(fiber.join().unwrap());
    }
}
