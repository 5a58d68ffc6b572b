//! Bugs that were found once, by attack or by stress, and must not come back. Each test says what happened.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use fibers::wait::{self, Reasons};
use fibers::{CallSlot, Runtime, Sent};

mod common;
use common::{Test, child, child_case};

/// Stolen halves of a `join` left the count of living fibers without having entered it: it wrapped, and every
/// later spawn was refused.
#[test]
fn regression_join_keeps_the_count_of_fibers() {
    let _test = Test::new(30);
    let runtime = Runtime::builder().workers(1).max_fibers(4).build().unwrap();
    runtime.run(|| {
        // With one worker the job is run as a fiber of its own while the first half waits.
        fibers::join(|| (0..500).for_each(|_| fibers::yield_now()), || ());
    });
    for _ in 0..6 {
        runtime
            .handle()
            .try_spawn(|| ())
            .expect("room for one")
            .join()
            .unwrap();
    }
}

struct Tracked {
    made: thread::ThreadId,
    _local: Rc<()>,
}

static ASTRAY: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Tracked {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        if thread::current().id() != self.made {
            ASTRAY.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fibers::fiber_local! {
    static LATE: RefCell<Tracked> = RefCell::new(Tracked { made: thread::current().id(), _local: Rc::new(()) });
}

/// A fiber-local value made by the destructor of a detached fiber's result was dropped with the last handle,
/// on whatever thread that was, although it need not be `Send`.
#[test]
fn regression_late_locals_are_dropped_at_home() {
    struct MakesLocal(mpsc::Sender<()>);
    impl Drop for MakesLocal {
        fn drop(&mut self) {
            LATE.with(|_| ());
            let _ = self.0.send(());
        }
    }
    let _test = Test::new(30);
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (sender, dropped) = mpsc::channel();
    let gate = Arc::new(AtomicBool::new(false));
    let handle = runtime.spawn({
        let gate = Arc::clone(&gate);
        move || {
            while !gate.load(Ordering::Acquire) {
                fibers::yield_now();
            }
            MakesLocal(sender)
        }
    });
    let fiber = handle.fiber().clone();
    drop(handle);
    gate.store(true, Ordering::Release);
    dropped.recv().unwrap();
    // The worker has gone on to another fiber, so the first is over.
    runtime.run(|| ());
    drop(fiber);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 1);
    assert_eq!(
        ASTRAY.load(Ordering::Relaxed),
        0,
        "dropped on another thread"
    );
}

/// A wake of a floating fiber from outside went to the inbox of the worker that it had last run on; if that
/// worker was blocked, it stayed there, while other workers were idle.
#[test]
fn regression_floating_wakes_do_not_wait_for_a_blocked_worker() {
    let _test = Test::new(60);
    // SAFETY: no thread-bound value is held over a wait.
    let runtime = unsafe { Runtime::builder().workers(2).floating() }
        .build()
        .unwrap();
    for _ in 0..200 {
        let parked = runtime.spawn(fibers::park);
        let fiber = parked.fiber().clone();
        while !fiber_is_parked(&runtime) {
            thread::yield_now();
        }
        let blocker = runtime.spawn(move || fibers::on_worker_stack(|| parked.join().unwrap()));
        fiber.unpark();
        blocker.join().unwrap();
    }
}

fn fiber_is_parked(runtime: &Runtime) -> bool {
    runtime.metrics().parked == 1
}

/// A root that was refused, and whose closure panicked when it was dropped, left the thread a worker.
#[test]
fn regression_a_refused_root_leaves_the_thread_free() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let _test = Test::new(30);
    let runtime = Runtime::builder().max_fibers(1).build_local().unwrap();
    let _waiting = runtime.spawn(|| ());
    let bomb = Bomb;
    let refused = catch_unwind(AssertUnwindSafe(|| {
        runtime.run(move || {
            let _bomb = &bomb;
        })
    }));
    assert!(refused.is_err());
    let again = catch_unwind(AssertUnwindSafe(|| runtime.run(|| ())));
    let text = again.unwrap_err().downcast_ref::<String>().cloned();
    assert!(
        text.is_some_and(|text| text.contains("max_fibers")),
        "not: a worker already"
    );
}

/// A slot's closure that waited when the machine stopped was unwound into the guard that ends the process.
#[test]
fn regression_a_slot_that_waits_outlives_the_stop() {
    let _test = Test::new(30);
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let target = runtime.spawn(|| {
        loop {
            fibers::park();
        }
    });
    let (sender, running) = mpsc::channel();
    let slot = CallSlot::new(move || {
        sender.send(fibers::current()).unwrap();
        assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
    });
    assert_eq!(slot.send(target.fiber()), Sent::Queued);
    let fiber = running.recv().unwrap();
    let stopper = thread::spawn(move || runtime.shutdown(Duration::from_secs(20)));
    while target.fiber() != &fiber {
        thread::yield_now();
    }
    wait::wake(&fiber, Reasons::USER0);
    assert!(stopper.join().unwrap().is_ok());
    assert!(target.join().unwrap_err().is::<fibers::Cancelled>());
    assert!(!slot.is_queued());
}

/// Two threads that asked at the same time got each other's answers.
#[test]
fn regression_reports_are_given_one_at_a_time() {
    let _test = Test::new(60);
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let parked: Vec<_> = (0..10).map(|_| runtime.spawn(fibers::park)).collect();
    while runtime.metrics().parked != 10 {
        thread::yield_now();
    }
    let askers: Vec<_> = (0..2)
        .map(|_| {
            let handle = runtime.handle();
            thread::spawn(move || {
                for _ in 0..300 {
                    let (fibers, silent) = handle.fibers(Duration::from_secs(20));
                    assert_eq!((fibers.len(), silent.len()), (10, 0));
                }
            })
        })
        .collect();
    for asker in askers {
        asker.join().unwrap();
    }
    for fiber in &parked {
        fiber.fiber().unpark();
    }
}

/// A scope that waited for its fibers, and a `join` that waited for its stolen half, did not run the calls that
/// those sent to it: both sides hung.
#[test]
fn regression_waits_for_children_serve_their_calls() {
    let _test = Test::new(60);
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let answer = runtime.run(|| {
        let me = fibers::current();
        fibers::scope(|s| {
            let child = s.spawn(move || me.call(|| 5).unwrap().wait().unwrap());
            let _ = child.fiber();
        });
        let me = fibers::current();
        let taken = AtomicBool::new(false);
        let (_, answer) = fibers::join(
            || {
                // Until the other worker has taken the second half.
                while !taken.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
            },
            || {
                taken.store(true, Ordering::Release);
                me.call(|| 7).unwrap().wait().unwrap()
            },
        );
        answer
    });
    assert_eq!(answer, 7);
}

/// A call on a socket in non-blocking mode let other fibers run, each 64th, and could be unwound there: a crate that
/// asks a pooled socket "are you open?" under a mutex of std's (ureq) blocked its worker for good.
#[test]
fn regression_calls_in_non_blocking_mode_do_not_wait() {
    use std::io::Read;

    let _test = Test::new(30);
    let runtime = Runtime::builder().workers(1).build().unwrap();
    runtime.run(|| {
        let (mut quiet, _other) = fibers::net::unix::UnixStream::pair().unwrap();
        quiet.set_nonblocking(true).unwrap();
        let ran = Arc::new(AtomicBool::new(false));
        let other = {
            let ran = Arc::clone(&ran);
            fibers::spawn_local(move || ran.store(true, Ordering::Relaxed))
        };
        for _ in 0..1000 {
            quiet.read(&mut [0]).unwrap_err();
        }
        assert!(!ran.load(Ordering::Relaxed), "another fiber ran");
        other.join().unwrap();
    });
}

/// Where pairs of fibers talk, and spawn and join children that do nothing, a worker without work took one child after
/// the other: nine of ten were stolen, and each theft stopped the victim's CPU. 540 ns an operation in place of 40.
#[test]
fn regression_an_idle_worker_leaves_short_children_alone() {
    const PAIRS: u64 = 64;
    const ROUNDS: u64 = 500;
    let _test = Test::new(60);
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.run(|| {
        let pair = |_| {
            let (ping, pinged) = fibers::channel::bounded(1);
            let (pong, ponged) = fibers::channel::bounded(1);
            let ask = move || {
                for round in 0..ROUNDS {
                    fibers::yield_now();
                    ping.send(fibers::spawn(move || round).join().unwrap())
                        .unwrap();
                    assert_eq!(ponged.recv(), Ok(round));
                }
            };
            let answer = move || {
                for value in pinged {
                    fibers::yield_now();
                    pong.send(value).unwrap();
                }
            };
            [fibers::spawn(ask), fibers::spawn(answer)]
        };
        let handles: Vec<_> = (0..PAIRS).flat_map(pair).collect();
        handles
            .into_iter()
            .for_each(|handle| handle.join().unwrap());
    });
    let metrics = runtime.metrics();
    // The fibers of the pairs themselves may all be stolen.
    assert!(
        metrics.steals < 2 * PAIRS + PAIRS * ROUNDS / 8,
        "{metrics:?}"
    );
}

/// A worker that searched, and meanwhile served a deadline, searched anew with its whole spin after that fiber: where
/// deadlines are denser than the spin it never slept. Half of the CPU of a million sleepers went there.
#[test]
fn regression_a_worker_sleeps_between_dense_deadlines() {
    const SLEEPERS: u64 = 20_000;
    const EACH: Duration = Duration::from_nanos(12_500);
    let _test = Test::new(60);
    let runtime = Runtime::builder()
        .workers(1)
        .spin(Duration::from_micros(50))
        .build()
        .unwrap();
    runtime.run(|| {
        let begin = fibers::time::Instant::now();
        let sleeper = |index: u64| {
            // Neighbours of the list lie far apart in time.
            let place = index * 7_919 % SLEEPERS + SLEEPERS;
            fibers::spawn(move || {
                fibers::time::sleep_until(begin + EACH * place as u32);
                if place == SLEEPERS {
                    // Mail: whoever has brought it may bring more, so the worker spins before it sleeps.
                    let me = fibers::current();
                    let waker = thread::spawn(move || me.unpark());
                    fibers::park();
                    waker.join().unwrap();
                }
            })
        };
        let handles: Vec<_> = (0..SLEEPERS).map(sleeper).collect();
        handles
            .into_iter()
            .for_each(|handle| handle.join().unwrap());
    });
    // Some five hundred; far fewer where the worker has to wait for its CPU. It was one.
    let metrics = runtime.metrics();
    assert!(metrics.timer_sets >= 10, "{metrics:?}");
}

/// Where workers share a processor and do not spin: while one robbed, or paused before it robbed again, another that was
/// dry saw what was there, might not search, and went round and round without ever offering its processor, on which the
/// owner had to wait.
#[test]
fn regression_who_may_not_search_leaves_its_processor_to_others() {
    const NAME: &str = "regression_who_may_not_search_leaves_its_processor_to_others";
    const FIBERS: u64 = 16 * 20_000;
    if child_case().is_none() {
        return child(NAME, "run", &[]).passed();
    }
    let test = Test::new(60);
    // SAFETY: all zeros is a set without processors.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a live set of the kernel's shape, of which the first that this thread may use stays.
    unsafe {
        let size = size_of::<libc::cpu_set_t>();
        assert_eq!(libc::sched_getaffinity(0, size, &raw mut one), 0);
        let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &one));
        libc::CPU_ZERO(&mut one);
        libc::CPU_SET(first.expect("it runs somewhere"), &mut one);
        assert_eq!(libc::sched_setaffinity(0, size, &raw const one), 0);
    }
    for workers in [2, 3, 4, 16] {
        let builder = Runtime::builder().workers(workers).spin(Duration::ZERO);
        let machine = test.build(builder);
        machine.run(|| {
            for _ in 0..FIBERS / 16 {
                let fibers = [(); 16].map(|()| fibers::spawn(|| ()));
                for fiber in fibers {
                    fiber.join().unwrap();
                }
            }
        });
        // Each round takes the lock twice.
        let locked = machine.metrics().lock_acquisitions;
        println!("{workers} workers: {locked} times");
        assert!(locked < FIBERS / 20, "{locked} of {FIBERS}");
    }
}
