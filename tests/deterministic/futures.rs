//! Wakers: no wake is lost, wherever it comes from and whoever else waits on the same fiber meanwhile.

use std::future::{Future, IntoFuture, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use fibers::testing;
use fibers::time::timeout;
use fibers::{Cancelled, block_on};

use crate::{HOUR, all, perhaps_yield, us};

/// Set once; wakes whoever asked last.
#[derive(Default)]
struct Slot(Mutex<(bool, Option<Waker>)>);

impl Slot {
    fn set(&self) {
        let waker = {
            let mut slot = self.0.lock().unwrap();
            slot.0 = true;
            slot.1.take()
        };
        perhaps_yield();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.0.lock().unwrap();
        if slot.0 {
            return Poll::Ready(());
        }
        slot.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Waits for so many slots, each inside the poll that has asked for the one before.
fn nest(slots: &[Arc<Slot>]) {
    let Some((first, rest)) = slots.split_first() else {
        return;
    };
    let mut polls = 0;
    block_on(poll_fn(|context| {
        polls += 1;
        let polled = first.poll(context);
        perhaps_yield();
        if polls == 1 {
            nest(rest);
        }
        polled
    }));
}

#[test]
fn nested_waits_lose_no_wake() {
    all(|| {
        let slots: Vec<_> = (0..4).map(|_| Arc::new(Slot::default())).collect();
        let setters: Vec<_> = slots
            .iter()
            .map(|slot| {
                let slot = Arc::clone(slot);
                fibers::spawn(move || {
                    perhaps_yield();
                    slot.set();
                })
            })
            .collect();
        nest(&slots);
        setters.into_iter().for_each(|f| f.join().unwrap());
    });
}

#[test]
fn a_wait_in_a_served_call_loses_no_wake_of_the_outer_one() {
    all(|| {
        let (outer, inner) = (Arc::new(Slot::default()), Arc::new(Slot::default()));
        let waits = fibers::spawn({
            let outer = Arc::clone(&outer);
            move || block_on(poll_fn(|context| outer.poll(context)))
        });
        let target = waits.fiber().clone();
        let caller = fibers::spawn({
            let inner = Arc::clone(&inner);
            move || {
                perhaps_yield();
                let call = target.call(move || block_on(poll_fn(|context| inner.poll(context))));
                if let Ok(call) = call {
                    call.wait().unwrap();
                }
            }
        });
        let setters = [outer, inner].map(|slot| {
            fibers::spawn(move || {
                perhaps_yield();
                slot.set();
            })
        });
        caller.join().unwrap();
        waits.join().unwrap();
        for setter in setters {
            setter.join().unwrap();
        }
    });
}

#[test]
fn a_wait_that_is_ended_lets_the_next_one_be() {
    all(|| {
        let slot = Arc::new(Slot::default());
        let limit = us(testing::random(40));
        let setter = fibers::spawn({
            let slot = Arc::clone(&slot);
            move || {
                fibers::sleep(us(testing::random(40)));
                slot.set();
            }
        });
        let _ = timeout(limit, || block_on(poll_fn(|context| slot.poll(context))));
        let again = timeout(HOUR, || block_on(poll_fn(|context| slot.poll(context))));
        assert!(again.is_ok(), "a wake was lost");
        setter.join().unwrap();
    });
}

struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polled by hand with ever new wakers while the fiber ends, or is cancelled: the last one is called.
#[test]
fn the_end_of_a_fiber_calls_the_last_waker() {
    all(|| {
        let fiber = fibers::spawn(|| {
            perhaps_yield();
            7
        });
        let target = fiber.fiber().clone();
        let cancels = testing::random(3) == 0;
        let canceller = fibers::spawn(move || {
            perhaps_yield();
            if cancels {
                target.cancel().unwrap();
            }
        });
        let mut future = fiber.into_future();
        let mut last = None;
        let mut result = None;
        for _ in 0..testing::random(4) {
            let counts = Arc::new(Counts(AtomicUsize::new(0)));
            let waker = Waker::from(Arc::clone(&counts));
            match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => last = Some(counts),
                Poll::Ready(ended) => {
                    result = Some(ended);
                    last = None;
                    break;
                }
            }
            perhaps_yield();
        }
        canceller.join().unwrap();
        if let Some(counts) = last {
            while counts.0.load(SeqCst) == 0 {
                fibers::yield_now();
            }
        }
        match result.unwrap_or_else(|| block_on(future)) {
            Ok(value) => assert_eq!(value, 7),
            Err(payload) => assert!(cancels && payload.is::<Cancelled>()),
        }
    });
}

/// The one that awaits is cancelled: the one that is awaited goes on, detached.
#[test]
fn whoever_awaits_may_be_cancelled() {
    all(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let awaited = fibers::spawn({
            let done = Arc::clone(&done);
            move || {
                perhaps_yield();
                done.fetch_add(1, SeqCst);
            }
        });
        let awaits = fibers::spawn(move || block_on(awaited));
        perhaps_yield();
        awaits.cancel().unwrap();
        perhaps_yield();
        match catch_unwind(AssertUnwindSafe(|| awaits.join())).unwrap() {
            Ok(awaited) => awaited.unwrap(),
            Err(payload) => assert!(payload.is::<Cancelled>()),
        }
        while done.load(SeqCst) == 0 {
            // Cancelled before it began, the awaiting one dropped the handle: the fiber ends all the same.
            fibers::yield_now();
        }
    });
}
