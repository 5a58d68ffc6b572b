//! Notify: after tokio's.
//!
//! NOTIFY-1: `notify_one` takes out who has waited longest, or leaves a permit; under the latch, so that a permit and a
//! waiter never are there together. Who was taken out has its notification, also if it is cancelled or out of time at
//! the same moment: it returns.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::latch::Latch;
use crate::machine::clock::soon_ns;
use crate::machine::park;
use crate::sync::crowd::{Crowd, Place};
use crate::sync::pay::{pay_one, pay_out};
use crate::wait::cancel::Me;
use crate::wait::deadline::after;
use crate::wait::line::{Early, stay};

/// Notifications, of which one is kept if nobody waits for it. As tokio's `Notify`; its `notified().await` is
/// [`wait`](Self::wait).
///
/// First come, first served.
///
/// ```
/// use fibers::sync::{Arc, Notify};
///
/// let work = Arc::new(Notify::new());
/// work.notify_one(); // kept
/// let worker = fibers::spawn({
///     let work = Arc::clone(&work);
///     move || work.wait()
/// });
/// worker.join().unwrap();
/// ```
pub struct Notify {
    state: Latch<State>,
}

struct State {
    crowd: Crowd,
    /// One was notified, and nobody was there.
    permit: bool,
}

impl UnwindSafe for Notify {}
impl RefUnwindSafe for Notify {}

impl Notify {
    /// Without a permit.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: Latch::new(State {
                crowd: Crowd::new(),
                permit: false,
            }),
        }
    }

    /// Wakes the one that has waited longest; if nobody waits, the next that comes does not have to. Several of them
    /// are kept as one. Never blocks.
    pub fn notify_one(&self) {
        let first = {
            let mut state = self.state.lock();
            let first = state.crowd.take_first();
            state.permit |= first.is_none();
            first
        };
        // SAFETY: just taken out.
        unsafe { pay_one(first) };
    }

    /// Wakes all that wait. Nothing is kept. Never blocks.
    pub fn notify_waiters(&self) {
        let last = self.state.lock().crowd.last();
        pay_out(|batch| self.state.lock().crowd.take(last, batch));
    }

    /// Waits for a notification; takes the one that is kept.
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it, it
    /// unwinds, and has taken none.
    pub fn wait(&self) {
        self.wait_until_ns(NEVER);
    }

    /// As [`wait`](Self::wait), for at most that long. False: the time is up.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until_ns(after(soon_ns(), timeout))
    }

    fn wait_until_ns(&self, at_ns: u64) -> bool {
        if at_ns == NEVER {
            // Else it would have to unwind from where the record is in the crowd.
            park::refuse_if_stuck();
        }
        let me = Me::get();
        let record = Waiter::new(me.header(), Place::default());
        {
            let mut state = self.state.lock();
            if state.permit {
                state.permit = false;
                return true;
            }
            // SAFETY: new, and in this frame until it is out again.
            unsafe { state.crowd.push(&record) };
        }
        let stayed = stay(&record.owed, at_ns, |leave| {
            self.state.lock().crowd.holds(&record, leave)
        });
        match stayed {
            Ok(()) => true,
            Err(Early::TimedOut) => false,
            Err(Early::Unwind(unwind)) => unwind.unwind(),
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}
