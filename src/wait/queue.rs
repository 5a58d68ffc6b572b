//! Wait queue: waiters in order, each with the condition it waits for.
//!
//! A short OS lock around an intrusive list; the records lie in the waiters' frames, nothing is allocated.
//! The lock is never held over a switch.
//!
//! QUEUE-1: a waiter checks its condition under the lock before it lies down in the list, and a waker
//! changes the state before it takes the lock: so either the waiter sees the change or the waker the waiter.
//! The records' own rule is WAITERS-1 (`fiber/waiters.rs`).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use parking_lot::Mutex;

use crate::fiber::alarm::NEVER;
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::fiber::waiters::{Waiter, Waiters};
use crate::machine::clock::current_ns;
use crate::machine::park;
use crate::machine::wake::{pay, settle};
use crate::wait::cancel::{self, Me};
use crate::wait::deadline::after;

/// What a waiter waits for. Lives as long as its record, in the waiter's frame.
type Condition<'a> = &'a (dyn Fn() -> bool + Sync + 'a);

/// A first-come-first-served queue of waiting fibers (and plain threads).
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::sync::Arc;
///
/// let gate = Arc::new((AtomicBool::new(false), fibers::wait::WaitQueue::new()));
/// let guest = fibers::spawn({
///     let gate = Arc::clone(&gate);
///     move || gate.1.wait_until(|| gate.0.load(Ordering::Acquire))
/// });
/// gate.0.store(true, Ordering::Release);
/// gate.1.wake_all();
/// guest.join().unwrap();
/// ```
pub struct WaitQueue {
    list: Mutex<Waiters<Condition<'static>>>,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list.try_lock() {
            Some(list) => f
                .debug_struct("WaitQueue")
                .field("waiting", &list.len())
                .finish(),
            None => f.write_str("WaitQueue { <locked> }"),
        }
    }
}

impl WaitQueue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            list: Mutex::new(Waiters::new()),
        }
    }

    /// Waits until `condition` is true.
    ///
    /// The condition is evaluated here, and by those who call [`wake_one`](Self::wake_one) or
    /// [`wake_all`](Self::wake_all), always under the queue's lock: keep it short, and do not touch this
    /// queue in it. With `wake_one`, a waiter is woken only if its condition was true at that moment; it may
    /// be false again when the waiter looks, and then it waits again, at the end of the queue. A panic in the
    /// condition comes out of whoever evaluates it, be it a waker.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* unwinds; a wake that this waiter got at the
    /// same moment goes to the next one.
    pub fn wait_until(&self, condition: impl Fn() -> bool + Sync) {
        self.wait(NEVER, condition);
    }

    /// As [`wait_until`](Self::wait_until), for at most that long. False: the time is up, and the condition
    /// was false when it was asked for the last time.
    pub fn wait_timeout(&self, timeout: Duration, condition: impl Fn() -> bool + Sync) -> bool {
        self.wait(after(current_ns(), timeout), condition)
    }

    /// As [`wait_timeout`](Self::wait_timeout), until that moment.
    pub(crate) fn wait(&self, at_ns: u64, condition: impl Fn() -> bool + Sync) -> bool {
        let me = Me::get();
        let fiber: *const Header = me.header();
        if at_ns == NEVER {
            park::refuse_if_stuck();
        }
        loop {
            let waiter = Waiter::new(fiber, &condition as Condition<'_>);
            // The list knows records without their lifetime; WAITERS-1 keeps this one in its frame.
            let record: *const Waiter<Condition<'static>> = (&raw const waiter).cast();
            {
                let mut list = self.list.lock();
                if condition() {
                    return true;
                }
                // SAFETY: new, and in this frame until it is out again.
                unsafe { list.push_back(record) };
            }
            let unwind = loop {
                let slept = if at_ns == NEVER {
                    cancel::sleep(Reasons::QUEUE.0)
                } else {
                    cancel::sleep_until(Reasons::QUEUE.0, at_ns)
                };
                let mut list = self.list.lock();
                match (slept, waiter.is_queued()) {
                    (Ok(0), true) => {
                        // SAFETY: it is queued.
                        unsafe { list.remove(record) };
                        // Asked for the last time, and where a waker would ask it.
                        return condition();
                    }
                    // Not for us: an old bit.
                    (Ok(_), true) => {}
                    (Ok(_), false) => break None,
                    (Err(unwind), true) => {
                        // SAFETY: as above.
                        unsafe { list.remove(record) };
                        drop(list);
                        unwind.unwind();
                    }
                    (Err(unwind), false) => break Some(unwind),
                }
            };
            settle(&waiter.owed);
            if let Some(unwind) = unwind {
                // The wake was meant for somebody who can use it.
                self.wake_one();
                unwind.unwind();
            }
            let pass_on = PassOn(self);
            let satisfied = condition();
            std::mem::forget(pass_on);
            if satisfied {
                return true;
            }
        }
    }

    /// Wakes the first waiter whose condition is true. True if there was one. Never blocks for long.
    pub fn wake_one(&self) -> bool {
        let taken = self.list.lock().take(|condition| condition());
        let Some(record) = taken else {
            return false;
        };
        // SAFETY: owed since we took the record out; its frame stays until we let go (WAITERS-1).
        unsafe { pay(&(*record).owed) };
        true
    }

    /// Wakes every waiter whose condition is true. How many.
    pub fn wake_all(&self) -> usize {
        let mut woken = 0;
        // One at a time: a woken waiter's frame is gone, so no chain may lead through it. As many rounds as
        // there were waiters, so that those who come back do not keep us here.
        let rounds = self.list.lock().len();
        while woken < rounds && self.wake_one() {
            woken += 1;
        }
        woken
    }

    /// True if nobody waits at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.lock().len() == 0
    }
}

/// A woken waiter whose condition panics cannot use its wake: the next one gets it.
struct PassOn<'a>(&'a WaitQueue);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        // During the unwind: if the next one's condition panics too (a poisoned lock, say), that must not get out.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.wake_one()));
    }
}

// A panic in a condition leaves the list as it was.
impl std::panic::UnwindSafe for WaitQueue {}
impl std::panic::RefUnwindSafe for WaitQueue {}
