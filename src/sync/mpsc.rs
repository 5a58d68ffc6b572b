//! Many producers, one consumer: as [`std::sync::mpsc`], whose errors it uses. The channels are those of
//! [`fibers::channel`](mod@crate::channel).
//!
//! ```
//! use fibers::sync::mpsc;
//!
//! let (sender, receiver) = mpsc::channel();
//! for id in 0..3 {
//!     let sender = sender.clone();
//!     fibers::spawn(move || sender.send(id).unwrap());
//! }
//! drop(sender);
//! let mut ids: Vec<_> = receiver.iter().collect();
//! ids.sort();
//! assert_eq!(ids, [0, 1, 2]);
//! ```

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::channel::{
    self, RecvTimeoutError as Timed, TryRecvError as Tried, TrySendError as Sent,
};

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

/// The sending side of a [`channel`](fn@channel). As [`std::sync::mpsc::Sender`].
pub struct Sender<T>(channel::Sender<T>);

/// The sending side of a [`sync_channel`]. As [`std::sync::mpsc::SyncSender`].
pub struct SyncSender<T>(channel::Sender<T>);

/// The receiving side: there is one. As [`std::sync::mpsc::Receiver`].
pub struct Receiver<T> {
    channel: channel::Receiver<T>,
    not_sync: PhantomData<Cell<()>>,
}

/// A channel without a limit: sends never wait.
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender(sender), Receiver::new(receiver))
}

/// A channel with room for that many messages; 0: each send waits for its message to be received.
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(bound);
    (SyncSender(sender), Receiver::new(receiver))
}

impl<T> RefUnwindSafe for Receiver<T> {}
impl<T> UnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends a message. Never blocks.
    ///
    /// # Errors
    /// If the receiver is gone; the message is in the error.
    #[inline(always)]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0
            .send(message)
            .map_err(|error| SendError(error.into_inner()))
    }
}

impl<T> SyncSender<T> {
    /// Sends a message; while there is no room, waits for some.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and deadlines unwind, and the message is dropped; unless
    /// it was taken at that same moment.
    ///
    /// # Errors
    /// If the receiver is gone; the message is in the error.
    #[inline(always)]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0
            .send(message)
            .map_err(|error| SendError(error.into_inner()))
    }

    /// Sends a message if there is room. Never blocks.
    ///
    /// # Errors
    /// If there is no room, or the receiver is gone; the message is in the error.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(message).map_err(|error| match error {
            Sent::Full(message) => TrySendError::Full(message),
            Sent::Disconnected(message) => TrySendError::Disconnected(message),
        })
    }
}

impl<T> Receiver<T> {
    fn new(channel: channel::Receiver<T>) -> Self {
        Self {
            channel,
            not_sync: PhantomData,
        }
    }

    /// Receives a message; while there is none, waits for one.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and deadlines unwind; a message that came at that same
    /// moment is returned instead.
    ///
    /// # Errors
    /// If the channel is empty, and all senders are gone.
    #[inline(always)]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.channel.recv().map_err(|_| RecvError)
    }

    /// Receives a message if there is one. Never blocks.
    ///
    /// # Errors
    /// If the channel is empty; in the error, whether a message can still come.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv().map_err(|error| match error {
            Tried::Empty => TryRecvError::Empty,
            Tried::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// As [`recv`](Self::recv), for at most that long.
    ///
    /// # Errors
    /// If the time is up, or the channel is empty and all senders are gone.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.channel
            .recv_timeout(timeout)
            .map_err(|error| match error {
                Timed::Timeout => RecvTimeoutError::Timeout,
                Timed::Disconnected => RecvTimeoutError::Disconnected,
            })
    }

    /// An iterator over the messages, which waits for each and ends when all senders are gone.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { rx: self }
    }

    /// An iterator over the messages that are there; it never waits.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { rx: self }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T: 'a> {
    rx: &'a Receiver<T>,
}

/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T: 'a> {
    rx: &'a Receiver<T>,
}

/// As [`Receiver::iter`], and owns the receiver.
#[derive(Debug)]
pub struct IntoIter<T> {
    rx: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.rx.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.rx.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.rx.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        IntoIter { rx: self }
    }
}
