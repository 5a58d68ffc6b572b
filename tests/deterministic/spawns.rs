//! Spawns, joins, scopes, priorities: everything that is spawned runs, in the promised order, and once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use fibers::testing::{self, Check};
use fibers::{Builder, JoinHandle, Priority};

use crate::waits::park_until;
use crate::{Counted, all, each, perhaps_yield, seeds, with_workers};
#[test]
fn trees_of_spawns_are_joined() {
    fn tree(depth: u32) -> u32 {
        if depth == 0 {
            perhaps_yield();
            return 1;
        }
        let children: Vec<_> = (0..1 + testing::random(3))
            .map(|_| fibers::spawn(move || tree(depth - 1)))
            .collect();
        perhaps_yield();
        let count: u32 = children.into_iter().map(|c| c.join().unwrap()).sum();
        assert!(count >= 1);
        count
    }
    all(|| {
        tree(3);
    });
}

#[test]
fn detached_fibers_run_or_are_dropped_exactly_once() {
    each(|check, which| {
        let ended = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&ended);
        let spawned = check.run(move || {
            let count = testing::random(12);
            for _ in 0..count {
                let counted = Counted(Arc::clone(&seen));
                drop(fibers::spawn(move || {
                    let _counted = counted;
                    perhaps_yield();
                    // Woken by nobody but the stop; a spurious return goes round.
                    while testing::random(2) == 0 {
                        fibers::park();
                    }
                    if testing::random(4) == 0 {
                        std::panic::resume_unwind(Box::new("planned, and seen by nobody"));
                    }
                }));
                perhaps_yield();
            }
            // The root ends at some moment in between.
            (0..testing::random(20)).for_each(|_| fibers::yield_now());
            count
        });
        assert_eq!(ended.load(SeqCst), spawned, "{which}");
    });
}

#[test]
fn local_fibers_stay_at_home() {
    for seed in seeds() {
        Check::new().workers(3).seed(seed).run(|| {
            let home = testing::worker();
            let shared = std::rc::Rc::new(std::cell::Cell::new(0));
            let fibers: Vec<_> = (0..4)
                .map(|_| {
                    let shared = std::rc::Rc::clone(&shared);
                    fibers::spawn_local(move || {
                        perhaps_yield();
                        shared.set(shared.get() + 1);
                        testing::worker()
                    })
                })
                .collect();
            for fiber in fibers {
                assert_eq!(fiber.join().unwrap(), home);
            }
            assert_eq!(shared.get(), 4);
        });
    }
}

#[test]
fn scopes_wait_for_their_fibers_and_pass_panics_on() {
    all(|| {
        let bad = testing::random(4);
        let done = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            fibers::scope(|s| {
                for n in 0..3 {
                    let done = &done;
                    let fiber = s.spawn(move || {
                        perhaps_yield();
                        done.fetch_add(1, SeqCst);
                        if n == bad {
                            std::panic::resume_unwind(Box::new("planned"));
                        }
                        s.spawn(move || {
                            perhaps_yield();
                            done.fetch_add(10, SeqCst);
                        });
                    });
                    if testing::random(4) == 0 && n != bad {
                        fiber.join().unwrap();
                    }
                }
                perhaps_yield();
            });
        }));
        assert_eq!(result.is_err(), bad < 3);
        let expected = if bad < 3 { 23 } else { 33 };
        assert_eq!(done.load(SeqCst), expected);
    });
}

#[test]
fn fork_and_join_with_parks_inside() {
    fn sum(from: usize, to: usize) -> usize {
        if to - from == 1 {
            if testing::random(4) == 0 {
                let me = fibers::current();
                let waker = fibers::spawn(move || me.unpark());
                park_until(|| waker.is_finished());
            }
            perhaps_yield();
            return from;
        }
        let middle = usize::midpoint(from, to);
        let (left, right) = fibers::join(|| sum(from, middle), || sum(middle, to));
        left + right
    }
    all(|| assert_eq!(sum(0, 16), 120));
}

#[test]
fn starved_of_nothing_after_many_spawns_at_once() {
    all(|| {
        let fibers: Vec<_> = (0..150).map(|n| fibers::spawn(move || n)).collect();
        let sum: usize = fibers.into_iter().map(|f| f.join().unwrap()).sum();
        assert_eq!(sum, 149 * 150 / 2);
    });
}

#[test]
fn the_most_fibers_are_counted_exactly() {
    for seed in seeds() {
        Check::new().workers(2).max_fibers(4).seed(seed).run(|| {
            let mut fibers = Vec::new();
            for _ in 0..12 {
                match Builder::new().spawn(perhaps_yield) {
                    Ok(fiber) => fibers.push(fiber),
                    Err(_) => fibers
                        .pop()
                        .map_or((), |f: JoinHandle<()>| f.join().unwrap()),
                }
            }
            fibers.into_iter().for_each(|f| f.join().unwrap());
        });
    }
}

#[test]
fn a_low_priority_makes_progress_beside_a_busy_high_one() {
    all(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..5)
            .map(|_| {
                let stop = Arc::clone(&stop);
                let busy = Builder::new().priority(Priority::HIGH);
                busy.spawn(move || {
                    while !stop.load(SeqCst) {
                        fibers::yield_now();
                    }
                })
                .unwrap()
            })
            .collect();
        let low = Builder::new().priority(Priority::IDLE);
        let low = low
            .spawn(move || {
                fibers::yield_now();
                stop.store(true, SeqCst);
            })
            .unwrap();
        low.join().unwrap();
        busy.into_iter().for_each(|f| f.join().unwrap());
    });
}

#[test]
fn fibers_of_every_priority_are_run() {
    all(|| {
        let levels = [
            Priority::IDLE,
            Priority::LOW,
            Priority::NORMAL,
            Priority::HIGH,
        ];
        let spawn = move || {
            let fiber = Builder::new().priority(levels[testing::random(4)]);
            fiber.spawn(perhaps_yield).unwrap()
        };
        let spawners: Vec<_> = (0..3)
            .map(|_| {
                fibers::spawn(move || {
                    for _ in 0..3 {
                        perhaps_yield();
                        let fiber = spawn();
                        perhaps_yield();
                        fiber.join().unwrap();
                    }
                })
            })
            .collect();
        let others: Vec<_> = (0..3).map(|_| spawn()).collect();
        spawners
            .into_iter()
            .chain(others)
            .for_each(|f| f.join().unwrap());
    });
}

#[test]
fn higher_priorities_go_first_and_equal_ones_in_turn() {
    for seed in seeds() {
        let check = Check::new().workers(1).seed(seed).spurious(false);
        let order = check.fairness(1000).run(|| {
            let order = Arc::new(Mutex::new(String::new()));
            let fibers: Vec<_> = "lHmL"
                .chars()
                .map(|name| {
                    let order = Arc::clone(&order);
                    let priority = match name {
                        'H' | 'm' => Priority::HIGH,
                        _ => Priority::LOW,
                    };
                    let fiber = Builder::new().priority(priority);
                    fiber
                        .spawn(move || order.lock().unwrap().push(name))
                        .unwrap()
                })
                .collect();
            fibers.into_iter().for_each(|f| f.join().unwrap());
            order.lock().unwrap().clone()
        });
        assert_eq!(order, "HmlL", "seed {seed}");
    }
}

#[test]
fn a_fiber_that_yields_for_ever_does_not_keep_the_others() {
    all(|| {
        drop(fibers::spawn(|| {
            loop {
                fibers::yield_now();
            }
        }));
        let fibers: Vec<_> = (0..4)
            .map(|_| {
                fibers::spawn(|| {
                    perhaps_yield();
                    fibers::spawn(perhaps_yield).join().unwrap();
                })
            })
            .collect();
        fibers.into_iter().for_each(|f| f.join().unwrap());
    });
}

/// They stay where they start: a worker that took one and is kept busy by it comes back for more.
#[test]
fn busy_workers_share_what_has_not_started() {
    const FIBERS: usize = 60;
    let starts_away = |seed| {
        let check = Check::new().workers(2).seed(seed).fairness(8);
        check.run(|| {
            let spawned_on = testing::worker();
            let started = Arc::new(AtomicUsize::new(0));
            let all: Vec<_> = (0..FIBERS)
                .map(|_| {
                    let started = Arc::clone(&started);
                    fibers::spawn(move || {
                        started.fetch_add(1, SeqCst);
                        while started.load(SeqCst) < FIBERS {
                            fibers::yield_now();
                        }
                        testing::worker()
                    })
                })
                .collect();
            let homes = all.into_iter().map(|fiber| fiber.join().unwrap());
            homes.filter(|&home| home != spawned_on).count()
        })
    };
    // By seed one worker or the other gets fewer steps.
    let away: usize = seeds().map(starts_away).sum();
    let all = FIBERS * seeds().count();
    assert!((all / 3..=all * 2 / 3).contains(&away), "{away} of {all}");
}

#[test]
fn a_lone_fiber_does_not_wait_for_an_owner_that_computes() {
    for workers in 2..=4 {
        with_workers(workers, || {
            // The other workers have had their first notification, and sleep.
            let root = fibers::current();
            for _ in 0..2 {
                let root = root.clone();
                fibers::spawn(move || root.unpark()).join().unwrap();
            }
            let owner = testing::worker();
            let lone = fibers::spawn(testing::worker);
            // From the next switch on, as if this worker's thread got no CPU: only others can run it.
            testing::stall_worker(5000);
            assert_ne!(lone.join().unwrap(), owner, "the owner was not stepped");
        });
    }
}
