//! `block_on`: a fiber, or a plain thread, waits for a future.
//!
//! Poll; not ready: sleep for `WAKER`; again. Nothing is allocated, and there is no queue: the waker is the fiber.
//!
//! All block_ons of one fiber share one bit, and they nest: a poll, or a call served during the wait, may itself call
//! `block_on`. Their frames lie on one stack, so only the innermost polls or sleeps.
//!
//! FUTURE-1: a wake after a block_on's poll has begun is followed by another poll of that block_on, or by its end.
//! The wake sets the bit before it returns, and only block_ons take it away: no other wait has it in its mask, and
//! the public `wait::sleep` and `prepare` leave it out. If this block_on takes it, it polls. If an inner one does
//! (which then polls for nothing), that one remembers (`consumed`), and sends the bit again as it leaves, be it by an
//! unwind: so the bit is there before the frames below go on, and theirs is the next sleep. A frame between the two
//! may take it once more, and does the same. A sleep that takes the bit always says so: it takes precedence
//! over cancellation, and calls that came with it are served by functions that do not unwind.
//!
//! The price is one poll for nothing, of the outer one, for each inner one that has slept. Whether there is an outer
//! one is a flag of the header (`blocks_on`), so that one that is not nested leaves no bit behind for the next.
//! A wake that comes late, when its block_on is over, costs the next one a poll.
//!
//! Fairness: a wake that came during the poll, such as a future gives itself, makes the fiber yield before it polls
//! again: every time, as that is what such futures are for, and costs some 12 ns (plain threads have no need to). That
//! is also where a future that always wakes itself, or is woken all the time, can be cancelled.

use std::future::IntoFuture;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::current::yield_now;
use crate::fiber::current;
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::future::waker::borrowed;
use crate::machine::park;
use crate::machine::wake::wake;
use crate::wait::cancel;

const WAKER: u16 = Reasons::WAKER.0;

/// Waits for a future, and returns its output. For futures of any crate that does not insist on its own executor:
/// channels, locks, `select!` and `join!`.
///
/// *Blocks* the fiber, and a plain thread blocks its OS thread; the future is polled by the caller and need not be
/// `Send`. Runs calls that are sent to the caller meanwhile. May be called inside a future's poll: then that future,
/// and whatever is polled with it, waits too. A future that wakes itself in its poll lets other fibers run each time.
///
/// Nothing is allocated. Wakers are handles to the fiber: they may be kept for as long as one likes, and used from
/// any thread.
///
/// *Cancellation* and deadlines ([`timeout`](crate::timeout)) unwind the call while the future is not ready; it is
/// dropped by that.
///
/// # Panics
/// If the future's poll panics, with that panic.
///
/// ```
/// use futures::channel::oneshot;
///
/// let (sender, receiver) = oneshot::channel();
/// fibers::spawn(move || sender.send(42));
/// assert_eq!(fibers::block_on(receiver), Ok(42));
/// assert_eq!(fibers::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let thread;
    let header = match park::running() {
        Some((_, header)) => header,
        None => {
            thread = current::thread_fiber();
            thread.as_ptr()
        }
    };
    // SAFETY: the running fiber is alive, and what stands for a thread through the reference above.
    let (waker, fiber) = unsafe { (borrowed(header), &*header) };
    let mut context = Context::from_waker(&waker);
    let mut turns = Turns {
        fiber,
        nested: fiber.blocks_on.replace(true),
        consumed: false,
    };
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        turns.wait();
    }
}

/// One block_on under way.
struct Turns<'a> {
    fiber: &'a Header,
    /// There is one outside it, on the same fiber.
    nested: bool,
    /// A `WAKER` was taken, which may have been meant for the outer one.
    consumed: bool,
}

impl Turns<'_> {
    /// Until the next poll.
    #[inline]
    fn wait(&mut self) {
        if park::pending() & WAKER != 0 {
            // During the poll.
            if park::running().is_some() {
                yield_now();
            } else {
                cancel::checkpoint();
            }
        }
        loop {
            match cancel::sleep_serving(WAKER) {
                // Calls were served.
                Ok(0) => {}
                Ok(_) => break,
                Err(unwind) => unwind.unwind(),
            }
        }
        self.consumed = true;
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        self.fiber.blocks_on.set(self.nested);
        if self.nested && self.consumed {
            // FUTURE-1.
            // SAFETY: the running fiber, or thread.
            unsafe { wake(self.fiber, WAKER) };
        }
    }
}
