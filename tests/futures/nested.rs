//! A `block_on` inside another, or in a call that is served meanwhile: no wake of the outer one is lost.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::common::{Expected, everywhere, in_both_modes, scaled, silence_panics};
use crate::{SHORT, wakes_itself};
use fibers::block_on;
use fibers::time::timeout;
use futures::channel::oneshot;

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
