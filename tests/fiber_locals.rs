//! `fiber_local!`: each fiber, and each plain thread, has values of its own, made when they are first asked for and
//! dropped at its end.

mod common;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Gate, Test, eventually, everywhere, silence_panics};

fibers::fiber_local! {
    static NUMBER: Cell<u32> = const { Cell::new(1) };
    static TEXTS: RefCell<Vec<String>> = RefCell::new(vec!["first".to_owned()]);
}

#[test]
fn each_fiber_has_its_own_value() {
    fn promise() {
        NUMBER.set(7);
        let others: Vec<_> = (10..60)
            .map(|n| {
                fibers::spawn(move || {
                    assert_eq!(NUMBER.get(), 1);
                    NUMBER.set(n);
                    TEXTS.with_borrow_mut(|texts| texts.push(n.to_string()));
                    for _ in 0..5 {
                        fibers::yield_now();
                        assert_eq!(NUMBER.get(), n);
                    }
                    TEXTS.with_borrow(Vec::clone)
                })
            })
            .collect();
        for (other, n) in others.into_iter().zip(10..) {
            assert_eq!(other.join().unwrap(), ["first".to_owned(), n.to_string()]);
        }
        assert_eq!(NUMBER.replace(1), 7);
        assert_eq!(NUMBER.take(), 1);
        NUMBER.set(1);
    }
    everywhere(60, promise);
}

#[test]
fn a_borrow_of_a_value_may_last_over_a_wait() {
    fn promise() {
        fibers::spawn(|| {
            NUMBER.with(|number| {
                for n in 0..20 {
                    number.set(n);
                    fibers::yield_now();
                    assert_eq!(number.get(), n);
                    assert_eq!(NUMBER.get(), n);
                }
            });
        })
        .join()
        .unwrap();
    }
    everywhere(60, promise);
}

/// Where the destructors of the values below write.
type Log = Arc<Mutex<Vec<String>>>;

struct Noted(Log, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        let mut line = self.1.to_owned();
        match self.1 {
            // The value of another key that is still there; its own key says that it is gone.
            "second" => {
                let first = FIRST.try_with(|first| first.borrow().is_some());
                let second = SECOND.try_with(|_| ());
                line += &format!(" sees {first:?} {}", second.is_err());
            }
            // A value that is made now is dropped too.
            "third" => LATE.with(|late| {
                *late.borrow_mut() = Some(Noted(Arc::clone(&self.0), "late"));
            }),
            // Waiting is allowed.
            "first" => {
                let log = Arc::clone(&self.0);
                let helper = fibers::spawn(move || log.lock().unwrap().push("helper".to_owned()));
                helper.join().unwrap();
                fibers::yield_now();
            }
            _ => {}
        }
        self.0.lock().unwrap().push(line);
    }
}

fibers::fiber_local! {
    static FIRST: RefCell<Option<Noted>> = const { RefCell::new(None) };
    static SECOND: RefCell<Option<Noted>> = const { RefCell::new(None) };
    static THIRD: RefCell<Option<Noted>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Noted>> = const { RefCell::new(None) };
}

fn note_three(log: &Log) {
    FIRST.with(|v| *v.borrow_mut() = Some(Noted(Arc::clone(log), "first")));
    SECOND.with(|v| *v.borrow_mut() = Some(Noted(Arc::clone(log), "second")));
    THIRD.with(|v| *v.borrow_mut() = Some(Noted(Arc::clone(log), "third")));
}

const WANTED: [&str; 5] = [
    "third",
    "late",
    "second sees Ok(true) true",
    "helper",
    "first",
];

#[test]
fn values_are_dropped_when_the_fiber_ends_newest_first_and_before_join_returns() {
    fn promise() {
        for fails in [false, true] {
            let log = Log::default();
            let fiber = fibers::spawn({
                let log = Arc::clone(&log);
                move || {
                    note_three(&log);
                    assert!(!fails, "expected");
                }
            });
            assert_eq!(fiber.join().is_err(), fails);
            assert_eq!(*log.lock().unwrap(), WANTED);
        }
    }
    silence_panics();
    everywhere(60, promise);
}

#[test]
fn values_of_a_plain_thread_are_dropped_with_the_thread() {
    let _test = Test::new(60);
    let log = Log::default();
    std::thread::spawn({
        let log = Arc::clone(&log);
        move || note_three(&log)
    })
    .join()
    .unwrap();
    let seen = log.lock().unwrap().clone();
    for wanted in ["first", "third"] {
        assert!(seen.iter().any(|line| line == wanted), "{seen:?}");
    }
}

#[test]
fn an_initialiser_may_wait_and_use_other_keys() {
    fibers::fiber_local! {
        static OUTER: u32 = {
            fibers::yield_now();
            NUMBER.get() + fibers::spawn(|| 10).join().unwrap()
        };
    }
    fn promise() {
        let seen = fibers::spawn(|| (OUTER.with(|n| *n), OUTER.with(|n| *n)))
            .join()
            .unwrap();
        assert_eq!(seen, (11, 11));
    }
    everywhere(60, promise);
}

#[test]
fn a_value_that_nobody_touched_is_never_made() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fibers::fiber_local! {
        static LAZY: usize = MADE.fetch_add(1, Ordering::Relaxed);
    }
    let _test = Test::new(60);
    for _ in 0..10 {
        fibers::spawn(|| ()).join().unwrap();
    }
    assert_eq!(MADE.load(Ordering::Relaxed), 0);
    fibers::spawn(|| LAZY.with(|_| LAZY.with(|_| ())))
        .join()
        .unwrap();
    assert_eq!(MADE.load(Ordering::Relaxed), 1);
}

#[test]
fn values_are_dropped_when_the_machine_is_shut_down() {
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 2);
        let (log, gate) = (Log::default(), Arc::new(Gate::new()));
        let fiber = machine.spawn({
            let (log, gate) = (Arc::clone(&log), Arc::clone(&gate));
            move || {
                // No helper: a machine that stops starts nothing.
                SECOND.with(|v| *v.borrow_mut() = Some(Noted(Arc::clone(&log), "second")));
                THIRD.with(|v| *v.borrow_mut() = Some(Noted(Arc::clone(&log), "third")));
                gate.wait();
            }
        });
        eventually(|| machine.metrics().parked == 1);
        drop(machine);
        assert!(fiber.join().unwrap_err().is::<fibers::Cancelled>());
        assert_eq!(
            *log.lock().unwrap(),
            ["third", "late", "second sees Ok(false) true"]
        );
    }
}
