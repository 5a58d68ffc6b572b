//! What is there when a machine stops is unwound, to its end, and joiners elsewhere hear of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{Gate, MODES, Test, eventually, silence_panics};
use fibers::Cancelled;
use fibers::wait::{self, Reasons};

/// K6. Each destructor once, wherever the cancellation finds the fiber.
#[test]
fn code_that_catches_the_unwind_is_unwound_again() {
    silence_panics();
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 2);
        let (drops, caught) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        struct Once(Arc<AtomicUsize>);
        impl Drop for Once {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let loops = {
            let (drops, caught) = (Arc::clone(&drops), Arc::clone(&caught));
            machine.spawn(move || {
                for _ in 0..100 {
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        let _once = Once(Arc::clone(&drops));
                        fibers::park();
                    }));
                    if result.is_err() {
                        caught.fetch_add(1, Ordering::Relaxed);
                    }
                }
                "came to its end"
            })
        };
        let nested = {
            let drops = Arc::clone(&drops);
            machine.spawn(move || {
                let _outer = Once(Arc::clone(&drops));
                fibers::scope(|s| {
                    let _inner = Once(Arc::clone(&drops));
                    let scoped = s.spawn(|| {
                        let _scoped = Once(Arc::clone(&drops));
                        fibers::park();
                    });
                    let _ = scoped.join();
                    fibers::park();
                });
            })
        };
        let waits_in_drop = {
            struct Waits(Once);
            impl Drop for Waits {
                fn drop(&mut self) {
                    // While it unwinds, nothing unwinds again; the wait blocks the worker.
                    fibers::current().unpark();
                    fibers::park();
                    fibers::yield_now();
                    let _ = &self.0;
                }
            }
            let drops = Arc::clone(&drops);
            machine.spawn(move || {
                let _waits = Waits(Once(drops));
                fibers::park();
            })
        };
        let holds_lock = {
            let (drops, lock) = (Arc::clone(&drops), Arc::new(Mutex::new(())));
            machine.spawn(move || {
                let _once = Once(drops);
                let never = Gate::new();
                fibers::join(|| never.wait(), || ());
                drop(lock);
            })
        };
        eventually(|| machine.metrics().parked >= 5);
        drop(machine);
        assert_eq!(loops.join().unwrap(), "came to its end");
        assert_eq!(caught.load(Ordering::Relaxed), 100);
        assert!(nested.join().unwrap_err().is::<Cancelled>());
        assert!(waits_in_drop.join().unwrap_err().is::<Cancelled>());
        assert!(holds_lock.join().unwrap_err().is::<Cancelled>());
        assert_eq!(drops.load(Ordering::Relaxed), 100 + 3 + 1 + 1);
    }
}

/// A fiber that only yields, computes in between, and never waits otherwise can be ended.
#[test]
fn a_fiber_that_only_yields_is_ended() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 1);
        let (entered, drops) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
        let fiber = machine.spawn({
            let entered = Arc::clone(&entered);
            move || loop {
                entered.open();
                fibers::yield_now();
            }
        });
        entered.wait();
        drop(machine);
        let ended: std::thread::Result<()> = fiber.join();
        assert!(ended.unwrap_err().is::<Cancelled>());
        assert_eq!(drops.load(Ordering::Relaxed), 0);
    }
}

/// K7.
#[test]
fn ten_thousand_parked_fibers_are_unwound_when_another_thread_drops_the_machine() {
    for mode in MODES {
        let test = Test::new(120);
        let machine = test.machine(mode, 3);
        let (drops, count) = (Arc::new(AtomicUsize::new(0)), 10_000);
        let all: Vec<_> = (0..count)
            .map(|n: usize| {
                let drops = Arc::clone(&drops);
                machine.spawn(move || {
                    struct Once(Arc<AtomicUsize>);
                    impl Drop for Once {
                        fn drop(&mut self) {
                            self.0.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    let _once = Once(drops);
                    let never = Gate::new();
                    match n % 3 {
                        0 => fibers::park(),
                        1 => never.wait(),
                        _ => drop(wait::sleep(Reasons::USER1)),
                    }
                })
            })
            .collect();
        eventually(|| machine.metrics().parked == count as u64);
        std::thread::spawn(move || drop(machine)).join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), count);
        for fiber in all {
            assert!(fiber.join().unwrap_err().is::<Cancelled>());
        }
    }
}

/// The joiner of a fiber on a machine that stops, on a thread and on another machine, hears of it.
#[test]
fn joiners_elsewhere_hear_of_the_cancellation() {
    for mode in MODES {
        let test = Test::new(60);
        let (dying, living) = (test.machine(mode, 2), test.machine(mode, 1));
        let all: Vec<_> = (0..100).map(|_| dying.spawn(fibers::park)).collect();
        let mut fibers = Vec::new();
        let mut threads = Vec::new();
        for (n, fiber) in all.into_iter().enumerate() {
            let join = move || fiber.join().is_err_and(|payload| payload.is::<Cancelled>());
            match n % 10 {
                0 => threads.push(std::thread::spawn(join)),
                _ => fibers.push(living.spawn(join)),
            }
        }
        drop(dying);
        assert!(fibers.into_iter().all(|fiber| fiber.join().unwrap()));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    }
}
