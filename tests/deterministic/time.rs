//! Time: nothing that waits for a moment goes on before it, nor much after it; ticks keep their schedule.

use std::time::Duration;

use fibers::testing::{self, Check, explore};
use fibers::time::{Instant, MissedTick, interval, interval_at, sleep, sleep_until, timeout};
use fibers::wait::{self, Reasons, WaitQueue};

use crate::{HOUR, LATE, all, assert_on_time, perhaps_yield, seeds, taken, us, wait_for_ever};

/// From nothing to seconds.
fn some_time() -> Duration {
    match testing::random(5) {
        0 => us(testing::random(3)),
        1 => us(testing::random(3_000_000)),
        _ => us(testing::random(200)),
    }
}

/// One timed wait, in one of all the ways there are.
fn wait_timed() {
    let time = some_time();
    let (took, ()) = match testing::random(6) {
        0 => taken(|| sleep(time)),
        1 => taken(|| sleep_until(Instant::now() + time)),
        2 => taken(|| {
            let came = wait::sleep_until(Reasons::USER0, Instant::now() + time);
            assert_eq!(came, Reasons::TIMEOUT);
        }),
        3 => taken(|| {
            let came = wait::sleep_until(Reasons::NONE, Instant::now() + time);
            assert_eq!(came, Reasons::TIMEOUT);
        }),
        4 => taken(|| assert!(!WaitQueue::new().wait_timeout(time, || false))),
        _ => {
            let fiber = fibers::spawn(wait_for_ever);
            let (took, end) = taken(|| fiber.join_timeout(time));
            let fiber = end.expect_err("it does not end");
            fiber.cancel().unwrap();
            assert!(fiber.join().is_err());
            (took, ())
        }
    };
    assert_on_time(took, time);
}

#[test]
fn timed_waits_are_never_early_and_hardly_late() {
    all(|| {
        let fibers: Vec<_> = (0..5)
            .map(|_| {
                fibers::spawn(|| {
                    for _ in 0..4 {
                        perhaps_yield();
                        wait_timed();
                    }
                })
            })
            .collect();
        fibers.into_iter().for_each(|f| f.join().unwrap());
    });
}

/// `park_timeout` may return for nothing, so here nothing is woken for nothing.
#[test]
fn a_park_with_a_timeout_is_never_early() {
    for seed in seeds() {
        let check = Check::new().workers(1 + seed as usize % 4).seed(seed);
        check.floating(seed % 8 > 3).spurious(false).run(|| {
            for _ in 0..5 {
                let time = some_time();
                let (took, ()) = taken(|| fibers::park_timeout(time));
                assert_on_time(took, time);
            }
            // A permit ends it, also one that is there already; then it is used up.
            fibers::current().unpark();
            assert!(taken(|| fibers::park_timeout(HOUR)).0 < LATE);
            fibers::current().unpark();
            fibers::park_timeout(Duration::ZERO);
            assert_on_time(taken(|| fibers::park_timeout(us(10))).0, us(10));
        });
    }
}

#[test]
fn a_timed_wait_ends_early_for_what_it_waits_for() {
    all(|| {
        let (me, time) = (fibers::current(), us(testing::random(100)));
        let helper = fibers::spawn(move || {
            sleep(time);
            wait::wake(&me, Reasons::USER0);
            7
        });
        let (took, came) = taken(|| wait::sleep_until(Reasons::USER0, Instant::now() + HOUR));
        assert!(came.contains(Reasons::USER0) && took < LATE, "{took:?}");
        let (took, end) = taken(|| helper.join_timeout(HOUR));
        assert_eq!(end.expect("it has ended").unwrap(), 7);
        assert!(took < LATE, "{took:?}");
    });
}

#[test]
fn a_sleep_of_nothing_lets_others_run() {
    for seed in seeds() {
        Check::new().workers(1).seed(seed).run(|| {
            let other = fibers::spawn(|| {});
            while !other.is_finished() {
                match testing::random(3) {
                    0 => sleep(Duration::ZERO),
                    1 => sleep_until(Instant::now()),
                    _ => sleep_until(Instant::now() - HOUR),
                }
            }
        });
    }
}

/// Ticks of a fiber that is sometimes late, with the moments before and after each call.
fn ticks(missed: MissedTick) -> (Instant, Duration, Vec<[Instant; 3]>) {
    let period = us(10 + testing::random(50));
    let start = Instant::now() + us(testing::random(50));
    let mut ticks = interval_at(start, period).with_missed_tick(missed);
    let rounds = (0..12).map(|_| {
        match testing::random(4) {
            0 => sleep(us(testing::random(300))),
            1 => perhaps_yield(),
            _ => {}
        }
        let before = Instant::now();
        let tick = ticks.tick();
        let after = Instant::now();
        assert!(tick <= after, "early");
        assert!(after < tick.max(before) + LATE, "late");
        [before, tick, after]
    });
    let rounds: Vec<_> = rounds.collect();
    assert_eq!(rounds[0][1], start);
    (start, period, rounds)
}

#[test]
fn missed_ticks_are_caught_up_in_a_burst() {
    all(|| {
        let (start, period, rounds) = ticks(MissedTick::Burst);
        for (n, [_, tick, _]) in rounds.iter().enumerate() {
            assert_eq!(*tick, start + period * n as u32);
        }
    });
}

#[test]
fn missed_ticks_delay_those_after_them() {
    all(|| {
        let (_, period, rounds) = ticks(MissedTick::Delay);
        for two in rounds.windows(2) {
            let ([before, tick, after], next) = (two[0], two[1][1]);
            assert!(next >= before.max(tick) + period || before < tick + period);
            if next != tick + period {
                // The tick was missed by a period, or more: one period from when it was noticed.
                assert!(before.max(tick) + period <= next && next <= after + period);
                assert!(after >= tick + period);
            }
        }
    });
}

#[test]
fn missed_ticks_are_skipped() {
    all(|| {
        let (start, period, rounds) = ticks(MissedTick::Skip);
        for two in rounds.windows(2) {
            let ([before, tick, _], next) = (two[0], two[1][1]);
            let since = next.duration_since(start).as_nanos();
            assert_eq!(since % period.as_nanos(), 0, "off the schedule");
            assert!(next >= tick + period && next > before, "not left out");
        }
    });
}

#[test]
fn a_tick_that_was_given_up_is_still_to_come() {
    all(|| {
        let start = Instant::now();
        let mut ticks = interval(4 * LATE);
        assert!(ticks.tick() >= start);
        assert!(timeout(us(10), || ticks.tick()).is_err());
        let next = ticks.tick();
        assert!(next >= start + 4 * LATE && next < start + 5 * LATE);
        ticks.reset();
        let (took, _) = taken(|| ticks.tick());
        assert!(took > 3 * LATE && took < 5 * LATE);
        let mut once = interval(Duration::MAX);
        once.tick();
        assert!(timeout(HOUR, || once.tick()).is_err());
    });
}

/// Thousands of sleepers on few workers: each is woken, none early, in hours of virtual time.
#[test]
fn a_crowd_of_sleepers_is_woken() {
    let few = 0..seeds().end.div_ceil(100);
    for workers in [1, 3] {
        for floating in [false, true] {
            let check = move |check: Check| check.workers(workers).floating(floating);
            explore(few.clone(), check, || {
                let fibers: Vec<_> = (0..500)
                    .map(|_| {
                        let time =
                            us(testing::random(2)) + HOUR / 1000 * testing::random(1000) as u32;
                        let time = time + us(testing::random(3000));
                        fibers::spawn(move || assert!(taken(|| sleep(time)).0 >= time))
                    })
                    .collect();
                fibers.into_iter().for_each(|f| f.join().unwrap());
            });
        }
    }
}
