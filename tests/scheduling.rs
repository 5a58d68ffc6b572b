//! What the scheduler promises: who runs, where, in which order, and that nobody waits for ever.

mod common;

use std::collections::HashSet;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Gate, Latch, Mode, Test, builder, eventually, in_both_modes, scaled, thread_id};
use fibers::wait::{self, Reasons};
use fibers::{Builder, Priority, Runtime};

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

/// Runs a fiber that spawns the named ones and then lets go of the worker; the order in which they ran.
fn order_of(
    mode: Mode,
    fairness: u32,
    names: &'static [(&'static str, Priority)],
) -> Vec<&'static str> {
    let test = Test::new(60);
    let machine = test.build(builder(mode).workers(1).fairness(fairness));
    let ran = Arc::new(Mutex::new(Vec::new()));
    machine.run({
        let ran = Arc::clone(&ran);
        move || {
            let all: Vec<_> = names
                .iter()
                .map(|(name, priority)| {
                    let ran = Arc::clone(&ran);
                    let builder = Builder::new().priority(*priority);
                    builder
                        .spawn(move || ran.lock().unwrap().push(*name))
                        .unwrap()
                })
                .collect();
            for fiber in all {
                fiber.join().unwrap();
            }
        }
    });
    let ran = ran.lock().unwrap();
    ran.clone()
}

#[test]
fn the_higher_priority_runs_first_and_equals_in_the_order_of_their_spawns() {
    const L: Priority = Priority::LOW;
    const H: Priority = Priority::HIGH;
    for mode in common::MODES {
        let ran = order_of(
            mode,
            1_000_000,
            &[("l1", L), ("h1", H), ("l2", L), ("h2", H)],
        );
        assert_eq!(ran, ["h1", "h2", "l1", "l2"], "{mode:?}");
        let ran = order_of(
            mode,
            1_000_000,
            &[
                ("idle", Priority::IDLE),
                ("below", Priority::BELOW),
                ("above1", Priority::ABOVE),
                ("lowest", Priority::LOWEST),
                ("normal", Priority::NORMAL),
                ("realtime", Priority::REALTIME),
                ("above2", Priority::ABOVE),
                ("high", H),
                ("low", L),
                ("above3", Priority::ABOVE),
            ],
        );
        let wanted = [
            "realtime", "high", "above1", "above2", "above3", "normal", "below", "low", "lowest",
            "idle",
        ];
        assert_eq!(ran, wanted, "{mode:?}");
    }
}

/// Started fibers of equal priority on one worker take turns.
#[test]
fn fibers_that_yield_take_turns() {
    in_both_modes(60, 1, |_, machine, _| {
        let ran = Arc::new(Mutex::new(Vec::new()));
        machine.run({
            let ran = Arc::clone(&ran);
            move || {
                let started = Arc::new(Latch::new(4));
                let all: Vec<_> = (0..4)
                    .map(|n| {
                        let (ran, started) = (Arc::clone(&ran), Arc::clone(&started));
                        fibers::spawn(move || {
                            started.meet();
                            for _ in 0..50 {
                                ran.lock().unwrap().push(n);
                                fibers::yield_now();
                            }
                        })
                    })
                    .collect();
                for fiber in all {
                    fiber.join().unwrap();
                }
            }
        });
        let ran = ran.lock().unwrap();
        // Between two turns of one fiber lies one turn of each other, but for where they begin and end.
        for window in ran[8..ran.len() - 8].windows(4) {
            let different: HashSet<_> = window.iter().collect();
            assert_eq!(different.len(), 4, "{ran:?}");
        }
    });
}

/// The fair pick is theirs: what yields gets all others anyway.
#[test]
fn a_fiber_starts_at_each_fair_pick_while_others_only_yield() {
    const FIBERS: u64 = 200;
    const FAIRNESS: u32 = 16;
    let test = Test::new(60);
    for mode in common::MODES {
        let machine = test.build(builder(mode).workers(1).fairness(FAIRNESS));
        let yields = machine.run(|| {
            let (started, yields) = (AtomicU64::new(0), AtomicU64::new(0));
            fibers::scope(|scope| {
                for _ in 0..FIBERS {
                    scope.spawn(|| {
                        started.fetch_add(1, Ordering::Relaxed);
                        while started.load(Ordering::Relaxed) < FIBERS {
                            yields.fetch_add(1, Ordering::Relaxed);
                            fibers::yield_now();
                        }
                    });
                }
            });
            yields.into_inner()
        });
        let most = (FIBERS + 1) * u64::from(FAIRNESS);
        assert!(yields <= most, "{mode:?}: {yields} yields, at most {most}");
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

/// A switch takes no lock and no system call.
#[test]
fn two_fibers_that_wake_each_other_take_no_lock() {
    in_both_modes(60, 4, |_, machine, mode| {
        let rounds = scaled(200_000, 10_000_000);
        let (before, after) = machine.run(move || {
            let first = fibers::current();
            let second = match mode {
                // On this very worker, whatever the thieves do.
                Mode::Pinned => {
                    let first = first.clone();
                    let handle = fibers::spawn_local(move || ping(&first, rounds));
                    let fiber = handle.fiber().clone();
                    drop(handle);
                    fiber
                }
                Mode::Floating => {
                    let handle = fibers::spawn({
                        let first = first.clone();
                        move || ping(&first, rounds)
                    });
                    handle.fiber().clone()
                }
            };
            let handle = fibers::Handle::current().unwrap();
            // The first round, and the other workers' way to sleep, are not what we ask for.
            for _ in 0..100 {
                second.unpark();
                wait::sleep(Reasons::USER1);
            }
            let before = handle.metrics();
            for _ in 100..rounds {
                second.unpark();
                wait::sleep(Reasons::USER1);
            }
            (before, handle.metrics())
        });
        let switches = after.switches - before.switches;
        let locks = after.lock_acquisitions - before.lock_acquisitions;
        assert!(switches as usize >= rounds / 2, "{after:?}");
        if mode == Mode::Pinned {
            // Other workers may fall asleep meanwhile, once in a while.
            assert!(
                locks * 100 <= switches,
                "{locks} locks in {switches} switches"
            );
            let wakes = after.futex_wakes - before.futex_wakes;
            assert!(
                wakes * 100 <= switches,
                "{wakes} futex wakes in {switches} switches"
            );
        }
    });
}

fn ping(other: &fibers::Fiber, rounds: usize) {
    for _ in 0..rounds {
        wait::sleep(Reasons::UNPARK);
        wait::wake(other, Reasons::USER1);
    }
}

/// No fiber waits in this barrier: it passes only if all three run at the same time, on three threads.
#[test]
fn fibers_that_compute_run_in_parallel_when_workers_are_idle() {
    in_both_modes(60, 4, |_, machine, _| {
        for _ in 0..scaled(200, 5_000) {
            machine.run(|| {
                let arrived = Arc::new(AtomicUsize::new(0));
                let all: Vec<_> = (0..3)
                    .map(|_| {
                        let arrived = Arc::clone(&arrived);
                        fibers::spawn(move || {
                            arrived.fetch_add(1, Ordering::AcqRel);
                            while arrived.load(Ordering::Acquire) < 3 {
                                // Not a wait: the fiber keeps its worker. The kernel may run another thread.
                                std::thread::yield_now();
                            }
                        })
                    })
                    .collect();
                for fiber in all {
                    fiber.join().unwrap();
                }
            });
        }
    });
}

/// The same, from outside the machine.
#[test]
fn spawns_from_a_thread_reach_every_idle_worker() {
    in_both_modes(60, 4, |_, machine, _| {
        for _ in 0..scaled(200, 5_000) {
            let arrived = Arc::new(AtomicUsize::new(0));
            let all: Vec<_> = (0..4)
                .map(|_| {
                    let arrived = Arc::clone(&arrived);
                    machine.spawn(move || {
                        arrived.fetch_add(1, Ordering::AcqRel);
                        while arrived.load(Ordering::Acquire) < 4 {
                            std::thread::yield_now();
                        }
                    })
                })
                .collect();
            for fiber in all {
                fiber.join().unwrap();
            }
        }
    });
}

#[test]
fn one_spawn_from_outside_wakes_one_worker() {
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.build(builder(mode).workers(8).spin(std::time::Duration::ZERO));
        for _ in 0..200 {
            eventually(|| machine.metrics().idle_workers == 8);
            let before = machine.metrics();
            machine.spawn(|| ()).join().unwrap();
            eventually(|| machine.metrics().idle_workers == 8);
            let after = machine.metrics();
            // The joiner is a plain thread: its futex is not a worker's, but may be counted.
            assert_eq!(after.handoffs - before.handoffs, 1, "{before:?}\n{after:?}");
            assert_eq!(after.steals, before.steals);
            let wakes = after.futex_wakes - before.futex_wakes;
            assert_eq!(wakes, 1, "{before:?}\n{after:?}");
        }
    }
}

/// All 64 are at home with the waker: no lock at all. With homes elsewhere: not one lock for each.
#[test]
fn waking_many_costs_no_lock_for_each() {
    let test = Test::new(120);
    for (workers, elsewhere, limit) in [(1, 0, 2), (4, 32, 14)] {
        let machine = test.machine(Mode::Pinned, workers);
        // Not in every round: where the system takes the processor from the waker, the others run what it has woken so
        // far, go to sleep, and are woken once more. And all may have started on the waker's worker.
        let mut rounds = Vec::new();
        let is_cheap = (0..1000).any(|_| {
            let round = wake_64(&machine);
            rounds.push(round);
            round.0 >= elsewhere && round.1 <= limit
        });
        rounds.truncate(20);
        assert!(
            is_cheap,
            "(homes elsewhere, locks for 64 wakes): {rounds:?}"
        );
    }
}

/// How many of 64 fibers are not at home on the worker that wakes them, and the locks that all workers take meanwhile.
fn wake_64(machine: &Runtime) -> (usize, u64) {
    let parked = Arc::new(Latch::new(64));
    let all: Vec<_> = (0..64)
        .map(|_| {
            let parked = Arc::clone(&parked);
            machine.spawn(move || {
                parked.arrive();
                wait::sleep(Reasons::USER0);
                thread_id()
            })
        })
        .collect();
    parked.wait();
    eventually(|| machine.metrics().parked == 64);
    let targets: Vec<_> = all.iter().map(|fiber| fiber.fiber().clone()).collect();
    let (waker, locks) = machine.run(move || {
        let handle = fibers::Handle::current().unwrap();
        let before = handle.metrics().lock_acquisitions;
        for target in &targets {
            wait::wake(target, Reasons::USER0);
        }
        // Reading the metrics takes the lock as well.
        let locks = handle.metrics().lock_acquisitions - before;
        (thread_id(), locks)
    });
    let homes = all.into_iter().map(|fiber| fiber.join().unwrap());
    (homes.filter(|home| *home != waker).count(), locks)
}

/// Park and wake, join, call and a wait queue, over the border between two machines; all parked in between.
#[test]
fn machines_wake_each_other() {
    for (here, there) in [
        (Mode::Pinned, Mode::Pinned),
        (Mode::Pinned, Mode::Floating),
        (Mode::Floating, Mode::Pinned),
    ] {
        let test = Test::new(120);
        let (left, right) = (test.machine(here, 2), test.machine(there, 2));
        let rounds = scaled(30_000, 1_000_000);
        // Ping-pong.
        let (turn, goal) = (Arc::new(AtomicUsize::new(0)), 2 * rounds);
        let queue = Arc::new(wait::WaitQueue::new());
        let player = |machine: &Runtime, me: usize| {
            let (turn, queue) = (Arc::clone(&turn), Arc::clone(&queue));
            machine.spawn(move || {
                for round in 0..rounds {
                    queue.wait_until(|| turn.load(Ordering::Acquire) == 2 * round + me);
                    turn.fetch_add(1, Ordering::AcqRel);
                    queue.wake_one();
                }
            })
        };
        let (a, b) = (player(&left, 0), player(&right, 1));
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(turn.load(Ordering::Relaxed), goal);
        // Spawn there and join here.
        let handle = right.handle();
        let sum = left.run(move || {
            let mut sum = 0;
            for n in 0..rounds / 10 {
                sum += handle.spawn(move || n).join().unwrap();
            }
            sum
        });
        assert_eq!(sum, (0..rounds / 10).sum());
        // Call there and wait here.
        let gate = Arc::new(Gate::new());
        let server = right.spawn({
            let gate = Arc::clone(&gate);
            move || {
                while !gate.is_open() {
                    fibers::park();
                }
                fibers::current().id()
            }
        });
        let target = server.fiber().clone();
        let seen = left.run(move || {
            let mut seen = HashSet::new();
            for _ in 0..rounds / 10 {
                let id = target.call(|| fibers::current().id()).unwrap();
                seen.insert(id.wait().unwrap());
            }
            seen
        });
        gate.open();
        server.fiber().unpark();
        assert_eq!(seen, HashSet::from([server.join().unwrap()]));
        eventually(|| left.metrics().idle_workers == 2 && right.metrics().idle_workers == 2);
    }
}

/// Keeps so many fibers of that priority busy until it is dropped.
struct Flood(Arc<AtomicBool>, Vec<fibers::JoinHandle<()>>);

impl Flood {
    fn on(machine: &Runtime, fibers: usize, priority: Priority) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let all = (0..fibers)
            .map(|_| {
                let stop = Arc::clone(&stop);
                let builder = Builder::new().priority(priority);
                let flood = move || {
                    while !stop.load(Ordering::Relaxed) {
                        fibers::yield_now();
                    }
                };
                builder.spawn_on(&machine.handle(), flood).unwrap()
            })
            .collect();
        Self(stop, all)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for fiber in self.1.drain(..) {
            fiber.join().unwrap();
        }
    }
}

#[test]
fn a_low_priority_makes_progress_under_a_flood_of_high_ones() {
    in_both_modes(60, 2, |_, machine, _| {
        for low in [
            Priority::IDLE,
            Priority::LOW,
            Priority::BELOW,
            Priority::NORMAL,
        ] {
            let flood = Flood::on(machine, 8, Priority::REALTIME);
            // From outside, and by a fiber of the flood's own machine; started ones go on, too.
            let outside = Builder::new().priority(low);
            let outside = outside.spawn_on(&machine.handle(), || {
                for _ in 0..50 {
                    fibers::yield_now();
                }
            });
            outside.unwrap().join().unwrap();
            let inside = Builder::new().priority(Priority::HIGH);
            let inside = inside.spawn_on(&machine.handle(), move || {
                let builder = Builder::new().priority(low);
                builder.spawn(fibers::yield_now).unwrap().join().unwrap();
            });
            inside.unwrap().join().unwrap();
            drop(flood);
        }
    });
}

#[test]
fn fibers_that_yield_for_ever_starve_nobody() {
    in_both_modes(60, 2, |_, machine, _| {
        let flood = Flood::on(machine, 20, Priority::NORMAL);
        // A spawn from outside (shared list), by a fiber (cache), a wake from outside (inbox), a local one.
        for _ in 0..100 {
            machine
                .spawn(|| fibers::spawn(|| ()).join().unwrap())
                .join()
                .unwrap();
        }
        let parked = machine.spawn(|| wait::sleep(Reasons::USER3));
        eventually(|| machine.metrics().parked >= 1);
        wait::wake(parked.fiber(), Reasons::USER3);
        assert_eq!(parked.join().unwrap(), Reasons::USER3);
        drop(flood);
    });
}

/// A fiber that spawns for ever keeps its cache full; the shared lists are served all the same, and the
/// oldest of the cache too.
#[test]
fn neither_cache_nor_shared_lists_starve() {
    in_both_modes(60, 1, |_, machine, _| {
        let (stop, live) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let spawner = machine.spawn({
            let (stop, live) = (Arc::clone(&stop), Arc::clone(&live));
            move || {
                // Two for each that ends, up to a bound: the newest would always run first.
                while !stop.load(Ordering::Relaxed) {
                    if live.load(Ordering::Relaxed) < 100 {
                        live.fetch_add(1, Ordering::Relaxed);
                        let live = Arc::clone(&live);
                        drop(fibers::spawn(move || {
                            live.fetch_sub(1, Ordering::Relaxed);
                        }));
                    }
                    fibers::yield_now();
                }
            }
        });
        for _ in 0..50 {
            machine.spawn(|| ()).join().unwrap();
        }
        let buried = machine.spawn(|| {
            let buried = fibers::spawn(|| 1);
            let chain = fibers::spawn(chain_of_spawns);
            let value = buried.join().unwrap();
            STOP_CHAIN.store(true, Ordering::Relaxed);
            chain.join().unwrap();
            value
        });
        assert_eq!(buried.join().unwrap(), 1);
        STOP_CHAIN.store(false, Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        spawner.join().unwrap();
    });
}

static STOP_CHAIN: AtomicBool = AtomicBool::new(false);

/// Each spawns the next, which lies on top of whatever the cache holds.
fn chain_of_spawns() {
    if !STOP_CHAIN.load(Ordering::Relaxed) {
        drop(fibers::spawn(chain_of_spawns));
    }
}

/// K26: a pair that wakes each other for ever, and then one of them blocks its thread.
#[test]
fn a_pair_that_wakes_each_other_starves_nobody() {
    in_both_modes(60, 2, |_, machine, _| {
        let stop = Arc::new(AtomicBool::new(false));
        let blocked = Arc::new(std::sync::Barrier::new(2));
        let pair = machine.spawn({
            let (stop, blocked) = (Arc::clone(&stop), Arc::clone(&blocked));
            move || {
                let first = fibers::current();
                let second = fibers::spawn({
                    let stop = Arc::clone(&stop);
                    move || {
                        while !stop.load(Ordering::Relaxed) {
                            first.unpark();
                            fibers::park();
                        }
                    }
                });
                while !stop.load(Ordering::Relaxed) {
                    second.fiber().unpark();
                    fibers::yield_now();
                }
                second.fiber().unpark();
                second.join().unwrap();
                // Work that is spawned here must be found by the other worker while this one is blocked.
                let stranded: Vec<_> = (0..10).map(|n| fibers::spawn(move || n)).collect();
                let rescuer = fibers::spawn(move || blocked.wait().is_leader());
                BLOCK.wait();
                let _ = rescuer;
                stranded
                    .into_iter()
                    .map(|fiber| fiber.join().unwrap())
                    .sum::<i32>()
            }
        });
        static BLOCK: std::sync::LazyLock<std::sync::Barrier> =
            std::sync::LazyLock::new(|| std::sync::Barrier::new(2));
        for _ in 0..100 {
            machine.spawn(|| ()).join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        // The fiber blocks its worker in BLOCK; the other worker must run what it spawned.
        blocked.wait();
        BLOCK.wait();
        assert_eq!(pair.join().unwrap(), 45);
    });
}

#[test]
fn a_new_priority_counts_from_the_next_turn_on() {
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.build(builder(mode).workers(1).fairness(1_000_000));
        let ran = machine.run(|| {
            let ran = Arc::new(Mutex::new(Vec::new()));
            let go = Arc::new(Gate::new());
            let all: Vec<_> = ["slow", "fast", "plain"]
                .into_iter()
                .map(|name| {
                    let (ran, go) = (Arc::clone(&ran), Arc::clone(&go));
                    fibers::spawn(move || {
                        assert_eq!(fibers::current().priority(), Priority::NORMAL);
                        go.wait();
                        for _ in 0..3 {
                            ran.lock().unwrap().push(name);
                            fibers::yield_now();
                        }
                    })
                })
                .collect();
            let me = fibers::current();
            me.set_priority(Priority::IDLE);
            fibers::yield_now();
            me.set_priority(Priority::REALTIME);
            all[0].fiber().set_priority(Priority::LOW);
            all[1].fiber().set_priority(Priority::HIGH);
            assert_eq!(all[1].fiber().priority(), Priority::HIGH);
            go.open();
            for fiber in all {
                fiber.join().unwrap();
            }
            let ran = ran.lock().unwrap();
            ran.clone()
        });
        let wanted = [
            "fast", "fast", "fast", "plain", "plain", "plain", "slow", "slow", "slow",
        ];
        assert_eq!(ran, wanted, "{mode:?}");
    }
}

#[test]
fn workers_have_names_and_cpus_of_their_own() {
    let test = Test::new(60);
    let allowed = allowed_cpus("/proc/self/status");
    for pin in [false, true] {
        let machine = test.build(Runtime::builder().workers(3).name("grind").pin_workers(pin));
        let mut names = HashSet::new();
        let mut cpus = HashSet::new();
        // Until every worker was seen: each fiber keeps its worker until all have one.
        let arrived = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = (0..3)
            .map(|_| {
                let arrived = Arc::clone(&arrived);
                machine.spawn(move || {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    while arrived.load(Ordering::Acquire) < 3 {
                        std::thread::yield_now();
                    }
                    let task = format!("/proc/self/task/{}", thread_id());
                    let name = std::fs::read_to_string(format!("{task}/comm")).unwrap();
                    let here = std::thread::current().name().map(str::to_owned);
                    assert_eq!(here.as_deref(), Some(name.trim()));
                    (
                        name.trim().to_owned(),
                        allowed_cpus(&format!("{task}/status")),
                    )
                })
            })
            .collect();
        for fiber in all {
            let (name, mask) = fiber.join().unwrap();
            names.insert(name);
            if pin {
                assert_eq!(mask.len(), 1, "{mask:?}");
                assert!(allowed.is_superset(&mask));
                cpus.extend(mask);
            } else {
                assert_eq!(mask, allowed);
            }
        }
        let wanted = ["grind-0", "grind-1", "grind-2"].map(str::to_owned);
        assert_eq!(names, HashSet::from(wanted));
        if pin {
            assert_eq!(cpus.len(), allowed.len().min(3), "one CPU after the other");
        }
    }
}

fn allowed_cpus(status: &str) -> HashSet<usize> {
    let text = std::fs::read_to_string(status).unwrap();
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    list.trim()
        .split(',')
        .flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().unwrap()..=last.parse().unwrap()
        })
        .collect()
}

/// S2: the default obeys the affinity mask.
#[test]
fn the_default_number_of_workers_is_what_the_affinity_mask_allows() {
    const NAME: &str = "the_default_number_of_workers_is_what_the_affinity_mask_allows";
    if common::child_case().is_some() {
        let machine = Runtime::new().unwrap();
        println!("workers={}", machine.metrics().workers);
        assert_eq!(fibers::available_parallelism().unwrap().get(), 1);
        return;
    }
    let first = allowed_cpus("/proc/self/status").into_iter().min().unwrap();
    let ended = common::child_under(
        &["taskset", "-c", &first.to_string()],
        NAME,
        "one",
        common::CHILD_LIMIT_S,
    );
    ended.passed();
    assert!(ended.stdout.contains("workers=1\n"), "{}", ended.stdout);
}

/// All workers are there before any fiber runs: a fiber that needs them all at once never waits for one
/// that has not begun.
#[test]
fn no_fiber_runs_before_every_worker_has_started() {
    let test = Test::new(60);
    for _ in 0..50 {
        let machine = test.machine(Mode::Pinned, 5);
        let threads = machine
            .spawn(|| {
                let tasks = std::fs::read_dir("/proc/self/task").unwrap();
                tasks
                    .filter(|task| {
                        let comm = task.as_ref().unwrap().path().join("comm");
                        std::fs::read_to_string(comm).is_ok_and(|name| name.starts_with("fibers-"))
                    })
                    .count()
            })
            .join()
            .unwrap();
        assert!(threads >= 5, "{threads} workers were there");
    }
}

#[test]
fn a_deep_tree_of_fibers_runs_every_leaf_once() {
    fn tree(depth: u32, leaves: &Arc<AtomicU64>) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let children: Vec<_> = (0..4)
            .map(|_| {
                let leaves = Arc::clone(leaves);
                fibers::spawn(move || tree(depth - 1, &leaves))
            })
            .collect();
        for child in children {
            child.join().unwrap();
        }
    }
    in_both_modes(120, 4, |_, machine, _| {
        let depth = if common::stress() { 10 } else { 7 };
        let leaves = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&leaves);
        machine.run(move || tree(depth, &counted));
        assert_eq!(leaves.load(Ordering::Relaxed), 4u64.pow(depth));
    });
}

/// K28: unique numbers through thieves.
#[test]
fn every_fiber_runs_exactly_once_whoever_takes_it() {
    in_both_modes(120, 4, |_, machine, _| {
        let count = scaled(200_000, 20_000_000);
        let seen: Arc<Vec<AtomicU64>> =
            Arc::new((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect());
        let twice = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Latch::new(count));
        machine.run({
            let (seen, twice, done) = (Arc::clone(&seen), Arc::clone(&twice), Arc::clone(&done));
            move || {
                for n in 0..count {
                    let (seen, twice, done) =
                        (Arc::clone(&seen), Arc::clone(&twice), Arc::clone(&done));
                    drop(fibers::spawn(move || {
                        let bit = 1 << (n % 64);
                        if seen[n / 64].fetch_or(bit, Ordering::Relaxed) & bit != 0 {
                            twice.fetch_add(1, Ordering::Relaxed);
                        }
                        for _ in 0..n % 50 {
                            spin_loop();
                        }
                        done.arrive();
                    }));
                }
                done.wait();
            }
        });
        assert_eq!(twice.load(Ordering::Relaxed), 0);
        let ran: u32 = seen
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum();
        assert_eq!(ran as usize, count);
    });
}

#[test]
fn the_counters_add_up_when_all_is_done() {
    in_both_modes(60, 3, |_, machine, _| {
        machine.run(|| {
            fibers::scope(|s| {
                for n in 0..500 {
                    s.spawn(move || (0..n % 7).for_each(|_| fibers::yield_now()));
                }
            });
        });
        eventually(|| machine.metrics().finished == 501);
        let metrics = machine.metrics();
        assert_eq!(
            (metrics.spawned, metrics.started, metrics.panicked),
            (501, 501, 0)
        );
        assert_eq!((metrics.workers, metrics.parked), (3, 0));
        let stacks = metrics.stacks_in_use + metrics.stacks_pooled;
        assert!((1..600).contains(&stacks), "{metrics:?}");
    });
}
