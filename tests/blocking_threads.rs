//! The offload threads: how many there are, when they start and end, and what happens if they cannot. Each test runs
//! in a process of its own, since the threads are the process's.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Gate, Latch, Mode, Random, Test, child, child_case, eventually, thread_id};
use fibers::testing::{FailCall, calls_left, fail_call};
use fibers::{Handle, JoinHandle, Runtime, blocking};
use parking_lot::Mutex;

/// How many offload threads there are.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.trim() == "fibers-blocking")
        .count()
}

/// So many fibers inside `blocking`, each at the gate.
fn hold(machine: &Runtime, count: usize, gate: &Arc<Gate>) -> Vec<JoinHandle<i32>> {
    let latch = Arc::new(Latch::new(count));
    let all = (0..count)
        .map(|_| {
            let (gate, latch) = (Arc::clone(gate), Arc::clone(&latch));
            machine.spawn(move || {
                blocking(|| {
                    latch.arrive();
                    gate.wait();
                    thread_id()
                })
            })
        })
        .collect();
    latch.wait();
    all
}

#[test]
fn no_more_than_the_limit_and_first_come_first_served() {
    const NAME: &str = "no_more_than_the_limit_and_first_come_first_served";
    if child_case().is_none() {
        for limit in ["1", "3"] {
            child(NAME, limit, &[("FIBERS_BLOCKING_THREADS", limit)]).passed();
        }
        return;
    }
    let limit: usize = std::env::var("FIBERS_BLOCKING_THREADS")
        .unwrap()
        .parse()
        .unwrap();
    let test = Test::new(60);
    // One worker: the order in which the fibers ask is the order in which they come to the queue.
    let machine = test.machine(Mode::Pinned, 1);
    let gate = Arc::new(Gate::new());
    let held = hold(&machine, limit, &gate);
    let (asked, ran) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Mutex::new(Vec::new())),
    );
    let at_once = Arc::new(AtomicUsize::new(0));
    let queued: Vec<_> = (0..50)
        .map(|index| {
            let (asked, ran) = (Arc::clone(&asked), Arc::clone(&ran));
            let at_once = Arc::clone(&at_once);
            machine.spawn(move || {
                asked.lock().push(index);
                blocking(|| {
                    let now = at_once.fetch_add(1, Ordering::AcqRel) + 1;
                    assert!(now <= limit, "{now} at once");
                    ran.lock().push(index);
                    std::thread::yield_now();
                    at_once.fetch_sub(1, Ordering::AcqRel);
                });
            })
        })
        .collect();
    eventually(|| asked.lock().len() == 50 && machine.metrics().parked == 50 + limit as u64);
    assert!(ran.lock().is_empty());
    assert_eq!(threads(), limit);
    gate.open();
    for fiber in queued {
        fiber.join().unwrap();
    }
    for fiber in held {
        fiber.join().unwrap();
    }
    assert_eq!(threads(), limit);
    let (asked, mut ran) = (asked.lock().clone(), ran.lock().clone());
    if limit > 1 {
        // Taken in order, but written down by several.
        ran.sort_by_key(|index| asked.iter().position(|other| other == index));
    }
    assert_eq!(asked, ran);
}

#[test]
fn idle_threads_end_and_come_again() {
    const NAME: &str = "idle_threads_end_and_come_again";
    if child_case().is_none() {
        child(NAME, "idle", &[("FIBERS_BLOCKING_IDLE_MS", "30")]).passed();
        return;
    }
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 2);
    for _ in 0..3 {
        let gate = Arc::new(Gate::new());
        let held = hold(&machine, 10, &gate);
        assert_eq!(threads(), 10);
        gate.open();
        for fiber in held {
            fiber.join().unwrap();
        }
        eventually(|| threads() == 0);
    }
}

#[test]
fn one_caller_needs_one_thread() {
    const NAME: &str = "one_caller_needs_one_thread";
    if child_case().is_none() {
        child(NAME, "one", &[]).passed();
        return;
    }
    let test = Test::new(60);
    let first = test.machine(Mode::Pinned, 1);
    let second = test.machine(Mode::Floating, 2);
    // It is idle before its last caller goes on.
    first.run(|| (0..20_000).for_each(|_| blocking(|| ())));
    assert_eq!(threads(), 1);
    // The most recently idle one, also for another machine.
    let thread = first.run(|| blocking(thread_id));
    for _ in 0..200 {
        assert_eq!(first.run(|| blocking(thread_id)), thread);
        assert_eq!(second.run(|| blocking(thread_id)), thread);
    }
    assert_eq!(threads(), 1);
}

#[test]
fn threads_that_end_at_once_lose_no_job() {
    const NAME: &str = "threads_that_end_at_once_lose_no_job";
    if child_case().is_none() {
        let env = [
            ("FIBERS_BLOCKING_IDLE_MS", "0"),
            ("FIBERS_BLOCKING_THREADS", "3"),
        ];
        common::child_for(NAME, "hasty", &env, 60).passed();
        return;
    }
    let (test, seed) = (Test::new(60), Random::new().next() >> 1);
    for mode in common::MODES {
        let machine = test.machine(mode, 2);
        let jobs = common::scaled(5_000, 100_000);
        let all: Vec<_> = (0..8)
            .map(|index| {
                let mut random = Random::of(seed + index as u64);
                machine.spawn(move || {
                    let mine = (0..jobs).filter(|n| {
                        // About as long as a thread looks around before it ends.
                        (0..random.below(3000)).for_each(|_| std::hint::spin_loop());
                        blocking(|| n % 8 == index)
                    });
                    mine.count()
                })
            })
            .collect();
        let ran: usize = all.into_iter().map(|fiber| fiber.join().unwrap()).sum();
        assert_eq!(ran, jobs);
    }
    eventually(|| threads() == 0);
}

#[test]
fn a_thread_that_does_not_start_is_done_without() {
    const NAME: &str = "a_thread_that_does_not_start_is_done_without";
    if child_case().is_none() {
        child(NAME, "fails", &[]).passed();
        return;
    }
    let test = Test::new(60);
    for mode in common::MODES {
        let machine = test.machine(mode, 1);
        if threads() == 0 {
            // With none at all: in place, as on a plain thread.
            fail_call(FailCall::ThreadSpawn, 1);
            machine.run(|| {
                let (worker, me) = (thread_id(), fibers::current().id());
                let mut borrowed = 0;
                blocking(|| {
                    assert_eq!(thread_id(), worker);
                    assert!(Handle::current().is_none());
                    assert_ne!(fibers::current().id(), me);
                    borrowed = 1;
                });
                assert_eq!((borrowed, fibers::current().id()), (1, me));
                assert!(Handle::current().is_some());
                fibers::yield_now();
            });
            assert_eq!((calls_left(FailCall::ThreadSpawn), threads()), (0, 0));
        }
        // With one: queued, until that one has time for it.
        let gate = Arc::new(Gate::new());
        let held = hold(&machine, 1, &gate);
        fail_call(FailCall::ThreadSpawn, 1);
        let queued = machine.spawn(|| blocking(thread_id));
        eventually(|| calls_left(FailCall::ThreadSpawn) == 0 && machine.metrics().parked == 2);
        for _ in 0..20 {
            machine.run(fibers::yield_now);
        }
        assert!(!queued.is_finished());
        gate.open();
        let thread = queued.join().unwrap();
        for fiber in held {
            assert_eq!(fiber.join().unwrap(), thread);
        }
    }
}

#[test]
fn offload_threads_are_not_bound_to_the_workers_cpus() {
    const NAME: &str = "offload_threads_are_not_bound_to_the_workers_cpus";
    if child_case().is_none() {
        child(NAME, "bound", &[("FIBERS_PIN", "1")]).passed();
        return;
    }
    fn cpus() -> String {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mut lines = status.lines();
        lines
            .find(|line| line.starts_with("Cpus_allowed:"))
            .unwrap()
            .to_owned()
    }
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 2);
    assert_eq!(machine.run(|| blocking(cpus)), cpus());
}
