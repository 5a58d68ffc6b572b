//! Event: something that has happened, or not yet.
//!
//! The protocol is `raw_event.rs`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::machine::clock::soon_ns;
use crate::machine::park;
use crate::sync::crowd::Place;
use crate::sync::pay::pay_out;
use crate::sync::raw_event::RawEvent;
use crate::wait::cancel::Me;
use crate::wait::deadline::after;
use crate::wait::line::{Early, stay};

/// Something that has happened or not, for fibers and threads to wait for: a manual-reset event, as Python's
/// `threading.Event`.
///
/// While it is set nobody waits. Who waits when it is set goes on, also if it is reset at once.
///
/// ```
/// use fibers::sync::{Arc, Event};
///
/// let ready = Arc::new(Event::new());
/// let guest = fibers::spawn({
///     let ready = Arc::clone(&ready);
///     move || ready.wait()
/// });
/// ready.set();
/// guest.join().unwrap();
/// ```
pub struct Event {
    raw: RawEvent,
}

impl UnwindSafe for Event {}
impl RefUnwindSafe for Event {}

impl Event {
    /// One that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            raw: RawEvent::new(),
        }
    }

    /// It has happened: all that wait go on. What was written before is visible to them. Never blocks.
    #[inline]
    pub fn set(&self) {
        if let Some(last) = self.raw.set() {
            pay_out(|batch| self.raw.take(last, batch));
        }
    }

    /// It has not happened yet. Never blocks.
    #[inline]
    pub fn reset(&self) {
        self.raw.reset();
    }

    /// True if it has happened.
    #[must_use]
    #[inline]
    pub fn is_set(&self) -> bool {
        self.raw.is_set()
    }

    /// Waits until it has happened.
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it, it
    /// unwinds.
    #[inline]
    pub fn wait(&self) {
        if !self.raw.is_set() {
            self.wait_slow(NEVER);
        }
    }

    /// As [`wait`](Self::wait), for at most that long. False: the time is up.
    #[inline]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.raw.is_set() || self.wait_slow(after(soon_ns(), timeout))
    }

    #[cold]
    fn wait_slow(&self, at_ns: u64) -> bool {
        if at_ns == NEVER {
            // Else it would have to unwind from where the record is in the crowd.
            park::refuse_if_stuck();
        }
        let me = Me::get();
        let record = Waiter::new(me.header(), Place::default());
        // SAFETY: new, and in this frame until it is out again.
        if !unsafe { self.raw.enter(&record) } {
            return true;
        }
        let stayed = stay(&record.owed, at_ns, |leave| {
            self.raw.in_line(&record, leave)
        });
        match stayed {
            Ok(()) => true,
            Err(Early::TimedOut) => false,
            Err(Early::Unwind(unwind)) => unwind.unwind(),
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
