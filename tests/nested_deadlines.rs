//! Deadlines inside deadlines: which of them ends which call, however late it is noticed, and how much time they leave.

mod common;

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;

use common::{MODES, Random, Test, in_every_place, scaled};
use fibers::time::{Duration, Elapsed, Instant, deadline, remaining};
use fibers::{shield, sleep_until, timeout};

const SHORT: Duration = Duration::from_micros(300);
const LONG: Duration = Duration::from_secs(3600);

/// Computes until that moment is past.
fn be_late(until: Instant) {
    while Instant::now() <= until {
        std::hint::spin_loop();
    }
}

#[test]
fn of_two_deadlines_each_ends_its_own_call() {
    fn promise() {
        // The inner one, and the outer call goes on.
        let outer = timeout(LONG, || {
            assert!(timeout(SHORT, fibers::park).is_err());
            assert!(timeout(LONG, fibers::yield_now).is_ok());
            3
        });
        assert_eq!(outer, Ok(3));
        // The outer one: the inner call does not return.
        let returned = Cell::new(false);
        let outer = timeout(SHORT, || {
            let _ = timeout(LONG, fibers::park);
            returned.set(true);
        });
        assert!(outer.is_err() && !returned.get());
        // Both at the same moment: the inner one first.
        let returned = Cell::new(0);
        let at = Instant::now() + SHORT;
        let outer = deadline(at, || {
            assert!(deadline(at, fibers::park).is_err());
            returned.set(1);
            fibers::park();
            returned.set(2);
        });
        assert!(outer.is_err() && returned.get() == 1);
        // A deep nest, the earliest in the middle.
        fn nest(depth: u32, log: &Cell<u32>) -> Result<(), Elapsed> {
            let limit = if depth == 20 { SHORT } else { LONG };
            let ended = timeout(limit, || {
                if depth == 40 {
                    fibers::park();
                } else {
                    let inner = nest(depth + 1, log);
                    assert!(depth < 20 && (depth == 19) == inner.is_err());
                }
            });
            log.set(log.get() + 1);
            ended
        }
        let log = Cell::new(0);
        assert!(nest(0, &log).is_ok());
        assert_eq!(log.get(), 21, "those inside did not come back");
    }
    in_every_place(60, promise);
}

#[test]
fn of_two_that_have_passed_the_earlier_one_counts() {
    fn promise() {
        let now = Instant::now();
        let (first, second) = (now + SHORT, now + 2 * SHORT);
        let returned = Cell::new(false);
        let outer = deadline(first, || {
            let _ = deadline(second, || {
                be_late(second);
                fibers::park();
            });
            returned.set(true);
        });
        assert!(outer.is_err() && !returned.get());
        let now = Instant::now();
        let (first, second) = (now + SHORT, now + 2 * SHORT);
        let returned = Cell::new(false);
        let outer = deadline(second, || {
            let inner = deadline(first, || {
                be_late(second);
                fibers::park();
            });
            returned.set(inner.is_err());
            fibers::park();
        });
        assert!(outer.is_err() && returned.get());
    }
    in_every_place(60, promise);
}

/// A wait's own time is one more deadline, inside all others. The worker is busy while both of them pass.
#[test]
fn a_wait_whose_own_time_comes_first_returns_and_one_whose_deadline_comes_first_does_not() {
    let wait_late = |own: u32, enclosing: u32| {
        let test = Test::new(60);
        MODES.map(|mode| {
            let machine = test.machine(mode, 1);
            machine.run(move || {
                let now = Instant::now();
                let (own, enclosing) = (now + own * SHORT, now + enclosing * SHORT);
                let busy = fibers::spawn(move || be_late(own.max(enclosing)));
                let ended = deadline(enclosing, || sleep_until(own));
                busy.join().unwrap();
                ended.is_ok()
            })
        })
    };
    assert_eq!(wait_late(2, 3), [true; 2], "its own came first");
    assert_eq!(wait_late(2, 2), [true; 2], "at the same moment");
    assert_eq!(wait_late(3, 2), [false; 2], "the deadline came first");
}

/// A nest of deadlines at random moments, of which several may have passed when one is noticed: the earliest ends its
/// call, and with it those inside; then the earliest of those outside; and so on.
#[test]
fn a_nest_ends_in_the_order_of_its_deadlines() {
    /// Enters the deadlines one in another, waits in the innermost, and again in each that comes back.
    fn enter(at: &[Instant], depth: usize, ended: &RefCell<Vec<usize>>, late: Instant) {
        let Some(own) = at.get(depth) else {
            be_late(late);
            fibers::park();
            return;
        };
        let elapsed = deadline(*own, || {
            enter(at, depth + 1, ended, late);
            fibers::park();
        });
        assert!(elapsed.is_err() && Instant::now() >= *own);
        ended.borrow_mut().push(depth);
    }
    static SEED: OnceLock<u64> = OnceLock::new();
    fn promise() {
        let mut random = Random::of(*SEED.get_or_init(|| Random::new().next()));
        for _ in 0..scaled(200, 5000) {
            let now = Instant::now();
            let moment = |random: &mut Random| now + Duration::from_nanos(random.below(400_000));
            // Sometimes two of them are the same.
            let few: Vec<_> = (0..4).map(|_| moment(&mut random)).collect();
            let mut at = Vec::new();
            for _ in 0..1 + random.below(8) {
                let same = few[random.below(4) as usize];
                let other = moment(&mut random);
                at.push(if random.below(2) == 0 { same } else { other });
            }
            let late = moment(&mut random);
            let ended = RefCell::new(Vec::new());
            enter(&at, 0, &ended, late);
            // The model: the earliest of those that are left, the inner one of equals.
            let mut expected = Vec::new();
            let mut left = at.len();
            while left > 0 {
                let earliest = (0..left).min_by_key(|depth| (at[*depth], left - depth));
                left = earliest.unwrap_or(0);
                expected.push(left);
            }
            assert_eq!(*ended.borrow(), expected, "{at:?}");
        }
    }
    in_every_place(60, promise);
}

#[test]
fn what_is_left_is_what_the_earliest_deadline_leaves() {
    fn promise() {
        /// Between two readings of the clock.
        fn is_left_until(at: Instant) {
            let before = Instant::now();
            let left = remaining().expect("a deadline is in force");
            let after = Instant::now();
            assert!(left <= at - before && left >= at - after, "{left:?}");
        }
        assert_eq!(remaining(), None);
        let (soon, later) = (Instant::now() + 50 * SHORT, Instant::now() + LONG);
        let outer = deadline(later, || {
            is_left_until(later);
            let inner = deadline(soon, || {
                is_left_until(soon);
                // One further inside that comes later adds nothing.
                assert!(deadline(later, || is_left_until(soon)).is_ok());
                shield(|| {
                    assert_eq!(remaining(), None, "behind a shield");
                    assert!(deadline(later, || is_left_until(later)).is_ok());
                });
                is_left_until(soon);
                fibers::park();
            });
            assert!(inner.is_err());
            is_left_until(later);
        });
        assert!(outer.is_ok());
        assert_eq!(remaining(), None);
        // Long past, and never.
        let past = timeout(Duration::ZERO, remaining);
        assert_eq!(past, Ok(Some(Duration::ZERO)));
        assert_eq!(timeout(Duration::MAX, remaining), Ok(None));
        let left = timeout(LONG, remaining).unwrap().unwrap();
        assert!(left <= LONG + Duration::from_millis(1));
        // A budget that is passed on.
        let helper = timeout(LONG, || {
            let left = remaining().unwrap();
            fibers::spawn(move || timeout(left, remaining).unwrap().unwrap())
        });
        let left = helper.unwrap().join().unwrap();
        assert!(left <= LONG + Duration::from_millis(1));
        // Of the one who asks, not of others.
        let other = timeout(LONG, || fibers::spawn(remaining).join().unwrap());
        assert_eq!(other, Ok(None));
    }
    in_every_place(60, promise);
}
