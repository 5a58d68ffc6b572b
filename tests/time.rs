//! What `fibers::time` promises: no wait of any length ends early, on whatever it is called; one that gets what
//! it waits for returns it; and one that was given up leaves nothing behind.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant as StdInstant;

use common::{Gate, MODES, Mode, Test, child_case, comes_to_rest, eventually, in_every_place};
use fibers::time::{Duration, Instant, deadline, interval, interval_at};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, Runtime, park_timeout, sleep, sleep_until, timeout};

const YEARS_600: Duration = Duration::from_secs(600 * 366 * 86_400);

/// The last moment that our clock can show.
fn end_of_time() -> Instant {
    Instant::from(StdInstant::now() + YEARS_600)
}

fn after(duration: Duration) -> Instant {
    let sum = Instant::now().checked_add(duration);
    sum.unwrap_or_else(end_of_time)
}

fn std_after(duration: Duration) -> StdInstant {
    let now = StdInstant::now();
    now.checked_add(duration).unwrap_or(now + YEARS_600)
}

/// A wait that returns after so long, if nobody disturbs it.
type Wait = (&'static str, fn(Duration));

/// Each of the timed waits.
const WAITS: &[Wait] = &[
    ("sleep", sleep),
    ("sleep_until", |duration| sleep_until(after(duration))),
    ("sleep_until, std's", |duration| {
        sleep_until(std_after(duration));
    }),
    ("park_timeout", park_timeout),
    ("join_timeout", |duration| {
        let parked = fibers::spawn(fibers::park);
        let parked = parked.join_timeout(duration).expect_err("it is parked");
        parked.fiber().unpark();
        parked.join().unwrap();
    }),
    ("join_timeout in a scope", |duration| {
        fibers::scope(|s| {
            let parked = s.spawn(fibers::park);
            let parked = parked.join_timeout(duration).expect_err("it is parked");
            parked.fiber().unpark();
            parked.join().unwrap();
        });
    }),
    ("wait::sleep_until", |duration| {
        let came = wait::sleep_until(Reasons::USER0, after(duration));
        assert_eq!(came, Reasons::TIMEOUT);
    }),
    ("wait::sleep_until for nothing", |duration| {
        let came = wait::sleep_until(Reasons::NONE, after(duration));
        assert_eq!(came, Reasons::TIMEOUT);
    }),
    ("wait_timeout", |duration| {
        assert!(!WaitQueue::new().wait_timeout(duration, || false));
    }),
    ("timeout", |duration| {
        timeout(duration, fibers::park).unwrap_err();
    }),
    ("deadline", |duration| {
        deadline(after(duration), fibers::park).unwrap_err();
    }),
    ("deadline, std's", |duration| {
        deadline(std_after(duration), fibers::park).unwrap_err();
    }),
    ("interval", |duration| {
        let mut ticks = interval(duration);
        ticks.tick();
        ticks.tick();
    }),
    ("interval_at", |duration| {
        interval_at(after(duration), Duration::ZERO).tick();
    }),
];

const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

/// Those that a test can wait for.
const SHORT: &[Duration] = &[
    Duration::ZERO,
    ns(1),
    ns(2),
    ns(10),
    ns(100),
    ns(999),
    ns(1_000),
    ns(1_001),
    ns(50_000),
    ns(100_000),
    ns(500_000),
    ns(999_999),
    ns(1_000_000),
    ns(1_000_001),
    ns(1_999_999),
    ns(3_000_000),
];

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Those that no test can wait for, round the limits of what may lie in between: integers of milli-, micro- and
/// nanoseconds, the kernel's clocks, `Duration` itself.
const LONG: &[Duration] = &[
    Duration::from_secs(3600),
    Duration::from_micros(u32::MAX as u64),
    Duration::from_secs(86_400),
    ms(i32::MAX as u64 - 1), // 24.8 days
    ms(i32::MAX as u64),
    ms(i32::MAX as u64 + 1),
    ms(u32::MAX as u64 - 1),
    ms(u32::MAX as u64),
    ms(u32::MAX as u64 + 1),
    Duration::from_secs(i32::MAX as u64),
    Duration::from_secs(u32::MAX as u64),
    Duration::from_secs(u32::MAX as u64 + 1),
    ns(i64::MAX as u64 / 2),
    ns(i64::MAX as u64 - 1_000_000_000_000_000),
    ns(i64::MAX as u64 - 1),
    ns(i64::MAX as u64),
    ns(i64::MAX as u64 + 1),
    ns(u64::MAX - 1_000_000_000_000_000),
    ns(u64::MAX - 1),
    ns(u64::MAX),
    Duration::new(u64::MAX / 1_000_000_000 + 1, 0),
    Duration::from_micros(i64::MAX as u64),
    Duration::from_micros(u64::MAX),
    ms(u64::MAX),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(i64::MAX as u64 + 1),
    Duration::from_secs(u64::MAX - 1),
    Duration::from_secs(u64::MAX),
    Duration::new(u64::MAX, 999_999_998),
    Duration::MAX,
];

#[test]
fn no_wait_ends_early() {
    fn one_after_another() {
        for (name, wait) in WAITS {
            for &duration in SHORT {
                let begin = StdInstant::now();
                wait(duration);
                let took = begin.elapsed();
                assert!(took >= duration, "{name} of {duration:?} took {took:?}");
            }
        }
    }
    fn promise() {
        let others = [(); 3].map(|()| fibers::spawn(one_after_another));
        one_after_another();
        for fiber in others {
            fiber.join().unwrap();
        }
    }
    in_every_place(60, promise);
}

/// Whoever must not switch blocks the worker, and keeps its time all the same.
#[test]
fn no_wait_on_the_worker_stack_ends_early() {
    fn promise() {
        for &duration in SHORT {
            let begin = StdInstant::now();
            fibers::on_worker_stack(|| {
                sleep(duration);
                park_timeout(duration);
                timeout(duration, fibers::park).unwrap_err();
                assert!(!WaitQueue::new().wait_timeout(duration, || false));
            });
            let took = begin.elapsed();
            assert!(took >= 4 * duration, "four of {duration:?} took {took:?}");
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_local_handle_s_wait_does_not_end_early() {
    fn promise() {
        for &duration in SHORT {
            let begin = StdInstant::now();
            let parked = fibers::spawn_local(fibers::park);
            let parked = parked.join_timeout(duration).expect_err("it is parked");
            assert!(begin.elapsed() >= duration);
            parked.thread().unpark();
            parked
                .join_timeout(Duration::MAX)
                .expect("unparked")
                .unwrap();
        }
    }
    let test = Test::new(60);
    test.local().run(promise);
    test.machine(Mode::Pinned, 2).run(promise);
}

/// Each is begun and given up again: by a deadline, and by cancellation.
#[test]
fn a_wait_may_be_as_long_as_duration_can_say() {
    fn promise() {
        let mut limited = Vec::new();
        let mut cancelled = Vec::new();
        for (name, wait) in WAITS {
            for &duration in LONG {
                let limit = move || timeout(ms(20), || wait(duration));
                limited.push((name, duration, fibers::spawn(limit)));
                cancelled.push((name, duration, fibers::spawn(move || wait(duration))));
            }
        }
        for (name, duration, fiber) in limited {
            let ended = fiber.join().unwrap();
            assert!(ended.is_err(), "{name} of {duration:?} returned");
        }
        for (name, duration, fiber) in cancelled {
            assert!(
                !fiber.is_finished(),
                "{name} of {duration:?} returned, or panicked"
            );
            fiber.cancel().unwrap();
            let payload = fiber.join().unwrap_err();
            assert!(payload.is::<Cancelled>(), "{name} of {duration:?}");
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_wait_of_a_thread_may_be_as_long_as_duration_can_say() {
    let _test = Test::new(60);
    std::thread::scope(|s| {
        for (name, wait) in WAITS {
            s.spawn(move || {
                for &duration in LONG {
                    let ended = timeout(ms(2), || wait(duration));
                    assert!(ended.is_err(), "{name} of {duration:?} returned");
                }
            });
        }
    });
}

/// In a process of its own, as it looks at the time that the whole process computes.
#[test]
fn far_deadlines_cost_no_cpu() {
    if child_case().is_none() {
        common::child_for("far_deadlines_cost_no_cpu", "rest", &[], 30).passed();
        return;
    }
    let test = Test::new(30);
    let mut fibers = Vec::new();
    // All of them; and on a machine of their own those that a signed count of nanoseconds cannot hold.
    let machines = [LONG, &LONG[16..]].map(|durations| {
        MODES.map(|mode| {
            let machine = test.machine(mode, 2);
            for (at, &duration) in durations.iter().cycle().take(100).enumerate() {
                fibers.push(machine.spawn(move || (WAITS[at % WAITS.len()].1)(duration)));
            }
            machine
        })
    });
    for &duration in &LONG[20..] {
        // They end with the process.
        std::thread::spawn(move || sleep(duration));
        std::thread::spawn(move || timeout(duration, fibers::park));
    }
    for machine in machines.as_flattened() {
        eventually(|| machine.metrics().parked >= 100);
    }
    assert!(comes_to_rest(ms(200)), "somebody spins");
    for fiber in fibers {
        assert!(!fiber.is_finished());
        fiber.cancel().unwrap();
        assert!(fiber.join().unwrap_err().is::<Cancelled>());
    }
}

#[test]
fn a_timed_wait_returns_what_it_waits_for() {
    fn promise() {
        for limit in [Duration::from_secs(3600), ns(u64::MAX), Duration::MAX] {
            fibers::current().unpark();
            park_timeout(limit);
            let me = fibers::current();
            let helper = fibers::spawn(move || {
                fibers::yield_now();
                me.unpark();
            });
            park_timeout(limit);
            helper.join_timeout(limit).unwrap().unwrap();

            assert_eq!(fibers::spawn(|| 7).join_timeout(limit).unwrap().unwrap(), 7);
            let failed = fibers::spawn(|| std::panic::panic_any(common::Expected(1)));
            let failed: std::thread::Result<()> = failed.join_timeout(limit).unwrap();
            assert!(failed.unwrap_err().is::<common::Expected>());
            let (gate, number) = (Gate::new(), 8);
            fibers::scope(|s| {
                let scoped = s.spawn(|| {
                    gate.wait();
                    number
                });
                gate.open();
                assert_eq!(scoped.join_timeout(limit).unwrap().unwrap(), 8);
            });

            let me = fibers::current();
            let helper = fibers::spawn(move || wait::wake(&me, Reasons::USER0 | Reasons::USER1));
            assert_eq!(
                wait::sleep_until(Reasons::USER0, after(limit)),
                Reasons::USER0
            );
            helper.join().unwrap();
            assert_eq!(wait::prepare(Reasons::USER1), Reasons::USER1);

            let shared = Arc::new((AtomicBool::new(false), WaitQueue::new()));
            let helper = fibers::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    shared.0.store(true, Ordering::Release);
                    shared.1.wake_one();
                }
            });
            let there = shared
                .1
                .wait_timeout(limit, || shared.0.load(Ordering::Acquire));
            assert!(there);
            helper.join().unwrap();
        }
    }
    common::silence_panics();
    in_every_place(60, promise);
}

#[test]
fn a_wait_for_no_time_takes_what_is_there() {
    fn promise() {
        fibers::current().unpark();
        park_timeout(Duration::ZERO);
        assert_eq!(wait::prepare(Reasons::UNPARK), Reasons::NONE, "it took it");
        let fiber = fibers::spawn(|| 3);
        eventually(|| fiber.is_finished());
        let there = fiber.join_timeout(Duration::ZERO);
        assert_eq!(there.unwrap().unwrap(), 3);
        assert!(WaitQueue::new().wait_timeout(Duration::ZERO, || true));
        wait::wake(&fibers::current(), Reasons::USER0);
        let past = Instant::now();
        assert_eq!(wait::sleep_until(Reasons::USER0, past), Reasons::USER0);
        assert_eq!(wait::sleep_until(Reasons::USER0, past), Reasons::TIMEOUT);
        let long_past = StdInstant::now().checked_sub(YEARS_600);
        if let Some(long_past) = long_past {
            sleep_until(long_past);
        }
    }
    in_every_place(60, promise);
}

#[test]
fn a_wait_that_was_given_up_leaves_nothing_behind() {
    fn promise() {
        let (gate, queue) = (Arc::new(Gate::new()), WaitQueue::new());
        let mut fiber = fibers::spawn({
            let gate = Arc::clone(&gate);
            move || {
                gate.wait();
                5
            }
        });
        for _ in 0..3 {
            fiber = fiber.join_timeout(ns(100_000)).unwrap_err();
            assert!(!queue.wait_timeout(ns(100_000), || false));
            assert!(queue.is_empty() && !queue.wake_one());
            park_timeout(ns(100_000));
            timeout(ns(100_000), || queue.wait_until(|| false)).unwrap_err();
            assert!(queue.is_empty() && !queue.wake_one());
        }
        assert_eq!(wait::prepare(Reasons::SENDABLE), Reasons::NONE);
        // No reason of those waits ends another one.
        let me = fibers::current();
        let all = !Reasons::CANCEL & !Reasons::TIMEOUT;
        let helper = fibers::spawn(move || wait::wake(&me, Reasons::USER0));
        assert_eq!(wait::sleep(all), Reasons::USER0);
        helper.join().unwrap();
        gate.open();
        assert_eq!(fiber.join().unwrap(), 5);
    }
    in_every_place(60, promise);
}

/// Calls that come during a timed wait run, and do not shorten it.
#[test]
fn calls_are_served_during_a_timed_wait() {
    const WAITED: Duration = ms(10);
    const SERVING: &[Wait] = &[
        ("sleep", sleep),
        ("sleep_until", |duration| sleep_until(after(duration))),
        ("park_timeout", park_timeout),
        ("join_timeout", WAITS[4].1),
    ];
    common::in_both_modes(60, 2, |_, machine, _| {
        for (name, wait) in SERVING {
            // Until one came in time.
            while !serves(machine, name, *wait, WAITED) {}
        }
    });
}

/// Sends calls to a fiber that waits so; true if one ran before the wait was over.
fn serves(machine: &Runtime, name: &str, wait: fn(Duration), duration: Duration) -> bool {
    let waits = Arc::new(Gate::new());
    let over = Arc::new(AtomicBool::new(false));
    let sleeper = machine.spawn({
        let (waits, over) = (Arc::clone(&waits), Arc::clone(&over));
        move || {
            let begin = StdInstant::now();
            waits.open();
            wait(duration);
            over.store(true, Ordering::Release);
            begin.elapsed()
        }
    });
    waits.wait();
    let mut in_time = false;
    while !sleeper.is_finished() {
        let over = Arc::clone(&over);
        let call = sleeper.fiber().call(move || {
            let in_time = !over.load(Ordering::Acquire);
            // A call may wait itself, with a time of its own.
            sleep(ns(1000));
            timeout(ns(1000), fibers::park).unwrap_err();
            in_time
        });
        if let Ok(call) = call {
            in_time |= call.wait().unwrap();
        }
    }
    let took = sleeper.join().unwrap();
    assert!(took >= duration, "{name} took {took:?}");
    in_time
}

/// Where the monotonic clock began long ago, by a time namespace: what is computed with it is far from zero.
#[test]
fn nothing_is_early_where_the_clock_is_years_ahead() {
    const NAME: &str = "nothing_is_early_where_the_clock_is_years_ahead";
    const YEAR_S: u64 = 366 * 86_400;
    if let Some(years) = child_case() {
        let years: u64 = years.parse().unwrap();
        let offset = Duration::from_secs(years * YEAR_S);
        assert!(
            Instant::now().checked_sub(offset).is_some(),
            "the clock was not moved"
        );
        return;
    }
    const SOON: &str = "no_wait_ends_early";
    const FAR: &str = "a_wait_of_a_thread_may_be_as_long_as_duration_can_say";
    const REST: &str = "far_deadlines_cost_no_cpu";
    // The second is nearly as much as the kernel allows.
    for (years, tests) in [("10", &[SOON, FAR, REST][..]), ("140", &[FAR, REST])] {
        let offset = (years.parse::<u64>().unwrap() * YEAR_S).to_string();
        let tool = ["unshare", "--time", "--fork", "--monotonic", &offset];
        let tried = std::process::Command::new(tool[0])
            .args(&tool[1..])
            .arg("true")
            .output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            println!("skipped: no unshare here that may make a time namespace");
            return;
        }
        common::child_under(&tool, NAME, years, 30).passed();
        for test in tests {
            common::child_under(&tool, test, "years ahead", 60).passed();
        }
    }
}
