//! What the end of a machine promises: it comes, at any moment; nothing is run, dropped or freed twice or
//! never; and what would not end is named.
//!
//! `STRESS=1`: a thousand machines dropped at random instants and more, instead of three hundred.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use common::{Counted, Gate, Latch, MODES, Mode, Random, Test, eventually, silence_panics};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, Handle, JoinHandle, Priority, Runtime, ShutdownReport};

/// What every destructor and constructor of the load has done.
static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Counted when made and when dropped.
struct Tracked;

impl Tracked {
    fn new() -> Self {
        MADE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fibers::fiber_local! {
    static LOCAL: Tracked = Tracked::new();
}

/// Everything at once: spawns, scopes, joins, forks, queues, calls, panics, locals, priorities.
fn load(handle: &Handle, seed: u64) -> Vec<JoinHandle<Tracked>> {
    let queue = Arc::new((AtomicUsize::new(0), WaitQueue::new()));
    (0..12)
        .filter_map(|kind| {
            let (queue, capture) = (Arc::clone(&queue), Tracked::new());
            let mut random = Random::of(seed + kind);
            let body = move || {
                let _capture = &capture;
                let _local = Tracked::new();
                LOCAL.with(|_| ());
                loop {
                    match (kind + random.below(2)) % 12 {
                        0 => drop(fibers::spawn(Tracked::new).join()),
                        1 => drop(fibers::spawn(|| {
                            let _here = Tracked::new();
                            fibers::yield_now();
                            fibers::park();
                        })),
                        2 => {
                            let value = Tracked::new();
                            fibers::scope(|s| {
                                for _ in 0..3 {
                                    s.spawn(|| {
                                        let _borrow = &value;
                                        fibers::yield_now();
                                    });
                                }
                            });
                        }
                        3 => drop(fibers::join(
                            || {
                                fibers::yield_now();
                                Tracked::new()
                            },
                            Tracked::new,
                        )),
                        4 => queue
                            .1
                            .wait_until(|| queue.0.load(Ordering::Acquire) % 3 == 0),
                        5 => {
                            queue.0.fetch_add(1, Ordering::AcqRel);
                            queue.1.wake_all();
                            fibers::yield_now();
                        }
                        6 => {
                            let target = fibers::spawn(fibers::park);
                            let value = Tracked::new();
                            let call = target.fiber().call(move || value);
                            match call {
                                Ok(call) => drop(call.wait()),
                                Err(refused) => drop(refused.into_inner()),
                            }
                            target.fiber().unpark();
                        }
                        7 => {
                            let value = Tracked::new();
                            let failed = fibers::spawn(move || {
                                let _value = &value;
                                fibers::yield_now();
                                std::panic::panic_any(common::Expected(1));
                            });
                            let _: Result<(), _> = failed.join();
                        }
                        8 => {
                            // Catches the unwind once, and waits again.
                            let caught = catch_unwind(AssertUnwindSafe(|| {
                                let _here = Tracked::new();
                                fibers::yield_now();
                                fibers::yield_now();
                            }));
                            drop(caught);
                        }
                        9 => {
                            let value = Tracked::new();
                            let builder = fibers::Builder::new().priority(Priority::HIGH);
                            drop(builder.spawn(move || drop(value)));
                            fibers::current().set_priority(Priority::LOW);
                            fibers::yield_now();
                        }
                        10 => {
                            let me = fibers::current();
                            let helper = fibers::spawn(move || wait::wake(&me, Reasons::USER0));
                            wait::sleep(Reasons::USER0);
                            drop(helper);
                        }
                        _ => {
                            let _here = Tracked::new();
                            fibers::on_worker_stack(|| drop(Tracked::new()));
                            (0..random.below(20)).for_each(|_| fibers::yield_now());
                        }
                    }
                }
            };
            let builder = fibers::Builder::new().name(format!("load {kind}"));
            builder.spawn_on(handle, body).ok()
        })
        .collect()
}

/// G18, K31. One test, so that the counts are its own.
#[test]
fn a_machine_may_be_dropped_at_any_instant() {
    // A spawn on a machine that stops panics, in the fibers that try; that is expected too.
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload().downcast_ref::<String>();
        let refused = text.is_some_and(|text| text.contains("shut down"));
        if !refused && !info.payload().is::<common::Expected>() {
            common::raw_stderr(&format!("{info}\n"));
        }
    }));
    let mut random = Random::new();
    let rounds = if common::stress() { 5000 } else { 300 };
    for round in 0..rounds {
        let test = Test::new(60);
        let mode = MODES[round % 2];
        let machine = test.machine(mode, 1 + random.below(3) as usize);
        let handles = load(&machine.handle(), random.next());
        // From outside at the same time.
        let outside = std::thread::spawn({
            let handle = machine.handle();
            move || {
                let mut spawned = 0;
                loop {
                    let value = Tracked::new();
                    match handle.try_spawn(move || drop(value)) {
                        Ok(_) => spawned += 1,
                        Err(refused) => {
                            drop(refused.closure);
                            return spawned;
                        }
                    }
                    if spawned % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            }
        });
        let instant = match round % 4 {
            0 => random.below(50),
            1 => random.below(500),
            _ => random.below(3000),
        };
        let until = Instant::now() + Duration::from_micros(instant);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        // Far more time than it needs; and a drop that does not come to its end is the watchdog's.
        if round % 3 == 0 {
            machine.shutdown(Duration::from_secs(50)).unwrap();
        } else {
            drop(machine);
        }
        outside.join().unwrap();
        for handle in handles {
            assert!(
                handle.is_finished(),
                "round {round}: a fiber outlived its machine"
            );
            // Cancelled, or a spawn panicked on the stopping machine.
            assert!(handle.join().is_err());
        }
        let (made, dropped) = (
            MADE.load(Ordering::Relaxed),
            DROPPED.load(Ordering::Relaxed),
        );
        assert_eq!(made, dropped, "round {round}: every destructor runs once");
    }
    let _ = std::panic::take_hook();
}

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

/// The program ends while fibers of the default machine are parked, run, and have not started.
#[test]
fn a_process_may_end_while_fibers_live() {
    const NAME: &str = "a_process_may_end_while_fibers_live";
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
