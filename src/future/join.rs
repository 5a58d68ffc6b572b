//! `JoinFuture`: the end of a fiber, for whatever executor.
//!
//! The waker lies in the fiber's rare part; its protocol with the end is `fiber/awaiter.rs` (AWAIT-1 to 3). This file
//! is the handle's side of it, for which it remembers whether a waker is registered, and which.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use crate::fiber::header::Header;
use crate::handle::JoinHandle;

/// The future of a fiber's end; its output is that of [`JoinHandle::join`]. Made by awaiting a `JoinHandle`, or by
/// its `into_future`.
///
/// May be polled by any executor. It allocates once, when it is first polled before the fiber's end. The waker is called
/// on the fiber's worker, and that goes on if the waker panics; it should not wait. Dropping the future detaches the
/// fiber. Nothing is unwound here if the fiber is cancelled: the output says so. Who awaits the fiber that it runs on waits
/// for ever.
///
/// ```
/// let fiber = fibers::spawn(|| 6 * 7);
/// assert_eq!(fibers::block_on(async { fiber.await.unwrap() + 1 }), 43);
/// ```
#[must_use = "dropping the future detaches the fiber"]
pub struct JoinFuture<T> {
    /// None once it has given its result.
    handle: Option<JoinHandle<T>>,
    registered: Option<Who>,
}

/// Which waker is registered: its data and table, compared as `will_wake` does. It is alive until the fiber is over, so
/// no other one looks the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Who(usize, usize);

impl Who {
    fn of(waker: &Waker) -> Self {
        Self(waker.data().addr(), ptr::from_ref(waker.vtable()).addr())
    }
}

// Nothing in it is pinned: the result lies in the fiber's own cell.
impl<T> Unpin for JoinFuture<T> {}

impl<T> IntoFuture for JoinHandle<T> {
    type Output = std::thread::Result<T>;
    type IntoFuture = JoinFuture<T>;

    fn into_future(self) -> JoinFuture<T> {
        JoinFuture {
            handle: Some(self),
            registered: None,
        }
    }
}

impl<T> Future for JoinFuture<T> {
    type Output = std::thread::Result<T>;

    /// # Panics
    /// If it has given its output already.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let handle = this.handle.as_ref();
        let handle = handle.expect("a JoinFuture was polled after it had given its output");
        if register(&handle.0.fiber().0, &mut this.registered, context.waker()) {
            return Poll::Pending;
        }
        match this.handle.take() {
            // Over, so it does not wait.
            Some(handle) => Poll::Ready(handle.join()),
            None => Poll::Pending,
        }
    }
}

/// Sees to it that the waker is called at the fiber's end. False: the fiber is over, and nothing is registered.
fn register(fiber: &Header, registered: &mut Option<Who>, waker: &Waker) -> bool {
    if fiber.word.is_done() {
        *registered = None;
        return false;
    }
    let who = Who::of(waker);
    if *registered == Some(who) {
        return true;
    }
    let fresh = waker.clone();
    let awaiter = &fiber.cold_or_new().awaiter;
    // Wakers that are not needed any more are dropped when all is settled: that may unwind (AWAIT-3).
    let _displaced = if registered.take().is_some() {
        // SAFETY: this fiber's slot, by its one handle, which has registered a waker.
        let displaced = unsafe { awaiter.withdraw(&fiber.word) };
        if displaced.is_none() {
            return false;
        }
        displaced
    } else {
        None
    };
    // A waker, not a fiber: left over from a join that ran out of time, perhaps.
    fiber.joiner.set(ptr::null());
    // SAFETY: as above; idle now.
    match unsafe { awaiter.register(&fiber.word, fresh) } {
        Ok(()) => {
            *registered = Some(who);
            true
        }
        Err(_fresh) => false,
    }
}

impl<T> Drop for JoinFuture<T> {
    fn drop(&mut self) {
        if let (Some(handle), Some(_)) = (&self.handle, self.registered.take())
            && let Some(cold) = handle.0.fiber().0.cold()
        {
            // SAFETY: this fiber's slot, by its one handle, which has registered a waker.
            drop(unsafe { cold.awaiter.withdraw(&handle.0.fiber().0.word) });
        }
    }
}

impl<T> fmt::Debug for JoinFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinFuture")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
