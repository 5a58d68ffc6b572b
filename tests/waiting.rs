//! What `fibers::wait` promises: no wake is lost, none counts twice, queues are fair, threads may join in.

mod common;

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{
    Gate, Latch, MODES, Mode, Random, Test, eventually, everywhere, in_both_modes, scaled,
};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Fiber, Runtime};

const USERS: [Reasons; 8] = [
    Reasons::USER0,
    Reasons::USER1,
    Reasons::USER2,
    Reasons::USER3,
    Reasons::USER4,
    Reasons::USER5,
    Reasons::USER6,
    Reasons::USER7,
];

#[test]
fn a_wake_before_the_sleep_ends_it_at_once() {
    fn promise() {
        let me = fibers::current();
        for reason in USERS {
            wait::wake(&me, reason);
            assert_eq!(wait::sleep(reason), reason);
        }
        // Twice is once.
        wait::wake(&me, Reasons::USER0);
        wait::wake(&me, Reasons::USER0);
        assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
        assert_eq!(wait::prepare(Reasons::SENDABLE), Reasons::NONE);
    }
    everywhere(60, promise);
}

#[test]
fn a_wake_outside_the_mask_is_kept_for_the_sleep_that_accepts_it() {
    fn promise() {
        let me = fibers::current();
        wait::wake(&me, Reasons::USER1);
        wait::wake(&me, Reasons::USER2 | Reasons::UNPARK);
        let helper = fibers::spawn({
            let me = me.clone();
            move || wait::wake(&me, Reasons::USER0 | Reasons::USER3)
        });
        // Only the third ends this sleep; it takes what it accepts and leaves the rest.
        assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
        helper.join().unwrap();
        assert_eq!(wait::sleep(Reasons::USER1), Reasons::USER1);
        let rest = Reasons::USER2 | Reasons::USER3;
        assert_eq!(wait::sleep(rest | Reasons::USER4), rest);
        fibers::park();
        assert_eq!(wait::prepare(Reasons::SENDABLE), Reasons::NONE);
    }
    everywhere(60, promise);
}

#[test]
fn prepare_forgets_what_is_stale_and_nothing_else() {
    fn promise() {
        let me = fibers::current();
        wait::wake(&me, Reasons::USER0 | Reasons::USER1 | Reasons::USER2);
        let stale = Reasons::USER0 | Reasons::USER1;
        assert_eq!(wait::prepare(stale | Reasons::USER5), stale);
        assert_eq!(wait::prepare(stale), Reasons::NONE);
        assert_eq!(wait::sleep(stale | Reasons::USER2), Reasons::USER2);
    }
    everywhere(60, promise);
}

#[test]
fn only_sendable_reasons_can_be_sent() {
    fn promise() {
        let me = fibers::current();
        let library = Reasons::QUEUE
            | Reasons::CALL
            | Reasons::CANCEL
            | Reasons::READABLE
            | Reasons::WRITABLE
            | Reasons::TIMEOUT
            | Reasons::WAKER;
        wait::wake(&me, library);
        wait::wake(&me, Reasons::NONE);
        wait::wake(&me, Reasons::USER0);
        // A forged QUEUE would end this join early, a forged CANCEL would unwind.
        let gate = Arc::new(Gate::new());
        let fiber = fibers::spawn({
            let (gate, me) = (Arc::clone(&gate), me.clone());
            move || {
                wait::wake(&me, Reasons::QUEUE | Reasons::CANCEL);
                fibers::yield_now();
                gate.open();
                5
            }
        });
        assert_eq!(fiber.join().unwrap(), 5);
        assert!(gate.is_open());
        assert_eq!(
            wait::sleep(Reasons::USER0 | library & !Reasons::CANCEL),
            Reasons::USER0
        );
    }
    everywhere(60, promise);
}

#[test]
fn a_sleep_that_nobody_could_end_is_refused() {
    fn promise() {
        let refused = std::panic::catch_unwind(|| wait::sleep(Reasons::NONE));
        let text = refused.unwrap_err().downcast::<&str>().unwrap();
        assert!(text.contains("empty mask"), "{text}");
    }
    everywhere(60, promise);
}

#[test]
fn waking_a_fiber_that_has_ended_does_nothing() {
    in_both_modes(60, 2, |_, machine, _| {
        let fiber = machine.spawn(|| ());
        let gone = fiber.fiber().clone();
        fiber.join().unwrap();
        for _ in 0..100 {
            wait::wake(&gone, Reasons::USER0);
            gone.unpark();
        }
        assert_eq!(machine.run(|| 3), 3);
    });
}

/// Eight wakers at once, fibers of two machines and plain threads, each waiting for its answer before it
/// sends again: a lost wake is a hang, and one that came twice upsets the counts (K23, K25).
#[test]
fn eight_wakers_at_once_lose_nothing() {
    let rounds = scaled(20_000, 1_000_000);
    in_both_modes(120, 2, |test, machine, _| {
        let other = test.machine(Mode::Pinned, 2);
        let served = machine.spawn(move || {
            let mut counts = [0; 8];
            let mut senders: Vec<Option<Fiber>> = vec![None; 8];
            let mut all = Reasons::NONE;
            for user in USERS {
                all |= user;
            }
            let missing = |counts: &[usize; 8]| counts.iter().any(|count| *count < rounds);
            while missing(&counts) {
                let come = wait::sleep(all);
                for (index, user) in USERS.into_iter().enumerate() {
                    if come.contains(user) {
                        counts[index] += 1;
                        let sender = senders[index]
                            .get_or_insert_with(|| SENDERS[index].lock().unwrap().clone().unwrap());
                        wait::wake(sender, Reasons::USER0);
                    }
                }
            }
            counts
        });
        static SENDERS: [Mutex<Option<Fiber>>; 8] = [const { Mutex::new(None) }; 8];
        let sender = |index: usize| {
            let target = served.fiber().clone();
            move || {
                *SENDERS[index].lock().unwrap() = Some(fibers::current());
                for _ in 0..rounds {
                    wait::wake(&target, USERS[index]);
                    assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
                }
            }
        };
        let mut fibers = Vec::new();
        let mut threads = Vec::new();
        for index in 0..8 {
            match index % 3 {
                0 => fibers.push(machine.spawn(sender(index))),
                1 => fibers.push(other.spawn(sender(index))),
                _ => threads.push(std::thread::spawn(sender(index))),
            }
        }
        for fiber in fibers {
            fiber.join().unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(served.join().unwrap(), [rounds; 8]);
    });
}

#[test]
fn a_queue_wakes_in_the_order_of_arrival() {
    in_both_modes(60, 2, |_, machine, _| {
        let queue = Arc::new(WaitQueue::new());
        let (turn, order) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let mut all = Vec::new();
        for n in 0..100 {
            let (queue, turn, order) = (Arc::clone(&queue), Arc::clone(&turn), Arc::clone(&order));
            let arrived = machine.metrics().parked;
            let wait = move || {
                // Any of them could go on at any turn; the queue decides.
                let mine = AtomicBool::new(false);
                queue.wait_until(|| {
                    mine.load(Ordering::Relaxed)
                        || turn
                            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |free| {
                                free.checked_sub(1)
                            })
                            .inspect(|_| mine.store(true, Ordering::Relaxed))
                            .is_ok()
                });
                order.lock().unwrap().push(n);
            };
            all.push(machine.spawn(wait));
            eventually(|| machine.metrics().parked == arrived + 1);
        }
        assert!(!queue.wake_one(), "nobody's condition is true");
        for n in 0..100 {
            turn.fetch_add(1, Ordering::AcqRel);
            assert!(queue.wake_one());
            eventually(|| order.lock().unwrap().len() == n + 1);
        }
        assert!(queue.is_empty() && !queue.wake_one() && queue.wake_all() == 0);
        assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
        for fiber in all {
            fiber.join().unwrap();
        }
    });
}

#[test]
fn a_condition_that_is_true_already_needs_no_wake() {
    fn promise() {
        let queue = WaitQueue::new();
        queue.wait_until(|| true);
        assert!(queue.is_empty());
        assert!(format!("{queue:?}").contains("waiting: 0"));
    }
    everywhere(60, promise);
}

/// T14. The waker asks the waiter's condition; a false one costs the waiter nothing.
#[test]
fn notifications_for_nothing_do_not_wake() {
    in_both_modes(60, 1, |_, machine, _| {
        let shared = Arc::new((AtomicUsize::new(0), WaitQueue::new()));
        let waiter = machine.spawn({
            let shared = Arc::clone(&shared);
            move || {
                shared
                    .1
                    .wait_until(|| shared.0.load(Ordering::Acquire) == 100_000)
            }
        });
        eventually(|| machine.metrics().parked == 1);
        let before = machine.metrics();
        for _ in 0..99_999 {
            shared.0.fetch_add(1, Ordering::Release);
            assert!(!shared.1.wake_one());
            if shared.0.load(Ordering::Relaxed).is_multiple_of(1000) {
                assert_eq!(shared.1.wake_all(), 0);
            }
        }
        assert_eq!(machine.metrics().switches, before.switches);
        shared.0.fetch_add(1, Ordering::Release);
        assert!(shared.1.wake_one());
        waiter.join().unwrap();
        let after = machine.metrics();
        assert!(
            after.switches - before.switches <= 1,
            "{before:?}\n{after:?}"
        );
    });
}

#[test]
fn wake_all_wakes_those_who_may_go_on() {
    in_both_modes(60, 3, |_, machine, _| {
        let shared = Arc::new((AtomicUsize::new(0), WaitQueue::new()));
        let all: Vec<_> = (0..90)
            .map(|n| {
                let shared = Arc::clone(&shared);
                machine.spawn(move || {
                    shared
                        .1
                        .wait_until(|| shared.0.load(Ordering::Acquire) > n % 3);
                    n
                })
            })
            .collect();
        eventually(|| machine.metrics().parked == 90);
        for class in 1..=3 {
            shared.0.store(class, Ordering::Release);
            assert_eq!(shared.1.wake_all(), 30);
            eventually(|| all.iter().filter(|fiber| fiber.is_finished()).count() == 30 * class);
        }
        assert_eq!(
            all.into_iter()
                .map(|fiber| fiber.join().unwrap())
                .sum::<usize>(),
            89 * 90 / 2
        );
    });
}

/// A lock on a wait queue, as a user would write it.
#[derive(Default)]
struct Lock<T> {
    taken: AtomicBool,
    queue: WaitQueue,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by whoever has set `taken`, one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T: Send> Lock<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        loop {
            self.queue
                .wait_until(|| !self.taken.load(Ordering::Acquire));
            if !self.taken.swap(true, Ordering::Acquire) {
                break;
            }
        }
        // SAFETY: `taken` is ours.
        let result = f(unsafe { &mut *self.value.get() });
        self.taken.store(false, Ordering::Release);
        self.queue.wake_one();
        result
    }
}

#[test]
fn fibers_of_two_machines_and_threads_share_a_lock() {
    let rounds = scaled(20_000, 1_000_000);
    for (a, b) in [
        (Mode::Pinned, Mode::Floating),
        (Mode::Floating, Mode::Pinned),
    ] {
        let test = Test::new(120);
        let (left, right) = (test.machine(a, 2), test.machine(b, 2));
        let lock: Arc<Lock<(usize, usize)>> = Arc::default();
        let work = |lock: &Arc<Lock<(usize, usize)>>| {
            let lock = Arc::clone(lock);
            move || {
                for n in 0..rounds {
                    lock.with(|pair| {
                        assert_eq!(pair.0, pair.1);
                        pair.0 += 1;
                        if n % 16 == 0 {
                            // Held over a wait.
                            fibers::yield_now();
                        }
                        pair.1 += 1;
                    });
                }
            }
        };
        let mut fibers = Vec::new();
        for _ in 0..4 {
            fibers.push(left.spawn(work(&lock)));
            fibers.push(right.spawn(work(&lock)));
        }
        let threads = [(); 2].map(|()| std::thread::spawn(work(&lock)));
        for fiber in fibers {
            fiber.join().unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(lock.with(|pair| *pair), (10 * rounds, 10 * rounds));
    }
}

/// K32: those who leave the queue because they are cancelled take no permit with them.
#[test]
fn a_cancelled_waiter_passes_its_wake_on() {
    struct Semaphore(AtomicUsize, WaitQueue);
    impl Semaphore {
        fn acquire(&self) {
            loop {
                self.1.wait_until(|| self.0.load(Ordering::Acquire) > 0);
                let taken = self
                    .0
                    .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |free| {
                        free.checked_sub(1)
                    });
                if taken.is_ok() {
                    return;
                }
            }
        }
        fn release(&self) {
            self.0.fetch_add(1, Ordering::AcqRel);
            self.1.wake_one();
        }
    }
    let mut random = Random::new();
    for round in 0..scaled(1000, 20_000) {
        let test = Test::new(60);
        let mode = MODES[round % 2];
        let (dying, living) = (test.machine(mode, 2), test.machine(mode, 1));
        let semaphore = Arc::new(Semaphore(AtomicUsize::new(0), WaitQueue::new()));
        let taken = Arc::new(AtomicUsize::new(0));
        let spawn = |machine: &Runtime| {
            let (semaphore, taken) = (Arc::clone(&semaphore), Arc::clone(&taken));
            machine.spawn(move || {
                semaphore.acquire();
                taken.fetch_add(1, Ordering::Relaxed);
            })
        };
        let doomed: Vec<_> = (0..8).map(|_| spawn(&dying)).collect();
        eventually(|| dying.metrics().parked == 8);
        let waiting: Vec<_> = (0..8).map(|_| spawn(&living)).collect();
        // Sixteen permits come while eight of the sixteen waiters are cancelled.
        let releaser = std::thread::spawn({
            let semaphore = Arc::clone(&semaphore);
            let pause = random.below(200);
            move || {
                for _ in 0..16 {
                    for _ in 0..pause {
                        std::hint::spin_loop();
                    }
                    semaphore.release();
                }
            }
        });
        for _ in 0..random.below(20_000) {
            std::hint::spin_loop();
        }
        drop(dying);
        for fiber in waiting {
            // A lost permit, or a record that stayed in the queue, is a hang here.
            fiber.join().unwrap();
        }
        releaser.join().unwrap();
        let lucky = doomed.into_iter().filter(|fiber| fiber.is_finished());
        let lucky = lucky
            .map(|fiber| usize::from(fiber.join().is_ok()))
            .sum::<usize>();
        assert_eq!(taken.load(Ordering::Relaxed), 8 + lucky);
        assert_eq!(semaphore.0.load(Ordering::Relaxed), 16 - 8 - lucky);
    }
}

/// K24: unparks that nobody asked for disturb no other wait.
#[test]
fn random_unparks_disturb_nothing() {
    in_both_modes(120, 3, |_, machine, _| {
        let stop = Arc::new(AtomicBool::new(false));
        let targets: Arc<Mutex<Vec<Fiber>>> = Arc::default();
        let storm = std::thread::spawn({
            let (stop, targets) = (Arc::clone(&stop), Arc::clone(&targets));
            move || {
                let mut random = Random::of(7);
                while !stop.load(Ordering::Relaxed) {
                    let targets = targets.lock().unwrap();
                    if let Some(target) = targets.get(random.below(16) as usize) {
                        target.unpark();
                    }
                }
            }
        });
        let lock: Arc<Lock<usize>> = Arc::default();
        let latch = Arc::new(Latch::new(16));
        let all: Vec<_> = (0..16)
            .map(|_| {
                let (lock, latch, targets) =
                    (Arc::clone(&lock), Arc::clone(&latch), Arc::clone(&targets));
                machine.spawn(move || {
                    targets.lock().unwrap().push(fibers::current());
                    latch.meet();
                    for n in 0..scaled(3000, 100_000) {
                        assert_eq!(fibers::spawn(move || n).join().unwrap(), n);
                        lock.with(|count| *count += 1);
                        let me = fibers::current();
                        fibers::spawn(move || wait::wake(&me, Reasons::USER0));
                        assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
                        let sum = fibers::scope(|s| {
                            let halves = [s.spawn(|| n), s.spawn(|| n)];
                            halves
                                .map(|half| half.join().unwrap())
                                .iter()
                                .sum::<usize>()
                        });
                        assert_eq!(sum, 2 * n);
                    }
                })
            })
            .collect();
        for fiber in all {
            fiber.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        storm.join().unwrap();
        assert_eq!(lock.with(|count| *count), 16 * scaled(3000, 100_000));
    });
}

/// A wait on the worker's own stack blocks the worker; the others bring what it waits for.
#[test]
fn waits_on_the_worker_stack_work() {
    in_both_modes(60, 2, |_, machine, _| {
        let sum = machine.run(|| {
            (0..50)
                .map(|n| {
                    fibers::on_worker_stack(move || {
                        let me = fibers::current();
                        let waker = fibers::spawn(move || {
                            fibers::yield_now();
                            wait::wake(&me, Reasons::USER0);
                            n
                        });
                        assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
                        let value = waker.join().unwrap();
                        fibers::yield_now();
                        fibers::on_worker_stack(move || value)
                    })
                })
                .sum::<u64>()
        });
        assert_eq!(sum, 49 * 50 / 2);
    });
}

#[test]
fn a_panic_on_the_worker_stack_comes_out_of_the_call() {
    fn promise() {
        let result = std::panic::catch_unwind(|| {
            fibers::on_worker_stack(|| std::panic::panic_any(common::Expected(4)))
        });
        assert!(result.unwrap_err().is::<common::Expected>());
        // And waits switch again.
        fibers::yield_now();
        assert_eq!(fibers::spawn(|| 1).join().unwrap(), 1);
    }
    common::silence_panics();
    everywhere(60, promise);
}

#[test]
fn cancellation_ends_a_sleep_by_unwinding_or_by_the_reason_that_was_asked_for() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 2);
        let plain = machine.spawn(|| {
            wait::sleep(Reasons::USER0);
        });
        let asked = machine.spawn(|| {
            let first = wait::sleep(Reasons::CANCEL | Reasons::USER0);
            // It stays pending, and a sleep that does not ask for it unwinds.
            let again = wait::sleep(Reasons::CANCEL);
            let unwound = std::panic::catch_unwind(|| wait::sleep(Reasons::USER0));
            (first, again, unwound.unwrap_err().is::<fibers::Cancelled>())
        });
        let kept = machine.spawn(|| {
            let come = wait::sleep(Reasons::CANCEL | Reasons::USER0);
            assert!(come.contains(Reasons::CANCEL));
            wait::wake(&fibers::current(), Reasons::USER5);
            wait::sleep(Reasons::USER5)
        });
        eventually(|| machine.metrics().parked == 3);
        drop(machine);
        assert!(plain.join().unwrap_err().is::<fibers::Cancelled>());
        assert_eq!(
            asked.join().unwrap(),
            (Reasons::CANCEL, Reasons::CANCEL, true)
        );
        // A reason that is there already comes before the cancellation.
        assert_eq!(kept.join().unwrap(), Reasons::USER5);
    }
}

/// Everything written before a wake is seen after the sleep.
#[test]
fn a_wake_publishes() {
    in_both_modes(60, 2, |test, machine, _| {
        let other = test.machine(Mode::Pinned, 1);
        let word = Arc::new(AtomicU64::new(0));
        let rounds = scaled(50_000, 1_000_000) as u64;
        let reader = machine.spawn({
            let word = Arc::clone(&word);
            move || {
                for n in 1..=rounds {
                    wait::sleep(Reasons::USER0);
                    assert_eq!(word.load(Ordering::Relaxed), n);
                    wait::wake(&WRITER.lock().unwrap().clone().unwrap(), Reasons::USER1);
                }
            }
        });
        static WRITER: Mutex<Option<Fiber>> = Mutex::new(None);
        let target = reader.fiber().clone();
        let writer = other.spawn(move || {
            *WRITER.lock().unwrap() = Some(fibers::current());
            for n in 1..=rounds {
                word.store(n, Ordering::Relaxed);
                wait::wake(&target, Reasons::USER0);
                wait::sleep(Reasons::USER1);
            }
        });
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn reasons_print_as_their_names() {
    assert_eq!(format!("{:?}", Reasons::NONE), "NONE");
    let some = Reasons::UNPARK | Reasons::USER7;
    assert_eq!(format!("{some:?}"), "UNPARK | USER7");
    assert!(some.contains(Reasons::USER7) && some.intersects(Reasons::UNPARK | Reasons::CALL));
    assert!(!some.contains(Reasons::UNPARK | Reasons::CALL) && !some.is_empty());
    assert!((!some & some).is_empty());
}
