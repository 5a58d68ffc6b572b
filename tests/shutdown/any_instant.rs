//! A machine full of everything may be dropped at any instant: whatever was made is dropped, once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{self, MODES, Random, Test};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Handle, JoinHandle, Priority};

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
    common::silence_panics();
    common::silence_panics_that(|info| {
        let text = info.payload_as_str().unwrap_or_default();
        text.starts_with("failed to spawn a fiber") && text.contains("shut down")
    });
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
}
