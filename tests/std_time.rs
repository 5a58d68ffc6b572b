//! What std promises of `Instant`, `thread::sleep` and `thread::park_timeout`, kept by ours; and the way from std's
//! instants to ours and back.
//!
//! As in `std_thread.rs` the promises are written once and compiled twice.

mod common;

use std::time::{Duration, Instant as StdInstant};

use common::in_every_place;
use fibers::time::Instant;

macro_rules! promises {
    ($($instant:ident)::+, $($thread:ident)::+) => {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::time::Duration;
        use $($instant)::+ as Instant;
        use $($thread)::+ as thread;

        /// What `Instant` itself can show, whatever the time is.
        const NEAR: [Duration; 9] = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_nanos(999_999_999),
            Duration::from_secs(1),
            Duration::from_millis(i32::MAX as u64),
            Duration::from_millis(u32::MAX as u64),
            Duration::from_secs(100 * 366 * 86_400),
            Duration::from_nanos(i64::MAX as u64),
            Duration::from_secs(500 * 366 * 86_400),
        ];

        fn text_of(panic: Box<dyn std::any::Any + Send>) -> String {
            match panic.downcast::<String>() {
                Ok(text) => *text,
                Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
            }
        }

        pub fn an_instant_plus_a_duration_is_later_by_it() {
            let now = Instant::now();
            for duration in NEAR {
                let then = now + duration;
                assert_eq!(now.checked_add(duration), Some(then));
                assert_eq!(then - now, duration);
                assert_eq!(then - duration, now);
                assert_eq!(then.checked_sub(duration), Some(now));
                assert_eq!(then.duration_since(now), duration);
                assert_eq!(then.saturating_duration_since(now), duration);
                assert_eq!(then.checked_duration_since(now), Some(duration));
                assert_eq!(now.cmp(&then), Duration::ZERO.cmp(&duration));
                assert_eq!(now == then, duration.is_zero());
                let mut moved = now;
                moved += duration;
                assert_eq!(moved, then);
                moved -= duration;
                assert_eq!(moved, now);
            }
        }

        pub fn the_time_since_a_later_instant_is_none() {
            let now = Instant::now();
            for duration in NEAR.into_iter().filter(|duration| !duration.is_zero()) {
                let then = now + duration;
                assert_eq!(now - then, Duration::ZERO);
                assert_eq!(now.duration_since(then), Duration::ZERO);
                assert_eq!(now.saturating_duration_since(then), Duration::ZERO);
                assert_eq!(now.checked_duration_since(then), None);
            }
            let later = Instant::now() + Duration::from_secs(3600);
            assert_eq!(later.elapsed(), Duration::ZERO);
        }

        pub fn what_an_instant_cannot_show_is_refused() {
            let now = Instant::now();
            for duration in [Duration::from_secs(u64::MAX), Duration::MAX] {
                assert_eq!(now.checked_add(duration), None);
                assert_eq!(now.checked_sub(duration), None);
            }
            let sum = std::panic::catch_unwind(|| now + Duration::MAX);
            let text = text_of(sum.unwrap_err());
            assert!(text.contains("overflow when adding duration to instant"), "{text}");
            let difference = std::panic::catch_unwind(|| now - Duration::MAX);
            let text = text_of(difference.unwrap_err());
            assert!(text.contains("overflow when subtracting duration from instant"), "{text}");
        }

        pub fn time_does_not_go_back() {
            let mut last = Instant::now();
            for _ in 0..1000 {
                let now = Instant::now();
                assert!(now >= last);
                last = now;
                thread::yield_now();
            }
            let seen = thread::spawn(move || (Instant::now() >= last, last.elapsed())).join();
            assert!(seen.unwrap().0);
        }

        pub fn an_instant_is_plain_data() {
            fn plain<T: Send + Sync + Copy + Ord + std::hash::Hash + std::fmt::Debug + Unpin>() {}
            fn safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
            plain::<Instant>();
            safe::<Instant>();
            assert!(format!("{:?}", Instant::now()).starts_with("Instant"));
        }

        pub fn sleep_sleeps_for_as_long_at_least() {
            for micros in [0, 1, 999, 1000, 1001, 5000] {
                let (begin, long) = (Instant::now(), Duration::from_micros(micros));
                thread::sleep(long);
                assert!(begin.elapsed() >= long);
            }
            let begin = Instant::now();
            thread::scope(|s| {
                for _ in 0..10 {
                    s.spawn(|| thread::sleep(Duration::from_millis(5)));
                }
            });
            assert!(begin.elapsed() >= Duration::from_millis(5));
        }

        pub fn an_unpark_ends_a_park_timeout() {
            let limit = Duration::from_secs(3600);
            thread::current().unpark();
            thread::park_timeout(limit);
            let parked = Arc::new(AtomicBool::new(true));
            let other = thread::spawn({
                let parked = Arc::clone(&parked);
                move || {
                    while parked.load(Ordering::Acquire) {
                        thread::park_timeout(limit);
                    }
                }
            });
            parked.store(false, Ordering::Release);
            other.thread().unpark();
            other.join().unwrap();
        }

        pub fn a_park_timeout_ends_by_itself() {
            for micros in [0, 1, 1000] {
                thread::park_timeout(Duration::from_micros(micros));
            }
            // The permit is taken, and is then gone.
            thread::current().unpark();
            thread::park_timeout(Duration::from_secs(3600));
            thread::park_timeout(Duration::from_micros(1));
        }
    };
}

mod with_std {
    promises!(std::time::Instant, std::thread);
}
mod ours {
    promises!(fibers::time::Instant, fibers::thread);
}

macro_rules! tests {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            silence_overflows();
            with_std::$name();
            in_every_place(60, ours::$name);
        })*
    };
}

tests! {
    an_instant_plus_a_duration_is_later_by_it,
    the_time_since_a_later_instant_is_none,
    what_an_instant_cannot_show_is_refused,
    time_does_not_go_back,
    an_instant_is_plain_data,
    sleep_sleeps_for_as_long_at_least,
    an_unpark_ends_a_park_timeout,
    a_park_timeout_ends_by_itself,
}

/// The panics of the one test that means them.
fn silence_overflows() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or_default();
            if !text.starts_with("overflow when ") {
                before(info);
            }
        }));
    });
}

const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// The same moment on both clocks, or a little later (the two are read one after the other), but never earlier.
#[test]
fn an_instant_converts_into_std_s_and_back_and_is_never_earlier_then() {
    fn promise() {
        // Often, as it is about a few nanoseconds.
        let ahead = [Duration::ZERO, Duration::from_millis(1), YEAR, 500 * YEAR];
        for ahead in ahead.into_iter().cycle().take(1000) {
            let std_before = StdInstant::now();
            let before = Instant::now();
            let ours = Instant::now() + ahead;
            let stds = StdInstant::from(ours);
            assert!(stds >= std_before + ahead && stds <= StdInstant::now() + ahead);

            let stds = StdInstant::now() + ahead;
            let ours = Instant::from(stds);
            assert!(ours >= before + ahead && ours <= Instant::now() + ahead);

            let there_and_back = StdInstant::from(ours);
            assert!(there_and_back >= stds && there_and_back <= StdInstant::now() + ahead);
        }
        // In the past: as long as this process has had anything to look back to.
        let (std_before, before) = (StdInstant::now(), Instant::now());
        fibers::sleep(Duration::from_millis(1));
        let (std_after, after) = (StdInstant::from(before), Instant::from(std_before));
        assert!(std_after >= std_before && after <= Instant::now());
        assert!(std_after <= StdInstant::now());
    }
    in_every_place(60, promise);
}

/// What one clock can show and the other cannot becomes the nearest that it can.
#[test]
fn moments_far_away_convert_too() {
    let far = |years: u32| StdInstant::now() + years * YEAR;
    let end = Instant::from(far(600));
    assert_eq!(Instant::from(far(10_000)), end);
    assert_eq!(Instant::from(far(1_000_000)), end);
    assert_eq!(end.checked_add(Duration::from_nanos(1)), None);
    assert!(end - Instant::now() > 500 * YEAR);
    assert!(StdInstant::from(end) > far(500));

    let Some(long_ago) = StdInstant::now().checked_sub(600 * YEAR) else {
        println!("std's instants do not reach back before the boot here");
        return;
    };
    let begin = Instant::from(long_ago);
    assert_eq!(begin.checked_sub(Duration::from_nanos(1)), None);
    assert_eq!(begin + (end - begin), end);
    assert!(StdInstant::from(begin) <= StdInstant::now());
    assert_eq!(begin - end, Duration::ZERO);
}
