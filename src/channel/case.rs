//! Case: one operation of a selection, with all that it needs to wait: its record in a channel's line.

use std::cell::{Cell, OnceCell};
use std::mem::{self, ManuallyDrop};
use std::ptr;

use crate::channel::core::{Promise, Received, Side};
use crate::channel::error::{RecvError, SendError};
use crate::channel::flow::{Flow, settle_up};
use crate::channel::party::{How, Party, Record, Token, payee};
use crate::channel::quick::QuickRecv;
use crate::channel::receiver::Source;
use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::machine::park;
use crate::wait::cancel::Me;

/// One operation of a selection. The methods but `is_ready` are for `choose.rs`, in its order.
pub(crate) trait Case {
    /// Claims the operation if it can go on at once.
    fn try_now(&self) -> bool;
    /// Goes into the line of its channel; false if it can go on at once.
    ///
    /// # Safety
    /// `token` and the case stay where they are until `leave`.
    unsafe fn enter(&self, token: *const Token, case: usize) -> bool;
    /// Is in no line any more; it may never have been in one.
    fn leave(&self);
    /// When it can go on for sure.
    fn due_ns(&self) -> u64;
    /// True if the operation could go on at once.
    fn is_ready(&self) -> bool;
    /// As `enter`, to be told when it might go on.
    ///
    /// # Safety
    /// The same, until `unwatch` with the same record.
    unsafe fn watch(&self, record: &Record<()>) -> bool;
    fn unwatch(&self, record: &Record<()>);
    /// It was claimed, but its message does not come after all.
    fn begins_again(&self) -> bool;
    /// The operation was selected, and is not carried out.
    fn abandon(&self);
    /// Which channel and side it is for.
    fn whose(&self) -> (*const (), bool);
}

/// Some case.
#[doc(hidden)]
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "no part of the public face")]
pub struct AnyCase<'a>(pub(super) &'a (dyn Case + 'a));

/// A receive of a selection. Without a destructor, so that `select!` borrows its channels no longer than it must: a
/// message is in it only between the selection and `finish`.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "no part of the public face")]
pub struct RecvCase<'a, T> {
    source: &'a Source<T>,
    /// What was received without a wait.
    message: ManuallyDrop<Cell<Option<T>>>,
    /// Made when first needed: most selections find a message.
    record: OnceCell<ManuallyDrop<Record<T>>>,
}

/// A send of a selection, as [`RecvCase`].
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "no part of the public face")]
pub struct SendCase<'a, T> {
    flow: &'a Flow<T>,
    record: ManuallyDrop<Record<T>>,
}

/// The right to carry out a send that was selected. Given back if it is dropped: the evaluation of the message has
/// panicked, was cancelled, or has left by `?`, `break` or `return`.
#[doc(hidden)]
#[must_use]
#[allow(missing_debug_implementations, reason = "no part of the public face")]
pub struct Claimed<'c, 'a, T>(&'c SendCase<'a, T>);

impl<T> Claimed<'_, '_, T> {
    /// As [`SendCase::finish`].
    ///
    /// # Errors
    /// If all receivers are gone.
    #[doc(hidden)]
    pub fn send(self, message: T) -> Result<(), SendError<T>> {
        let case = self.0;
        mem::forget(self);
        case.finish(message)
    }
}

impl<T> Drop for Claimed<'_, '_, T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn record<T>() -> ManuallyDrop<Record<T>> {
    ManuallyDrop::new(Waiter::of_nobody(Party::new(None)))
}

impl<'a, T> RecvCase<'a, T> {
    pub(super) fn new(source: &'a Source<T>) -> Self {
        Self {
            source,
            message: ManuallyDrop::new(Cell::new(None)),
            record: OnceCell::new(),
        }
    }

    #[doc(hidden)]
    pub fn any(&self) -> AnyCase<'_> {
        AnyCase(self)
    }

    /// What the selected receive brought.
    #[doc(hidden)]
    pub fn finish(&self) -> Result<T, RecvError> {
        let record = || {
            // SAFETY: selected, so let go: ours.
            self.record.get().and_then(|own| unsafe { own.what.take() })
        };
        self.message.take().or_else(record).ok_or(RecvError)
    }

    fn record(&self) -> &Record<T> {
        self.record.get_or_init(record)
    }

    /// Takes a message that is there, or one that a sender has yet to come up with.
    #[cold]
    #[inline(never)]
    fn try_slowly(&self, flow: &Flow<T>) -> bool {
        if flow.core.capacity() == 0 {
            // As in `Flow::try_recv`.
            park::refuse_if_stuck();
        }
        let record = self.record();
        record.what.begin(ptr::null(), 0);
        // It may become the partner of a sender that selects.
        record.what.due.owed.set(Me::get().header());
        match flow.core.try_recv(record) {
            Received::Message(message, after) => {
                flow.finish(after);
                self.message.set(Some(message));
                true
            }
            Received::Soon(after) => {
                flow.finish(after);
                let message = flow.await_partner(record);
                let is = message.is_some();
                self.message.set(message);
                is
            }
            Received::Empty => false,
            Received::Closed => true,
        }
    }
}

impl<T> Case for RecvCase<'_, T> {
    #[inline]
    fn try_now(&self) -> bool {
        let message = match self.source {
            Source::Flow(flow) => match flow.core.take_quick() {
                QuickRecv::Message(message, wake) => {
                    if let Some(wake) = wake {
                        settle_up(wake);
                    }
                    Some(message)
                }
                QuickRecv::Waits => None,
                QuickRecv::Slow => return self.try_slowly(flow),
            },
            Source::Timer(timer) => timer.try_recv(),
        };
        let is = message.is_some();
        self.message.set(message);
        is
    }

    unsafe fn enter(&self, token: *const Token, case: usize) -> bool {
        let Source::Flow(flow) = self.source else {
            // Its time is in `due_ns`.
            return true;
        };
        self.record().what.begin(token, case);
        // SAFETY: by contract.
        match unsafe { flow.core.enter(Side::Receivers, self.record(), token) } {
            Some(after) => {
                flow.finish(after);
                true
            }
            None => false,
        }
    }

    fn leave(&self) {
        if let Source::Flow(flow) = self.source
            && let Some(record) = self.record.get()
        {
            flow.core.in_line(Side::Receivers, record, true);
        }
    }

    fn due_ns(&self) -> u64 {
        match self.source {
            Source::Flow(_) => NEVER,
            Source::Timer(timer) => timer.next_ns(),
        }
    }

    fn is_ready(&self) -> bool {
        match self.source {
            Source::Flow(flow) => flow.core.is_ready(Side::Receivers, Me::get().header()),
            Source::Timer(timer) => timer.is_due(),
        }
    }

    unsafe fn watch(&self, record: &Record<()>) -> bool {
        match self.source {
            // SAFETY: by contract.
            Source::Flow(flow) => unsafe { flow.core.watch(Side::Receivers, record) },
            Source::Timer(_) => true,
        }
    }

    fn unwatch(&self, record: &Record<()>) {
        if let Source::Flow(flow) = self.source {
            flow.core.unwatch(record);
        }
    }

    fn begins_again(&self) -> bool {
        let record = self.record.get();
        record.is_some_and(|own| matches!(own.what.how(), How::Again))
    }

    fn abandon(&self) {
        // Received all the same.
        drop(self.finish());
    }

    fn whose(&self) -> (*const (), bool) {
        (self.source.address(), true)
    }
}

impl<'a, T> SendCase<'a, T> {
    pub(super) fn new(flow: &'a Flow<T>) -> Self {
        Self {
            flow,
            record: record(),
        }
    }

    #[doc(hidden)]
    pub fn any(&self) -> AnyCase<'_> {
        AnyCase(self)
    }

    /// By whom it was selected, before there is a message.
    #[doc(hidden)]
    pub fn claimed(&self) -> Claimed<'_, 'a, T> {
        Claimed(self)
    }

    /// Sends the message by the selected operation.
    ///
    /// # Errors
    /// If all receivers are gone.
    pub(super) fn finish(&self, message: T) -> Result<(), SendError<T>> {
        match self.record.what.how() {
            How::Promised => match self.flow.core.fulfil(message) {
                Ok(afters) => {
                    afters.into_iter().for_each(|after| self.flow.finish(after));
                    Ok(())
                }
                Err(message) => Err(SendError(message)),
            },
            How::Paired(receiver) => {
                // SAFETY: claimed by us, or for us; not paid yet.
                let wake = unsafe {
                    (*receiver).what.put(message);
                    (*receiver).what.set_how(How::Passed);
                    payee(receiver)
                };
                settle_up(wake);
                Ok(())
            }
            _ => Err(SendError(message)),
        }
    }
}

impl<T> Case for SendCase<'_, T> {
    fn try_now(&self) -> bool {
        let how = match self.flow.core.promise() {
            Promise::Place => How::Promised,
            Promise::Receiver(receiver) => How::Paired(receiver),
            Promise::Closed => How::Closed,
            Promise::Full => return false,
        };
        self.record.what.set_how(how);
        true
    }

    unsafe fn enter(&self, token: *const Token, case: usize) -> bool {
        self.record.what.begin(token, case);
        // SAFETY: by contract.
        match unsafe { self.flow.core.enter(Side::Senders, &self.record, token) } {
            Some(after) => {
                self.flow.finish(after);
                true
            }
            None => false,
        }
    }

    fn leave(&self) {
        self.flow.core.in_line(Side::Senders, &self.record, true);
    }

    fn due_ns(&self) -> u64 {
        NEVER
    }

    fn is_ready(&self) -> bool {
        self.flow.core.is_ready(Side::Senders, Me::get().header())
    }

    unsafe fn watch(&self, record: &Record<()>) -> bool {
        // SAFETY: by contract.
        unsafe { self.flow.core.watch(Side::Senders, record) }
    }

    fn unwatch(&self, record: &Record<()>) {
        self.flow.core.unwatch(record);
    }

    fn begins_again(&self) -> bool {
        false
    }

    fn abandon(&self) {
        // Whoever counts on it goes on without.
        match self.record.what.how() {
            How::Promised => self.flow.finish(self.flow.core.give_back()),
            How::Paired(receiver) => {
                // SAFETY: as in `finish`.
                let wake = unsafe {
                    (*receiver).what.set_how(How::Again);
                    payee(receiver)
                };
                settle_up(wake);
            }
            _ => {}
        }
    }

    fn whose(&self) -> (*const (), bool) {
        (ptr::from_ref(self.flow).cast(), false)
    }
}
