//! What a panic in a fiber does, and what it leaves alone: other fibers, locks, the worker, the process.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{
    Counted, Expected, Gate, MODES, Mode, Random, Test, eventually, in_both_modes, scaled,
    silence_panics,
};
use fibers::Runtime;
use fibers::wait::{self, Reasons, WaitQueue};

/// Asks every worker whether it believes to be panicking.
fn no_worker_is_panicking(machine: &Runtime, workers: usize) {
    let arrived = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..workers)
        .map(|_| {
            let arrived = Arc::clone(&arrived);
            machine.spawn(move || {
                arrived.fetch_add(1, Ordering::AcqRel);
                while arrived.load(Ordering::Acquire) < workers {
                    std::thread::yield_now();
                }
                std::thread::panicking() || fibers::panicking()
            })
        })
        .collect();
    for fiber in all {
        assert!(!fiber.join().unwrap(), "a worker's panic count is wrong");
    }
}

/// G16.
#[test]
fn a_hundred_thousand_panics_end_their_fibers_and_nothing_else() {
    silence_panics();
    in_both_modes(120, 3, |_, machine, _| {
        // Unoptimised unwinding is slow: a tenth there.
        let count = scaled(100_000, 1_000_000) as u64;
        let clean = Arc::new(Mutex::new(0_u64));
        let batch = 1000;
        for first in (0..count).step_by(batch) {
            let all: Vec<_> = (first..first + batch as u64)
                .map(|n| {
                    let clean = Arc::clone(&clean);
                    machine.spawn(move || {
                        if n % 4 == 0 {
                            fibers::yield_now();
                        }
                        *clean.lock().unwrap() += 1;
                        panic_any(Expected(n));
                    })
                })
                .collect();
            for (fiber, n) in all.into_iter().zip(first..) {
                let payload = fiber.join().unwrap_err();
                assert_eq!(*payload.downcast::<Expected>().unwrap(), Expected(n));
            }
        }
        assert_eq!(machine.metrics().panicked, count);
        assert_eq!(*clean.lock().unwrap(), count, "the lock is not poisoned");
        no_worker_is_panicking(machine, 3);
    });
}

/// What a destructor may wait for while it unwinds.
struct WaitsInDrop(u64, Arc<Gate>);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        assert!(fibers::panicking());
        match self.0 % 5 {
            // Something that another worker provides.
            0 => self.1.wait(),
            1 => {
                let me = fibers::current();
                let helper = fibers::spawn(move || wait::wake(&me, Reasons::USER0));
                assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
                helper.join().unwrap();
            }
            2 => assert_eq!(fibers::spawn(|| 6 * 7).join().unwrap(), 42),
            3 => {
                fibers::current().unpark();
                fibers::park();
                (0..10).for_each(|_| fibers::yield_now());
            }
            _ => {
                let sum = fibers::scope(|s| {
                    let halves = [1, 2].map(|n| s.spawn(move || n));
                    halves.map(|half| half.join().unwrap()).iter().sum::<i32>()
                });
                assert_eq!(sum, 3);
                assert_eq!(fibers::join(|| 1, || 2), (1, 2));
            }
        }
        assert!(fibers::panicking());
    }
}

/// K4. The panicking fibers leave one worker free, which brings all they wait for.
#[test]
fn a_destructor_may_wait_while_it_unwinds() {
    silence_panics();
    in_both_modes(120, 3, |_, machine, _| {
        for round in 0..scaled(2000, 50_000) as u64 {
            let gate = Arc::new(Gate::new());
            let lock = Arc::new(Mutex::new(0));
            // One at a time keeps at most one worker; two leave the third.
            let failing = [0, 1].map(|which| {
                let (gate, lock) = (Arc::clone(&gate), Arc::clone(&lock));
                machine.spawn(move || {
                    *lock.lock().unwrap() += 1;
                    let _waits = WaitsInDrop(round + which, gate);
                    fibers::yield_now();
                    panic_any(Expected(round));
                })
            });
            let bystanders: Vec<_> = (0..4)
                .map(|_| {
                    let lock = Arc::clone(&lock);
                    machine.spawn(move || {
                        fibers::yield_now();
                        *lock.lock().unwrap() += 1;
                        std::thread::panicking()
                    })
                })
                .collect();
            gate.open();
            for fiber in failing {
                let payload = fiber.join().unwrap_err();
                assert_eq!(*payload.downcast::<Expected>().unwrap(), Expected(round));
            }
            for fiber in bystanders {
                assert!(!fiber.join().unwrap(), "a bystander found itself panicking");
            }
            assert_eq!(*lock.lock().unwrap(), 6);
        }
        no_worker_is_panicking(machine, 3);
    });
}

/// The one worker of the machine unwinds and waits for what only it could run: the wait brings it.
#[test]
fn a_wait_while_unwinding_is_answered_from_outside_on_one_worker() {
    silence_panics();
    in_both_modes(60, 1, |_, machine, _| {
        for round in 0..200 {
            let gate = Arc::new(Gate::new());
            let fiber = machine.spawn({
                let gate = Arc::clone(&gate);
                move || {
                    let _waits = WaitsInDrop(0, gate);
                    panic_any(Expected(round));
                }
            });
            gate.open();
            assert!(fiber.join().is_err());
        }
        no_worker_is_panicking(machine, 1);
    });
}

/// K5. Each in a process of its own, for the hook is the process's.
#[test]
fn a_panic_hook_may_use_fibers() {
    const NAME: &str = "a_panic_hook_may_use_fibers";
    let Some(case) = common::child_case() else {
        for case in ["park", "join", "queue", "call", "yield"] {
            for mode in MODES {
                common::child_for(NAME, &format!("{case} {mode:?}"), &[], 60).passed();
            }
        }
        return;
    };
    let (case, mode) = case.split_once(' ').unwrap();
    let mode = if mode == "Pinned" {
        Mode::Pinned
    } else {
        Mode::Floating
    };
    static HOOKS: AtomicUsize = AtomicUsize::new(0);
    static LOG: (Mutex<Vec<u64>>, WaitQueue) = (Mutex::new(Vec::new()), WaitQueue::new());
    let test = Test::new(50);
    // The logger has a machine of its own: one that is never busy panicking.
    let logger = test.machine(Mode::Pinned, 1);
    let handle = logger.handle();
    let (server, gate) = {
        let gate = Arc::new(Gate::new());
        let inner = Arc::clone(&gate);
        let server = logger.spawn(move || {
            while !inner.is_open() {
                fibers::park();
            }
        });
        (server, gate)
    };
    let target = server.fiber().clone();
    let how = case.to_owned();
    std::panic::set_hook(Box::new(move |info| {
        HOOKS.fetch_add(1, Ordering::Relaxed);
        let Some(Expected(n)) = info.payload().downcast_ref() else {
            common::raw_stderr(&format!("unexpected: {info}\n"));
            return;
        };
        let n = *n;
        let log = move || LOG.0.lock().unwrap().push(n);
        match how.as_str() {
            "park" => {
                let me = fibers::current();
                let told = Arc::new(AtomicUsize::new(0));
                let inner = Arc::clone(&told);
                handle.spawn(move || {
                    log();
                    inner.store(1, Ordering::Release);
                    me.unpark();
                });
                while told.load(Ordering::Acquire) == 0 {
                    fibers::park();
                }
            }
            "join" => handle.spawn(log).join().unwrap(),
            "queue" => {
                let done = Arc::new(Gate::new());
                let inner = Arc::clone(&done);
                handle.spawn(move || {
                    log();
                    inner.open();
                });
                done.wait();
            }
            "call" => target.call(log).unwrap().wait().unwrap(),
            _ => {
                fibers::yield_now();
                log();
            }
        }
    }));
    let machine = test.machine(mode, 3);
    let count = scaled(10_000, 100_000) as u64;
    let all: Vec<_> = (0..count)
        .map(|n| {
            machine.spawn(move || {
                fibers::yield_now();
                panic_any(Expected(n));
            })
        })
        .collect();
    for fiber in all {
        assert!(fiber.join().unwrap_err().is::<Expected>());
    }
    assert_eq!(HOOKS.load(Ordering::Relaxed) as u64, count);
    let mut log = LOG.0.lock().unwrap().clone();
    log.sort_unstable();
    assert_eq!(log, (0..count).collect::<Vec<_>>());
    no_worker_is_panicking(&machine, 3);
    gate.open();
    server.fiber().unpark();
    server.join().unwrap();
}

/// A thousand at once in a scope, each at a random point.
#[test]
fn a_scope_of_a_thousand_random_panics_waits_for_all() {
    silence_panics();
    let mut random = Random::new();
    in_both_modes_mut(&mut random, |machine, random| {
        for round in 0..scaled(100, 1000) {
            let seed = random.next();
            let (ended, wanted) = machine.run(move || {
                let ended = AtomicUsize::new(0);
                let mut random = Random::of(seed);
                let mut wanted = 0;
                let result = catch_unwind(AssertUnwindSafe(|| {
                    fibers::scope(|s| {
                        for _ in 0..1000 {
                            let (yields, fails) = (random.below(4), random.below(3) == 0);
                            wanted += usize::from(fails);
                            let ended = &ended;
                            let fiber = s.spawn(move || {
                                let _counted = Counted(ended);
                                (0..yields).for_each(|_| fibers::yield_now());
                                if fails {
                                    panic_any(Expected(1));
                                }
                            });
                            if random.below(10) == 0 {
                                assert_eq!(fiber.join().is_err(), fails);
                            }
                        }
                    });
                }));
                assert!(result.is_err() || wanted == 0);
                (ended.into_inner(), wanted)
            });
            assert_eq!(ended, 1000, "round {round}, {wanted} panics");
        }
        no_worker_is_panicking(machine, 3);
    });
}

fn in_both_modes_mut(random: &mut Random, test: impl Fn(&Runtime, &mut Random)) {
    for mode in MODES {
        let watch = Test::new(120);
        let machine = watch.machine(mode, 3);
        test(&machine, random);
    }
}

#[test]
fn a_panic_poisons_what_it_holds_and_nothing_else() {
    silence_panics();
    in_both_modes(60, 2, |_, machine, _| {
        let (held, free) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let fiber = machine.spawn({
            let (held, free) = (Arc::clone(&held), Arc::clone(&free));
            move || {
                *free.lock().unwrap() += 1;
                let _guard = held.lock().unwrap();
                panic_any(Expected(0));
            }
        });
        assert!(fiber.join().is_err());
        assert!(held.is_poisoned() && !free.is_poisoned());
    });
}

/// Bystanders that hold a lock of std over the very moment in which others panic.
#[test]
fn locks_of_bystanders_stay_clean_while_others_unwind() {
    silence_panics();
    in_both_modes(120, 3, |_, machine, _| {
        let all: Vec<_> = (0..scaled(3000, 100_000) as u64)
            .map(|n| {
                machine.spawn(move || {
                    if n % 2 == 0 {
                        let gate = Arc::new(Gate::new());
                        gate.open();
                        let _waits = WaitsInDrop(3, gate);
                        panic_any(Expected(n));
                    }
                    let lock = Mutex::new(n);
                    {
                        let mut guard = lock.lock().unwrap();
                        for _ in 0..100 {
                            *guard += 1;
                        }
                    }
                    lock.is_poisoned()
                })
            })
            .collect();
        for fiber in all {
            if let Ok(poisoned) = fiber.join() {
                assert!(!poisoned);
            }
        }
    });
}

/// A payload whose own destructor panics is the joiner's, as with std: it panics where it is dropped.
#[test]
fn a_payload_that_panics_when_dropped_reaches_its_joiner() {
    silence_panics();
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Expected(7));
        }
    }
    in_both_modes(60, 2, |_, machine, _| {
        let fiber = machine.spawn(|| panic_any(Bomb));
        let payload = fiber.join().unwrap_err();
        assert!(payload.is::<Bomb>());
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        assert!(dropped.unwrap_err().is::<Expected>());
        no_worker_is_panicking(machine, 2);
    });
}

/// Nobody joins it: then there is nobody to tell, and the process ends with a message, as with std.
#[test]
fn a_detached_payload_or_result_that_panics_when_dropped_ends_the_process() {
    const NAME: &str = "a_detached_payload_or_result_that_panics_when_dropped_ends_the_process";
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Expected(7));
        }
    }
    let Some(case) = common::child_case() else {
        for case in ["payload", "result", "late"] {
            let ended = common::child(NAME, case, &[]);
            assert_eq!(ended.signal, Some(libc::SIGABRT), "{case}: {ended:#?}");
            assert!(
                ended.stderr.contains("panicked in its destructor"),
                "{case}: {ended:#?}"
            );
        }
        return;
    };
    let test = Test::new(9);
    let machine = test.machine(Mode::Pinned, 1);
    match case.as_str() {
        "payload" => drop(machine.spawn(|| panic_any(Bomb))),
        "result" => drop(machine.spawn(|| Bomb)),
        _ => {
            let fiber = machine.spawn(|| Bomb);
            eventually(|| fiber.is_finished());
            drop(fiber);
        }
    }
    machine.run(|| ());
    eventually(|| false);
}

/// A fiber-local whose destructor panics: as std's thread-locals, the end of the process, with a message.
#[test]
fn a_fiber_local_that_panics_when_dropped_ends_the_process() {
    const NAME: &str = "a_fiber_local_that_panics_when_dropped_ends_the_process";
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Expected(7));
        }
    }
    fibers::fiber_local! {
        static BOMB: Bomb = Bomb;
    }
    if common::child_case().is_some() {
        let _ = Runtime::new().unwrap().spawn(|| BOMB.with(|_| ())).join();
        return;
    }
    let ended = common::child(NAME, "local", &[]);
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:#?}");
    assert!(
        ended.stderr.contains("fiber-local value panicked"),
        "{ended:#?}"
    );
}

/// Captures whose destructors panic: inside the fiber, so it is the fiber's panic.
#[test]
fn a_capture_that_panics_when_dropped_fails_its_fiber_only() {
    silence_panics();
    struct Bomb(Arc<AtomicUsize>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic_any(Expected(7));
        }
    }
    in_both_modes(60, 2, |_, machine, _| {
        let drops = Arc::new(AtomicUsize::new(0));
        let bomb = Bomb(Arc::clone(&drops));
        let fiber = machine.spawn(move || drop(bomb));
        assert_eq!(
            *fiber.join().unwrap_err().downcast::<Expected>().unwrap(),
            Expected(7)
        );
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        no_worker_is_panicking(machine, 2);
    });
    // Of fibers that never start, because the machine stops.
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 1);
        let drops = Arc::new(AtomicUsize::new(0));
        let (gate, entered) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(Gate::new()));
        let busy = machine.spawn({
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            move || {
                entered.open();
                gate.wait();
            }
        });
        entered.wait();
        let bomb = Bomb(Arc::clone(&drops));
        let unstarted = machine.spawn(move || drop(bomb));
        let stopper = std::thread::spawn(move || drop(machine));
        eventually(|| busy.is_finished() || stop_seen(&busy, &gate));
        stopper.join().unwrap();
        assert!(unstarted.join().is_err());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}

/// Lets the busy fiber go once.
fn stop_seen(_busy: &fibers::JoinHandle<()>, gate: &std::sync::Barrier) -> bool {
    gate.wait();
    true
}

/// Backtraces are those of ordinary calls: a panic in a fiber shows the function it came from.
#[test]
fn the_backtrace_of_a_panic_names_the_fiber_s_functions() {
    const NAME: &str = "the_backtrace_of_a_panic_names_the_fiber_s_functions";
    #[inline(never)]
    fn a_function_with_a_telling_name() {
        fibers::yield_now();
        panic!("look at my backtrace");
    }
    if common::child_case().is_some() {
        let trace = Runtime::new().unwrap().run(|| {
            fibers::yield_now();
            std::hint::black_box(std::backtrace::Backtrace::force_capture()).to_string()
        });
        println!("{trace}");
        let _ = Runtime::new()
            .unwrap()
            .spawn(a_function_with_a_telling_name)
            .join();
        return;
    }
    let ended = common::child(NAME, "trace", &[("RUST_BACKTRACE", "1")]);
    ended.passed();
    assert!(ended.stderr.contains("look at my backtrace"), "{ended:#?}");
}
