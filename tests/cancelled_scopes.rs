//! What a scope and a fork promise when their owner is cancelled, or runs out of time: their fibers are cancelled too,
//! and waited for, so that what they borrow is there until the last of them has ended.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{
    Counted, Expected, Gate, Once, Random, Test, child_case, eventually, joined_as_cancelled,
    on_all_machines, resident_bytes, scaled, silence_panics,
};
use fibers::time::Duration;
use fibers::{Cancelled, Scope, is_cancelled, shield, sleep, timeout};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_micros(300);

/// Data on the owner's stack that its children use until their end; gone before, it is noticed.
struct Borrowed<'a> {
    users: AtomicUsize,
    /// How many frames of that kind have ended with nobody left.
    ended: &'a AtomicUsize,
}

impl<'a> Borrowed<'a> {
    fn new(ended: &'a AtomicUsize) -> Self {
        Self {
            users: AtomicUsize::new(0),
            ended,
        }
    }

    fn used<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        self.users.fetch_add(1, Ordering::AcqRel);
        let _leave = Leave(&self.users);
        f()
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if *self.users.get_mut() == 0 {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where the owner is when its end comes.
const OWNERS: &[(&str, fn())] = &[
    ("in the scope", fibers::park),
    ("at the end of it", || ()),
    ("in another scope", || {
        fibers::scope(|s| drop(s.spawn(fibers::park)));
    }),
    ("within a deadline", || {
        let _ = timeout(LONG, fibers::park);
    }),
];

/// A scope with ten fibers that wait for ever.
fn parked_scope(owner: fn(), drops: &Arc<AtomicUsize>, ended: &AtomicUsize) {
    let borrowed = Borrowed::new(ended);
    fibers::scope(|s| {
        for n in 0..10 {
            let (borrowed, once) = (&borrowed, Once(Arc::clone(drops)));
            let child = s.spawn(move || {
                let _once = once;
                borrowed.used(|| match n % 3 {
                    0 => fibers::park(),
                    1 => sleep(LONG),
                    _ => loop {
                        fibers::yield_now();
                    },
                });
            });
            if n == 9 {
                // One of them is being joined.
                s.spawn(move || drop(child.join()));
            }
        }
        owner();
    });
}

#[test]
fn the_fibers_of_a_cancelled_scope_end_before_it_does() {
    on_all_machines(60, |_, machine| {
        for (name, owner) in OWNERS {
            let (drops, ended) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
            let fiber = machine.spawn({
                let (drops, ended) = (Arc::clone(&drops), Arc::clone(&ended));
                move || parked_scope(*owner, &drops, &ended)
            });
            eventually(|| machine.metrics().parked > 5);
            fiber.cancel().unwrap();
            joined_as_cancelled(fiber);
            assert_eq!(drops.load(Ordering::Relaxed), 10, "{name}");
            assert_eq!(ended.load(Ordering::Relaxed), 1, "{name}: data went first");
        }
    });
}

#[test]
fn the_fibers_of_a_scope_that_runs_out_of_time_end_before_it_does() {
    fn promise() {
        for (name, owner) in OWNERS {
            let (drops, ended) = (Arc::default(), AtomicUsize::new(0));
            let elapsed = timeout(SHORT, || parked_scope(*owner, &drops, &ended));
            assert!(elapsed.is_err(), "{name}");
            assert_eq!(drops.load(Ordering::Relaxed), 10, "{name}");
            assert_eq!(ended.load(Ordering::Relaxed), 1, "{name}: data went first");
            assert!(!is_cancelled());
        }
    }
    common::in_every_place(60, promise);
}

#[test]
fn fibers_that_have_not_started_never_do() {
    on_all_machines(60, |_, machine| {
        let workers = machine.metrics().workers as usize;
        let (ran, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (entered, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Gate::new()));
        // The other workers are kept busy, so that nobody takes what the owner spawns.
        let busy: Vec<_> = (1..workers)
            .map(|_| {
                let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
                machine.spawn(move || {
                    entered.fetch_add(1, Ordering::AcqRel);
                    while !go_on.is_open() {
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        eventually(|| entered.load(Ordering::Acquire) == busy.len());
        let fiber = machine.spawn({
            let (ran, drops) = (Arc::clone(&ran), Arc::clone(&drops));
            move || {
                fibers::scope(|s| {
                    for _ in 0..100 {
                        let (ran, once) = (&ran, Once(Arc::clone(&drops)));
                        s.spawn(move || {
                            let _once = once;
                            ran.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                    fibers::current().cancel().unwrap();
                    fibers::park();
                });
            }
        });
        joined_as_cancelled(fiber);
        assert_eq!(drops.load(Ordering::Relaxed), 100);
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        go_on.open();
        for fiber in busy {
            fiber.join().unwrap();
        }
    });
}

/// Fibers that, cancelled, spawn siblings that spawn siblings; in destructors too.
#[test]
fn siblings_spawned_while_the_scope_is_cancelled_are_cancelled_and_waited_for() {
    struct Family<'a> {
        made: &'a AtomicUsize,
        gone: &'a AtomicUsize,
    }
    struct SpawnsInDrop<'scope, 'env>(&'scope Scope<'scope, 'env>, &'scope Family<'scope>, u32);
    impl Drop for SpawnsInDrop<'_, '_> {
        fn drop(&mut self) {
            child(self.0, self.1, self.2);
        }
    }
    fn child<'scope>(s: &'scope Scope<'scope, '_>, family: &'scope Family<'scope>, left: u32) {
        family.made.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(family.gone);
        s.spawn(move || {
            let _counted = counted;
            if left == 0 {
                fibers::park();
                return;
            }
            let _spawns = SpawnsInDrop(s, family, left - 1);
            let unwound = catch_unwind(AssertUnwindSafe(fibers::park));
            assert!(unwound.unwrap_err().is::<Cancelled>());
            child(s, family, left - 1);
            // And once more by the unwind.
            fibers::yield_now();
        });
    }
    on_all_machines(60, |_, machine| {
        let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let fiber = machine.spawn({
            let counts = Arc::clone(&counts);
            move || {
                let family = Family {
                    made: &counts.0,
                    gone: &counts.1,
                };
                fibers::scope(|s| (0..4).for_each(|_| child(s, &family, 6)));
            }
        });
        eventually(|| machine.metrics().parked == 5);
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        // Those that were cancelled before their start have spawned nobody.
        let (made, gone) = (&counts.0, &counts.1);
        assert!(made.load(Ordering::Relaxed) >= 4 + 2 * 4);
        assert_eq!(made.load(Ordering::Relaxed), gone.load(Ordering::Relaxed));
    });
}

#[test]
fn scopes_in_scopes_end_from_the_inside_out() {
    fn nest(depth: u32, leaves: &Arc<AtomicUsize>, ended: &AtomicUsize) {
        if depth == 0 {
            let _once = Once(Arc::clone(leaves));
            fibers::park();
            return;
        }
        let borrowed = Borrowed::new(ended);
        fibers::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| borrowed.used(|| nest(depth - 1, leaves, ended)));
            }
        });
    }
    on_all_machines(60, |_, machine| {
        let (leaves, ended) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let fiber = machine.spawn({
            let (leaves, ended) = (Arc::clone(&leaves), Arc::clone(&ended));
            move || nest(5, &leaves, &ended)
        });
        // 1 + 3 + ... + 243
        eventually(|| machine.metrics().parked == 364);
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        assert_eq!(leaves.load(Ordering::Relaxed), 243);
        assert_eq!(ended.load(Ordering::Relaxed), 121);
    });
}

#[test]
fn a_scope_waits_for_a_child_behind_a_shield() {
    on_all_machines(60, |_, machine| {
        let (entered, committed) = (Arc::new(Gate::new()), Arc::new(AtomicBool::new(false)));
        let fiber = machine.spawn({
            let (entered, committed) = (Arc::clone(&entered), Arc::clone(&committed));
            move || {
                fibers::scope(|s| {
                    s.spawn(|| {
                        shield(|| {
                            entered.open();
                            while !is_cancelled() {
                                sleep(SHORT);
                            }
                            sleep(4 * SHORT);
                            committed.store(true, Ordering::Release);
                        });
                        fibers::park();
                        unreachable!("it was pending");
                    });
                });
            }
        });
        entered.wait();
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        assert!(committed.load(Ordering::Acquire));
    });
}

#[test]
fn a_cancelled_child_ends_neither_its_scope_nor_its_siblings() {
    fn promise() {
        let gate = Gate::new();
        let sum = fibers::scope(|s| {
            let sibling = s.spawn(|| {
                gate.wait();
                5
            });
            s.spawn(fibers::park).cancel().unwrap();
            let joined = s.spawn(fibers::park);
            joined.cancel().unwrap();
            assert!(joined.join().unwrap_err().is::<Cancelled>());
            gate.open();
            sibling.join().unwrap() + 1
        });
        assert_eq!(sum, 6);
    }
    common::in_every_place(60, promise);
}

/// The panic counts, and those who would never end by themselves are ended by the cancellation.
#[test]
fn a_panic_in_a_scope_that_is_cancelled_later_comes_out() {
    silence_panics();
    on_all_machines(60, |_, machine| {
        let fiber = machine.spawn(|| {
            fibers::scope(|s| {
                s.spawn(fibers::park);
                std::panic::panic_any(Expected(3));
            });
        });
        eventually(|| machine.metrics().parked == 2);
        fiber.cancel().unwrap();
        let payload = fiber.join().unwrap_err();
        assert_eq!(*payload.downcast::<Expected>().unwrap(), Expected(3));
    });
}

/// 88 bytes and a closure each, if it kept them: in a process of its own.
#[test]
fn a_scope_keeps_nothing_of_fibers_that_have_ended() {
    const NAME: &str = "a_scope_keeps_nothing_of_fibers_that_have_ended";
    if child_case().is_none() {
        let ended = common::child_for(NAME, "measure", &[], 60);
        print!("{}", ended.stdout);
        ended.passed();
        return;
    }
    on_all_machines(60, |_, machine| {
        machine.run(|| {
            fibers::scope(|s| {
                let batch = |fibers: usize| {
                    let kept = [1_u64; 16];
                    for n in 0..fibers / 100 {
                        let all: Vec<_> = (0..100).map(|_| s.spawn(move || kept[3])).collect();
                        let all = all.into_iter();
                        // Some are joined, others left to themselves.
                        all.take(n % 100).for_each(|fiber| drop(fiber.join()));
                        fibers::yield_now();
                    }
                };
                batch(10_000);
                let before = resident_bytes();
                batch(100_000);
                let after = resident_bytes();
                println!("{before} bytes before, {after} after");
                assert!(after < before + (4 << 20), "{before} and then {after}");
            });
        });
    });
}

#[test]
fn a_fork_s_stolen_half_is_cancelled_and_waited_for() {
    on_all_machines(60, |_, machine| {
        if machine.metrics().workers == 1 {
            return;
        }
        for by_deadline in [false, true] {
            for in_first_half in [false, true] {
                let ended = Arc::new(AtomicUsize::new(0));
                let (begun, drops) = (Arc::new(AtomicBool::new(false)), Arc::default());
                let fork = {
                    let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
                    let once = Once(Arc::clone(&drops));
                    move || {
                        let borrowed = Borrowed::new(&ended);
                        let first = || {
                            // Until it is stolen.
                            while !begun.load(Ordering::Acquire) {
                                std::hint::spin_loop();
                            }
                            if in_first_half {
                                fibers::park();
                            }
                        };
                        let second = || {
                            let _once = once;
                            borrowed.used(|| {
                                begun.store(true, Ordering::Release);
                                fibers::park();
                            });
                        };
                        fibers::join(first, second);
                    }
                };
                if by_deadline {
                    let limit = Duration::from_millis(20);
                    let fiber = machine.spawn(move || timeout(limit, fork).is_err());
                    assert!(fiber.join().unwrap());
                } else {
                    let fiber = machine.spawn(fork);
                    eventually(|| begun.load(Ordering::Acquire));
                    fiber.cancel().unwrap();
                    joined_as_cancelled(fiber);
                }
                assert_eq!(drops.load(Ordering::Relaxed), 1);
                assert_eq!(ended.load(Ordering::Relaxed), 1, "data went first");
            }
        }
    });
}

/// A half that has come to its end all the same counts, and so does one that panics meanwhile.
#[test]
fn a_fork_whose_stolen_half_ends_by_itself_returns_it() {
    silence_panics();
    on_all_machines(60, |_, machine| {
        if machine.metrics().workers == 1 {
            return;
        }
        for panics in [false, true] {
            let begun = Arc::new(AtomicBool::new(false));
            let fiber = machine.spawn({
                let begun = Arc::clone(&begun);
                move || {
                    let first = || {
                        while !begun.load(Ordering::Acquire) {
                            std::hint::spin_loop();
                        }
                        1
                    };
                    let second = || {
                        begun.store(true, Ordering::Release);
                        while !is_cancelled() {
                            // A wait that is not cut short, so that it hears of it.
                            shield(|| sleep(SHORT));
                        }
                        if panics {
                            std::panic::panic_any(Expected(2));
                        }
                        2
                    };
                    let both = fibers::join(first, second);
                    (both, is_cancelled())
                }
            });
            eventually(|| begun.load(Ordering::Acquire));
            fiber.cancel().unwrap();
            match fiber.join() {
                Ok(came) => assert!(!panics && came == ((1, 2), true)),
                Err(payload) => assert!(panics && payload.is::<Expected>()),
            }
        }
    });
}

#[test]
fn ten_thousand_children_are_cancelled_at_any_moment() {
    let test = Test::new(60);
    let count = scaled(10_000, 100_000);
    let random = Mutex::new(Random::new());
    for mode in common::MODES {
        let machine = test.machine(mode, 2);
        for _ in 0..5 {
            let counts = Arc::new((AtomicUsize::new(0), Arc::<AtomicUsize>::default()));
            let fiber = machine.spawn({
                let counts = Arc::clone(&counts);
                move || {
                    fibers::scope(|s| {
                        for _ in 0..count {
                            counts.0.fetch_add(1, Ordering::Relaxed);
                            let once = Once(Arc::clone(&counts.1));
                            s.spawn(move || {
                                let _once = once;
                                fibers::park();
                            });
                        }
                    });
                }
            });
            let spins = random.lock().unwrap().below(1_000_000);
            (0..spins).for_each(|_| std::hint::spin_loop());
            fiber.cancel().unwrap();
            joined_as_cancelled(fiber);
            let made = counts.0.load(Ordering::Relaxed);
            assert_eq!(counts.1.load(Ordering::Relaxed), made);
        }
    }
}
