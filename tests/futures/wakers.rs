//! The waker of a `block_on`: called all the time, for nothing, from anywhere, and long after its future, fiber and
//! machine.

use std::future::poll_fn;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::SHORT;
use crate::common::{self, Test, everywhere, in_both_modes, scaled, stress};
use fibers::block_on;
use fibers::time::{Instant, timeout};
use fibers::wait::{self, Reasons};
use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt};

/// A deadline holds although wakes come all the time, from threads.
#[test]
fn a_storm_of_wakes_does_not_keep_a_deadline_off() {
    fn promise() {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = oneshot::channel::<Waker>();
        let storm = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let waker = futures::executor::block_on(receiver).unwrap();
                while !stop.load(SeqCst) {
                    waker.wake_by_ref();
                }
            }
        });
        let mut sender = Some(sender);
        let outcome = timeout(SHORT, || {
            block_on(poll_fn(|context| {
                if let Some(sender) = sender.take() {
                    sender.send(context.waker().clone()).unwrap();
                }
                Poll::<()>::Pending
            }));
        });
        assert!(outcome.is_err());
        stop.store(true, SeqCst);
        storm.join().unwrap();
    }
    everywhere(60, promise);
}

/// Every step waits for the one before it, so a single lost wake hangs.
#[test]
fn a_storm_of_wakes_loses_none() {
    let count = if stress() {
        1_000_000
    } else {
        scaled(100_000, 100_000)
    };
    in_both_modes(300, 2, |_, machine, _| {
        let (mut there, mut arrivals) = mpsc::channel::<usize>(0);
        let (mut back, mut answers) = mpsc::channel::<usize>(0);
        let echo = machine.spawn(move || {
            block_on(async {
                while let Some(number) = arrivals.next().await {
                    back.send(number).await.unwrap();
                }
            });
        });
        let fiber = machine.spawn(move || {
            block_on(async {
                for number in 0..count / 2 {
                    there.send(number).await.unwrap();
                    assert_eq!(answers.next().await, Some(number));
                }
            });
            (there, answers)
        });
        let (mut there, mut answers) = fiber.join().unwrap();
        // And a plain thread on this side.
        block_on(async {
            for number in 0..count / 10 {
                there.send(number).await.unwrap();
                assert_eq!(answers.next().await, Some(number));
            }
        });
        drop(there);
        echo.join().unwrap();
    });
}

/// Wakes for nothing, from two threads and a fiber, while the value comes once.
#[test]
fn many_wakes_for_nothing_do_no_harm() {
    let count = if stress() {
        1_000_000
    } else {
        scaled(100_000, 100_000)
    };
    in_both_modes(300, 2, |_, machine, _| {
        let arrived = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = std::sync::mpsc::channel();
        let waits = machine.spawn({
            let arrived = Arc::clone(&arrived);
            move || {
                let mut polls = 0_usize;
                block_on(poll_fn(|context| {
                    polls += 1;
                    if polls == 1 {
                        (0..3).for_each(|_| sender.send(context.waker().clone()).unwrap());
                    }
                    if arrived.load(SeqCst) == 3 * count {
                        Poll::Ready(polls)
                    } else {
                        Poll::Pending
                    }
                }))
            }
        });
        let storm = |waker: Waker, arrived: Arc<AtomicUsize>| {
            move || {
                for _ in 0..count {
                    arrived.fetch_add(1, SeqCst);
                    waker.wake_by_ref();
                }
            }
        };
        let next = || storm(receiver.recv().unwrap(), Arc::clone(&arrived));
        let threads = [std::thread::spawn(next()), std::thread::spawn(next())];
        let fiber = machine.spawn(next());
        println!("{} polls", waits.join().unwrap());
        for thread in threads {
            thread.join().unwrap();
        }
        fiber.join().unwrap();
    });
}

#[test]
fn a_waker_may_be_kept_for_longer_than_future_fiber_and_machine() {
    let test = Test::new(60);
    let keep = |waker: &Mutex<Option<Waker>>| {
        block_on(poll_fn(|context| {
            let first = waker.lock().unwrap().is_none();
            *waker.lock().unwrap() = Some(context.waker().clone());
            if first {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
    };
    for mode in common::MODES {
        let machine = test.machine(mode, 2);
        let kept = Arc::new(Mutex::new(None));
        let fiber = machine.spawn({
            let kept = Arc::clone(&kept);
            move || {
                keep(&kept);
                let waker = kept.lock().unwrap().clone().unwrap();
                // The future is gone: this wake is nobody's.
                waker.wake_by_ref();
                let again = Mutex::new(None);
                keep(&again);
                let again = again.lock().unwrap().clone().unwrap();
                assert!(again.will_wake(&waker), "one fiber, one waker");
                // No other wait takes it for its own.
                waker.wake_by_ref();
                assert!(wait::prepare(Reasons::WAKER).is_empty());
                let came =
                    wait::sleep_until(Reasons::WAKER | Reasons::USER0, Instant::now() + SHORT);
                assert_eq!(came, Reasons::TIMEOUT);
                waker
            }
        });
        let waker = fiber.join().unwrap();
        waker.wake_by_ref();
        machine
            .spawn({
                let waker = waker.clone();
                move || waker.wake()
            })
            .join()
            .unwrap();
        drop(machine);
        waker.wake_by_ref();
        // Other machines use the workers' records again.
        test.machine(mode, 2)
            .spawn({
                let waker = waker.clone();
                move || waker.wake()
            })
            .join()
            .unwrap();
        waker.wake();
    }
    // A plain thread's.
    let waker = std::thread::spawn(move || {
        let kept = Mutex::new(None);
        keep(&kept);
        kept.into_inner().unwrap().unwrap()
    })
    .join()
    .unwrap();
    waker.wake_by_ref();
    drop(waker.clone());
    waker.wake();
}
