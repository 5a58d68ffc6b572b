//! What `interval` promises: no tick early, each where the schedule or the policy for missed ticks puts it.
//!
//! Nothing here takes for granted that a fiber is in time: where it is late the policies apply, and the tests
//! say between which two readings of the clock the next tick must then lie.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{MODES, Test, in_every_place};
use fibers::time::{Duration, Instant, Interval, MissedTick, interval, interval_at};
use fibers::{shield, timeout};

const PERIOD: Duration = Duration::from_millis(1);
const POLICIES: [MissedTick; 3] = [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip];

/// Computes until that moment is past.
fn be_late(until: Instant) {
    while Instant::now() <= until {
        std::hint::spin_loop();
    }
}

fn is_on_grid(at: Instant, start: Instant, period: Duration) -> bool {
    (at - start)
        .as_nanos()
        .is_multiple_of(period.as_nanos().max(1))
}

#[test]
fn ticks_come_at_once_and_then_once_in_a_period_and_never_early() {
    fn promise() {
        for policy in POLICIES {
            let before = Instant::now();
            let mut ticks = interval(PERIOD).with_missed_tick(policy);
            let start = ticks.tick();
            assert!(before <= start && start <= Instant::now());
            let mut last = start;
            for n in 1..=10 {
                let asked = Instant::now();
                let at = ticks.tick();
                let now = Instant::now();
                assert!(now >= at, "{policy:?}: early");
                // Missed or not, two ticks are never closer than that.
                assert!(at >= last + PERIOD, "{policy:?}: two ticks in a period");
                match policy {
                    MissedTick::Burst => assert_eq!(at, start + n * PERIOD),
                    MissedTick::Skip => assert!(is_on_grid(at, start, PERIOD)),
                    _ => assert!(at <= asked + PERIOD),
                }
                last = at;
            }
        }
    }
    in_every_place(60, promise);
}

#[test]
fn missed_ticks_are_caught_up_put_off_or_left_out() {
    fn promise() {
        for policy in POLICIES {
            let mut ticks = interval(PERIOD).with_missed_tick(policy);
            let start = ticks.tick();
            let mut last = start;
            for _ in 0..3 {
                be_late(Instant::now() + 6 * PERIOD);
                // The one that came meanwhile is returned without a wait, by all of them.
                let before = Instant::now();
                let late = ticks.tick();
                let after = Instant::now();
                assert!(late >= last + PERIOD && late < before);
                let next = ticks.tick();
                assert!(Instant::now() >= next);
                match policy {
                    MissedTick::Burst => {
                        assert_eq!(late, last + PERIOD);
                        assert_eq!(next, late + PERIOD);
                        // All of them, one after another.
                        for n in 2..6 {
                            assert_eq!(ticks.tick(), late + n * PERIOD);
                        }
                        last = late + 5 * PERIOD;
                    }
                    MissedTick::Delay => {
                        assert!(next >= before + PERIOD && next <= after + PERIOD);
                        last = next;
                    }
                    _ => {
                        assert!(is_on_grid(next, start, PERIOD));
                        assert!(next > before && next <= after + PERIOD);
                        last = next;
                    }
                }
            }
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_start_in_the_past_has_missed_its_ticks_already() {
    fn promise() {
        let Some(start) = Instant::now().checked_sub(10 * PERIOD) else {
            return;
        };
        for policy in POLICIES {
            let mut ticks = interval_at(start, PERIOD).with_missed_tick(policy);
            let before = Instant::now();
            assert_eq!(ticks.tick(), start);
            let after = Instant::now();
            let next = ticks.tick();
            match policy {
                MissedTick::Burst => assert_eq!(next, start + PERIOD),
                MissedTick::Delay => assert!(next >= before + PERIOD && next <= after + PERIOD),
                _ => {
                    assert!(is_on_grid(next, start, PERIOD));
                    assert!(next > before && next <= after + PERIOD);
                }
            }
        }
        let ahead = Instant::now() + 2 * PERIOD;
        let mut ticks = interval_at(ahead, PERIOD);
        assert_eq!(ticks.tick(), ahead);
        assert!(Instant::now() >= ahead);
        let stds = std::time::Instant::now() + PERIOD;
        let at = interval_at(stds, PERIOD).tick();
        assert!(std::time::Instant::from(at) >= stds && std::time::Instant::now() >= stds);
    }
    in_every_place(60, promise);
}

/// Also a period that divides nothing, and one far below what a clock can tell apart.
#[test]
fn left_out_ticks_leave_the_grid_where_it_was() {
    fn promise() {
        for nanos in [1, 7, 333, 1_000_003] {
            let period = Duration::from_nanos(nanos);
            let mut ticks = interval(period).with_missed_tick(MissedTick::Skip);
            let start = ticks.tick();
            let mut last = start;
            for _ in 0..5 {
                be_late(last + 3 * period);
                let at = ticks.tick();
                assert!(at > last && is_on_grid(at, start, period));
                last = at;
            }
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_period_of_zero_ticks_whenever_it_is_asked_and_lets_others_run() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 1);
        for policy in POLICIES {
            let stop = Arc::new(AtomicBool::new(false));
            let ticker = machine.spawn({
                let stop = Arc::clone(&stop);
                move || {
                    let mut ticks = interval(Duration::ZERO).with_missed_tick(policy);
                    let mut last = ticks.tick();
                    let mut count = 0_u64;
                    // A handful at least, and until the other fiber has had its turn.
                    while count < 100 || !stop.load(Ordering::Acquire) {
                        let at = ticks.tick();
                        assert!(at >= last && at <= Instant::now());
                        last = at;
                        count += 1;
                    }
                }
            });
            let other = machine.spawn(move || stop.store(true, Ordering::Release));
            other.join().unwrap();
            ticker.join().unwrap();
        }
    }
}

#[test]
fn a_period_without_end_ticks_once() {
    fn promise() {
        let never = [
            Duration::MAX,
            Duration::from_secs(u64::MAX),
            Duration::from_nanos(u64::MAX),
        ];
        for policy in POLICIES {
            for period in never {
                let mut ticks = interval(period).with_missed_tick(policy);
                ticks.tick();
                for _ in 0..2 {
                    assert!(timeout(PERIOD / 4, || ticks.tick()).is_err());
                    ticks.reset();
                }
                assert_eq!(ticks.period(), period);
                // Late, too.
                let mut ticks =
                    interval_at(Instant::now() + PERIOD, period).with_missed_tick(policy);
                be_late(Instant::now() + 2 * PERIOD);
                ticks.tick();
                assert!(timeout(PERIOD / 4, || ticks.tick()).is_err());
            }
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_tick_that_was_given_up_is_still_to_come() {
    fn promise() {
        for policy in POLICIES {
            let at = Instant::now() + 3 * PERIOD;
            let mut ticks = interval_at(at, PERIOD).with_missed_tick(policy);
            let mut given_up = 0;
            let came = loop {
                match timeout(PERIOD / 3, || ticks.tick()) {
                    Ok(came) => break came,
                    Err(_) => given_up += 1,
                }
                // Without this a late one might be given up for ever.
                if Instant::now() >= at {
                    break shield(|| ticks.tick());
                }
            };
            assert_eq!(came, at, "after {given_up} that were given up");
            assert!(Instant::now() >= at);
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_reset_begins_anew() {
    fn promise() {
        for policy in POLICIES {
            let mut ticks = interval(PERIOD).with_missed_tick(policy);
            ticks.tick();
            // Whatever was missed before is forgotten.
            be_late(Instant::now() + 5 * PERIOD);
            let before = Instant::now();
            ticks.reset();
            let after = Instant::now();
            let at = ticks.tick();
            assert!(at >= before + PERIOD && at <= after + PERIOD, "{policy:?}");
            assert!(Instant::now() >= at);
            // One that was never to tick first.
            let far = Instant::now() + Duration::from_secs(1 << 30);
            let mut ticks = interval_at(far, PERIOD).with_missed_tick(policy);
            let before = Instant::now();
            ticks.reset();
            let after = Instant::now();
            let at = ticks.tick();
            assert!(at >= before + PERIOD && at <= after + PERIOD, "{policy:?}");
        }
    }
    in_every_place(60, promise);
}

#[test]
fn an_interval_is_plain_data_that_says_what_it_does() {
    fn plain<T: Send + Sync + Clone + std::fmt::Debug + Unpin + 'static>() {}
    plain::<Interval>();
    let mut ticks = interval(PERIOD);
    assert_eq!(ticks.period(), PERIOD);
    assert_eq!(ticks.missed_tick(), MissedTick::Burst);
    assert_eq!(MissedTick::default(), MissedTick::Burst);
    for policy in POLICIES {
        ticks.set_missed_tick(policy);
        assert_eq!(ticks.missed_tick(), policy);
        assert_eq!(
            interval(PERIOD).with_missed_tick(policy).missed_tick(),
            policy
        );
        assert!(format!("{ticks:?}").contains(&format!("{policy:?}")));
    }
    // A clone goes its own way from where it was made.
    let mut ticks = interval(PERIOD);
    let start = ticks.tick();
    let mut other = ticks.clone();
    assert_eq!(ticks.tick(), start + PERIOD);
    assert_eq!(other.tick(), start + PERIOD);
    // The policy counts from the next missed tick on.
    be_late(start + 8 * PERIOD);
    ticks.set_missed_tick(MissedTick::Skip);
    assert_eq!(ticks.tick(), start + 2 * PERIOD);
    assert!(ticks.tick() > start + 8 * PERIOD);
    assert_eq!(other.tick(), start + 2 * PERIOD);
    assert_eq!(other.tick(), start + 3 * PERIOD);
}
