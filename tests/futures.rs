//! Fibers and futures: `block_on` with the primitives of crates that know no runtime, and fibers awaited by executors
//! that know no fibers.

mod common;

use std::cell::Cell;
use std::future::{Future, IntoFuture, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use common::{
    Expected, Gate, Once, Test, eventually, everywhere, in_both_modes, joined_as_cancelled,
    on_all_machines, scaled, silence_panics, stress,
};
use fibers::time::{Duration, Instant, sleep, timeout};
use fibers::wait::{self, Reasons};
use fibers::{Cancelled, JoinFuture, block_on};
use futures::channel::{mpsc, oneshot};
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt, join, select};

const SHORT: Duration = Duration::from_micros(300);
const LONG: Duration = Duration::from_secs(3600);

/// Counts its wakes.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn counting() -> (Arc<Counts>, Waker) {
    let counts = Arc::new(Counts::default());
    (Arc::clone(&counts), Waker::from(counts))
}

fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Pending so many times, waking itself each time.
fn wakes_itself(times: usize) -> impl Future<Output = usize> {
    let mut polls = 0;
    poll_fn(move |context| {
        if polls == times {
            return Poll::Ready(polls);
        }
        polls += 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

/// A value that comes with a waker's call: what a channel is made of.
#[derive(Default)]
struct Slot(Mutex<(bool, Option<Waker>)>);

impl Slot {
    fn set(&self) {
        let mut slot = self.0.lock().unwrap();
        slot.0 = true;
        if let Some(waker) = slot.1.take() {
            drop(slot);
            waker.wake();
        }
    }

    fn get(&self) -> impl Future<Output = ()> {
        poll_fn(|context| {
            let mut slot = self.0.lock().unwrap();
            if slot.0 {
                return Poll::Ready(());
            }
            slot.1 = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

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

/// The outer one's wake comes while the inner one waits.
#[test]
fn a_nested_block_on_passes_the_outer_wake_on() {
    fn promise() {
        for depth in 1..4 {
            let outer = Arc::new(Slot::default());
            let mut polls = 0;
            let mut wait = Box::pin(outer.get());
            block_on(poll_fn(|context| {
                polls += 1;
                let polled = wait.as_mut().poll(context);
                if polls == 1 {
                    let (sender, receiver) = oneshot::channel();
                    let outer = Arc::clone(&outer);
                    drop(fibers::spawn(move || {
                        outer.set();
                        fibers::yield_now();
                        sender.send(()).unwrap();
                    }));
                    nest(depth, receiver);
                }
                polled
            }));
        }
    }
    /// Waits at the bottom of so many block_ons.
    fn nest(depth: usize, receiver: oneshot::Receiver<()>) {
        if depth == 1 {
            return block_on(receiver).unwrap();
        }
        block_on(async { nest(depth - 1, receiver) });
    }
    everywhere(60, promise);
}

/// The inner one is left by an unwind, and by a deadline.
#[test]
fn a_nested_block_on_passes_the_outer_wake_on_when_it_unwinds() {
    silence_panics();
    fn promise() {
        let outer = Arc::new(Slot::default());
        let mut polls = 0;
        let mut wait = Box::pin(outer.get());
        block_on(poll_fn(|context| {
            polls += 1;
            let polled = wait.as_mut().poll(context);
            if polls == 1 {
                let set = Arc::clone(&outer);
                drop(fibers::spawn(move || set.set()));
                assert!(timeout(SHORT, || block_on(pending::<()>())).is_err());
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    block_on(async {
                        wakes_itself(2).await;
                        std::panic::panic_any(Expected(1));
                    });
                }));
                assert!(caught.is_err());
            }
            polled
        }));
    }
    everywhere(60, promise);
}

/// A call that is served during the wait does the same.
#[test]
fn a_block_on_in_a_served_call_passes_the_wake_on() {
    in_both_modes(60, 2, |_, machine, _| {
        for _ in 0..scaled(300, 3000) {
            let outer = Arc::new(Slot::default());
            let fiber = machine.spawn({
                let outer = Arc::clone(&outer);
                move || block_on(outer.get())
            });
            let (sender, receiver) = oneshot::channel();
            let call = fiber.fiber().call(move || block_on(receiver));
            outer.set();
            sender.send(5).unwrap();
            if let Ok(call) = call {
                assert_eq!(call.wait().unwrap(), Ok(5));
            }
            fiber.join().unwrap();
        }
    });
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

#[test]
fn select_join_and_unordered_work() {
    fn promise() {
        let (numbers, mut from_numbers) = mpsc::unbounded::<u64>();
        let (words, mut from_words) = mpsc::channel::<&str>(1);
        let first = fibers::spawn(move || {
            for number in 0..100 {
                numbers.unbounded_send(number).unwrap();
                fibers::yield_now();
            }
        });
        let second = fibers::spawn(move || {
            let mut words = words;
            block_on(async {
                for _ in 0..100 {
                    words.send("word").await.unwrap();
                }
            });
        });
        let (sum, count) = block_on(async {
            let (mut sum, mut count) = (0, 0);
            loop {
                select! {
                    number = from_numbers.select_next_some() => sum += number,
                    word = from_words.select_next_some() => count += word.len(),
                    complete => break (sum, count),
                }
            }
        });
        assert_eq!((sum, count), (4950, 400));
        let joined = block_on(async { join!(first.into_future(), second.into_future()) });
        assert!(joined.0.is_ok() && joined.1.is_ok());
        let mut all: FuturesUnordered<_> = (0..100_u64)
            .map(|n| fibers::spawn(move || n).into_future())
            .collect();
        let mut sum = 0;
        block_on(async {
            while let Some(one) = all.next().await {
                sum += one.unwrap();
            }
        });
        assert_eq!(sum, 4950);
    }
    everywhere(60, promise);
}

#[test]
fn channels_locks_and_events_of_other_crates_work() {
    fn promise() {
        let (sender, receiver) = async_channel::bounded(2);
        let lock = Arc::new(async_lock::Mutex::new(0));
        let event = Arc::new(event_listener::Event::new());
        let fibers: Vec<_> = (0..8)
            .map(|n| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                let (lock, event) = (Arc::clone(&lock), Arc::clone(&event));
                fibers::spawn(move || {
                    block_on(async {
                        for _ in 0..50 {
                            if n % 2 == 0 {
                                sender.send(1).await.unwrap();
                            } else {
                                *lock.lock().await += receiver.recv().await.unwrap();
                            }
                        }
                        event.notify(usize::MAX);
                    });
                })
            })
            .collect();
        loop {
            let listener = event.listen();
            if block_on(async { *lock.lock().await == 200 }) {
                break;
            }
            block_on(listener);
        }
        block_on(async {
            for fiber in fibers {
                fiber.await.unwrap();
            }
        });
    }
    everywhere(60, promise);
}

#[test]
fn a_fiber_is_awaited_by_any_executor() {
    in_both_modes(60, 2, |_, machine, _| {
        let slow = || {
            machine.spawn(|| {
                sleep(SHORT);
                7
            })
        };
        let quick = || machine.spawn(|| 7);
        assert_eq!(
            futures::executor::block_on(slow().into_future()).unwrap(),
            7
        );
        assert_eq!(
            futures::executor::block_on(async { slow().await.unwrap() + quick().await.unwrap() }),
            14
        );
        assert_eq!(block_on(slow()).unwrap(), 7);
        let handle = slow();
        assert_eq!(machine.run(move || block_on(handle)).unwrap(), 7);
        let tokio = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (one, two) = (slow(), quick());
        let sum = tokio.block_on(async {
            let one = tokio::spawn(one.into_future());
            let two = tokio::spawn(two.into_future());
            one.await.unwrap().unwrap() + two.await.unwrap().unwrap()
        });
        assert_eq!(sum, 14);
    });
}

#[test]
fn the_result_of_an_awaited_fiber_says_how_it_ended() {
    silence_panics();
    in_both_modes(60, 2, |_, machine, _| {
        for round in 0..100 {
            let fiber = machine.spawn(move || {
                if round % 2 == 0 {
                    fibers::yield_now();
                }
                std::panic::panic_any(Expected(3));
            });
            let error: Result<(), _> = block_on(fiber);
            assert_eq!(error.unwrap_err().downcast_ref(), Some(&Expected(3)));
            let fiber = machine.spawn(fibers::park);
            let canceller = fiber.fiber().clone();
            let future = fiber.into_future();
            canceller.cancel().unwrap();
            assert!(block_on(future).unwrap_err().is::<Cancelled>());
        }
    });
}

#[test]
fn a_join_future_that_is_dropped_detaches_the_fiber() {
    in_both_modes(60, 2, |_, machine, _| {
        for polled in [false, true] {
            let gate = Arc::new(Gate::new());
            let dropped = Arc::new(AtomicUsize::new(0));
            let result = Once(Arc::clone(&dropped));
            let mut future = machine
                .spawn({
                    let gate = Arc::clone(&gate);
                    move || {
                        gate.wait();
                        result
                    }
                })
                .into_future();
            let (counts, waker) = counting();
            if polled {
                assert!(poll_once(&mut future, &waker).is_pending());
                assert_eq!(Arc::strong_count(&counts), 3);
            }
            drop(future);
            assert_eq!(Arc::strong_count(&counts), 2, "it has let go of its waker");
            gate.open();
            eventually(|| dropped.load(SeqCst) == 1);
            assert_eq!(counts.0.load(SeqCst), 0);
        }
        // And one that is over.
        let dropped = Arc::new(AtomicUsize::new(0));
        let result = Once(Arc::clone(&dropped));
        let fiber = machine.spawn(move || result);
        eventually(|| fiber.is_finished());
        drop(fiber.into_future());
        assert_eq!(dropped.load(SeqCst), 1);
    });
}

#[test]
fn the_last_waker_is_called_and_the_others_are_dropped() {
    in_both_modes(60, 2, |_, machine, _| {
        let gate = Arc::new(Gate::new());
        let mut future = machine
            .spawn({
                let gate = Arc::clone(&gate);
                move || gate.wait()
            })
            .into_future();
        let wakers: Vec<_> = (0..10).map(|_| counting()).collect();
        for (counts, waker) in &wakers {
            assert!(poll_once(&mut future, waker).is_pending());
            assert!(poll_once(&mut future, waker).is_pending());
            assert_eq!(Arc::strong_count(counts), 3);
        }
        gate.open();
        let (last, _) = &wakers[9];
        eventually(|| last.0.load(SeqCst) == 1);
        let over = poll_once(&mut future, &wakers[0].1);
        assert!(matches!(over, Poll::Ready(Ok(()))));
        for (n, (counts, _)) in wakers.iter().enumerate() {
            eventually(|| Arc::strong_count(counts) == 2);
            assert_eq!(counts.0.load(SeqCst), usize::from(n == 9));
        }
        assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut future, &wakers[0].1))).is_err());
    });
}

/// Polled with ever new wakers by one thread while the fiber ends on another.
#[test]
fn a_change_of_wakers_races_the_end() {
    in_both_modes(120, 2, |_, machine, _| {
        for round in 0..scaled(20_000, 500_000) {
            let mut future = machine.spawn(move || round).into_future();
            let mut pending = None;
            let wakers = [counting(), counting(), counting()];
            for (counts, waker) in &wakers {
                match poll_once(&mut future, waker) {
                    Poll::Pending => pending = Some(counts),
                    Poll::Ready(result) => {
                        assert_eq!(result.unwrap(), round);
                        pending = None;
                        break;
                    }
                }
            }
            if round % 4 == 0 {
                // Given up while it ends.
                continue;
            }
            if let Some(counts) = pending {
                while counts.0.load(SeqCst) == 0 {
                    std::thread::yield_now();
                }
                assert!(poll_once(&mut future, Waker::noop()).is_ready());
            }
        }
    });
}

/// It panics when it is called.
struct Wicked(AtomicUsize);

impl Wake for Wicked {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
        std::panic::panic_any(Expected(9));
    }
}

#[test]
fn a_waker_that_panics_breaks_no_worker() {
    silence_panics();
    in_both_modes(60, 1, |_, machine, _| {
        for _ in 0..10 {
            let wicked = Arc::new(Wicked(AtomicUsize::new(0)));
            let gate = Arc::new(Gate::new());
            let mut future: JoinFuture<()> = machine
                .spawn({
                    let gate = Arc::clone(&gate);
                    move || gate.wait()
                })
                .into_future();
            assert!(poll_once(&mut future, &Waker::from(Arc::clone(&wicked))).is_pending());
            gate.open();
            eventually(|| wicked.0.load(SeqCst) == 1);
            assert!(poll_once(&mut future, Waker::noop()).is_ready());
        }
        assert_eq!(machine.run(|| fibers::spawn(|| 5).join().unwrap()), 5);
    });
}

#[test]
fn a_join_that_ran_out_of_time_may_be_awaited() {
    in_both_modes(60, 2, |_, machine, _| {
        let gate = Arc::new(Gate::new());
        let fiber = machine.spawn({
            let gate = Arc::clone(&gate);
            move || gate.wait()
        });
        let fiber = fiber.join_timeout(SHORT).unwrap_err();
        let mut future = fiber.into_future();
        let (counts, waker) = counting();
        assert!(poll_once(&mut future, &waker).is_pending());
        gate.open();
        eventually(|| counts.0.load(SeqCst) == 1);
        assert!(poll_once(&mut future, &waker).is_ready());
    });
}

/// Its fibers are cancelled, and who awaits them elsewhere is told.
#[test]
fn a_shutdown_tells_who_awaits() {
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 2);
        let fiber = machine.spawn(fibers::park);
        let thread = std::thread::spawn(move || futures::executor::block_on(fiber.into_future()));
        eventually(|| machine.metrics().parked == 1);
        drop(machine);
        assert!(thread.join().unwrap().unwrap_err().is::<Cancelled>());
    }
}

#[test]
fn futures_of_fibers_are_send_and_unpin() {
    fn sent<T: Send + Sync + Unpin>() {}
    sent::<JoinFuture<std::marker::PhantomPinned>>();
}
