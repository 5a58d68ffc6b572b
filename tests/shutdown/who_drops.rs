//! Who drops a machine: a fiber of its own, one of another, the thread that it is bound to, the end of the process; and
//! that nothing of it stays behind.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{self, MODES, Test, descriptors, eventually, limit, within};
use fibers::net::unix::UnixStream;
use fibers::time::Duration;
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

/// Alone in its process: what it counts is the process's.
#[test]
fn machines_come_and_go_without_a_trace() {
    const NAME: &str = "who_drops::machines_come_and_go_without_a_trace";
    common::alone(NAME, 120, || {
        // Some things are made once for the process.
        (0..20).for_each(come_and_go);
        let (threads_before, (files_before, _)) = (threads(), files());
        (0..200).for_each(come_and_go);
        // The kernel shows a thread for a moment after it was joined.
        within(limit(60), || threads() == threads_before);
        assert_eq!(threads(), threads_before);
        let (files_after, bells) = files();
        assert_eq!(files_after, files_before);
        // A worker's record is used again by a later machine, and keeps its bell, if it ever needed one.
        assert!(bells <= 2, "{bells} bells of two records");
    });
}

/// A machine, of either mode or of this thread, in which fibers are joined, wait for a deadline and for each other's
/// bytes.
fn come_and_go(n: usize) {
    let test = Test::new(60);
    let work = move || {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let echo = fibers::spawn(move || {
            let mut byte = [0];
            far.read_exact(&mut byte).unwrap();
            far.write_all(&byte).unwrap();
        });
        fibers::sleep(Duration::from_nanos(1));
        let (sent, mut come) = ([n as u8], [0]);
        near.write_all(&sent).unwrap();
        near.read_exact(&mut come).unwrap();
        echo.join().unwrap();
        assert_eq!(come, sent);
    };
    match n % 3 {
        2 => test.local().run(work),
        mode => test.machine(MODES[mode], 2).run(work),
    }
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut names: Vec<_> = tasks
        // One that ends meanwhile has no name.
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .collect();
    names.sort_unstable();
    names
}

/// The descriptors of this process, but for the bells of workers; and how many those are.
fn files() -> (Vec<String>, usize) {
    let (bells, files): (Vec<_>, Vec<_>) = descriptors()
        .into_iter()
        .partition(|what| what.contains("[eventfd]"));
    (files, bells.len())
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
