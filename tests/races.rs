//! A wake, a cancellation and a deadline meet at one wait: exactly one of them ends it, the others are neither lost nor
//! counted twice, and whoever waits behind gets what was meant for him.
//!
//! Each round lets them meet once, after delays of random length; the seed is printed. `STRESS=1`: a hundred
//! thousand rounds and more instead of a few thousand (in unoptimised builds a tenth of either).

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant as StdInstant;

use common::{Gate, MODES, Mode, Once, Random, Test, scaled};
use fibers::time::{Duration, Instant};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Cancelled, Handle, is_cancelled, shield, timeout};

/// What may end the wait, beside its wake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Enders {
    Cancel,
    Deadline,
    Both,
}

/// What ended it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// What it waited for, or its own time.
    Own,
    Cancelled,
    Elapsed,
}

/// One meeting, as the fiber that waits sees it.
struct Round {
    enders: Enders,
    /// Where the wakers run.
    helpers: Handle,
    random: Random,
}

impl Round {
    /// A limit that comes about when the others do.
    fn limit(&mut self) -> Duration {
        Duration::from_nanos(self.random.below(60_000))
    }

    /// Spawns here or on the other machine.
    fn spawn<T: Send + 'static>(
        &mut self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> fibers::JoinHandle<T> {
        if self.random.below(2) == 0 {
            self.helpers.spawn(f)
        } else {
            fibers::spawn(f)
        }
    }

    /// Runs `wait` while `wake` is called elsewhere and the enders come. When it returns all that has happened.
    fn meet(&mut self, wait: impl FnOnce(), wake: impl FnOnce() + Send + 'static) -> Cause {
        let begun = Arc::new(AtomicBool::new(false));
        let mut helper = |f: Box<dyn FnOnce() + Send>| {
            let (begun, spins) = (Arc::clone(&begun), self.random.below(3000));
            self.helpers.spawn(move || {
                while !begun.load(Ordering::Acquire) {
                    fibers::yield_now();
                }
                (0..spins).for_each(|_| std::hint::spin_loop());
                f();
            })
        };
        let mut helpers = vec![helper(Box::new(wake))];
        if self.enders != Enders::Deadline {
            let me = fibers::current();
            helpers.push(helper(Box::new(move || me.cancel().unwrap())));
        }
        let limit = match self.enders {
            Enders::Cancel => Duration::MAX,
            _ => self.limit(),
        };
        let begin = StdInstant::now();
        begun.store(true, Ordering::Release);
        let ended = catch_unwind(AssertUnwindSafe(|| timeout(limit, wait)));
        let took = begin.elapsed();
        let cause = match ended {
            Ok(Ok(())) => Cause::Own,
            Ok(Err(_)) => {
                assert!(took >= limit, "{limit:?}, and it took {took:?}");
                Cause::Elapsed
            }
            Err(payload) => {
                assert!(payload.is::<Cancelled>(), "it panicked");
                Cause::Cancelled
            }
        };
        shield(|| {
            for helper in helpers {
                helper.join().unwrap();
            }
            fibers::yield_now();
        });
        // The cancellation is not lost either, whatever came first.
        assert_eq!(is_cancelled(), self.enders != Enders::Deadline);
        assert!(cause != Cause::Cancelled || is_cancelled());
        CAUSES[cause as usize].fetch_add(1, Ordering::Relaxed);
        cause
    }
}

/// How often each cause was the one, in all rounds.
static CAUSES: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// A kind of wait: it meets its enders once, and then it looks what is left.
type Kind = (&'static str, fn(&mut Round));

/// That reason is pending if, and only if, it did not end the wait.
fn is_left(reason: Reasons, cause: Cause) {
    let left = wait::prepare(reason) == reason;
    assert_eq!(left, cause != Cause::Own, "{reason:?} after {cause:?}");
}

/// A flag, and what sets it.
fn flag() -> (Arc<AtomicBool>, impl FnOnce() + Send + 'static) {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    (flag, move || set.store(true, Ordering::Release))
}

/// Lets others run until it is set.
fn until_set(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        fibers::yield_now();
    }
}

const KINDS: &[Kind] = &[
    ("park", |round| {
        let me = fibers::current();
        let cause = round.meet(fibers::park, move || me.unpark());
        is_left(Reasons::UNPARK, cause);
    }),
    ("park_timeout", |round| {
        let (me, limit) = (fibers::current(), round.limit());
        let begin = StdInstant::now();
        let wait = || fibers::park_timeout(limit);
        let cause = round.meet(wait, move || me.unpark());
        if cause == Cause::Own {
            // It does not say why it returned; but it took the permit, or its time.
            let left = wait::prepare(Reasons::UNPARK) == Reasons::UNPARK;
            assert!(!left || begin.elapsed() >= limit);
        } else {
            is_left(Reasons::UNPARK, cause);
        }
    }),
    ("sleep", |round| {
        let (limit, begin) = (round.limit(), StdInstant::now());
        let me = fibers::current();
        // A call comes meanwhile; it disturbs nothing, and runs once.
        let (calls, called) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let call = {
            let (once, called) = (Once(Arc::clone(&calls)), Arc::clone(&called));
            move || {
                drop(me.call(move || drop(once)));
                called.store(true, Ordering::Release);
            }
        };
        let cause = round.meet(|| fibers::sleep(limit), call);
        assert!(cause != Cause::Own || begin.elapsed() >= limit);
        assert!(called.load(Ordering::Acquire));
        fibers::process_calls();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }),
    ("wait::sleep", |round| {
        let me = fibers::current();
        let cause = round.meet(
            || assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0),
            move || wait::wake(&me, Reasons::USER0),
        );
        is_left(Reasons::USER0, cause);
    }),
    ("wait::sleep_until", |round| {
        let me = fibers::current();
        let at = Instant::now() + round.limit();
        let mut came = Reasons::NONE;
        let cause = round.meet(
            || came = wait::sleep_until(Reasons::USER0, at),
            move || wait::wake(&me, Reasons::USER0),
        );
        match (cause, came) {
            (Cause::Own, Reasons::USER0) => is_left(Reasons::USER0, cause),
            (Cause::Own, came) => {
                // As an enclosing deadline would be reported, too, were it asked for: here it was its own.
                assert!(came == Reasons::TIMEOUT && Instant::now() >= at);
                is_left(Reasons::USER0, Cause::Elapsed);
            }
            (cause, _) => is_left(Reasons::USER0, cause),
        }
    }),
    ("join", |round| {
        let (ends, end) = flag();
        let drops = Arc::<AtomicUsize>::default();
        let once = Once(Arc::clone(&drops));
        let target = round.spawn(move || {
            until_set(&ends);
            once
        });
        let cause = round.meet(|| drop(target.join().unwrap()), end);
        // The result is dropped once, here or by the fiber that was left to itself.
        shield(|| {
            while drops.load(Ordering::Relaxed) == 0 {
                fibers::yield_now();
            }
        });
        assert_eq!(drops.load(Ordering::Relaxed), 1, "{cause:?}");
    }),
    ("join_timeout", |round| {
        let (ends, end) = flag();
        let target = round.spawn(move || {
            until_set(&ends);
            7
        });
        let (limit, begin) = (round.limit(), StdInstant::now());
        let mut kept = None;
        let wait = || match target.join_timeout(limit) {
            Ok(ended) => assert_eq!(ended.unwrap(), 7),
            Err(target) => kept = Some(target),
        };
        round.meet(wait, end);
        if let Some(target) = kept {
            assert!(begin.elapsed() >= limit);
            assert_eq!(shield(|| target.join()).unwrap(), 7);
        }
    }),
    ("the end of a scope", |round| {
        let (ends, end) = flag();
        let ended = AtomicUsize::new(0);
        let wait = || {
            fibers::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        let _counted = common::Counted(&ended);
                        until_set(&ends);
                    });
                }
            });
        };
        // Those that never started have not borrowed anything either.
        let cause = round.meet(wait, end);
        let ended = ended.into_inner();
        assert!(ended == 2 || cause != Cause::Own, "{ended} after {cause:?}");
    }),
    ("a call", |round| {
        let (serves, serve) = flag();
        let drops = Arc::<AtomicUsize>::default();
        let target = round.spawn(move || {
            until_set(&serves);
            fibers::process_calls();
        });
        let once = Once(Arc::clone(&drops));
        let call = target.fiber().call(move || once).unwrap();
        let cause = round.meet(|| drop(call.wait().unwrap()), serve);
        shield(|| target.join().unwrap());
        assert_eq!(drops.load(Ordering::Relaxed), 1, "{cause:?}");
    }),
    ("a fork", |round| {
        let (ends, end) = flag();
        let drops = Arc::<AtomicUsize>::default();
        let onces = [(); 2].map(|()| Once(Arc::clone(&drops)));
        let [left, right] = onces;
        let stolen = round.random.below(2) == 0;
        let begun = AtomicBool::new(false);
        let wait = || {
            let first = || {
                let give_up = StdInstant::now() + Duration::from_micros(50);
                while stolen && !begun.load(Ordering::Acquire) && StdInstant::now() < give_up {
                    std::hint::spin_loop();
                }
                left
            };
            let second = || {
                begun.store(true, Ordering::Release);
                until_set(&ends);
                right
            };
            drop(fibers::join(first, second));
        };
        let cause = round.meet(wait, end);
        assert_eq!(drops.load(Ordering::Relaxed), 2, "{cause:?}");
    }),
    ("a queue", |round| {
        let shared = Arc::new((AtomicBool::new(false), WaitQueue::new()));
        let wake = {
            let shared = Arc::clone(&shared);
            move || {
                shared.0.store(true, Ordering::Release);
                shared.1.wake_one();
            }
        };
        let cause = round.meet(
            || shared.1.wait_until(|| shared.0.load(Ordering::Acquire)),
            wake,
        );
        assert!(shared.1.is_empty(), "{cause:?}");
    }),
];

fn rounds_of_each() -> usize {
    // Times eleven kinds, three enders and six machines.
    scaled(60, 600)
}

#[test]
fn one_cause_ends_a_wait_and_none_is_lost() {
    let mut random = Random::new();
    for mode in MODES {
        for workers in [1, 2, 4] {
            println!("{mode:?}, {workers} workers");
            let test = Test::new(120);
            let (machine, helpers) = (test.machine(mode, workers), test.machine(Mode::Pinned, 2));
            for enders in [Enders::Cancel, Enders::Deadline, Enders::Both] {
                for (name, kind) in KINDS {
                    for _ in 0..rounds_of_each() {
                        let mut round = Round {
                            enders,
                            helpers: helpers.handle(),
                            random: Random::of(random.next()),
                        };
                        let ended = machine.spawn(move || kind(&mut round)).join();
                        assert!(ended.is_ok(), "{name}, {enders:?}");
                    }
                }
            }
        }
    }
    println!("own, cancelled, elapsed: {CAUSES:?}");
}

/// A thread cannot be cancelled, but its time may be up.
#[test]
fn one_cause_ends_a_wait_of_a_plain_thread() {
    let test = Test::new(120);
    let helpers = test.machine(Mode::Pinned, 2);
    let mut random = Random::new();
    for (name, kind) in KINDS {
        println!("{name}");
        for _ in 0..rounds_of_each() {
            kind(&mut Round {
                enders: Enders::Deadline,
                helpers: helpers.handle(),
                random: Random::of(random.next()),
            });
        }
    }
}

/// Permits, and those who wait for one.
#[derive(Default)]
struct Semaphore {
    permits: AtomicUsize,
    queue: WaitQueue,
}

impl Semaphore {
    fn try_acquire(&self) -> bool {
        let taken = self
            .permits
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |free| {
                free.checked_sub(1)
            });
        taken.is_ok()
    }

    fn is_free(&self) -> bool {
        self.permits.load(Ordering::Acquire) > 0
    }

    fn acquire(&self) {
        while !self.try_acquire() {
            self.queue.wait_until(|| self.is_free());
        }
    }

    /// False: there was none in that time.
    fn acquire_timeout(&self, limit: Duration) -> bool {
        let end = StdInstant::now() + limit;
        while !self.try_acquire() {
            let left = end.saturating_duration_since(StdInstant::now());
            if !self.queue.wait_timeout(left, || self.is_free()) {
                return false;
            }
        }
        true
    }

    fn release(&self) {
        self.permits.fetch_add(1, Ordering::AcqRel);
        self.queue.wake_one();
    }
}

/// As many permits as patient waiters: a wake that went to one that gave up, and was not passed on, is a hang.
#[test]
fn permits_are_conserved_and_the_next_in_line_gets_what_another_gave_up() {
    let mut random = Random::new();
    for mode in MODES {
        for workers in [1, 2, 4] {
            println!("{mode:?}, {workers} workers");
            let test = Test::new(120);
            let (machine, helpers) = (test.machine(mode, workers), test.machine(Mode::Pinned, 2));
            for _ in 0..scaled(300, 5000) {
                permits_meet_enders(&machine.handle(), &helpers.handle(), &mut random);
            }
        }
    }
}

fn permits_meet_enders(machine: &Handle, helpers: &Handle, random: &mut Random) {
    const PATIENT: usize = 3;
    let semaphore = Arc::new(Semaphore::default());
    let begun = Arc::new(Gate::new());
    // In turn: an impatient one of each kind, and a patient one behind it.
    let mut patient = Vec::new();
    let mut impatient = Vec::new();
    for n in 0..2 * PATIENT {
        let (limit, kind) = (Duration::from_nanos(random.below(100_000)), n / 2);
        let semaphore = Arc::clone(&semaphore);
        if n % 2 == 1 {
            patient.push(machine.spawn(move || semaphore.acquire()));
            continue;
        }
        impatient.push(machine.spawn(move || {
            let got = match kind {
                0 => catch_unwind(AssertUnwindSafe(|| semaphore.acquire())).is_ok(),
                1 => timeout(limit, || semaphore.acquire()).is_ok(),
                _ => semaphore.acquire_timeout(limit),
            };
            if got {
                // It was not meant for it: back.
                semaphore.release();
            }
            got
        }));
    }
    let releaser = helpers.spawn({
        let (semaphore, begun) = (Arc::clone(&semaphore), Arc::clone(&begun));
        let pauses = [(); PATIENT].map(|()| random.below(3000));
        move || {
            begun.wait();
            for pause in pauses {
                (0..pause).for_each(|_| std::hint::spin_loop());
                semaphore.release();
            }
        }
    });
    let canceller = helpers.spawn({
        let (target, begun) = (impatient[0].fiber().clone(), Arc::clone(&begun));
        let pause = random.below(6000);
        move || {
            begun.wait();
            (0..pause).for_each(|_| std::hint::spin_loop());
            target.cancel().unwrap();
        }
    });
    (0..random.below(3000)).for_each(|_| std::hint::spin_loop());
    begun.open();
    for fiber in patient {
        fiber.join().unwrap();
    }
    for fiber in impatient {
        // One that was cancelled before it began tells nothing.
        let ended = fiber.join();
        assert!(ended.is_ok() || ended.unwrap_err().is::<Cancelled>());
    }
    releaser.join().unwrap();
    canceller.join().unwrap();
    assert_eq!(semaphore.permits.load(Ordering::Relaxed), 0);
    assert!(semaphore.queue.is_empty());
}
