//! What `cancel_all` promises: every fiber of the machine that was spawned before is cancelled, in whatever state it
//! is; none that is spawned afterwards, and none of another machine.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{
    Gate, MODES, Mode, Once, Random, Test, eventually, joined_as_cancelled, on_all_machines, scaled,
};
use fibers::time::Duration;
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, Handle, JoinHandle, Runtime, is_cancelled, shield, sleep};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_micros(300);

/// Waits that last for ever.
const WAITS: [fn(); 7] = [
    fibers::park,
    || sleep(LONG),
    || {
        wait::sleep(Reasons::USER0);
    },
    || WaitQueue::new().wait_until(|| false),
    || drop(fibers::spawn(fibers::park).join()),
    || fibers::scope(|s| drop(s.spawn(fibers::park))),
    || {
        fibers::join(fibers::park, fibers::park);
    },
];

/// Who calls it, from where.
const CALLERS: [fn(&Runtime, &Runtime); 4] = [
    |machine, _| machine.cancel_all().unwrap(),
    |machine, _| machine.handle().cancel_all().unwrap(),
    |machine, other| {
        let machine = machine.handle();
        other.run(move || machine.cancel_all().unwrap());
    },
    |machine, _| {
        let caller = machine.spawn(|| {
            let here = Handle::current().expect("in a fiber");
            here.cancel_all().unwrap();
            // It is one of them.
            fibers::park();
        });
        joined_as_cancelled(caller);
    },
];

/// Fibers that keep every worker busy, without a wait, until they are told to go on.
struct Busy {
    all: Vec<JoinHandle<bool>>,
    go_on: Arc<AtomicBool>,
}

impl Busy {
    fn begin(machine: &Runtime, workers: u64) -> Self {
        let (entered, go_on) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let all: Vec<_> = (0..workers)
            .map(|_| {
                let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
                machine.spawn(move || {
                    entered.fetch_add(1, Ordering::AcqRel);
                    while !go_on.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    is_cancelled()
                })
            })
            .collect();
        eventually(|| entered.load(Ordering::Acquire) == all.len());
        Self { all, go_on }
    }

    fn end(self) {
        self.go_on.store(true, Ordering::Release);
        // They do not wait, so they come to their ends.
        for fiber in self.all {
            fiber.join().unwrap();
        }
    }
}

#[test]
fn started_fibers_are_cancelled_and_those_of_other_machines_are_not() {
    on_all_machines(60, |test, machine| {
        let other = test.machine(Mode::Pinned, 1);
        let untouched = other.spawn(|| wait::sleep(Reasons::USER0));
        for caller in CALLERS {
            let drops = Arc::default();
            let all: Vec<_> = (0..70)
                .map(|n| {
                    let once = Once(Arc::clone(&drops));
                    machine.spawn(move || {
                        let _once = once;
                        WAITS[n % WAITS.len()]();
                        // What was joined has ended, too: that may have come first.
                        fibers::park();
                    })
                })
                .collect();
            // Those inside them count, too.
            eventually(|| machine.metrics().parked >= 70);
            caller(machine, &other);
            all.into_iter().for_each(joined_as_cancelled);
            assert_eq!(drops.load(Ordering::Relaxed), 70);
            eventually(|| machine.metrics().parked == 0);
            assert_eq!(machine.metrics().timers_pending, 0);
            assert_eq!(machine.run(|| 4), 4, "the machine goes on");
        }
        assert!(!untouched.is_finished());
        wait::wake(untouched.fiber(), Reasons::USER0);
        assert_eq!(untouched.join().unwrap(), Reasons::USER0);
    });
}

#[test]
fn unstarted_fibers_are_cancelled_and_running_ones_at_their_next_wait() {
    on_all_machines(60, |test, machine| {
        let other = test.machine(Mode::Pinned, 1);
        let workers = machine.metrics().workers;
        for caller in &CALLERS[..3] {
            let busy = Busy::begin(machine, workers);
            let (ran, drops) = (Arc::new(AtomicUsize::new(0)), Arc::default());
            let unstarted: Vec<_> = (0..100)
                .map(|_| {
                    let (ran, once) = (Arc::clone(&ran), Once(Arc::clone(&drops)));
                    machine.spawn(move || {
                        let _once = once;
                        ran.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            caller(machine, &other);
            busy.end();
            unstarted.into_iter().for_each(joined_as_cancelled);
            assert_eq!(ran.load(Ordering::Relaxed), 0);
            assert_eq!(drops.load(Ordering::Relaxed), 100);
        }
    });
}

#[test]
fn a_shield_holds_until_it_ends() {
    on_all_machines(60, |_, machine| {
        let (entered, committed) = (Arc::new(Gate::new()), Arc::new(AtomicBool::new(false)));
        let fiber = machine.spawn({
            let (entered, committed) = (Arc::clone(&entered), Arc::clone(&committed));
            move || {
                shield(|| {
                    entered.open();
                    while !is_cancelled() {
                        sleep(SHORT);
                    }
                    sleep(SHORT);
                    committed.store(true, Ordering::Release);
                });
                fibers::park();
            }
        });
        entered.wait();
        machine.cancel_all().unwrap();
        joined_as_cancelled(fiber);
        assert!(committed.load(Ordering::Acquire));
    });
}

/// Whoever spawns them, and however.
#[test]
fn fibers_spawned_afterwards_live() {
    fn spawns() -> Vec<(&'static str, bool)> {
        let wait = || sleep(SHORT);
        let (mut left, mut right) = (false, false);
        fibers::join(
            || {
                wait();
                left = true;
            },
            || {
                wait();
                right = true;
            },
        );
        let scoped = fibers::scope(|s| s.spawn(wait).join().is_ok());
        let named = fibers::Builder::new().name("named".to_owned());
        vec![
            ("spawn", fibers::spawn(wait).join().is_ok()),
            ("scope", scoped),
            ("named", named.spawn(wait).unwrap().join().is_ok()),
            ("join", left && right),
        ]
    }
    on_all_machines(60, |_, machine| {
        for _ in 0..3 {
            machine.cancel_all().unwrap();
            assert_eq!(machine.spawn(|| sleep(SHORT)).join().ok(), Some(()));
            let from_inside = machine.spawn(spawns).join();
            let from_inside = from_inside.expect("spawned afterwards, so not cancelled");
            // The very fiber that cancels them all may spawn new ones.
            let from_the_caller = machine.spawn(|| {
                shield(|| {
                    Handle::current().expect("in a fiber").cancel_all().unwrap();
                    spawns()
                })
            });
            let from_the_caller = from_the_caller.join().unwrap();
            for (how, lived) in from_inside.into_iter().chain(from_the_caller) {
                assert!(lived, "{how}: cancelled though it was spawned afterwards");
            }
        }
    });
    let test = Test::new(60);
    let (local, pinned) = (test.local(), test.machine(Mode::Pinned, 2));
    let spawns_local = || {
        let lived = fibers::spawn_local(|| sleep(SHORT)).join();
        assert!(lived.is_ok(), "spawn_local");
    };
    local.handle().cancel_all().unwrap();
    local.run(spawns_local);
    pinned.cancel_all().unwrap();
    pinned.run(spawns_local);
}

/// A worker that was busy when it was called comes late to its part.
#[test]
fn fibers_spawned_afterwards_live_where_a_worker_was_busy() {
    for mode in MODES {
        for workers in [2, 4] {
            println!("{mode:?}, {workers} workers");
            let test = Test::new(60);
            let machine = test.machine(mode, workers);
            let old = machine.spawn(fibers::park);
            eventually(|| machine.metrics().parked == 1);
            let busy = Busy::begin(&machine, 1);
            machine.cancel_all().unwrap();
            let new: Vec<_> = (0..20).map(|_| machine.spawn(fibers::park)).collect();
            // On the workers that are not busy.
            eventually(|| machine.metrics().parked >= 20);
            busy.end();
            joined_as_cancelled(old);
            // By now all workers have heeded it.
            eventually(|| machine.metrics().idle_workers == workers as u64);
            new.iter().for_each(|fiber| fiber.fiber().unpark());
            let lived = new.into_iter().filter_map(|fiber| fiber.join().ok());
            assert_eq!(lived.count(), 20, "of twenty spawned afterwards");
        }
    }
}

#[test]
fn the_fibers_of_a_local_machine_are_cancelled_at_its_next_run() {
    let test = Test::new(60);
    let machine = test.local();
    let parked = machine.spawn(fibers::park);
    machine.run(fibers::yield_now);
    let unstarted = machine.spawn(|| ());
    let handle = machine.handle();
    std::thread::spawn(move || handle.cancel_all().unwrap())
        .join()
        .unwrap();
    assert!(!parked.is_finished() && !unstarted.is_finished());
    machine.run(|| {
        joined_as_cancelled(parked);
        joined_as_cancelled(unstarted);
    });
}

/// Again and again, while fibers are spawned by the machine itself and from outside: none of those spawned before
/// is forgotten, or a join would hang here.
#[test]
fn spawns_and_cancel_alls_may_meet() {
    let rounds = scaled(3000, 50_000);
    let seed = Random::new().next();
    on_all_machines(120, |_, machine| {
        let stop = Arc::new(AtomicBool::new(false));
        let (made, drops) = (Arc::new(AtomicUsize::new(0)), Arc::<AtomicUsize>::default());
        let spawn = {
            let (made, drops) = (Arc::clone(&made), Arc::clone(&drops));
            move |machine: &Handle, random: &mut Random| {
                made.fetch_add(1, Ordering::Relaxed);
                let once = Once(Arc::clone(&drops));
                let (wait, spins) = (random.below(4), random.below(500));
                machine.spawn(move || {
                    let _once = once;
                    (0..spins).for_each(|_| std::hint::spin_loop());
                    match wait {
                        0 => fibers::park(),
                        1 => sleep(LONG),
                        2 => drop(fibers::spawn(fibers::park).join()),
                        _ => fibers::scope(|s| drop(s.spawn(fibers::park))),
                    }
                    // What was joined has ended, too: that may have come first.
                    fibers::park();
                })
            }
        };
        let outside = std::thread::spawn({
            let (machine, stop, spawn) = (machine.handle(), Arc::clone(&stop), spawn.clone());
            move || {
                let mut random = Random::of(seed + 1);
                let mut all = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    all.push(spawn(&machine, &mut random));
                    if all.len() == 50 {
                        // Each is ended by one of those that are still to come.
                        all.drain(..).for_each(joined_as_cancelled);
                    }
                }
                all
            }
        });
        let mut random = Random::of(seed);
        for _ in 0..rounds / 6 {
            let handle = machine.handle();
            let all = [(); 8].map(|()| spawn(&handle, &mut random));
            (0..random.below(20_000)).for_each(|_| std::hint::spin_loop());
            machine.cancel_all().unwrap();
            all.into_iter().for_each(joined_as_cancelled);
        }
        stop.store(true, Ordering::Release);
        while !outside.is_finished() {
            machine.cancel_all().unwrap();
            std::thread::yield_now();
        }
        machine.cancel_all().unwrap();
        outside
            .join()
            .unwrap()
            .into_iter()
            .for_each(joined_as_cancelled);
        assert_eq!(drops.load(Ordering::Relaxed), made.load(Ordering::Relaxed));
    });
}

/// As often as a counter of sixteen bits can tell apart, and once more: none of them may count as none.
#[test]
fn an_unstarted_fiber_stays_cancelled_however_often_it_is_cancelled() {
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 1);
    for times in [1, 1 << 8, 1 << 16] {
        let busy = Busy::begin(&machine, 1);
        let unstarted = machine.spawn(|| ());
        (0..times).for_each(|_| machine.cancel_all().unwrap());
        busy.end();
        let payload = unstarted.join().expect_err("it started");
        assert!(payload.is::<Cancelled>(), "{times} times");
    }
}

#[test]
fn on_a_machine_that_has_stopped_it_does_nothing() {
    for mode in MODES {
        let machine = Test::new(60).machine(mode, 2);
        let handle = machine.handle();
        drop(machine);
        handle.cancel_all().unwrap();
        assert!(handle.try_spawn(|| ()).is_err());
    }
}

/// A worker of a floating machine sees the fibers of all. One that was still in its sweep when they were cancelled once
/// more cancelled those that had been spawned since.
#[test]
fn regression_a_sweep_spares_what_is_newer_than_itself() {
    let test = Test::new(60);
    let machine = test.machine(Mode::Floating, 4);
    // A sweep that takes a while: many stacks, and nobody ends by it.
    let crowd: Vec<_> = (0..2_000)
        .map(|_| machine.spawn(|| shield(fibers::park)))
        .collect();
    eventually(|| machine.metrics().parked == 2_000);
    for round in 0..scaled(2_000, 20_000) {
        machine.cancel_all().unwrap();
        machine.cancel_all().unwrap();
        let lived = machine.spawn(|| (0..20).for_each(|_| fibers::yield_now()));
        assert!(lived.join().is_ok(), "round {round}");
    }
    for fiber in crowd {
        fiber.fiber().unpark();
        let _ = fiber.join();
    }
}
