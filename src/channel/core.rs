//! Core: a channel's messages, and who waits for what, under one latch.
//!
//! Pure: what is to be woken is returned, and woken by the caller after the latch. After Go's channels: a message goes
//! straight to a receiver that waits, and a place in the buffer straight to a sender that does.
//!
//! CORE-1: a receiver waits only while the buffer is empty and no sender waits that could hand it a message; a sender
//! only while `buffer + promised` is the capacity, and no receiver waits. Each operation leaves it so: a message goes to
//! the first receiver before it goes to the buffer; a place that becomes free goes to the first sender; and where all
//! places were promised, to senders that take their time, a message that waits goes past them.
//! CORE-2: once one side is gone its bit is set under the latch, and nobody of the other side goes into the line any
//! more; whoever is there is taken out.
//! CORE-3: a place that was promised is used, or given back, exactly once (`fulfil`, `give_back`).
//!
//! No code of a user's runs under the latch: no message is dropped there, no waker called.

use std::mem;
use std::task::Waker;

use crate::channel::buffer::Buffer;
use crate::channel::party::{
    How, Parties, Payee, Record, Token, claim_first, claim_first_for, payee,
};
use crate::fiber::header::Header;
use crate::fiber::waiters::Waiters;
use crate::latch::Latch;

/// One side of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Senders,
    Receivers,
}

/// See the head of the file.
pub(crate) struct Core<T> {
    pub(super) inner: Latch<Inner<T>>,
    pub(super) capacity: usize,
}

pub(crate) struct Inner<T> {
    pub(super) buffer: Buffer<T>,
    /// Places that senders which select were promised.
    pub(super) promised: usize,
    /// What makes an operation anything but simple.
    pub(super) flags: u8,
    pub(super) senders: Parties<T>,
    pub(super) receivers: Parties<T>,
    /// Who wants to look again after every change: each is told once.
    pub(super) watchers: Parties<()>,
    pub(super) wakers: Vec<(u64, Waker)>,
    #[cfg(feature = "stream")]
    pub(super) next_waker: u64,
}

/// All senders are gone.
const NO_SENDERS: u8 = 1;
/// All receivers are gone.
const NO_RECEIVERS: u8 = 1 << 1;
/// Somebody watches.
pub(super) const WATCHED: u8 = 1 << 2;

/// What came of an attempt to send.
pub(crate) enum Sent<T> {
    /// The message is on its way.
    Done(After),
    Full(T),
    Closed(T),
}

/// What came of an attempt to receive.
pub(crate) enum Received<T> {
    Message(T, After),
    /// A sender was found that has no message yet: it puts one into the caller's record and pays that.
    Soon(After),
    Empty,
    Closed,
}

/// What came of an attempt to get a place for a message, or a receiver for it.
pub(crate) enum Promise<T> {
    /// A place in the buffer.
    Place,
    /// That receiver: claimed, and to be paid.
    Receiver(*const Record<T>),
    Full,
    Closed,
}

/// What came of an attempt that waits if it cannot go on at once.
pub(crate) enum Tried<R> {
    Now(R),
    /// The record is in the line.
    Waits(After),
}

/// What is to be done after the latch.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct After {
    pub(crate) wake: Option<Payee>,
    pub(crate) wake_too: Option<Payee>,
    /// Somebody watches the channel.
    pub(crate) tell: bool,
}

/// What is to be done once a side is closed, after the latch.
#[must_use]
pub(crate) struct Closed<T> {
    /// What nobody receives any more, to be dropped.
    pub(crate) left: Option<Buffer<T>>,
    /// Somebody waits in vain, or watches.
    pub(crate) tell: bool,
}

impl<T> Inner<T> {
    #[inline]
    fn after(&self, wake: Option<Payee>) -> After {
        After {
            wake,
            wake_too: None,
            tell: self.flags & WATCHED != 0,
        }
    }

    /// True if that side could go on at once; the cases of its own selection, `token`'s, do not count, nor those that
    /// `me` cannot meet.
    pub(super) fn is_ready(
        &self,
        side: Side,
        capacity: usize,
        token: *const Token,
        me: *const Header,
    ) -> bool {
        match side {
            Side::Senders => {
                self.flags & NO_RECEIVERS != 0
                    || self.buffer.len() + self.promised < capacity
                    || self
                        .receivers
                        .find(|party| party.is_open_to(token))
                        .is_some()
            }
            Side::Receivers => {
                self.flags & NO_SENDERS != 0
                    || self.buffer.len() != 0
                    || self
                        .senders
                        .find(|party| {
                            party.may_hand_over(capacity)
                                && party.is_open_to(token)
                                && party.may_meet(me)
                        })
                        .is_some()
            }
        }
    }

    /// Claims the first sender whose message a receiver gets straight, with an empty buffer: because there are no
    /// places, or because all of them were promised. Of the latter only one that has its message: others wait for
    /// their place.
    fn claim_sender(&mut self, capacity: usize, me: *const Header) -> Option<*const Record<T>> {
        if capacity == 0 {
            return claim_first_for(&mut self.senders, me);
        }
        // Alone, so claimed by being in the line.
        self.senders.take(|party| party.may_hand_over(capacity))
    }

    /// A place has become free: it goes to the first sender that waits for one; its message, perhaps, to a receiver.
    pub(super) fn refill(&mut self, capacity: usize) -> After {
        let mut after = self.after(None);
        if self.flags & NO_RECEIVERS != 0 {
            // Whoever closes the channel tells those who still wait.
            return after;
        }
        if self.buffer.len() + self.promised < capacity
            && let Some(record) = claim_first(&mut self.senders)
        {
            // SAFETY: claimed, not paid yet.
            let (sender, wake) = unsafe { (&(*record).what, payee(record)) };
            after.wake = Some(wake);
            // SAFETY: claimed by us.
            if let Some(message) = unsafe { sender.take() } {
                sender.set_how(How::Passed);
                after.wake_too = self.deliver(message);
            } else {
                sender.set_how(How::Promised);
                self.promised += 1;
            }
        }
        after
    }

    /// Hands a message to the first receiver that waits, or gives it back.
    #[inline]
    fn hand_over(&mut self, message: T) -> Result<Payee, T> {
        if self.receivers.first().is_none() {
            return Err(message);
        }
        match claim_first(&mut self.receivers) {
            // SAFETY: claimed by us, not paid yet.
            Some(record) => unsafe {
                (*record).what.put(message);
                (*record).what.set_how(How::Passed);
                Ok(payee(record))
            },
            None => Err(message),
        }
    }

    /// Hands a message to a receiver that waits, or puts it into the buffer, where there is room.
    #[inline]
    fn deliver(&mut self, message: T) -> Option<Payee> {
        match self.hand_over(message) {
            Ok(wake) => Some(wake),
            Err(message) => {
                self.buffer.push(message);
                None
            }
        }
    }
}

impl<T> Core<T> {
    /// `usize::MAX`: unbounded.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self {
            inner: Latch::new(Inner {
                buffer: Buffer::new(),
                promised: 0,
                flags: 0,
                senders: Waiters::new(),
                receivers: Waiters::new(),
                watchers: Waiters::new(),
                wakers: Vec::new(),
                #[cfg(feature = "stream")]
                next_waker: 0,
            }),
            capacity,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().buffer.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        let inner = self.inner.lock();
        inner.buffer.len() + inner.promised >= self.capacity
    }

    /// Sends the message if that is possible at once.
    #[inline]
    pub(crate) fn try_send(&self, message: T) -> Sent<T> {
        self.send_in(&mut self.inner.lock(), message)
    }

    #[inline]
    fn send_in(&self, inner: &mut Inner<T>, message: T) -> Sent<T> {
        if inner.flags & NO_RECEIVERS != 0 {
            return Sent::Closed(message);
        }
        match inner.hand_over(message) {
            Ok(wake) => Sent::Done(inner.after(Some(wake))),
            Err(message) if inner.buffer.len() + inner.promised >= self.capacity => {
                Sent::Full(message)
            }
            Err(message) => {
                inner.buffer.push(message);
                Sent::Done(inner.after(None))
            }
        }
    }

    /// As [`try_send`](Self::try_send); where that is not possible the message is put into the record, and the record
    /// into the line.
    ///
    /// # Safety
    /// The record is in no line, and stays where it is until it has left this one (WAITERS-1).
    #[inline]
    pub(crate) unsafe fn send_or_wait(&self, message: T, record: &Record<T>) -> Tried<Sent<T>> {
        let mut inner = self.inner.lock();
        let message = match self.send_in(&mut inner, message) {
            Sent::Full(message) => message,
            sent => return Tried::Now(sent),
        };
        // SAFETY: in no line, so its owner's, which is us; then by contract.
        unsafe {
            record.what.put(message);
            inner.senders.push_back(record);
        }
        Tried::Waits(inner.after(None))
    }

    /// Receives a message if there is one. `partner`: the caller's record, in no line.
    #[inline]
    pub(crate) fn try_recv(&self, partner: &Record<T>) -> Received<T> {
        self.recv_in(&mut self.inner.lock(), partner)
    }

    #[inline]
    fn recv_in(&self, inner: &mut Inner<T>, partner: &Record<T>) -> Received<T> {
        if let Some(message) = inner.buffer.pop() {
            let after = if inner.senders.first().is_some() {
                inner.refill(self.capacity)
            } else {
                inner.after(None)
            };
            return Received::Message(message, after);
        }
        if inner.senders.first().is_some()
            && let Some(record) = inner.claim_sender(self.capacity, partner.what.due.owed.waiter())
        {
            // SAFETY: claimed by us, not paid yet.
            let (sender, wake) = unsafe { (&(*record).what, payee(record)) };
            // SAFETY: claimed by us.
            return if let Some(message) = unsafe { sender.take() } {
                sender.set_how(How::Passed);
                Received::Message(message, inner.after(Some(wake)))
            } else {
                sender.set_how(How::Paired(partner));
                Received::Soon(inner.after(Some(wake)))
            };
        }
        if inner.flags & NO_SENDERS != 0 {
            Received::Closed
        } else {
            Received::Empty
        }
    }

    /// As [`try_recv`](Self::try_recv); where there is no message the record goes into the line.
    ///
    /// # Safety
    /// As [`send_or_wait`](Self::send_or_wait).
    #[inline]
    pub(crate) unsafe fn recv_or_wait(&self, record: &Record<T>) -> Tried<Received<T>> {
        let mut inner = self.inner.lock();
        match self.recv_in(&mut inner, record) {
            Received::Empty => {}
            received => return Tried::Now(received),
        }
        // SAFETY: by contract.
        unsafe { inner.receivers.push_back(record) };
        // To those who watch a channel without places, a receiver that waits is a place.
        Tried::Waits(inner.after(None))
    }

    /// A place for a message to come, or the receiver that waits for it.
    pub(crate) fn promise(&self) -> Promise<T> {
        let mut inner = self.inner.lock();
        if inner.flags & NO_RECEIVERS != 0 {
            return Promise::Closed;
        }
        if let Some(record) = claim_first(&mut inner.receivers) {
            return Promise::Receiver(record);
        }
        if inner.buffer.len() + inner.promised >= self.capacity {
            return Promise::Full;
        }
        inner.promised += 1;
        Promise::Place
    }

    /// The message for a place that was promised: two may have to be woken.
    pub(crate) fn fulfil(&self, message: T) -> Result<[After; 2], T> {
        let mut inner = self.inner.lock();
        inner.promised -= 1;
        if inner.flags & NO_RECEIVERS != 0 {
            return Err(message);
        }
        let received = inner.deliver(message);
        // If a receiver took it, the place is free.
        let refilled = inner.refill(self.capacity);
        Ok([inner.after(received), refilled])
    }

    /// No message comes for a place that was promised.
    pub(crate) fn give_back(&self) -> After {
        let mut inner = self.inner.lock();
        inner.promised -= 1;
        inner.refill(self.capacity)
    }

    /// True if the record is in that line; with `leave` it is taken out.
    pub(crate) fn in_line(&self, side: Side, record: &Record<T>, leave: bool) -> bool {
        let mut inner = self.inner.lock();
        let queued = record.is_queued();
        if queued && leave {
            let line = match side {
                Side::Senders => &mut inner.senders,
                Side::Receivers => &mut inner.receivers,
            };
            // SAFETY: it is queued, and in its own side's line.
            unsafe { line.remove(record) };
        }
        queued
    }

    /// Puts one case of a selection into its line; `None` if it could go on at once.
    ///
    /// # Safety
    /// As [`send_or_wait`](Self::send_or_wait), and so does the token.
    pub(crate) unsafe fn enter(
        &self,
        side: Side,
        record: &Record<T>,
        token: *const Token,
    ) -> Option<After> {
        let mut inner = self.inner.lock();
        if inner.is_ready(side, self.capacity, token, record.what.selects_for()) {
            return None;
        }
        // SAFETY: by contract.
        unsafe {
            match side {
                Side::Senders => inner.senders.push_back(record),
                Side::Receivers => inner.receivers.push_back(record),
            }
        }
        Some(inner.after(None))
    }

    /// True if that side could go on at once.
    pub(crate) fn is_ready(&self, side: Side, me: *const Header) -> bool {
        let inner = self.inner.lock();
        inner.is_ready(side, self.capacity, std::ptr::null(), me)
    }

    /// Ends one side.
    #[inline]
    pub(crate) fn close(&self, side: Side) -> Closed<T> {
        let mut inner = self.inner.lock();
        let (waiting, left) = match side {
            Side::Senders => {
                inner.flags |= NO_SENDERS;
                (&inner.receivers, None)
            }
            Side::Receivers => {
                inner.flags |= NO_RECEIVERS;
                let is_empty = inner.buffer.len() == 0;
                let left = (!is_empty).then(|| mem::replace(&mut inner.buffer, Buffer::new()));
                (&inner.senders, left)
            }
        };
        // Nobody comes later: CORE-2, and who watches looks at the bit, too (WATCH-1).
        let tell = waiting.first().is_some() || inner.flags & WATCHED != 0;
        Closed { left, tell }
    }

    /// After `close`: the next one of the other side that waits in vain.
    pub(crate) fn next_in_vain(&self, closed: Side) -> Option<Payee> {
        let mut inner = self.inner.lock();
        let line = match closed {
            Side::Senders => &mut inner.receivers,
            Side::Receivers => &mut inner.senders,
        };
        let record = claim_first(line)?;
        // SAFETY: claimed by us, not paid yet.
        unsafe {
            (*record).what.set_how(How::Closed);
            Some(payee(record))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::party::Party;
    use crate::fiber::waiters::Waiter;

    #[test]
    fn no_message_goes_into_a_channel_without_receivers() {
        let core = Core::new(1);
        assert!(matches!(core.promise(), Promise::Place));
        let record = Waiter::of_nobody(Party::new(None));
        // SAFETY: in this frame until it is out again.
        let tried = unsafe { core.send_or_wait(7, &record) };
        assert!(matches!(tried, Tried::Waits(_)));
        assert!(core.close(Side::Receivers).tell);
        // Between the close and its word to the sender.
        assert!(core.give_back().wake.is_none());
        assert_eq!(core.len(), 0);
        assert!(core.next_in_vain(Side::Receivers).is_some());
        assert!(matches!(record.what.how(), How::Closed));
        // SAFETY: out of the line.
        assert_eq!(unsafe { record.what.take() }, Some(7));
    }
}
