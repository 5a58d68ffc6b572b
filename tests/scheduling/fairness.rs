//! Nobody waits for ever: who yields takes turns, and neither floods, nor spawns without end, nor pairs that wake each
//! other keep the others from running.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{self, Latch, Test, builder, eventually, in_both_modes};
use fibers::wait::{self, Reasons};
use fibers::{Builder, Priority, Runtime};

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
