//! Quick: sends and receives where nothing is special: nobody is gone, nobody watches, whoever waits waits for this
//! channel alone. What is left then is a latch and a few stores.
//!
//! Pure, as `core.rs`, whose rules hold here too.

use std::mem::MaybeUninit;

use crate::channel::core::{Core, Inner};
use crate::channel::party::{How, Party, Payee, Record, claim_first, payee};
use crate::fiber::header::Header;
use crate::fiber::waiters::Waiter;

/// What came of an attempt to send without much ado.
pub(crate) enum QuickSend<T> {
    Done,
    /// That receiver has it.
    Wake(Payee),
    /// The record is in the line, with the message.
    Waits,
    /// It is not that simple.
    Slow(T),
}

/// What came of an attempt to receive without much ado.
pub(crate) enum QuickRecv<T> {
    /// And a sender, perhaps, that can go on.
    Message(T, Option<Payee>),
    /// The record is in the line.
    Waits,
    /// It is not that simple.
    Slow,
}

impl<T> Core<T> {
    /// Sends the message if that is simple, or waits: then `slot` is filled, for whom `me` says, unless it says that this
    /// is not simple either.
    ///
    /// # Safety
    /// The slot stays where it is until the record in it has left the line (WAITERS-1).
    #[inline(always)]
    pub(crate) unsafe fn send_quick(
        &self,
        message: T,
        slot: &mut MaybeUninit<Record<T>>,
        me: impl FnOnce() -> Option<*const Header>,
    ) -> QuickSend<T> {
        let mut inner = self.inner.lock();
        if inner.flags != 0 {
            return QuickSend::Slow(message);
        }
        if let Some(record) = claim_first(&mut inner.receivers) {
            // SAFETY: claimed by us, not paid yet.
            return unsafe {
                (*record).what.put(message);
                (*record).what.set_how(How::Passed);
                QuickSend::Wake(payee(record))
            };
        }
        if inner.buffer.len() + inner.promised < self.capacity {
            inner.buffer.push(message);
            return QuickSend::Done;
        }
        let Some(me) = me() else {
            return QuickSend::Slow(message);
        };
        let record = slot.write(Waiter::of_nobody(Party::new(Some(message))));
        record.what.due.owed.set(me);
        // SAFETY: by contract.
        unsafe { inner.senders.push_back(record) };
        QuickSend::Waits
    }

    /// Receives a message if that is simple, or waits: then `slot` is filled, for whom `me` says, unless it says that
    /// this is not simple either.
    ///
    /// # Safety
    /// The slot stays where it is until the record in it has left the line (WAITERS-1).
    #[inline(always)]
    pub(crate) unsafe fn recv_quick(
        &self,
        slot: &mut MaybeUninit<Record<T>>,
        me: impl FnOnce() -> Option<*const Header>,
    ) -> QuickRecv<T> {
        let mut inner = self.inner.lock();
        match self.take_in(&mut inner) {
            QuickRecv::Waits => {}
            taken => return taken,
        }
        let Some(me) = me() else {
            return QuickRecv::Slow;
        };
        let record = slot.write(Waiter::of_nobody(Party::new(None)));
        record.what.due.owed.set(me);
        // SAFETY: by contract.
        unsafe { inner.receivers.push_back(record) };
        QuickRecv::Waits
    }

    /// As [`recv_quick`](Self::recv_quick), but does not wait where it would.
    #[inline(always)]
    pub(crate) fn take_quick(&self) -> QuickRecv<T> {
        self.take_in(&mut self.inner.lock())
    }

    #[inline(always)]
    fn take_in(&self, inner: &mut Inner<T>) -> QuickRecv<T> {
        if inner.flags != 0 {
            return QuickRecv::Slow;
        }
        if inner.senders.first().is_some() {
            return self.take_from_sender(inner);
        }
        match inner.buffer.pop() {
            Some(message) => QuickRecv::Message(message, None),
            None => QuickRecv::Waits,
        }
    }

    /// Where senders wait: if the first one waits for this channel alone, it has a message, and may go on.
    #[inline(never)]
    fn take_from_sender(&self, inner: &mut Inner<T>) -> QuickRecv<T> {
        let is_simple = inner.senders.first().is_some_and(|record| {
            // SAFETY: in the line, under the latch.
            unsafe { &(*record).what }.is_alone()
        });
        let oldest = inner.buffer.pop();
        if !is_simple {
            // A selection's case.
            return match oldest {
                Some(message) => {
                    let after = inner.refill(self.capacity);
                    debug_assert!(after.wake_too.is_none(), "CORE-1: no receiver waits");
                    QuickRecv::Message(message, after.wake)
                }
                None => QuickRecv::Slow,
            };
        }
        let Some(record) = claim_first(&mut inner.senders) else {
            return QuickRecv::Slow;
        };
        // SAFETY: claimed by us, not paid yet.
        let (sender, wake) = unsafe { (&(*record).what, payee(record)) };
        sender.set_how(How::Passed);
        // SAFETY: claimed by us.
        let Some(newest) = (unsafe { sender.take() }) else {
            unreachable!("a sender that waits for one channel alone has a message")
        };
        match oldest {
            Some(oldest) => {
                inner.buffer.push(newest);
                QuickRecv::Message(oldest, Some(wake))
            }
            None => QuickRecv::Message(newest, Some(wake)),
        }
    }
}
