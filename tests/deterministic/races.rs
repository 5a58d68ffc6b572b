//! Races: every kind of wait is about to end by what it waits for, by its own time, by a deadline around it and by a
//! cancellation, all of them at nearly the same moment. One of them ends it, for a reason that holds; what the others
//! brought is not lost.
//!
//! A *point* is one such race; a run has many. Each test prints how many there were, and how they ended. A million
//! points in all: `DETERMINISTIC_SEEDS=2000 cargo test --release --test deterministic races -- --nocapture`

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use fibers::Cancelled;
use fibers::testing::{self, explore};
use fibers::time::{Elapsed, Instant, deadline, sleep, timeout};
use fibers::wait::WaitQueue;

use crate::race::{End, Kind, Race, about, aim};
use crate::{Counted, HOUR, some_seeds, us};

/// How many races follow each other in a lane of a run, and how many lanes there are.
const ROUNDS: usize = 8;
const LANES: usize = 3;

/// The victim's wait with what is around it.
fn enclosed(race: &Arc<Race>, frames: usize) -> End {
    let Some(further) = frames.checked_sub(1) else {
        return race.wait();
    };
    let at = about(race.at());
    let inside = || enclosed(race, further);
    let end = if testing::random(2) == 0 {
        deadline(at, inside)
    } else {
        timeout(at.saturating_duration_since(Instant::now()), inside)
    };
    end.unwrap_or_else(|Elapsed { .. }| {
        assert!(Instant::now() >= at, "a deadline passed early");
        End::Elapsed
    })
}

/// What the victim does: waits, and looks whether the end was justified and nothing is lost.
fn victim(race: &Arc<Race>, frames: usize) -> End {
    let end = match catch_unwind(AssertUnwindSafe(|| enclosed(race, frames))) {
        Ok(end) => end,
        Err(payload) => {
            assert!(
                payload.is::<Cancelled>(),
                "neither a result nor a cancellation"
            );
            assert!(race.cancelled.load(SeqCst), "cancelled by nobody");
            End::Cancelled
        }
    };
    fibers::shield(|| {
        while race.helpers.load(SeqCst) > 0 {
            fibers::yield_now();
        }
        // What they sent last has arrived when this worker has been round once more.
        fibers::yield_now();
        race.look_what_is_left(end);
    });
    let cancelled = race.cancelled.load(SeqCst);
    assert_eq!(fibers::is_cancelled(), cancelled);
    let start = Instant::now();
    let next = catch_unwind(|| sleep(us(20)));
    assert_eq!(next.is_err(), cancelled, "{end:?}: the next wait tells");
    assert!(cancelled || start.elapsed() >= us(20), "early");
    end
}

/// One point.
fn run(kind: Kind) -> End {
    let frames = testing::random(3);
    let cancels = testing::random(2) == 0 || frames == 0;
    let race = Arc::new(Race {
        kind,
        when: OnceLock::new(),
        victim: OnceLock::new(),
        woken: AtomicBool::new(false),
        cancelled: AtomicBool::new(false),
        ends_anyway: cancels || frames > 0,
        helpers: AtomicUsize::new(0),
        queue: WaitQueue::new(),
        permits: AtomicUsize::new(0),
        began: AtomicUsize::new(0),
        ended: Arc::new(AtomicUsize::new(0)),
    });
    let closure = Arc::new(AtomicUsize::new(0));
    let counted = Counted(Arc::clone(&closure));
    // Counted in before the victim begins: it will wait for all of them.
    let waker = race.help();
    let canceller = cancels.then(|| race.help());
    let caller = (testing::random(6) == 0).then(|| race.help());
    let begun = Arc::new(AtomicBool::new(false));
    let handle = fibers::spawn({
        let (race, begun) = (Arc::clone(&race), Arc::clone(&begun));
        move || {
            let _counted = counted;
            begun.store(true, SeqCst);
            victim(&race, frames)
        }
    });
    let fiber = handle.fiber().clone();
    race.victim.set(fiber.clone()).expect("set once");
    let start = Instant::now();
    if testing::random(8) != 0 {
        // Mostly it has begun when the others do.
        while !begun.load(SeqCst) {
            fibers::yield_now();
        }
    }
    let mut helpers = vec![fibers::spawn(move || {
        aim(waker.0.at());
        waker.0.wake();
    })];
    if let Some(canceller) = canceller {
        helpers.push(fibers::spawn(move || {
            aim(canceller.0.at());
            canceller.0.cancelled.store(true, SeqCst);
            canceller.0.victim.get().expect("spawned").cancel().unwrap();
        }));
    }
    // Calls are served during most waits, and may wait themselves, under the victim's deadlines.
    if let Some(caller) = caller {
        helpers.push(fibers::spawn(move || {
            let at = caller.0.at();
            aim(at);
            let sent = fiber.call(move || aim(at));
            // The victim waits for its helpers in a way that serves no calls.
            drop(caller);
            let _ = sent.map(fibers::CallHandle::wait);
        }));
    }
    helpers
        .into_iter()
        .for_each(|helper| helper.join().unwrap());
    let end = handle.join().unwrap_or_else(|payload| {
        assert!(payload.is::<Cancelled>());
        End::Unstarted
    });
    assert_eq!(
        closure.load(SeqCst),
        1,
        "the closure is dropped exactly once"
    );
    assert!(
        start.elapsed() < HOUR / 2,
        "{kind:?}: {end:?} came an hour late"
    );
    end
}

/// All points so far, of all tests of this process.
static POINTS: AtomicU64 = AtomicU64::new(0);

/// Explores that kind, and prints how its races ended. `expected`: which ends must have come up.
fn explore_kind(kind: Kind, expected: &[End]) {
    let ends: Arc<[AtomicU64; 5]> = Arc::default();
    for workers in 1..=4 {
        for floating in [false, true] {
            if floating && kind == Kind::LocalJoin {
                continue;
            }
            let ends = Arc::clone(&ends);
            let check = move |check: testing::Check| check.workers(workers).floating(floating);
            explore(some_seeds(), check, move || {
                let lanes = (0..LANES).map(|_| {
                    let ends = Arc::clone(&ends);
                    fibers::spawn(move || {
                        for _ in 0..ROUNDS {
                            ends[run(kind) as usize].fetch_add(1, SeqCst);
                        }
                    })
                });
                let lanes: Vec<_> = lanes.collect();
                lanes.into_iter().for_each(|lane| lane.join().unwrap());
            });
        }
    }
    let count = |end: End| ends[end as usize].load(SeqCst);
    let all = [
        End::Event,
        End::OwnTime,
        End::Elapsed,
        End::Cancelled,
        End::Unstarted,
    ];
    let points: u64 = all.iter().map(|&end| count(end)).sum();
    let so_far = POINTS.fetch_add(points, SeqCst) + points;
    let counts: Vec<_> = all
        .iter()
        .map(|&end| format!("{end:?} {}", count(end)))
        .collect();
    println!(
        "{kind:?}: {points} points: {} ({so_far} so far)",
        counts.join(", ")
    );
    // A few runs may miss one.
    if points > 2000 {
        for &end in expected
            .iter()
            .chain(&[End::Elapsed, End::Cancelled, End::Unstarted])
        {
            assert!(
                count(end) * 100 > points,
                "{kind:?} hardly ever ends by {end:?}"
            );
        }
    }
}

macro_rules! races {
    ($($name:ident: $kind:ident [$($end:ident),*];)*) => {
        $(#[test]
        fn $name() {
            explore_kind(Kind::$kind, &[$(End::$end),*]);
        })*
    };
}
races! {
    park: Park [Event];
    park_timeout: ParkTimeout [Event, OwnTime];
    sleep_for: Sleep [OwnTime];
    sleep_to: SleepUntil [OwnTime];
    yield_loop: YieldLoop [Event];
    join: Join [Event];
    join_timeout: JoinTimeout [Event, OwnTime];
    local_join: LocalJoin [Event];
    scoped_join: ScopedJoin [Event];
    scope_end: ScopeEnd [Event];
    stolen_half: StolenHalf [Event];
    call: Call [Event];
    wait_sleep: WaitSleep [Event];
    wait_sleep_until: WaitSleepUntil [Event, OwnTime];
    queue: QueueUntil [Event];
    queue_timeout: QueueTimeout [Event, OwnTime];
}
