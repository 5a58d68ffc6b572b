//! Condvar: as std's, first come, first served.
//!
//! The protocol is `raw_condvar.rs`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::machine::clock::{has_come, soon_ns};
use crate::machine::park;
use crate::sync::crowd::Place;
use crate::sync::mutex::MutexGuard;
use crate::sync::pay::{pay_one, pay_out};
use crate::sync::raw_condvar::RawCondvar;
use crate::wait::cancel::Me;
use crate::wait::deadline::after;
use crate::wait::line::{Early, stay};

/// A condition variable for fibers and threads. As [`std::sync::Condvar`].
///
/// Waiters are woken in the order in which they came. All waits may be *cancelled*, and ended by a deadline that
/// encloses them: that unwinds, and the mutex is not held then, as the guard is gone. A notification that a waiter has
/// got makes it return all the same, so none is lost; the cancellation unwinds its next wait.
///
/// A predicate of [`wait_while`](Self::wait_while) is run by its waiter, after each notification. Std's signature does
/// not ask that others can run it. [`WaitQueue::wait_until`](crate::wait::WaitQueue::wait_until) does, and there the
/// waker runs it: a wake for nothing costs the sleeper no switch.
///
/// Used with several mutexes, it works for each; nobody panics.
///
/// ```
/// use fibers::sync::{Arc, Condvar, Mutex};
///
/// let pair = Arc::new((Mutex::new(false), Condvar::new()));
/// let starter = fibers::spawn({
///     let pair = Arc::clone(&pair);
///     move || {
///         *pair.0.lock().unwrap() = true;
///         pair.1.notify_one();
///     }
/// });
/// let (started, changed) = &*pair;
/// let guard = changed.wait_while(started.lock().unwrap(), |started| !*started).unwrap();
/// assert!(*guard);
/// # drop(guard);
/// # starter.join().unwrap();
/// ```
pub struct Condvar {
    raw: RawCondvar,
}

impl UnwindSafe for Condvar {}
impl RefUnwindSafe for Condvar {}

/// Whether a timed wait of a [`Condvar`] ended because its time was up. As [`std::sync::WaitTimeoutResult`].
#[derive(Debug, PartialEq, Eq, Copy, Clone)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// True if the time was up.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// One that nobody waits for.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            raw: RawCondvar::new(),
        }
    }

    /// Unlocks the mutex, waits for a notification, and locks it again.
    ///
    /// Nothing is lost between the unlocking and the wait. It may return for nothing: look at what you wait for, and
    /// wait again, or use [`wait_while`](Self::wait_while).
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it, it
    /// unwinds without the mutex. Locking it again is not cancelled.
    ///
    /// # Errors
    /// If the mutex is poisoned by then; the guard is in the error.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let (guard, _) = self.wait_until_ns(guard, NEVER);
        if guard.mutex().is_poisoned() {
            Err(PoisonError::new(guard))
        } else {
            Ok(guard)
        }
    }

    /// Waits while `condition` is true. It is evaluated here, with the mutex locked, at once and after each
    /// notification.
    ///
    /// *Blocks* and is *cancelled* as [`wait`](Self::wait). A panic in the condition poisons the mutex.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait_timeout`](Self::wait_timeout), in milliseconds; false if the time was up.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    #[deprecated(since = "1.6.0", note = "replaced by `Condvar::wait_timeout`")]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        match self.wait_timeout(guard, Duration::from_millis(ms.into())) {
            Ok((guard, result)) => Ok((guard, !result.timed_out())),
            Err(error) => {
                let (guard, result) = error.into_inner();
                Err(PoisonError::new((guard, !result.timed_out())))
            }
        }
    }

    /// As [`wait`](Self::wait), for at most that long; the mutex is locked again in any case, which may take longer.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        dur: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_timeout_until(guard, after(soon_ns(), dur))
    }

    /// As [`wait_while`](Self::wait_while), for at most that long in all. If the time is up, the condition was true
    /// when it was evaluated for the last time.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        dur: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let at_ns = after(soon_ns(), dur);
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if has_come(at_ns) {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            guard = self.wait_timeout_until(guard, at_ns)?.0;
        }
    }

    /// Wakes the one that has waited longest, if anybody waits. Never blocks.
    #[inline]
    pub fn notify_one(&self) {
        if !self.raw.is_empty() {
            let first = self.raw.take_first();
            // SAFETY: just taken out.
            unsafe { pay_one(first) };
        }
    }

    /// Wakes all that wait. Never blocks.
    #[inline]
    pub fn notify_all(&self) {
        if !self.raw.is_empty() {
            let last = self.raw.last();
            pay_out(|batch| self.raw.take(last, batch));
        }
    }

    fn wait_timeout_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        at_ns: u64,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (guard, timed_out) = self.wait_until_ns(guard, at_ns);
        let result = WaitTimeoutResult(timed_out);
        if guard.mutex().is_poisoned() {
            Err(PoisonError::new((guard, result)))
        } else {
            Ok((guard, result))
        }
    }

    /// Also says whether the time was up.
    fn wait_until_ns<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        at_ns: u64,
    ) -> (MutexGuard<'a, T>, bool) {
        if at_ns == NEVER {
            // Else it would have to unwind from where the record is in the crowd.
            park::refuse_if_stuck();
        }
        let me = Me::get();
        let record = Waiter::new(me.header(), Place::default());
        // SAFETY: new, and in this frame until it is out again: nothing between here and there unwinds.
        unsafe { self.raw.enter(&record) };
        let unlocked = guard.unlock_to_wait();
        let stayed = stay(&record.owed, at_ns, |leave| {
            self.raw.in_line(&record, leave)
        });
        match stayed {
            Ok(()) => (unlocked.lock_again(), false),
            Err(Early::TimedOut) => (unlocked.lock_again(), true),
            Err(Early::Unwind(unwind)) => unwind.unwind(),
        }
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
