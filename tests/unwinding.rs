//! What the unwind of a cancelled fiber passes through: destructors, also such as wait, locks, shields, calls, and
//! all of them inside one another.

mod common;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant as StdInstant;

use common::{
    Expected, Gate, MODES, Mode, Once, Random, Test, eventually, in_both_modes,
    joined_as_cancelled, on_all_machines, scaled, silence_panics,
};
use fibers::time::{Duration, Instant};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{CallSlot, Cancelled, JoinHandle, Sent, is_cancelled, shield, sleep, timeout};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_micros(300);

#[test]
fn destructors_run_once_and_from_the_inside_out() {
    struct Logs(&'static str, Arc<Mutex<Vec<&'static str>>>);
    impl Drop for Logs {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    fibers::fiber_local! {
        static LOCAL: std::cell::RefCell<Option<Logs>> = std::cell::RefCell::new(None);
    }
    on_all_machines(60, |_, machine| {
        let log = Arc::default();
        let logs = |name| Logs(name, Arc::clone(&log));
        let (captured, local) = (logs("captured"), logs("fiber-local"));
        let (outer, middle, inner) = (logs("outer"), logs("middle"), logs("inner"));
        let fiber = machine.spawn(move || {
            let _captured = &captured;
            LOCAL.with(|slot| *slot.borrow_mut() = Some(local));
            let _outer = outer;
            let _ = timeout(LONG, || {
                let _middle = middle;
                fibers::scope(|_| {
                    let _inner = inner;
                    fibers::park();
                });
            });
        });
        eventually(|| machine.metrics().parked == 1);
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        let order = ["inner", "middle", "outer", "captured", "fiber-local"];
        assert_eq!(*log.lock().unwrap(), order);
    });
}

/// Std poisons it, as with any unwind; what matters is that it is free again. Pinned: a guard stays on its thread.
#[test]
fn a_lock_held_over_the_cancelled_wait_is_free_afterwards() {
    for workers in [1, 2] {
        let test = Test::new(60);
        let machine = test.machine(Mode::Pinned, workers);
        let lock = Arc::new(Mutex::new(3));
        let fiber = machine.spawn({
            let lock = Arc::clone(&lock);
            move || {
                let _held = lock.lock().unwrap();
                fibers::park();
            }
        });
        eventually(|| machine.metrics().parked == 1);
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        let value = *lock.lock().unwrap_err().into_inner();
        assert_eq!(value, 3);
        assert!(machine.run(move || lock.lock().is_err()));
    }
}

/// What a destructor waits for comes while the fiber unwinds, whatever is pending then: on a machine with another
/// worker, as this one is blocked.
#[test]
fn a_destructor_may_wait_while_its_fiber_unwinds() {
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let begin = StdInstant::now();
            sleep(SHORT);
            fibers::park_timeout(SHORT);
            let came = wait::sleep_until(Reasons::USER0, Instant::now() + SHORT);
            assert_eq!(came, Reasons::TIMEOUT);
            // A deadline of its own ends what it encloses.
            assert!(timeout(SHORT, || timeout(LONG, fibers::park)).is_err());
            assert!(begin.elapsed() >= 4 * SHORT);
            assert_eq!(fibers::spawn(|| 4).join().unwrap(), 4);
            let parked = fibers::spawn(fibers::park);
            let parked = parked.join_timeout(SHORT).unwrap_err();
            parked.cancel().unwrap();
            joined_as_cancelled(parked);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    silence_panics();
    for mode in MODES {
        for workers in [2, 4] {
            let test = Test::new(60);
            let machine = test.machine(mode, workers);
            let waited = Arc::new(AtomicUsize::new(0));
            let waits = Waits(Arc::clone(&waited));
            let cancelled = machine.spawn(move || {
                let _waits = waits;
                fibers::current().cancel().unwrap();
                fibers::yield_now();
            });
            joined_as_cancelled(cancelled);
            let waits = Waits(Arc::clone(&waited));
            let panicked = machine.spawn(move || {
                let _waits = waits;
                fibers::current().cancel().unwrap();
                std::panic::panic_any(Expected(1));
            });
            let ended: std::thread::Result<()> = panicked.join();
            assert!(ended.unwrap_err().is::<Expected>(), "the panic counts");
            assert_eq!(waited.load(Ordering::Relaxed), 2);
        }
    }
}

/// A destructor that runs in the ordinary way is code like any other.
#[test]
fn a_destructor_that_waits_is_unwound_like_other_code() {
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            sleep(LONG);
            unreachable!("it was cancelled");
        }
    }
    in_both_modes(60, 1, |_, machine, _| {
        let (waits, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let fiber = machine.spawn({
            let (waits, once) = (Waits(Arc::clone(&waits)), Once(Arc::clone(&drops)));
            move || {
                let _once = once;
                drop(waits);
            }
        });
        eventually(|| machine.metrics().parked == 1);
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        assert_eq!(waits.load(Ordering::Relaxed), 1);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_shield_keeps_a_cancellation_and_a_deadline_off_until_it_ends() {
    on_all_machines(60, |_, machine| {
        let shielded = Arc::new(AtomicUsize::new(0));
        let fiber = machine.spawn({
            let shielded = Arc::clone(&shielded);
            move || {
                let _ = timeout(SHORT, || {
                    shield(|| {
                        fibers::current().cancel().unwrap();
                        sleep(4 * SHORT);
                        assert!(is_cancelled());
                        assert!(timeout(SHORT, fibers::park).is_err(), "its own works");
                        shield(fibers::yield_now);
                        assert_eq!(fibers::spawn(|| 2).join().unwrap(), 2);
                        assert_eq!(fibers::join(|| 3, || 4), (3, 4));
                        let sum = fibers::scope(|s| {
                            let halves = [1, 2].map(|n| s.spawn(move || n));
                            halves.map(|half| half.join().unwrap()).iter().sum::<i32>()
                        });
                        assert_eq!(sum, 3);
                        assert!(!WaitQueue::new().wait_timeout(SHORT, || false));
                        let caught = catch_unwind(|| shield(|| std::panic::panic_any(Expected(1))));
                        assert!(caught.is_err());
                        fibers::yield_now();
                        shielded.fetch_add(1, Ordering::Relaxed);
                    });
                    fibers::yield_now();
                    unreachable!("both were pending");
                });
                unreachable!("of the two the cancellation counts");
            }
        });
        let ended: JoinHandle<()> = fiber;
        joined_as_cancelled(ended);
        assert_eq!(shielded.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_call_that_waits_ends_with_its_target() {
    on_all_machines(60, |test, machine| {
        let other = test.machine(Mode::Pinned, 1);
        let (entered, drops) = (Arc::new(Gate::new()), Arc::default());
        let target = machine.spawn(fibers::park);
        let call = target.fiber().call({
            let (entered, once) = (Arc::clone(&entered), Once(Arc::clone(&drops)));
            move || {
                let _once = once;
                entered.open();
                let _ = timeout(LONG, fibers::park);
            }
        });
        let call = call.unwrap();
        let sender = other.spawn(move || {
            let payload = call.wait().unwrap_err();
            (payload.is::<Cancelled>(), is_cancelled())
        });
        entered.wait();
        target.cancel().unwrap();
        joined_as_cancelled(target);
        assert_eq!(sender.join().unwrap(), (true, false));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

/// Nobody would hear of it if it were cut short.
#[test]
fn a_call_by_a_slot_is_not_cut_short() {
    on_all_machines(60, |_, machine| {
        let (entered, calls) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
        let target = machine.spawn(fibers::park);
        let slot = CallSlot::new({
            let (entered, calls) = (Arc::clone(&entered), Arc::clone(&calls));
            move || {
                entered.open();
                sleep(4 * SHORT);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        entered.wait();
        target.cancel().unwrap();
        joined_as_cancelled(target);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        eventually(|| !slot.is_queued());
    });
}

/// What a nest of everything at once has made and dropped, and what of it went to its end.
#[derive(Clone, Default)]
struct Nest {
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

/// Waits for a moment when it is dropped. If that is by an unwind, nothing but its own deadline may end the wait.
struct WaitsInDrop;

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        let ended = timeout(Duration::from_micros(20), fibers::park);
        assert!(ended.is_err(), "nobody unparks it");
    }
}

impl Nest {
    fn once(&self) -> Once {
        self.made.fetch_add(1, Ordering::Relaxed);
        Once(Arc::clone(&self.dropped))
    }

    /// Waits somewhere inside deadlines, shields, scopes, forks and calls. Inside a shield, and there alone, it
    /// comes to an end by itself.
    fn go(&self, seed: u64, depth: u32, shielded: bool) {
        let mut random = Random::of(seed);
        let _once = self.once();
        let _waits = (random.below(4) == 0).then_some(WaitsInDrop);
        let (left, right) = (random.next(), random.next());
        if depth == 0 {
            match random.below(4) {
                _ if shielded => sleep(Duration::from_nanos(random.below(50_000))),
                0 => sleep(LONG),
                1 => WaitQueue::new().wait_until(|| false),
                2 => fibers::park(),
                _ => loop {
                    fibers::yield_now();
                },
            }
            return;
        }
        let inner = |seed: u64| self.go(seed, depth - 1, shielded);
        match random.below(8) {
            0 => drop(timeout(LONG, || inner(left))),
            // It ends before the rest does; then there is more to come.
            1 => {
                let limit = Duration::from_nanos(random.below(100_000));
                let _ = timeout(limit, || inner(left));
                inner(right);
            }
            2 => {
                shield(|| self.go(left, depth - 1, true));
                inner(right);
            }
            3 => {
                let (inner, borrowed) = (&inner, &Once(Arc::default()));
                fibers::scope(|s| {
                    for seed in [left, right] {
                        s.spawn(move || {
                            let _counted = common::Counted(&borrowed.0);
                            inner(seed);
                        });
                    }
                    inner(left ^ right);
                });
            }
            4 => {
                fibers::join(|| inner(left), || inner(right));
            }
            5 => {
                let (nest, once) = (self.clone(), self.once());
                let joined = fibers::spawn(move || {
                    let _once = once;
                    nest.go(left, depth - 1, true);
                });
                let _ = joined.join();
                inner(right);
            }
            6 => {
                let nest = self.clone();
                // It may be left to run at the end of the fiber, where it must end.
                let call = fibers::current().call(move || nest.go(left, depth - 1, true));
                let _ = call.unwrap().wait();
                inner(right);
            }
            _ => inner(left),
        }
    }
}

#[test]
fn everything_inside_everything_is_unwound_at_any_moment() {
    let rounds = scaled(6000, 200_000);
    let random = std::cell::Cell::new(Random::new().next());
    on_all_machines(60, |_, machine| {
        let mut random = Random::of(random.replace(random.get() + 1));
        for _ in 0..rounds / 6 {
            let nest = Nest::default();
            let seed = random.next();
            let fiber = machine.spawn({
                let nest = nest.clone();
                move || nest.go(seed, 5, false)
            });
            for _ in 0..random.below(20_000) {
                std::hint::spin_loop();
            }
            fiber.cancel().unwrap();
            assert!(fiber.join().unwrap_err().is::<Cancelled>(), "nest {seed}");
            // What was spawned and not joined any more comes to its end, too.
            let ended = || {
                nest.made.load(Ordering::Relaxed) == nest.dropped.load(Ordering::Relaxed)
                    && machine.metrics().parked == 0
            };
            eventually(ended);
        }
    });
}
