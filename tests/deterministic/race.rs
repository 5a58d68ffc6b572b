//! One race (`races.rs`): what its victim waits for, who brings that about, and what must be left afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use fibers::time::{Instant, sleep, sleep_until};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Fiber, testing};

use crate::{HOUR, perhaps_yield, us};

/// What the victim waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Park,
    ParkTimeout,
    Sleep,
    SleepUntil,
    YieldLoop,
    Join,
    JoinTimeout,
    LocalJoin,
    ScopedJoin,
    ScopeEnd,
    StolenHalf,
    Call,
    WaitSleep,
    WaitSleepUntil,
    QueueUntil,
    QueueTimeout,
}

/// How a race ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// What the victim waited for came.
    Event,
    /// The wait's own time was up.
    OwnTime,
    /// A deadline around the wait had passed.
    Elapsed,
    Cancelled,
    /// Cancelled before it began.
    Unstarted,
}

/// One race: what its fibers know of each other.
pub struct Race {
    pub kind: Kind,
    /// See `at`.
    pub when: OnceLock<Instant>,
    pub victim: OnceLock<Fiber>,
    /// Set before the event is brought about; before the cancellation is sent.
    pub woken: AtomicBool,
    pub cancelled: AtomicBool,
    /// A deadline encloses the wait, or it will be cancelled.
    pub ends_anyway: bool,
    /// Helpers that have not ended.
    pub helpers: AtomicUsize,
    pub queue: WaitQueue,
    pub permits: AtomicUsize,
    /// Borrowing fibers, halves and calls that began, and that ended.
    pub began: AtomicUsize,
    pub ended: Arc<AtomicUsize>,
}

/// Some moment before, at, or after that one.
pub fn about(at: Instant) -> Instant {
    match testing::random(4) {
        0 => at - us(testing::random(20)),
        1 => at + us(testing::random(20)),
        _ => at,
    }
}

/// Does what a fiber does until its moment has come.
pub fn aim(at: Instant) {
    match testing::random(4) {
        0 => (0..testing::random(6)).for_each(|_| fibers::yield_now()),
        _ => sleep_until(about(at)),
    }
}

/// Counts a helper out, however it ends.
pub struct Helps(pub Arc<Race>);

impl Drop for Helps {
    fn drop(&mut self) {
        self.0.helpers.fetch_sub(1, SeqCst);
    }
}

impl Race {
    /// The moment at which most things happen: soon after the first of the fibers has begun.
    pub fn at(&self) -> Instant {
        let soon = || Instant::now() + us([5, 40, 400][testing::random(3)]);
        *self.when.get_or_init(soon)
    }

    pub fn help(self: &Arc<Self>) -> Helps {
        self.helpers.fetch_add(1, SeqCst);
        Helps(Arc::clone(self))
    }

    /// A fiber that brings the event about by ending.
    fn target(self: &Arc<Self>) -> impl FnOnce() -> u32 + Send + 'static {
        let helps = self.help();
        move || {
            aim(helps.0.at());
            helps.0.woken.store(true, SeqCst);
            42
        }
    }

    /// The same for one that borrows `done` from the victim's frame, and is cancelled with it.
    fn child<'a>(self: &'a Arc<Self>, done: &'a AtomicUsize) -> impl FnOnce() + Send + 'a {
        struct Sets<'a>(&'a AtomicUsize, Helps);
        impl Drop for Sets<'_> {
            fn drop(&mut self) {
                // Into the victim's frame, which must still be there.
                self.0.fetch_add(1, SeqCst);
                self.1.0.ended.fetch_add(1, SeqCst);
            }
        }
        self.began.fetch_add(1, SeqCst);
        let sets = Sets(done, self.help());
        move || {
            let race = &sets.1.0;
            if race.ends_anyway && testing::random(3) == 0 {
                wait::sleep(Reasons::USER6);
            }
            if testing::random(4) == 0 {
                fibers::shield(|| aim(race.at()));
            }
            aim(race.at());
            race.woken.store(true, SeqCst);
        }
    }

    /// The victim's wait.
    pub fn wait(self: &Arc<Self>) -> End {
        // Or so late that something else must end the wait.
        let own = if testing::random(3) == 0 {
            self.at() + HOUR
        } else {
            about(self.at())
        };
        let own_time = own.saturating_duration_since(Instant::now());
        let ended = |in_time: bool| {
            assert!(in_time || Instant::now() >= own, "early");
            if in_time { End::Event } else { End::OwnTime }
        };
        let done = AtomicUsize::new(0);
        match self.kind {
            Kind::Park => fibers::park(),
            Kind::ParkTimeout => {
                fibers::park_timeout(own_time);
                return if Instant::now() < own {
                    End::Event
                } else {
                    End::OwnTime
                };
            }
            Kind::Sleep => {
                sleep(own_time);
                return ended(false);
            }
            Kind::SleepUntil => {
                sleep_until(own);
                return ended(false);
            }
            Kind::YieldLoop => {
                while !self.woken.load(SeqCst) {
                    fibers::yield_now();
                }
            }
            Kind::Join => assert_eq!(fibers::spawn(self.target()).join().unwrap(), 42),
            Kind::LocalJoin => assert_eq!(fibers::spawn_local(self.target()).join().unwrap(), 42),
            Kind::JoinTimeout => {
                return match fibers::spawn(self.target()).join_timeout(own_time) {
                    Ok(result) => ended(result.unwrap() == 42),
                    Err(handle) => {
                        let end = ended(false);
                        // It is still there to be joined.
                        assert_eq!(fibers::shield(|| handle.join()).unwrap(), 42);
                        end
                    }
                };
            }
            Kind::ScopedJoin | Kind::ScopeEnd => {
                let joins = self.kind == Kind::ScopedJoin;
                let scope = || {
                    fibers::scope(|s| {
                        let child = s.spawn(self.child(&done));
                        if joins {
                            child.join().unwrap();
                        }
                    });
                };
                let unwound = catch_unwind(AssertUnwindSafe(scope));
                assert_eq!(done.load(SeqCst), 1, "the scope was left before its fiber");
                unwound.unwrap_or_else(|payload| resume_unwind(payload));
            }
            Kind::StolenHalf => {
                let join = || {
                    let until = self.at() + us(50);
                    let first = || {
                        // Until somebody has begun the other half, or it is clear that nobody will.
                        while done.load(SeqCst) == 0 && Instant::now() < until {
                            fibers::yield_now();
                        }
                    };
                    fibers::join(first, self.child(&done))
                };
                let unwound = catch_unwind(AssertUnwindSafe(join));
                assert_eq!(done.load(SeqCst), 1, "the frame was left before its half");
                unwound.map_or_else(|payload| resume_unwind(payload), |_| ());
            }
            Kind::Call => {
                let server = fibers::spawn(self.target());
                let race = Arc::clone(self);
                self.began.fetch_add(1, SeqCst);
                let call = move || {
                    race.ended.fetch_add(1, SeqCst);
                    perhaps_yield();
                    43
                };
                match server.fiber().call(call) {
                    Ok(answer) => assert_eq!(answer.wait().unwrap(), 43),
                    Err(over) => assert_eq!((over.into_inner())(), 43),
                }
                self.woken.store(true, SeqCst);
            }
            Kind::WaitSleep => assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0),
            Kind::WaitSleepUntil => {
                let came = wait::sleep_until(Reasons::USER0, own);
                let time = came.contains(Reasons::TIMEOUT);
                assert!(!time || Instant::now() >= own, "early");
                return if came.contains(Reasons::USER0) {
                    End::Event
                } else {
                    assert!(time, "{came:?}");
                    End::OwnTime
                };
            }
            Kind::QueueUntil => {
                while !self.take_permit() {
                    self.queue.wait_until(|| self.permits.load(SeqCst) > 0);
                }
            }
            Kind::QueueTimeout => {
                while !self.take_permit() {
                    let permit = || self.permits.load(SeqCst) > 0;
                    if !self
                        .queue
                        .wait_timeout(own.saturating_duration_since(Instant::now()), permit)
                    {
                        return ended(false);
                    }
                }
            }
        }
        End::Event
    }

    fn take_permit(&self) -> bool {
        let less = |free: usize| free.checked_sub(1);
        self.permits.fetch_update(SeqCst, SeqCst, less).is_ok()
    }

    /// Brings about what the victim waits for, where that is not the end of a fiber.
    pub fn wake(&self) {
        let victim = self.victim.get().expect("spawned");
        self.woken.store(true, SeqCst);
        match self.kind {
            Kind::Park | Kind::ParkTimeout => victim.unpark(),
            Kind::WaitSleep | Kind::WaitSleepUntil => wait::wake(victim, Reasons::USER0),
            Kind::QueueUntil | Kind::QueueTimeout => {
                self.permits.fetch_add(1, SeqCst);
                self.queue.wake_one();
            }
            _ => {}
        }
    }

    /// After all helpers have ended, by the victim, shielded: what came and did not end the wait is still there.
    pub fn look_what_is_left(&self, end: End) {
        let woken = self.woken.load(SeqCst);
        let unused = woken && end != End::Event;
        match self.kind {
            // A permit may come from nowhere, but must not go there. (One that came in time may be seen late.)
            Kind::Park | Kind::ParkTimeout if unused && end != End::OwnTime => fibers::park(),
            Kind::WaitSleep | Kind::WaitSleepUntil => {
                let left = wait::prepare(Reasons::USER0);
                assert_eq!(
                    left == Reasons::USER0,
                    unused,
                    "{end:?}, and {left:?} is left"
                );
            }
            Kind::QueueUntil | Kind::QueueTimeout => {
                assert!(self.queue.is_empty());
                assert_eq!(self.take_permit(), unused, "{end:?}");
            }
            _ => {}
        }
        assert_eq!(self.began.load(SeqCst), self.ended.load(SeqCst));
        if end == End::Event && !matches!(self.kind, Kind::Park | Kind::ParkTimeout) {
            assert!(woken, "nobody has brought it about");
        }
    }
}
