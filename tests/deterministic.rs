//! The scheduler, one step at a time: scenarios over many seeds, in both modes, on one to four workers.
//!
//! `DETERMINISTIC_SEEDS=N` runs N seeds of each scenario and configuration; `FIBERS_TEST_SEED=N` replays one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use fibers::testing::{self, Check, explore};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Builder, Cancelled, Priority};

/// Seeds of each scenario in each configuration.
fn seeds() -> std::ops::Range<u64> {
    let default = if cfg!(debug_assertions) { 25 } else { 160 };
    let count = std::env::var("DETERMINISTIC_SEEDS").map_or(default, |text| {
        text.parse().expect("DETERMINISTIC_SEEDS is a number")
    });
    0..count
}

/// Runs the scenario over the seeds, pinned and floating, with 1 to 4 workers.
fn all(body: impl Fn() + Clone + Send + Sync + 'static) {
    for workers in 1..=4 {
        some(workers, body.clone());
    }
}

/// As [`all`], with that many workers.
fn some(workers: usize, body: impl Fn() + Clone + Send + Sync + 'static) {
    for floating in [false, true] {
        // Different seeds for each configuration, so that FIBERS_TEST_SEED still means one run of each.
        let first = (workers as u64 * 2 + u64::from(floating)) << 32;
        let range = first..first + seeds().end;
        explore(
            range,
            move |check| check.workers(workers).floating(floating),
            body.clone(),
        );
    }
}

/// Now and then lets others run.
fn perhaps_yield() {
    if testing::random(3) == 0 {
        fibers::yield_now();
    }
}

/// Parks until `done`; spurious returns are allowed.
fn park_until(done: impl Fn() -> bool) {
    while !done() {
        fibers::park();
    }
}

/// Runs `f` and counts, when it is dropped, returned from or unwound.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let check = Check::new().workers(3).seed(seed);
        check.run(|| {
            let trace = Arc::new(std::sync::Mutex::new(Vec::new()));
            let fibers: Vec<_> = (0..8)
                .map(|n| {
                    let trace = Arc::clone(&trace);
                    fibers::spawn(move || {
                        for _ in 0..3 {
                            trace.lock().unwrap().push((n, testing::worker()));
                            perhaps_yield();
                        }
                    })
                })
                .collect();
            fibers.into_iter().for_each(|f| f.join().unwrap());
            let trace = trace.lock().unwrap().clone();
            trace
        })
    };
    let runs: Vec<_> = (0..20).map(run).collect();
    for (seed, first) in runs.iter().enumerate() {
        assert_eq!(*first, run(seed as u64), "seed {seed}");
    }
    assert!(runs.iter().any(|other| *other != runs[0]), "seeds differ");
}

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
    let ended = Arc::new(AtomicUsize::new(0));
    for workers in 1..=4 {
        for floating in [false, true] {
            for seed in seeds() {
                ended.store(0, SeqCst);
                let seen = Arc::clone(&ended);
                let check = Check::new().workers(workers).floating(floating).seed(seed);
                let spawned = check.run(move || {
                    let count = testing::random(12);
                    for _ in 0..count {
                        let counted = Counted(Arc::clone(&seen));
                        drop(fibers::spawn(move || {
                            let _counted = counted;
                            let inner = Counted(Arc::new(AtomicUsize::new(0)));
                            perhaps_yield();
                            // Never woken but by the stop; spurious returns go round.
                            while testing::random(2) == 0 {
                                fibers::park();
                            }
                            drop(inner);
                        }));
                        perhaps_yield();
                    }
                    // The root ends at some moment in between.
                    for _ in 0..testing::random(20) {
                        fibers::yield_now();
                    }
                    count
                });
                assert_eq!(
                    ended.load(SeqCst),
                    spawned,
                    "seed {seed}, {workers} workers, floating: {floating}"
                );
            }
        }
    }
}

#[test]
fn ping_pong_by_park_and_unpark() {
    all(|| {
        let turn = Arc::new(AtomicUsize::new(0));
        let root = fibers::current();
        let rounds = 6;
        let pong = fibers::spawn({
            let turn = Arc::clone(&turn);
            move || {
                for round in 0..rounds {
                    park_until(|| turn.load(SeqCst) > 2 * round);
                    turn.fetch_add(1, SeqCst);
                    root.unpark();
                }
            }
        });
        for round in 0..rounds {
            turn.fetch_add(1, SeqCst);
            pong.fiber().unpark();
            park_until(|| turn.load(SeqCst) == 2 * round + 2);
        }
        pong.join().unwrap();
    });
}

#[test]
fn an_unpark_before_the_park_and_before_the_start_is_kept() {
    all(|| {
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let fiber = fibers::spawn(|| {
                    perhaps_yield();
                    fibers::park();
                });
                perhaps_yield();
                fiber.fiber().unpark();
                fiber
            })
            .collect();
        fibers.into_iter().for_each(|f| f.join().unwrap());
        fibers::current().unpark();
        perhaps_yield();
        fibers::park();
    });
}

#[test]
fn many_wakers_of_one_fiber_lose_no_reason() {
    const USERS: [Reasons; 4] = [
        Reasons::USER0,
        Reasons::USER1,
        Reasons::USER2,
        Reasons::USER3,
    ];
    all(|| {
        let root = fibers::current();
        let wakers: Vec<_> = USERS
            .iter()
            .map(|&reason| {
                let root = root.clone();
                fibers::spawn(move || {
                    perhaps_yield();
                    wait::wake(&root, reason);
                    perhaps_yield();
                    wait::wake(&root, reason);
                })
            })
            .collect();
        let mut missing = USERS.iter().fold(Reasons::NONE, |all, &r| all | r);
        while !missing.is_empty() {
            let came = wait::sleep(missing);
            assert!(missing.contains(came), "{came:?} out of {missing:?}");
            missing = missing & !came;
        }
        wakers.into_iter().for_each(|f| f.join().unwrap());
    });
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
fn two_fibers_that_call_each_other_are_both_served() {
    all(|| {
        let root = fibers::current();
        let other = fibers::spawn(move || {
            perhaps_yield();
            // The root waits for a call or a join, and serves us meanwhile.
            let answer = root.call(|| 20).expect("the root lives");
            perhaps_yield();
            answer.wait().unwrap() + 1
        });
        perhaps_yield();
        let sum = match other.fiber().call(|| 100) {
            Ok(answer) => answer.wait().unwrap(),
            Err(ended) => (ended.into_inner())(),
        };
        assert_eq!(sum + other.join().unwrap(), 121);
    });
}

#[test]
fn a_call_to_a_fiber_that_ends_is_run_or_given_back() {
    all(|| {
        let target = fibers::spawn(perhaps_yield);
        let ran = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (target, ran) = (target.fiber().clone(), Arc::clone(&ran));
                fibers::spawn(move || {
                    perhaps_yield();
                    let counted = Arc::clone(&ran);
                    match target.call(move || counted.fetch_add(1, SeqCst)) {
                        Ok(answer) => {
                            perhaps_yield();
                            answer.wait().unwrap()
                        }
                        Err(ended) => (ended.into_inner())(),
                    };
                })
            })
            .collect();
        perhaps_yield();
        target.join().unwrap();
        callers.into_iter().for_each(|f| f.join().unwrap());
        assert_eq!(ran.load(SeqCst), 3);
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
fn higher_priorities_go_first_and_equal_ones_in_turn() {
    for seed in seeds() {
        let check = Check::new().workers(1).seed(seed).spurious(false);
        let order = check.fairness(1000).run(|| {
            let order = Arc::new(std::sync::Mutex::new(String::new()));
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
            let order = order.lock().unwrap().clone();
            order
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

/// A semaphore out of a wait queue: what a channel or a lock would be built like.
#[derive(Default)]
struct Permits {
    free: AtomicUsize,
    queue: WaitQueue,
}

impl Permits {
    fn take(&self) {
        while !self.try_take() {
            self.queue.wait_until(|| self.free.load(SeqCst) > 0);
        }
    }
    fn try_take(&self) -> bool {
        self.free
            .fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1))
            .is_ok()
    }
    fn give(&self, count: usize) {
        self.free.fetch_add(count, SeqCst);
        if count == 1 {
            self.queue.wake_one();
        } else {
            self.queue.wake_all();
        }
    }
}

/// A permit, given back even if the fiber is cancelled.
struct GivesBack(Arc<Permits>);

impl Drop for GivesBack {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

#[test]
fn a_wait_queue_wakes_as_many_as_can_go_on() {
    all(|| {
        let permits = Arc::new(Permits::default());
        let takers: Vec<_> = (0..5)
            .map(|_| {
                let permits = Arc::clone(&permits);
                fibers::spawn(move || {
                    perhaps_yield();
                    permits.take();
                })
            })
            .collect();
        let mut left = 5;
        while left > 0 {
            perhaps_yield();
            let count = 1 + testing::random(left);
            permits.give(count);
            left -= count;
        }
        takers.into_iter().for_each(|f| f.join().unwrap());
        assert!(permits.queue.is_empty());
    });
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
fn a_lone_fiber_does_not_wait_for_an_owner_that_computes() {
    for workers in 2..=4 {
        some(workers, || {
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

#[test]
fn a_run_that_hangs_says_so_with_its_seed() {
    let hang = || {
        Check::new().seed(42).run(|| {
            let waits = Builder::new().name("waits".to_owned());
            let waits = waits.spawn(|| wait::sleep(Reasons::USER3)).unwrap();
            waits.join().unwrap()
        })
    };
    let payload = catch_unwind(hang).expect_err("nobody wakes it");
    let text = payload.downcast_ref::<String>().expect("text");
    assert!(text.contains("seed 42"), "{text}");
    assert!(
        text.contains("fiber 'waits'") && text.contains("USER3"),
        "{text}"
    );
    assert!(text.contains("fiber 'root'"), "{text}");
}

#[test]
fn a_failure_names_the_seed_that_replays_it() {
    let fails = || {
        explore(
            9..10,
            |check| check,
            || std::panic::resume_unwind(Box::new("oh")),
        )
    };
    let payload = catch_unwind(fails).expect_err("it fails");
    let text = payload.downcast_ref::<String>().expect("text");
    assert!(
        text.contains("seed 9 (replay: FIBERS_TEST_SEED=9): oh"),
        "{text}"
    );
}

#[test]
fn a_wait_that_would_block_the_one_thread_is_refused() {
    let blocks = || {
        Check::new().run(|| fibers::on_worker_stack(|| wait::sleep(Reasons::USER0)));
    };
    let payload = catch_unwind(blocks).expect_err("it would hang");
    let text = payload.downcast_ref::<String>().expect("text");
    assert!(
        text.contains("fiber 'root'") && text.contains("block its thread"),
        "{text}"
    );
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
                        .map_or((), |f: fibers::JoinHandle<()>| f.join().unwrap()),
                }
            }
            fibers.into_iter().for_each(|f| f.join().unwrap());
        });
    }
}

#[test]
fn cancelled_fibers_unwind_once_and_are_seen_as_cancelled() {
    for workers in 1..=4 {
        for floating in [false, true] {
            for seed in seeds() {
                let dropped = Arc::new(AtomicUsize::new(0));
                let handles = Check::new()
                    .workers(workers)
                    .floating(floating)
                    .seed(seed)
                    .run({
                        let dropped = Arc::clone(&dropped);
                        move || {
                            let handles: Vec<_> = (0..5)
                                .map(|_| {
                                    let counted = Counted(Arc::clone(&dropped));
                                    fibers::spawn(move || {
                                        let _counted = counted;
                                        loop {
                                            fibers::park();
                                            perhaps_yield();
                                        }
                                    })
                                })
                                .collect();
                            (0..testing::random(10)).for_each(|_| fibers::yield_now());
                            handles
                        }
                    });
                assert_eq!(dropped.load(SeqCst), 5);
                for handle in handles {
                    let payload = handle.join().map(|()| ()).expect_err("it ran for ever");
                    assert!(payload.is::<Cancelled>());
                }
            }
        }
    }
}

#[test]
fn a_cancelled_waiter_passes_the_baton_on() {
    all(|| {
        let permits = Arc::new(Permits::default());
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let permits = Arc::clone(&permits);
                fibers::spawn(move || {
                    perhaps_yield();
                    permits.take();
                    let _back = GivesBack(permits);
                    perhaps_yield();
                })
            })
            .collect();
        let victim = takers[testing::random(3)].fiber().clone();
        let canceller = fibers::spawn(move || {
            perhaps_yield();
            testing::cancel(&victim);
        });
        perhaps_yield();
        permits.give(1);
        let ended = takers.into_iter().map(fibers::JoinHandle::join);
        let lost = ended.filter(Result::is_err).count();
        assert!(lost <= 1);
        canceller.join().unwrap();
        assert!(permits.queue.is_empty());
        assert_eq!(permits.free.load(SeqCst), 1);
    });
}
