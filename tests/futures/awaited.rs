//! Fibers awaited as futures, by `block_on` and by executors that know no fibers.

use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use crate::SHORT;
use crate::common::{
    self, Expected, Gate, Once, Test, eventually, in_both_modes, scaled, silence_panics,
};
use fibers::time::sleep;
use fibers::{Cancelled, JoinFuture, block_on};

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
