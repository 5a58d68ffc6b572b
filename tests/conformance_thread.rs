//! std::thread's promises, kept by `fibers::thread`.
//!
//! The promises are written once, against a module called `thread`, and compiled twice: with std's, to show
//! that std keeps them, and with ours. So they also show that a program changes its `use` lines only.

mod common;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{
    Counted, Expected, Gate, Test, eventually, everywhere, in_both_modes, silence_panics,
};

macro_rules! promises {
    ($($path:ident)::+) => {
        use $($path)::+ as thread;
        use std::any::Any;
        use std::collections::HashSet;
        use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        use std::sync::{Arc, Mutex};

        use super::common::{Counted, Expected};

        pub fn a_thread_has_the_name_it_was_given() {
            let unnamed = thread::spawn(|| thread::current().name().map(str::to_owned));
            assert_eq!(unnamed.thread().name(), None);
            assert_eq!(unnamed.join().unwrap(), None);
            for name in ["Ada", "", "a name that is longer than the fifteen bytes of the kernel", "ﬁber 🧵"] {
                let named = thread::Builder::new()
                    .name(name.to_owned())
                    .spawn(|| thread::current().name().map(str::to_owned))
                    .unwrap();
                assert_eq!(named.thread().name(), Some(name));
                assert_eq!(named.join().unwrap().as_deref(), Some(name));
            }
            thread::scope(|s| {
                let named = thread::Builder::new().name("Grace".into());
                let named = named.spawn_scoped(s, || thread::current().name().map(str::to_owned));
                assert_eq!(named.unwrap().join().unwrap().as_deref(), Some("Grace"));
            });
        }

        pub fn join_returns_the_result() {
            assert_eq!(thread::spawn(|| 6 * 7).join().unwrap(), 42);
            assert_eq!(thread::spawn(|| [7u64; 200]).join().unwrap(), [7; 200]);
            thread::spawn(|| ()).join().unwrap();
            let text = thread::spawn(|| String::from("long enough to be on the heap")).join();
            assert_eq!(text.unwrap(), "long enough to be on the heap");
        }

        pub fn join_returns_the_payload_of_a_panic() {
            fn payload<T: Any + Send>(value: T) -> Box<dyn Any + Send> {
                let failed = thread::spawn(move || std::panic::panic_any(value));
                let result: thread::Result<()> = failed.join();
                result.unwrap_err()
            }
            assert_eq!(*payload("expected").downcast::<&str>().unwrap(), "expected");
            assert_eq!(*payload(Expected(9)).downcast::<Expected>().unwrap(), Expected(9));
            let formatted = thread::spawn(|| {
                std::panic::resume_unwind(Box::new(format!("expected {}", 1)));
            });
            let text = formatted.join().unwrap_err().downcast::<String>();
            assert_eq!(*text.unwrap(), "expected 1");
        }

        pub fn what_happened_before_is_seen() {
            // Spawn publishes to the thread, and the thread's end to the joiner, though all is Relaxed.
            static WORD: AtomicUsize = AtomicUsize::new(0);
            for round in 0..100 {
                WORD.store(round, Ordering::Relaxed);
                let seen = thread::spawn(move || {
                    let seen = WORD.load(Ordering::Relaxed);
                    seen >= round || seen == 0
                });
                assert!(seen.join().unwrap());
            }
        }

        pub fn an_unpark_before_the_park_is_not_lost() {
            for _ in 0..200 {
                thread::current().unpark();
                thread::park();
            }
            let me = thread::current();
            let other = thread::spawn(move || me.unpark());
            other.join().unwrap();
            thread::park();
        }

        pub fn permits_of_unpark_do_not_add_up() {
            for _ in 0..50 {
                for _ in 0..5 {
                    thread::current().unpark();
                }
                thread::park();
                let told = Arc::new(AtomicBool::new(false));
                let waker = thread::spawn({
                    let (told, me) = (Arc::clone(&told), thread::current());
                    move || {
                        thread::yield_now();
                        told.store(true, Ordering::Release);
                        me.unpark();
                    }
                });
                let mut returns = 0;
                while !told.load(Ordering::Acquire) {
                    thread::park();
                    returns += 1;
                }
                // Spurious returns are allowed; one per permit that was thrown away would be five.
                assert!(returns <= 3, "{returns} parks returned for one unpark");
                waker.join().unwrap();
                // What the waker left if we had not parked yet.
                thread::current().unpark();
                thread::park();
            }
        }

        pub fn a_parked_thread_is_woken_by_another() {
            for _ in 0..100 {
                let done = Arc::new(AtomicBool::new(false));
                let sleeper = thread::spawn({
                    let done = Arc::clone(&done);
                    move || {
                        while !done.load(Ordering::Acquire) {
                            thread::park();
                        }
                    }
                });
                done.store(true, Ordering::Release);
                sleeper.thread().unpark();
                sleeper.join().unwrap();
            }
        }

        pub fn unpark_of_a_finished_thread_does_nothing() {
            let handle = thread::spawn(|| ());
            let gone = handle.thread().clone();
            handle.join().unwrap();
            for _ in 0..3 {
                gone.unpark();
            }
        }

        pub fn is_finished_turns_true_once_and_join_does_not_wait_then() {
            let go = Arc::new(AtomicBool::new(false));
            let handle = thread::spawn({
                let go = Arc::clone(&go);
                move || {
                    while !go.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                    5
                }
            });
            assert!(!handle.is_finished());
            go.store(true, Ordering::Release);
            while !handle.is_finished() {
                thread::yield_now();
            }
            assert!(handle.is_finished());
            assert_eq!(handle.join().unwrap(), 5);
        }

        pub fn ids_are_unique_and_the_same_for_all_who_ask() {
            let mut ids = HashSet::new();
            assert!(ids.insert(thread::current().id()));
            assert_eq!(thread::current().id(), thread::current().id());
            for _ in 0..300 {
                let handle = thread::spawn(|| thread::current().id());
                let from_outside = handle.thread().id();
                let from_inside = handle.join().unwrap();
                assert_eq!(from_outside, from_inside);
                assert!(ids.insert(from_inside), "two threads with {from_inside:?}");
            }
            assert!(format!("{:?}", thread::current()).contains("id"));
        }

        pub fn spawn_from_a_spawned_thread() {
            fn deeper(left: u32) -> u32 {
                if left == 0 {
                    return 0;
                }
                thread::spawn(move || deeper(left - 1)).join().unwrap() + 1
            }
            assert_eq!(deeper(50), 50);
        }

        pub fn a_detached_thread_goes_on() {
            let (done, me) = (Arc::new(AtomicBool::new(false)), thread::current());
            drop(thread::spawn({
                let done = Arc::clone(&done);
                move || {
                    thread::yield_now();
                    done.store(true, Ordering::Release);
                    me.unpark();
                }
            }));
            while !done.load(Ordering::Acquire) {
                thread::park();
            }
        }

        pub fn a_handle_may_be_joined_elsewhere() {
            let first = thread::spawn(|| 1);
            let second = thread::spawn(move || first.join().unwrap() + 1);
            let third = std::thread::spawn(move || second.join().unwrap() + 1);
            // A plain thread waits for a fiber; this one for a plain thread, which blocks it.
            assert_eq!(third.join().unwrap(), 3);
        }

        pub fn captures_are_dropped_before_join_returns() {
            let drops = Arc::new(AtomicUsize::new(0));
            struct Capture(Arc<AtomicUsize>);
            impl Drop for Capture {
                fn drop(&mut self) {
                    self.0.fetch_add(1, Ordering::Relaxed);
                }
            }
            for round in 0..100 {
                let capture = Capture(Arc::clone(&drops));
                let fails = round % 2 == 1;
                let result = thread::spawn(move || {
                    let _moved = &capture;
                    assert!(!fails, "expected");
                })
                .join();
                assert_eq!(result.is_err(), fails);
                assert_eq!(drops.load(Ordering::Relaxed), round + 1);
            }
        }

        pub fn scoped_threads_borrow() {
            let words = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
            let mut lengths = [0; 3];
            let mut last = 0;
            let sum = thread::scope(|s| {
                for (word, length) in words.iter().zip(&mut lengths) {
                    s.spawn(move || *length = word.len());
                }
                s.spawn(|| last = words.len());
                let handle = s.spawn(|| words.iter().map(String::len).sum::<usize>());
                assert!(!handle.thread().id().eq(&thread::current().id()));
                handle.join().unwrap()
            });
            assert_eq!((sum, lengths, last), (11, [3, 3, 5], 3));
        }

        pub fn scoped_threads_spawn_in_their_scope() {
            let count = AtomicUsize::new(0);
            thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        for _ in 0..4 {
                            s.spawn(|| count.fetch_add(1, Ordering::Relaxed));
                        }
                        thread::scope(|inner| {
                            inner.spawn(|| count.fetch_add(10, Ordering::Relaxed));
                        });
                    });
                }
            });
            assert_eq!(count.into_inner(), 4 * 4 + 4 * 10);
        }

        pub fn a_scope_ends_after_its_threads() {
            for _ in 0..300 {
                let ended = AtomicUsize::new(0);
                thread::scope(|s| {
                    for _ in 0..3 {
                        s.spawn(|| {
                            thread::yield_now();
                            ended.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
                assert_eq!(ended.load(Ordering::Relaxed), 3);
            }
        }

        pub fn a_scoped_result_that_nobody_takes_is_dropped_before_the_scope_ends() {
            for _ in 0..300 {
                let drops = AtomicUsize::new(0);
                thread::scope(|s| {
                    // Detached before, and after, it has a result.
                    drop(s.spawn(|| Counted(&drops)));
                    let kept = s.spawn(|| Counted(&drops));
                    while !kept.is_finished() {
                        thread::yield_now();
                    }
                    drop(kept);
                    s.spawn(|| Counted(&drops));
                });
                assert_eq!(drops.load(Ordering::Relaxed), 3);
            }
        }

        pub fn joins_race_with_the_end_of_a_scope() {
            for _ in 0..300 {
                let go = AtomicBool::new(false);
                let (first, second) = thread::scope(|s| {
                    let first = s.spawn(|| {
                        while !go.load(Ordering::Relaxed) {
                            thread::yield_now();
                        }
                        1
                    });
                    let second = s.spawn(|| {
                        go.store(true, Ordering::Relaxed);
                        2
                    });
                    s.spawn(thread::yield_now);
                    (first.join().unwrap(), second.join().unwrap())
                });
                assert_eq!((first, second), (1, 2));
            }
        }

        pub fn a_scope_panics_for_a_thread_that_nobody_joined() {
            let survivors = AtomicUsize::new(0);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                thread::scope(|s| {
                    s.spawn(|| panic!("expected"));
                    s.spawn(|| {
                        for _ in 0..10 {
                            thread::yield_now();
                        }
                        survivors.fetch_add(1, Ordering::Relaxed);
                    });
                });
            }));
            let text = result.unwrap_err().downcast::<&str>().unwrap();
            assert!(text.starts_with("a scoped "), "{text}");
            assert_eq!(survivors.load(Ordering::Relaxed), 1);
        }

        pub fn a_joined_panic_does_not_fail_its_scope() {
            let failed = thread::scope(|s| {
                let failing = s.spawn(|| panic!("expected"));
                failing.join().map(|()| ()).is_err()
            });
            assert!(failed);
        }

        pub fn a_panic_in_the_scope_itself_waits_for_its_threads() {
            let ended = AtomicUsize::new(0);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                thread::scope(|s| {
                    for _ in 0..5 {
                        s.spawn(|| {
                            for _ in 0..5 {
                                thread::yield_now();
                            }
                            ended.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                    std::panic::panic_any(Expected(3));
                });
            }));
            assert_eq!(*result.unwrap_err().downcast::<Expected>().unwrap(), Expected(3));
            assert_eq!(ended.load(Ordering::Relaxed), 5);
        }

        pub fn panicking_is_true_in_destructors_of_an_unwind_only() {
            struct Look(Arc<Mutex<Vec<bool>>>);
            impl Drop for Look {
                fn drop(&mut self) {
                    self.0.lock().unwrap_or_else(|e| e.into_inner()).push(thread::panicking());
                }
            }
            let seen = Arc::new(Mutex::new(Vec::new()));
            assert!(!thread::panicking());
            let look = Look(Arc::clone(&seen));
            thread::spawn(move || drop(look)).join().unwrap();
            let look = Look(Arc::clone(&seen));
            let failed = thread::spawn(move || {
                let _look = look;
                panic!("expected");
            });
            assert!(failed.join().is_err());
            assert!(!thread::panicking());
            assert_eq!(*seen.lock().unwrap(), [false, true]);
        }

        pub fn the_parallelism_is_at_least_one() {
            assert!(thread::available_parallelism().unwrap().get() >= 1);
        }

        pub fn the_types_cross_threads_as_in_std() {
            fn both<T: Send + Sync>() {}
            fn everything<T: Send + Sync + Clone + std::fmt::Debug>() {}
            both::<thread::JoinHandle<*const ()>>();
            both::<thread::ScopedJoinHandle<'static, u8>>();
            both::<thread::Builder>();
            both::<thread::Scope<'static, 'static>>();
            everything::<thread::Thread>();
            fn copy<T: Send + Sync + Copy + Eq + std::hash::Hash + std::fmt::Debug>() {}
            copy::<thread::ThreadId>();
            fn error<T: Send + Sync + Copy + Eq + std::error::Error>() {}
            error::<thread::AccessError>();
        }

        pub fn handles_may_be_used_in_catch_unwind() {
            fn safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
            safe::<thread::Thread>();
            safe::<thread::ThreadId>();
        }
    };
}

#[allow(unused_imports, reason = "std's own module need not use all of it")]
mod with_std {
    promises!(std::thread);
}
mod ours {
    promises!(fibers::thread);
}

macro_rules! tests {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            silence_panics();
            with_std::$name();
            everywhere(60, ours::$name);
        })*
    };
}

tests! {
    a_thread_has_the_name_it_was_given,
    join_returns_the_result,
    join_returns_the_payload_of_a_panic,
    what_happened_before_is_seen,
    an_unpark_before_the_park_is_not_lost,
    permits_of_unpark_do_not_add_up,
    a_parked_thread_is_woken_by_another,
    unpark_of_a_finished_thread_does_nothing,
    is_finished_turns_true_once_and_join_does_not_wait_then,
    ids_are_unique_and_the_same_for_all_who_ask,
    spawn_from_a_spawned_thread,
    a_detached_thread_goes_on,
    captures_are_dropped_before_join_returns,
    scoped_threads_borrow,
    scoped_threads_spawn_in_their_scope,
    a_scope_ends_after_its_threads,
    a_scoped_result_that_nobody_takes_is_dropped_before_the_scope_ends,
    joins_race_with_the_end_of_a_scope,
    a_scope_panics_for_a_thread_that_nobody_joined,
    a_joined_panic_does_not_fail_its_scope,
    a_panic_in_the_scope_itself_waits_for_its_threads,
    panicking_is_true_in_destructors_of_an_unwind_only,
    the_parallelism_is_at_least_one,
    the_types_cross_threads_as_in_std,
    handles_may_be_used_in_catch_unwind,
}

/// Not everywhere: in a fiber, the join of a plain thread blocks the worker, and that thread may wait for a
/// fiber of that very worker.
#[test]
fn a_handle_may_be_joined_elsewhere() {
    let _test = Test::new(60);
    with_std::a_handle_may_be_joined_elsewhere();
    ours::a_handle_may_be_joined_elsewhere();
}

/// A million in a long run.
#[test]
fn spawn_and_join_one_at_a_time_loses_no_wake_up() {
    in_both_modes(120, 2, |_, machine, _| {
        let rounds = common::scaled(200_000, 10_000_000) as u64;
        let sum = machine.run(move || {
            let mut sum = 0;
            for n in 0..rounds {
                sum += fibers::spawn(move || n).join().unwrap();
            }
            sum
        });
        assert_eq!(sum, rounds * (rounds - 1) / 2);
        // From outside every spawn goes through the idle list.
        for n in 0..rounds / 20 {
            assert_eq!(machine.spawn(move || n).join().unwrap(), n);
        }
    });
}

#[test]
fn a_thread_of_the_default_machine_has_its_own_handle() {
    let _test = Test::new(60);
    let name = std::thread::current().name().map(str::to_owned);
    assert_eq!(fibers::current().name(), name.as_deref());
    let mine = fibers::current();
    assert_eq!(mine, fibers::current());
    let other = std::thread::spawn(|| fibers::current().id())
        .join()
        .unwrap();
    assert_ne!(mine.id(), other);
}

#[test]
fn join_of_two_closures_borrows_and_returns_both() {
    fn promise() {
        fn sum(numbers: &[u64]) -> u64 {
            if numbers.len() <= 4 {
                return numbers.iter().sum();
            }
            let (left, right) = numbers.split_at(numbers.len() / 2);
            let (left, right) = fibers::join(|| sum(left), || sum(right));
            left + right
        }
        let numbers: Vec<u64> = (0..4000).collect();
        assert_eq!(sum(&numbers), 4000 * 3999 / 2);
        let (mut a, mut b) = (0, 0);
        fibers::join(|| a = 1, || b = 2);
        assert_eq!((a, b), (1, 2));
    }
    everywhere(60, promise);
}

#[test]
fn a_panic_in_either_half_of_a_join_comes_out_after_the_other_has_ended() {
    fn promise() {
        let catch = |f: &dyn Fn()| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            result
                .unwrap_err()
                .downcast::<Expected>()
                .map(|e| e.0)
                .unwrap()
        };
        for _ in 0..50 {
            let other = AtomicUsize::new(0);
            let first = catch(&|| {
                fibers::join(
                    || std::panic::panic_any(Expected(1)),
                    || other.fetch_add(1, Ordering::Relaxed),
                );
            });
            assert_eq!(first, 1);
            // Ended, or dropped unrun: it does not run later.
            let seen = other.load(Ordering::Relaxed);
            fibers::yield_now();
            assert_eq!(other.load(Ordering::Relaxed), seen);
            let second = catch(&|| {
                let slow = || (0..10).for_each(|_| fibers::yield_now());
                fibers::join(slow, || std::panic::panic_any(Expected(2)));
            });
            assert_eq!(second, 2);
            let both = catch(&|| {
                let _: ((), ()) = fibers::join(
                    || {
                        fibers::yield_now();
                        std::panic::panic_any(Expected(1))
                    },
                    || std::panic::panic_any(Expected(2)),
                );
            });
            assert_eq!(both, 1);
        }
    }
    silence_panics();
    everywhere(60, promise);
}

#[test]
fn spawn_local_takes_what_is_not_send() {
    let test = Test::new(60);
    let promise = || {
        let shared = std::rc::Rc::new(Cell::new(0));
        let fibers: Vec<_> = (0..10)
            .map(|_| {
                let shared = std::rc::Rc::clone(&shared);
                let thread = common::thread_id();
                fibers::spawn_local(move || {
                    for _ in 0..10 {
                        shared.set(shared.get() + 1);
                        fibers::yield_now();
                        assert_eq!(common::thread_id(), thread);
                    }
                    std::rc::Rc::clone(&shared)
                })
            })
            .collect();
        for fiber in fibers {
            assert!(std::rc::Rc::ptr_eq(&fiber.join().unwrap(), &shared));
        }
        assert_eq!(shared.get(), 100);
    };
    test.machine(common::Mode::Pinned, 3).run(promise);
    test.local().run(promise);
}

// Fiber-locals.

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

#[test]
fn ten_thousand_results_nobody_takes_are_each_dropped_once() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    in_both_modes(60, 3, |_, machine, _| {
        DROPS.store(0, Ordering::Relaxed);
        machine.run(|| {
            for n in 0..10_000 {
                let handle = fibers::spawn(|| Counted(&DROPS));
                match n % 3 {
                    0 => drop(handle),
                    1 => drop(handle.join().unwrap()),
                    _ => {
                        fibers::yield_now();
                        drop(handle);
                    }
                }
            }
        });
        eventually(|| DROPS.load(Ordering::Relaxed) == 10_000);
    });
}

#[test]
fn expected_is_a_payload() {
    assert_eq!(Expected(1), Expected(1));
}
