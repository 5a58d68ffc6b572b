//! Fuzz: fibers that run random programs of nested deadlines, shields, scopes, catches and waits, while others cancel
//! and unpark them. Each keeps a model of what encloses it, and checks at every end of a wait that it was allowed:
//! never early, never for nothing, never long after something that should have ended it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fibers::time::{Instant, deadline, sleep, sleep_until, timeout};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, shield, testing};

use crate::{HOUR, LATE, all, us, wait_for_ever};

/// What encloses a wait.
#[derive(Clone, Copy)]
enum Around {
    /// At this moment, or at one between the two.
    Deadline(Instant, Instant),
    Shield,
}

/// What a fiber knows of itself.
struct Model {
    around: RefCell<Vec<Around>>,
    /// Set before somebody cancels it, if anybody does.
    cancelled: Arc<AtomicBool>,
    /// It will be cancelled, sooner or later.
    doomed: bool,
    /// A shield of its scope's owner keeps it from being ended before its time.
    kept: bool,
    /// It has seen the cancellation.
    seen: Cell<bool>,
    /// When its last wait began.
    begun: Cell<Instant>,
    /// Deadlines that an unwind has passed by, each at the latest moment at which it may be.
    passed_by: RefCell<Vec<Instant>>,
    /// Guards alive, by number; made in all.
    guards: RefCell<Vec<usize>>,
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    /// How many operations it may still do.
    budget: Cell<usize>,
}

/// On the model's stack while it lives.
struct On<'a>(&'a Model);

impl Drop for On<'_> {
    fn drop(&mut self) {
        let popped = self.0.around.borrow_mut().pop().expect("it was pushed");
        if let (Around::Deadline(_, latest), true) = (popped, fibers::panicking()) {
            self.0.passed_by.borrow_mut().push(latest);
        }
    }
}

/// Must be dropped in order, and once.
struct Guard<'a>(&'a Model, usize);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        assert_eq!(
            self.0.guards.borrow_mut().pop(),
            Some(self.1),
            "out of order"
        );
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

impl Model {
    fn put(&self, around: Around) -> On<'_> {
        self.around.borrow_mut().push(around);
        On(self)
    }

    fn guard(&self) -> Guard<'_> {
        let number = self.made.fetch_add(1, SeqCst);
        self.guards.borrow_mut().push(number);
        Guard(self, number)
    }

    fn is_shielded(&self) -> bool {
        let around = self.around.borrow();
        around.iter().any(|around| matches!(around, Around::Shield))
    }

    /// The earliest deadline that may end a wait here: not before the first moment, not after the second.
    fn earliest(&self) -> Option<(Instant, Instant)> {
        let around = self.around.borrow();
        let deadlines = around.iter().rev().map_while(|around| match around {
            Around::Deadline(at, latest) => Some((*at, *latest)),
            Around::Shield => None,
        });
        deadlines.reduce(|one, other| (one.0.min(other.0), one.1.min(other.1)))
    }

    /// A wait of at least `time`; `early`: it may also return before.
    fn wait(&self, time: Duration, early: bool, wait: impl FnOnce()) {
        let begun = Instant::now();
        self.begun.set(begun);
        wait();
        WAITED.fetch_add(1, SeqCst);
        let now = Instant::now();
        assert!(early || now >= begun + time, "early");
        // It was not unwound. Should it have been?
        if early {
            return;
        }
        assert!(
            !self.seen.get() || self.is_shielded(),
            "cancelled, and went on"
        );
        assert!(
            now < begun + time + LATE,
            "late by {:?}",
            now - (begun + time)
        );
        if let Some((_, latest)) = self.earliest() {
            // Of the two the earlier one ends it. (Of what takes no longer than a few looks at the clock, either.)
            assert!(
                time < us(50) || begun + time <= latest,
                "a deadline was slept through"
            );
        }
    }

    fn leaf(&self) {
        let time = us([0, 1, 10, 50, 1000][testing::random(5)]);
        match testing::random(7) {
            0 => self.wait(time, false, || sleep(time)),
            1 => self.wait(time, false, || sleep_until(Instant::now() + time)),
            2 => self.wait(time, false, || {
                let came = wait::sleep_until(Reasons::USER0, Instant::now() + time);
                assert_eq!(came, Reasons::TIMEOUT);
            }),
            3 => self.wait(time, false, || {
                assert!(!WaitQueue::new().wait_timeout(time, || false));
            }),
            4 => self.wait(time, true, || fibers::park_timeout(time)),
            5 => self.wait(Duration::ZERO, true, fibers::yield_now),
            _ if self.earliest().is_some() || self.doomed && !self.is_shielded() => {
                self.wait(HOUR, false, wait_for_ever);
                unreachable!("nobody brings it about");
            }
            _ => {}
        }
    }

    /// A few operations.
    fn block(&self, depth: usize) {
        let _guard = self.guard();
        for _ in 0..1 + testing::random(3) {
            let Some(budget) = self.budget.get().checked_sub(1) else {
                return;
            };
            self.budget.set(budget);
            if depth == 0 {
                self.leaf();
                continue;
            }
            match testing::random(10) {
                0..3 => self.limited(depth),
                3 => shield(|| {
                    let _on = self.put(Around::Shield);
                    self.block(depth - 1);
                }),
                4 => self.caught(depth),
                5 => self.scope(depth),
                _ => self.leaf(),
            }
            let _guard = self.guard();
        }
    }

    /// A block with a deadline.
    fn limited(&self, depth: usize) {
        let now = Instant::now();
        let at = match testing::random(6) {
            0 => now,
            1 => now - us(100),
            // In a shield nothing else would end its waits.
            2 if !self.is_shielded() && !self.kept => now + HOUR,
            // The one around.
            3 => self.earliest().map_or(now, |(at, _)| at),
            _ => now + us(testing::random(200)),
        };
        let ended = if testing::random(2) == 0 {
            deadline(at, || {
                let _on = self.put(Around::Deadline(at, at));
                self.block(depth - 1);
            })
        } else {
            let time = at.saturating_duration_since(Instant::now());
            timeout(time, || {
                // Counted from a moment before this one.
                let _on = self.put(Around::Deadline(now + time, Instant::now() + time));
                self.block(depth - 1);
            })
        };
        if ended.is_err() {
            ELAPSED.fetch_add(1, SeqCst);
            let now = Instant::now();
            assert!(now >= at, "a deadline passed early");
            // Looks at the clock take their time as well.
            let noticed = at.max(self.begun.get());
            assert!(now < noticed + LATE, "noticed {:?} late", now - noticed);
            // The last one is the one that ended.
            self.passed_by.borrow_mut().pop();
            self.check_passed_by(at);
        }
    }

    /// An unwind by a deadline, at that moment or later, went through these frames: theirs are after it.
    fn check_passed_by(&self, at: Instant) {
        for latest in self.passed_by.borrow_mut().drain(..) {
            assert!(latest > at, "the later one of two came first");
        }
    }

    /// A block whose unwinds are caught.
    fn caught(&self, depth: usize) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.block(depth - 1))) else {
            return;
        };
        if payload.is::<Cancelled>() {
            self.passed_by.borrow_mut().clear();
            self.see_cancellation();
        } else {
            // By a deadline around this block; which one, it cannot tell.
            let (at, _) = self.earliest().expect("unwound for nothing");
            assert!(Instant::now() >= at, "unwound early");
            self.check_passed_by(at);
        }
        if testing::random(2) == 0 {
            resume_unwind(payload);
        }
    }

    fn see_cancellation(&self) {
        assert!(self.cancelled.load(SeqCst), "cancelled by nobody");
        assert!(!self.is_shielded(), "cancelled in a shield");
        self.seen.set(true);
        assert!(fibers::is_cancelled());
    }

    /// Fibers that borrow from this frame, and are cancelled when it is left by an unwind.
    fn scope(&self, depth: usize) {
        let alive = AtomicUsize::new(0);
        struct Leaves<'a>(&'a AtomicUsize);
        impl Drop for Leaves<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            fibers::scope(|s| {
                for _ in 0..1 + testing::random(2) {
                    alive.fetch_add(1, SeqCst);
                    let leaves = Leaves(&alive);
                    let budget = self.budget.get().min(6);
                    let kept = self.kept || self.is_shielded();
                    let (made, dropped) = (Arc::clone(&self.made), Arc::clone(&self.dropped));
                    s.spawn(move || {
                        let _leaves = leaves;
                        // Nobody tells it who ends the scope, and when.
                        let mut child = Model::new(made, dropped, Arc::new(true.into()), false);
                        child.kept = kept;
                        child.budget.set(budget);
                        child.run(depth - 1);
                    });
                }
                self.block(depth - 1);
            });
        }));
        assert_eq!(
            alive.load(SeqCst),
            0,
            "the scope was left before its fibers"
        );
        if let Err(payload) = outcome {
            resume_unwind(payload);
        }
    }

    fn new(
        made: Arc<AtomicUsize>,
        dropped: Arc<AtomicUsize>,
        cancelled: Arc<AtomicBool>,
        doomed: bool,
    ) -> Self {
        Self {
            around: RefCell::default(),
            cancelled,
            doomed,
            kept: false,
            seen: Cell::new(false),
            begun: Cell::new(Instant::now()),
            passed_by: RefCell::default(),
            guards: RefCell::default(),
            made,
            dropped,
            budget: Cell::new(40),
        }
    }

    /// The whole program of a fiber.
    fn run(&self, depth: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.block(depth)));
        assert!(self.around.borrow().is_empty() && self.guards.borrow().is_empty());
        if let Err(payload) = outcome {
            if payload.is::<Cancelled>() {
                self.see_cancellation();
            }
            resume_unwind(payload);
        }
    }
}

/// Waits that came to their end, and deadlines that ended their calls, in all runs.
static WAITED: AtomicUsize = AtomicUsize::new(0);
static ELAPSED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn random_programs_do_what_the_model_allows() {
    all(|| {
        let (made, dropped): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let fibers: Vec<_> = (0..4)
            .map(|_| {
                let doomed = testing::random(2) == 0;
                let cancelled = Arc::new(AtomicBool::new(false));
                let (made, dropped) = (Arc::clone(&made), Arc::clone(&dropped));
                let flag = Arc::clone(&cancelled);
                let fiber = fibers::spawn(move || Model::new(made, dropped, flag, doomed).run(5));
                (fiber, doomed, cancelled)
            })
            .collect();
        for _ in 0..8 {
            fibers[testing::random(4)].0.fiber().unpark();
            sleep(us(testing::random(100)));
            let (fiber, doomed, cancelled) = &fibers[testing::random(4)];
            if *doomed {
                cancelled.store(true, SeqCst);
                fiber.cancel().unwrap();
            }
        }
        for (fiber, doomed, cancelled) in fibers {
            if doomed {
                cancelled.store(true, SeqCst);
                fiber.cancel().unwrap();
            }
            if let Err(payload) = fiber.join() {
                assert!(doomed && payload.is::<Cancelled>(), "unwound for nothing");
            }
        }
        assert_eq!(
            made.load(SeqCst),
            dropped.load(SeqCst),
            "destructors run once"
        );
    });
    let (waited, elapsed) = (WAITED.load(SeqCst), ELAPSED.load(SeqCst));
    println!("{waited} waits came to their end, {elapsed} deadlines ended their calls");
    assert!(waited > 0 && elapsed > 0);
}
