//! `block_on`: what ends the wait and what does not, and that others run meanwhile. It serves calls, and is cancelled and
//! timed out as any wait.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Poll;

use crate::common::{
    Once, Test, eventually, everywhere, in_both_modes, joined_as_cancelled, on_all_machines, scaled,
};
use crate::{LONG, SHORT, wakes_itself};
use fibers::block_on;
use fibers::time::timeout;
use futures::channel::oneshot;

#[test]
fn what_is_ready_is_returned_at_once() {
    fn promise() {
        assert_eq!(block_on(ready(7)), 7);
        assert_eq!(block_on(async { "text".len() }), 4);
        // Neither Send nor 'static.
        let cell = Cell::new(1);
        block_on(async { cell.set(cell.get() + 1) });
        assert_eq!(cell.get(), 2);
    }
    everywhere(60, promise);
}

#[test]
fn a_wake_from_another_fiber_or_thread_ends_the_wait() {
    fn promise() {
        let (sender, receiver) = oneshot::channel();
        let fiber = fibers::spawn(move || {
            fibers::yield_now();
            sender.send(1)
        });
        assert_eq!(block_on(receiver), Ok(1));
        fiber.join().unwrap().unwrap();
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::spawn(move || sender.send(2));
        assert_eq!(block_on(receiver), Ok(2));
        thread.join().unwrap().unwrap();
        // And one that comes before the first wait.
        let (sender, receiver) = oneshot::channel();
        sender.send(3).unwrap();
        assert_eq!(block_on(receiver), Ok(3));
        let (sender, receiver) = oneshot::channel::<()>();
        drop(sender);
        assert!(block_on(receiver).is_err());
    }
    everywhere(60, promise);
}

/// During the poll, by another thread that has done so before the poll returns.
#[test]
fn a_wake_during_the_poll_is_not_lost() {
    on_all_machines(60, |_, machine| {
        machine.run(|| {
            for round in 0..scaled(1000, 10_000) {
                let mut polled = false;
                block_on(poll_fn(|context| {
                    if std::mem::replace(&mut polled, true) {
                        return Poll::Ready(());
                    }
                    let waker = context.waker().clone();
                    match round % 3 {
                        0 => waker.wake(),
                        1 => drop(fibers::spawn(move || waker.wake())),
                        _ => fibers::blocking(move || waker.wake()),
                    }
                    Poll::Pending
                }));
            }
        });
    });
}

#[test]
fn who_wakes_itself_lets_others_run() {
    in_both_modes(60, 1, |_, machine, _| {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let polls = machine.run(move || {
            let selfish = fibers::spawn(move || {
                let mut polls = 0;
                block_on(poll_fn(|context| {
                    polls += 1;
                    context.waker().wake_by_ref();
                    if seen.load(SeqCst) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                }));
                polls
            });
            for _ in 0..100 {
                fibers::yield_now();
            }
            done.store(true, SeqCst);
            selfish.join().unwrap()
        });
        println!("{polls} polls");
        assert!(
            polls < 1000,
            "{polls} polls beside 100 turns of another fiber"
        );
    });
    assert_eq!(block_on(wakes_itself(1000)), 1000);
}

#[test]
fn who_wakes_itself_can_be_cancelled_and_timed_out() {
    on_all_machines(60, |_, machine| {
        let fiber = machine.spawn(|| block_on(wakes_itself(usize::MAX)));
        fibers::yield_now();
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        machine.run(|| {
            assert!(timeout(SHORT, || block_on(wakes_itself(usize::MAX))).is_err());
        });
    });
    let _test = Test::new(60);
    assert!(timeout(SHORT, || block_on(wakes_itself(usize::MAX))).is_err());
}

#[test]
fn calls_are_served_during_the_wait() {
    in_both_modes(60, 2, |_, machine, _| {
        let (sender, receiver) = oneshot::channel();
        let fiber = machine.spawn(move || block_on(receiver));
        let here = fiber.fiber().clone();
        let id = fiber
            .fiber()
            .call(|| fibers::current().id())
            .unwrap()
            .wait();
        assert_eq!(id.unwrap(), here.id());
        sender.send(1).unwrap();
        assert_eq!(fiber.join().unwrap(), Ok(1));
    });
}

#[test]
fn cancellation_and_deadlines_drop_the_future() {
    in_both_modes(60, 2, |_, machine, _| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let once = Once(Arc::clone(&dropped));
        let fiber = machine.spawn(move || {
            block_on(async move {
                let _once = once;
                pending::<()>().await;
            });
        });
        eventually(|| machine.metrics().parked == 1);
        fiber.cancel().unwrap();
        joined_as_cancelled(fiber);
        assert_eq!(dropped.load(SeqCst), 1);
        let once = Once(Arc::clone(&dropped));
        machine.run(move || {
            let future = async move {
                let _once = once;
                pending::<()>().await;
            };
            assert!(timeout(SHORT, || block_on(future)).is_err());
            // What came of it does not disturb the next one.
            let (sender, receiver) = oneshot::channel();
            drop(fibers::spawn(move || sender.send(1)));
            assert_eq!(timeout(LONG, || block_on(receiver)).unwrap(), Ok(1));
        });
        assert_eq!(dropped.load(SeqCst), 2);
    });
    let _test = Test::new(60);
    assert!(timeout(SHORT, || block_on(pending::<()>())).is_err());
}
