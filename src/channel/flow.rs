//! Flow: messages through a channel, with the waits.

use std::mem::MaybeUninit;
#[cfg(feature = "stream")]
use std::task::Waker;

use crate::channel::buffer::Buffer;
use crate::channel::core::{After, Core, Received, Sent, Side, Tried};
use crate::channel::ends::Close;
use crate::channel::party::{Due, How, Party, Payee, Record};
use crate::channel::quick::{QuickRecv, QuickSend};
use crate::fiber::alarm::NEVER;
use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::reasons::Reasons;
use crate::fiber::waiters::Waiter;
use crate::machine::park;
use crate::machine::wake::{call, pay, settle};
use crate::wait::cancel::{self, Me};
use crate::wait::line::{self, Early};

/// A channel: its core, used by whoever may wait.
pub(crate) struct Flow<T> {
    pub(super) core: Core<T>,
}

/// Why a message was not sent, or not received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failed {
    /// There is no room, no message; or not in time.
    NotYet,
    /// The other side is gone.
    Closed,
}

impl<T> Close for Flow<T> {
    type Left = Option<Buffer<T>>;

    #[inline]
    fn close(&self, side: Side) -> Option<Buffer<T>> {
        let closed = self.core.close(side);
        if closed.tell {
            self.tell_of_the_end(side);
        }
        closed.left
    }
}

impl<T> Flow<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            core: Core::new(capacity),
        }
    }

    #[cold]
    fn tell_of_the_end(&self, side: Side) {
        while let Some(wake) = self.core.next_in_vain(side) {
            settle_up(wake);
        }
        self.tell_watchers();
    }

    /// Wakes who is to be woken.
    #[inline]
    pub(super) fn finish(&self, after: After) {
        if let Some(wake) = after.wake {
            settle_up(wake);
        }
        if let Some(wake) = after.wake_too {
            settle_up(wake);
        }
        if after.tell {
            self.tell_watchers();
        }
    }

    #[cold]
    fn tell_watchers(&self) {
        let (payees, wakers) = self.core.take_watchers();
        payees.into_iter().for_each(settle_up);
        for (_, waker) in wakers {
            call(waker);
        }
    }

    /// Sends if that is possible at once.
    #[inline]
    pub(super) fn try_send(&self, message: T) -> Result<(), (T, Failed)> {
        match self.core.try_send(message) {
            Sent::Done(after) => {
                self.finish(after);
                Ok(())
            }
            Sent::Full(message) => Err((message, Failed::NotYet)),
            Sent::Closed(message) => Err((message, Failed::Closed)),
        }
    }

    /// Sends, and waits until `at_ns` for room. Cancellation and deadlines unwind.
    #[inline(always)]
    pub(super) fn send(&self, message: T, at_ns: u64) -> Result<(), (T, Failed)> {
        let mut slot = MaybeUninit::uninit();
        // SAFETY: in this frame until it is out again, below; then its message is taken out.
        match unsafe { self.core.send_quick(message, &mut slot, park::simple) } {
            QuickSend::Done => Ok(()),
            QuickSend::Wake(wake) => {
                settle_up(wake);
                Ok(())
            }
            // SAFETY: filled, as it waits.
            QuickSend::Waits => self.stay_to_send(unsafe { slot.assume_init_ref() }, at_ns),
            QuickSend::Slow(message) => self.send_slow(message, at_ns),
        }
    }

    /// Stays in the senders' line.
    #[inline(never)]
    fn stay_to_send(&self, record: &Record<T>, at_ns: u64) -> Result<(), (T, Failed)> {
        let stayed = line::stay_until_paid(
            &record.what.due.owed,
            at_ns,
            |leave| self.core.in_line(Side::Senders, record, leave),
            || until_paid(&record.what.due),
        );
        // SAFETY: out of the line, and let go: ours again.
        let message = unsafe { record.what.take() };
        match (message, stayed) {
            (None, _) => Ok(()),
            (Some(message), Ok(())) => Err((message, Failed::Closed)),
            (Some(message), Err(Early::TimedOut)) => Err((message, Failed::NotYet)),
            (Some(message), Err(Early::Unwind(unwind))) => {
                drop(message);
                unwind.unwind()
            }
        }
    }

    #[inline(never)]
    fn send_slow(&self, message: T, at_ns: u64) -> Result<(), (T, Failed)> {
        let me = Me::get();
        let message = if at_ns == NEVER && me.may_be_refused() {
            match self.try_send(message) {
                Err((message, Failed::NotYet)) => {
                    park::refuse_if_stuck();
                    message
                }
                sent => return sent,
            }
        } else {
            message
        };
        let record = waiter(&me);
        // SAFETY: new, and in this frame until it is out again.
        match unsafe { self.core.send_or_wait(message, &record) } {
            Tried::Now(Sent::Done(after)) => {
                self.finish(after);
                return Ok(());
            }
            Tried::Now(Sent::Closed(message)) => return Err((message, Failed::Closed)),
            Tried::Now(Sent::Full(message)) => return Err((message, Failed::NotYet)),
            Tried::Waits(after) => self.finish(after),
        }
        self.stay_to_send(&record, at_ns)
    }

    /// Receives if there is a message.
    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, Failed> {
        if self.core.capacity() == 0 {
            // It may meet a sender that selects, and then waits for its message.
            park::refuse_if_stuck();
        }
        let record = waiter(&Me::get());
        match self.core.try_recv(&record) {
            Received::Message(message, after) => {
                self.finish(after);
                Ok(message)
            }
            Received::Soon(after) => {
                self.finish(after);
                self.await_partner(&record).ok_or(Failed::NotYet)
            }
            Received::Empty => Err(Failed::NotYet),
            Received::Closed => Err(Failed::Closed),
        }
    }

    /// Receives, and waits until `at_ns` for a message. Cancellation and deadlines unwind.
    ///
    /// Inlined for the same reason as `park::sleep`.
    #[inline(always)]
    pub(super) fn recv(&self, at_ns: u64) -> Result<T, Failed> {
        let mut slot = MaybeUninit::uninit();
        // SAFETY: in this frame until it is out again, below. Nothing is left in it then.
        match unsafe { self.core.recv_quick(&mut slot, park::simple) } {
            QuickRecv::Message(message, wake) => {
                if let Some(wake) = wake {
                    settle_up(wake);
                }
                return Ok(message);
            }
            QuickRecv::Waits => {}
            QuickRecv::Slow => return self.recv_slow(at_ns),
        }
        // SAFETY: filled, as it waits.
        let record = unsafe { slot.assume_init_ref() };
        match self.stay(record, at_ns) {
            Some(received) => received,
            None => self.recv_slow(at_ns),
        }
    }

    /// Stays in the receivers' line. `None`: it begins again.
    #[inline(always)]
    fn stay(&self, record: &Record<T>, at_ns: u64) -> Option<Result<T, Failed>> {
        let stayed = line::stay_until_paid(
            &record.what.due.owed,
            at_ns,
            |leave| self.core.in_line(Side::Receivers, record, leave),
            || until_paid(&record.what.due),
        );
        match stayed {
            Ok(()) => match record.what.how() {
                // SAFETY: let go: ours again.
                How::Passed => Some(unsafe { record.what.take() }.ok_or(Failed::Closed)),
                How::Again => None,
                _ => Some(Err(Failed::Closed)),
            },
            Err(Early::TimedOut) => Some(Err(Failed::NotYet)),
            Err(Early::Unwind(unwind)) => unwind.unwind(),
        }
    }

    #[inline(never)]
    fn recv_slow(&self, at_ns: u64) -> Result<T, Failed> {
        loop {
            let me = Me::get();
            if me.may_be_refused() {
                match self.try_recv() {
                    Err(Failed::NotYet) if at_ns == NEVER => park::refuse_if_stuck(),
                    Err(Failed::NotYet) => {}
                    received => return received,
                }
            }
            let record = waiter(&me);
            // SAFETY: new, and in this frame until it is out again.
            match unsafe { self.core.recv_or_wait(&record) } {
                Tried::Now(Received::Message(message, after)) => {
                    self.finish(after);
                    return Ok(message);
                }
                Tried::Now(Received::Soon(after)) => {
                    self.finish(after);
                    match self.await_partner(&record) {
                        Some(message) => return Ok(message),
                        None => continue,
                    }
                }
                Tried::Now(_) => return Err(Failed::Closed),
                Tried::Waits(after) => self.finish(after),
            }
            if let Some(received) = self.stay(&record, at_ns) {
                return received;
            }
        }
    }

    /// By a receiver that a selecting sender was told of: until that one has put its message into the record, which
    /// it does as soon as its fiber runs. `None`: it does not.
    #[cold]
    pub(super) fn await_partner(&self, record: &Record<T>) -> Option<T> {
        until_paid(&record.what.due);
        // SAFETY: let go: ours again.
        unsafe { record.what.take() }
    }

    /// See [`Core::watch_by`].
    #[cfg(feature = "stream")]
    pub(super) fn watch_by(&self, key: &mut Option<u64>, waker: Waker) -> bool {
        let (watches, replaced) = self.core.watch_by(key, waker, Me::get().header());
        drop(replaced);
        watches
    }
}

/// Pays one who was claimed.
#[inline]
pub(super) fn settle_up(wake: Payee) {
    // SAFETY: claimed, so owed its wake by us, once; its frame stays until it is let go.
    unsafe { pay(&*wake.announce()) };
}

/// By one who was claimed: until it is paid (PARTY-4).
#[cold]
pub(super) fn until_paid(due: &Due) {
    let bomb = AbortOnUnwind("a wait for a claimed place in a line was refused");
    while !due.is_ready() {
        cancel::sleep_uncancelled(Reasons::QUEUE.0);
    }
    settle(&due.owed);
    std::mem::forget(bomb);
}

/// A record for the caller.
fn waiter<T>(me: &Me) -> Record<T> {
    let record = Waiter::of_nobody(Party::new(None));
    record.what.due.owed.set(me.header());
    record
}
