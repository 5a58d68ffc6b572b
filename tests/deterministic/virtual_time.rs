//! Virtual time: it jumps where nothing else is left, also during the stop; a deadlock is still one.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fibers::testing::{self, Check, explore};
use fibers::time::{Instant, sleep, timeout};
use fibers::wait::{self, Reasons};

use crate::retries::{self, Outcome};
use crate::{HOUR, LATE, each, perhaps_yield, some_seeds};

/// The text of the failure that the run must end with.
fn failure(check: Check, body: impl FnOnce() + Send + 'static) -> String {
    let run = std::panic::AssertUnwindSafe(|| check.run(body));
    let payload = catch_unwind(run).expect_err("the run fails");
    payload.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn an_hour_of_sleep_takes_few_steps_and_is_an_hour() {
    each(|check, which| {
        let slept = check.max_steps(5_000).run(|| {
            let start = Instant::now();
            let fibers: Vec<_> = (1..=6)
                .map(|n| {
                    fibers::spawn(move || {
                        for _ in 0..4 {
                            perhaps_yield();
                            sleep(Duration::from_secs(150 * n));
                        }
                    })
                })
                .collect();
            fibers.into_iter().for_each(|f| f.join().unwrap());
            start.elapsed()
        });
        assert!(
            (HOUR..HOUR + 10 * LATE).contains(&slept),
            "{which}: {slept:?}"
        );
    });
}

#[test]
fn the_same_seed_is_the_same_run_with_time_in_it() {
    let run = |seed| {
        Check::new().workers(3).seed(seed).run(|| {
            let start = Instant::now();
            let fibers: Vec<_> = (0..5)
                .map(|n| {
                    fibers::spawn(move || {
                        let nap = Duration::from_micros(testing::random(100) as u64 * n);
                        let slept = timeout(Duration::from_micros(150), || sleep(nap)).is_ok();
                        (start.elapsed(), slept, testing::worker())
                    })
                })
                .collect();
            let ends: Vec<_> = fibers.into_iter().map(|f| f.join().unwrap()).collect();
            (ends, start.elapsed())
        })
    };
    for seed in 0..50 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

#[test]
fn a_deadlock_is_found_at_once_whatever_slept_before() {
    each(|check, which| {
        let text = failure(check.max_steps(3_000), || {
            let sleepers: Vec<_> = (0..testing::random(4))
                .map(|n| fibers::spawn(move || sleep(Duration::from_secs(n as u64))))
                .collect();
            sleepers.into_iter().for_each(|f| f.join().unwrap());
            // Fruitless: a deadline that is taken back leaves nothing to wait for.
            let _ = timeout(Duration::from_secs(1), || wait::sleep(Reasons::USER1));
            wait::sleep(Reasons::USER2);
        });
        assert!(
            text.contains("nothing can go on: a deadlock"),
            "{which}: {text}"
        );
        assert!(
            text.contains("fiber 'root'") && text.contains("parked, waits for USER2\n"),
            "{which}: {text}"
        );
    });
}

#[test]
fn a_sleep_without_end_is_a_deadlock() {
    for forever in [Duration::MAX, Duration::from_secs(u64::MAX)] {
        let text = failure(Check::new().max_steps(3_000), move || sleep(forever));
        assert!(text.contains("nothing can go on"), "{text}");
        assert!(
            text.contains("parked, waits for TIMEOUT | CALL | CANCEL\n"),
            "{text}"
        );
    }
}

#[test]
fn centuries_pass_and_then_time_is_at_its_end() {
    let century = Duration::from_secs(100 * 365 * 86_400);
    Check::new().run(move || (0..5).for_each(|_| sleep(century)));
    let text = failure(Check::new(), move || (0..6).for_each(|_| sleep(century)));
    assert!(text.contains("nothing can go on"), "{text}");
}

/// A dry worker that had work in sight waited for a moment beyond the end of time: its sum overflowed, or it searched
/// for ever, as time no longer moved.
#[test]
fn regression_work_goes_on_at_the_end_of_time() {
    for floating in [false, true] {
        let check = move |check: Check| check.workers(3).floating(floating);
        // Not more: of some seeds the run has taken too long by then, and the sleep is one without end.
        explore(0..50, check, || {
            // The run began a day after zero.
            let left = Duration::from_secs(86_400) + Duration::from_millis(3);
            sleep(Duration::from_nanos(u64::MAX) - left);
            for _ in 0..60 {
                let fibers = [1; 8].map(|one| {
                    fibers::spawn(move || {
                        perhaps_yield();
                        one
                    })
                });
                let sum: u32 = fibers.into_iter().map(|f| f.join().unwrap()).sum();
                assert_eq!(sum, 8);
            }
        });
    }
}

#[test]
fn a_run_that_does_not_end_shows_deadlines() {
    for floating in [false, true] {
        let check = Check::new().max_steps(2_000).floating(floating);
        let text = failure(check, || {
            drop(fibers::spawn(move || timeout(HOUR, fibers::park)));
            drop(fibers::spawn(move || sleep(HOUR)));
            loop {
                fibers::yield_now();
            }
        });
        assert!(text.contains("the run does not end"), "{text}");
        let lines: Vec<_> = text
            .lines()
            .filter(|line| line.contains("parked"))
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        let both = lines.join("\n");
        assert!(
            both.contains("parked, waits for UNPARK, until 3600.0s from now"),
            "{text}"
        );
        assert!(both.contains("parked, until 3600.0s from now"), "{text}");
    }
}

/// The machine stops when the root has ended. What is shielded then goes on, and so does time.
#[test]
fn time_goes_on_while_the_machine_stops() {
    each(|check, which| {
        let done = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&done);
        let started = check.max_steps(5_000).run(move || {
            let started = Arc::new(AtomicUsize::new(0));
            for _ in 0..4 {
                let (done, started) = (Arc::clone(&seen), Arc::clone(&started));
                drop(fibers::spawn(move || {
                    started.fetch_add(1, SeqCst);
                    fibers::shield(|| {
                        let start = Instant::now();
                        (0..4).for_each(|_| sleep(HOUR / 4));
                        assert!(start.elapsed() >= HOUR);
                        // A deadline set inside a shield works there.
                        let never = || wait::sleep(Reasons::USER0);
                        timeout(Duration::from_secs(1), never).unwrap_err();
                        done.fetch_add(1, SeqCst);
                    });
                    sleep(Duration::from_secs(1));
                    unreachable!("the stop has cancelled it");
                }));
            }
            (0..testing::random(20)).for_each(|_| fibers::yield_now());
            started.load(SeqCst)
        });
        // Those that had not started by the stop never do.
        assert!(done.load(SeqCst) >= started, "{which}");
    });
}

/// A fiber that looks at the clock until a deadline, and never waits: each look brings it nearer.
#[test]
fn a_busy_loop_over_the_clock_ends() {
    each(|check, _| {
        check.run(|| {
            let end = Instant::now() + Duration::from_micros(200);
            while Instant::now() < end {}
            let end = Instant::now() + Duration::from_micros(200);
            while Instant::now() < end {
                fibers::yield_now();
            }
        });
    });
}

/// The program of `examples/retries.rs`, in both modes.
#[test]
fn an_hour_of_retries_is_tested_many_times_over() {
    let outcome = Arc::new(Outcome::default());
    for floating in [false, true] {
        let all_runs = Arc::clone(&outcome);
        let check = move |check: Check| check.workers(3).floating(floating);
        explore(some_seeds(), check, move || retries::run(&all_runs));
    }
    assert!(outcome.answered.load(SeqCst) > 0 && outcome.gave_up.load(SeqCst) > 0);
}
