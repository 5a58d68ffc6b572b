//! The sending side of a channel.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::time::Duration;

use crate::channel::case::SendCase;
use crate::channel::ends::{End, Sending};
use crate::channel::error::{SendError, SendTimeoutError, TrySendError};
use crate::channel::flow::{Failed, Flow};
use crate::fiber::alarm::NEVER;
use crate::instant::Instant;
use crate::wait::cancel::Me;
use crate::wait::deadline::after;

/// Sends messages into a channel. Cloned, it is another handle to the same one; when the last is dropped, receivers
/// get what is left, and then an error.
pub struct Sender<T> {
    pub(super) flow: End<Flow<T>, Sending>,
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// Sends a message; while there is no room, waits for some. With capacity 0, until a receiver takes it.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and deadlines unwind, and the message is dropped; unless
    /// it was taken at that same moment.
    ///
    /// # Errors
    /// If all receivers are gone; the message is in the error.
    #[inline(always)]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.flow
            .send(message, NEVER)
            .map_err(|(message, _)| SendError(message))
    }

    /// Sends a message if there is room; with capacity 0, if a receiver waits. Never blocks.
    ///
    /// # Errors
    /// If there is no room, or all receivers are gone; the message is in the error.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.flow
            .try_send(message)
            .map_err(|(message, failed)| match failed {
                Failed::NotYet => TrySendError::Full(message),
                Failed::Closed => TrySendError::Disconnected(message),
            })
    }

    /// As [`send`](Self::send), for at most that long.
    ///
    /// # Errors
    /// If the time is up, or all receivers are gone; the message is in the error.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, after(Me::get().soon_ns(), timeout))
    }

    /// As [`send`](Self::send), until that moment at the longest.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_deadline(
        &self,
        message: T,
        deadline: impl Into<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, deadline.into().0)
    }

    fn send_until(&self, message: T, at_ns: u64) -> Result<(), SendTimeoutError<T>> {
        self.flow
            .send(message, at_ns)
            .map_err(|(message, failed)| match failed {
                Failed::NotYet => SendTimeoutError::Timeout(message),
                Failed::Closed => SendTimeoutError::Disconnected(message),
            })
    }

    /// True if no message is in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if there is no room; always, with capacity 0.
    pub fn is_full(&self) -> bool {
        self.flow.core.is_full()
    }

    /// How many messages are in the channel.
    pub fn len(&self) -> usize {
        self.flow.core.len()
    }

    /// How many messages there is room for; `None` if there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        Some(self.flow.core.capacity()).filter(|capacity| *capacity != usize::MAX)
    }

    /// True if both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        ptr::eq::<Flow<T>>(&*self.flow, &*other.flow)
    }

    /// For `select!`.
    #[doc(hidden)]
    pub fn send_case(&self) -> SendCase<'_, T> {
        SendCase::new(&self.flow)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            flow: self.flow.clone(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
