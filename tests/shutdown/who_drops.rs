//! Who drops a machine: a fiber of its own, one of another, the thread that it is bound to, the end of the process; and
//! that nothing of it stays behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{self, MODES, Mode, Test, eventually};
use fibers::{Cancelled, Runtime};

#[test]
fn a_machine_dropped_by_its_own_fiber_stops_after_it() {
    for mode in MODES {
        for workers in [1, 2] {
            let test = Test::new(60);
            let machine = test.machine(mode, workers);
            let handle = machine.handle();
            let parked = machine.spawn(fibers::park);
            eventually(|| handle.metrics().parked == 1);
            let slot = Arc::new(Mutex::new(None));
            let dropper = machine.spawn({
                let slot = Arc::clone(&slot);
                move || {
                    let machine: Option<Runtime> = slot.lock().unwrap().take();
                    let there = machine.is_some();
                    drop(machine);
                    there
                }
            });
            // It may have run already, and found nothing: then this thread is the one that drops it.
            *slot.lock().unwrap() = Some(machine);
            let there = dropper.join().is_ok_and(|there| there);
            if !there {
                slot.lock().unwrap().take();
            }
            assert!(parked.join().unwrap_err().is::<Cancelled>());
            assert!(handle.try_spawn(|| ()).is_err());
        }
    }
}

#[test]
fn a_machine_may_be_dropped_by_a_fiber_of_another() {
    for mode in MODES {
        let test = Test::new(60);
        let outer = test.machine(mode, 1);
        for _ in 0..50 {
            let inner = test.machine(mode, 1);
            let parked = inner.spawn(fibers::park);
            outer.run(move || drop(inner));
            assert!(parked.join().unwrap_err().is::<Cancelled>());
        }
    }
}

#[test]
fn machines_come_and_go_without_a_trace() {
    let test = Test::new(120);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = |n: usize| {
        let machine = test_machine(MODES[n % 2]);
        assert_eq!(
            machine.run(move || fibers::spawn(move || n).join().unwrap()),
            n
        );
    };
    (0..20).for_each(round);
    // Other tests run at the same time; look at threads with our name only.
    let mine = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks
            .filter(|task| {
                let comm = task.as_ref().unwrap().path().join("comm");
                std::fs::read_to_string(comm).is_ok_and(|name| name.starts_with("trace-"))
            })
            .count()
    };
    (0..200).for_each(round);
    eventually(|| mine() == 0);
    let _ = (threads(), files(), &test);
}

fn test_machine(mode: Mode) -> Runtime {
    common::builder(mode)
        .workers(2)
        .name("trace")
        .build()
        .unwrap()
}

#[test]
fn a_local_machine_unwinds_what_is_left_when_it_is_dropped() {
    let test = Test::new(60);
    let drops = Arc::new(AtomicUsize::new(0));
    struct Once(Arc<AtomicUsize>);
    impl Drop for Once {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let machine = test.local();
    let handle = machine.handle();
    let started = machine.spawn({
        let once = Once(Arc::clone(&drops));
        move || {
            let _once = once;
            fibers::park();
        }
    });
    machine.run(fibers::yield_now);
    let unstarted = machine.spawn({
        let once = Once(Arc::clone(&drops));
        move || drop(once)
    });
    assert!(!started.is_finished() && !unstarted.is_finished());
    drop(machine);
    assert!(started.join().unwrap_err().is::<Cancelled>());
    assert!(unstarted.join().unwrap_err().is::<Cancelled>());
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    assert!(handle.try_spawn(|| ()).is_err());
}

/// The program ends while fibers of the default machine are parked, run, and have not started.
#[test]
fn a_process_may_end_while_fibers_live() {
    const NAME: &str = "who_drops::a_process_may_end_while_fibers_live";
    if common::child_case().is_some() {
        for _ in 0..100 {
            drop(fibers::spawn(fibers::park));
            drop(fibers::spawn(|| {
                loop {
                    fibers::yield_now();
                }
            }));
        }
        return;
    }
    for _ in 0..10 {
        common::child(NAME, "end", &[]).passed();
    }
}
