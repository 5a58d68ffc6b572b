//! On which thread a fiber runs: pinned fibers stay on theirs, floating ones spread, those of a machine on the calling
//! thread run there and nowhere else.

use std::collections::HashSet;
use std::sync::Arc;

use crate::common::{Gate, Latch, Mode, Test, in_both_modes, scaled, thread_id};

#[test]
fn ten_thousand_fibers_yield_on_four_workers_pinned_ones_on_one_thread_each() {
    in_both_modes(120, 4, |_, machine, mode| {
        let fibers = scaled(10_000, 100_000);
        // All start before any goes on, so that there is something to spread.
        let started = Arc::new(Latch::new(fibers));
        let all: Vec<_> = (0..fibers)
            .map(|_| {
                let started = Arc::clone(&started);
                machine.spawn(move || {
                    started.meet();
                    let mut threads = vec![thread_id()];
                    for _ in 0..100 {
                        fibers::yield_now();
                        let now = thread_id();
                        if threads.last() != Some(&now) {
                            threads.push(now);
                        }
                    }
                    threads
                })
            })
            .collect();
        let (mut used, mut moved) = (HashSet::new(), 0);
        for fiber in all {
            let threads = fiber.join().unwrap();
            moved += usize::from(threads.len() > 1);
            used.extend(threads);
        }
        assert!((2..=4).contains(&used.len()), "{} threads", used.len());
        match mode {
            Mode::Pinned => assert_eq!(moved, 0, "started fibers changed their thread"),
            Mode::Floating => assert!(moved > 0, "no fiber ever changed its thread"),
        }
        let metrics = machine.metrics();
        assert_eq!(metrics.finished, fibers as u64);
        assert!(metrics.switches >= 100 * fibers as u64, "{metrics:?}");
    });
}

/// A thread-local address taken before a wait is that of the same thread after it (K2).
#[test]
fn a_pinned_fiber_may_hold_a_thread_local_over_waits() {
    thread_local! {
        static MINE: std::cell::RefCell<i32> = const { std::cell::RefCell::new(0) };
    }
    let test = Test::new(120);
    let machine = test.machine(Mode::Pinned, 4);
    let all: Vec<_> = (0..500)
        .map(|_| {
            machine.spawn(|| {
                for _ in 0..50 {
                    fibers::yield_now();
                    // Nobody else on this thread may borrow it mutably over a wait, so it is always free.
                    MINE.with_borrow_mut(|value| *value = thread_id());
                    let address = MINE.with(|cell| std::ptr::from_ref(cell).addr());
                    fibers::yield_now();
                    assert_eq!(MINE.with(|cell| std::ptr::from_ref(cell).addr()), address);
                    MINE.with_borrow(|value| assert_eq!(*value, thread_id()));
                }
            })
        })
        .collect();
    for fiber in all {
        fiber.join().unwrap();
    }
}

#[test]
fn a_machine_on_this_thread_runs_its_fibers_here_and_nowhere_else() {
    let test = Test::new(60);
    let main = test.local();
    let others = test.machine(Mode::Pinned, 2);
    let here = thread_id();
    let mut elsewhere = Vec::new();
    let bound: Vec<_> = (0..20)
        .map(|_| {
            main.spawn(move || {
                for _ in 0..1000 {
                    fibers::yield_now();
                    assert_eq!(thread_id(), here);
                }
            })
        })
        .collect();
    for _ in 0..20 {
        elsewhere.push(others.spawn(move || {
            for _ in 0..1000 {
                fibers::yield_now();
                assert_ne!(thread_id(), here);
            }
        }));
    }
    // Fibers of the other machine spawn here, and are woken by fibers that run here.
    let handle = main.handle();
    elsewhere.push(others.spawn(move || {
        for _ in 0..100 {
            let fiber = handle.spawn(thread_id);
            assert_eq!(fiber.join().unwrap(), here);
        }
    }));
    main.run(move || {
        for fiber in bound.into_iter().chain(elsewhere) {
            fiber.join().unwrap();
        }
    });
    // What did not end goes on at the next run.
    let gate = Arc::new(Gate::new());
    let late = main.spawn({
        let gate = Arc::clone(&gate);
        move || gate.wait()
    });
    main.run(fibers::yield_now);
    assert!(!late.is_finished());
    gate.open();
    assert!(!late.is_finished());
    main.run(move || late.join().unwrap());
    let not_send = std::rc::Rc::new(5);
    assert_eq!(main.run(move || *not_send), 5);
}
