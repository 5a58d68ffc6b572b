//! The receiving side of a channel.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::case::RecvCase;
use crate::channel::ends::{End, Receiving};
use crate::channel::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::flow::{Failed, Flow};
use crate::channel::timer::Timer;
use crate::fiber::alarm::NEVER;
use crate::instant::Instant;
use crate::wait::cancel::Me;
use crate::wait::deadline::after;

/// Receives messages from a channel. Cloned, it is another handle to the same one, and each message goes to one of
/// them; when the last is dropped, so is what is left in the channel.
pub struct Receiver<T> {
    pub(super) source: Source<T>,
}

/// Where the messages come from.
pub(super) enum Source<T> {
    Flow(End<Flow<T>, Receiving>),
    Timer(Arc<Timer<T>>),
}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    /// Receives a message; while there is none, waits for one.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and deadlines unwind; a message that came at that same
    /// moment is returned instead.
    ///
    /// # Errors
    /// If the channel is empty, and all senders are gone.
    #[inline(always)]
    pub fn recv(&self) -> Result<T, RecvError> {
        match &self.source {
            Source::Flow(flow) => flow.recv(NEVER).map_err(|_| RecvError),
            Source::Timer(timer) => timer.recv(NEVER).ok_or(RecvError),
        }
    }

    /// Receives a message if there is one. Never blocks.
    ///
    /// # Errors
    /// If the channel is empty; in the error, whether a message can still come.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.source {
            Source::Flow(flow) => flow.try_recv().map_err(|failed| match failed {
                Failed::NotYet => TryRecvError::Empty,
                Failed::Closed => TryRecvError::Disconnected,
            }),
            Source::Timer(timer) => timer.try_recv().ok_or(TryRecvError::Empty),
        }
    }

    /// As [`recv`](Self::recv), for at most that long.
    ///
    /// # Errors
    /// If the time is up, or the channel is empty and all senders are gone.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(after(Me::get().soon_ns(), timeout))
    }

    /// As [`recv`](Self::recv), until that moment at the longest.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&self, deadline: impl Into<Instant>) -> Result<T, RecvTimeoutError> {
        self.recv_until(deadline.into().0)
    }

    fn recv_until(&self, at_ns: u64) -> Result<T, RecvTimeoutError> {
        match &self.source {
            Source::Flow(flow) => flow.recv(at_ns).map_err(|failed| match failed {
                Failed::NotYet => RecvTimeoutError::Timeout,
                Failed::Closed => RecvTimeoutError::Disconnected,
            }),
            Source::Timer(timer) => timer.recv(at_ns).ok_or(RecvTimeoutError::Timeout),
        }
    }

    /// True if no message is in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if there is no room; always, with capacity 0.
    pub fn is_full(&self) -> bool {
        match &self.source {
            Source::Flow(flow) => flow.core.is_full(),
            Source::Timer(timer) => timer.capacity() == 0 || timer.is_due(),
        }
    }

    /// How many messages are in the channel.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Flow(flow) => flow.core.len(),
            Source::Timer(timer) => timer.is_due().into(),
        }
    }

    /// How many messages there is room for; `None` if there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        let capacity = match &self.source {
            Source::Flow(flow) => flow.core.capacity(),
            Source::Timer(timer) => timer.capacity(),
        };
        Some(capacity).filter(|capacity| *capacity != usize::MAX)
    }

    /// An iterator over the messages, which waits for each and ends when all senders are gone.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// An iterator over the messages that are there; it never waits.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }

    /// True if both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Flow(this), Source::Flow(that)) => ptr::eq::<Flow<T>>(&**this, &**that),
            (Source::Timer(this), Source::Timer(that)) => {
                // Of `never` there is but one.
                Arc::ptr_eq(this, that) || (this.capacity() == 0 && that.capacity() == 0)
            }
            _ => false,
        }
    }

    /// For `select!`.
    #[doc(hidden)]
    pub fn recv_case(&self) -> RecvCase<'_, T> {
        RecvCase::new(&self.source)
    }
}

/// What comes of a wish to be told when to look again.
#[cfg(feature = "stream")]
pub(crate) enum Watched {
    /// There is something to look at already.
    Ready,
    /// The waker is called.
    Told,
    /// Not before that moment.
    At(Instant),
}

#[cfg(feature = "stream")]
impl<T> Receiver<T> {
    /// Has the waker called after the next change. `key`: where it is known from an earlier time.
    pub(crate) fn watch_by(&self, key: &mut Option<u64>, waker: &std::task::Waker) -> Watched {
        match &self.source {
            Source::Flow(flow) if flow.watch_by(key, waker.clone()) => Watched::Told,
            Source::Flow(_) => Watched::Ready,
            Source::Timer(timer) => Watched::At(Instant(timer.next_ns())),
        }
    }

    /// Forgets the waker.
    pub(crate) fn unwatch_by(&self, key: u64) {
        if let Source::Flow(flow) = &self.source {
            drop(flow.core.unwatch_by(key));
        }
    }
}

impl<T> Source<T> {
    /// What tells channels apart.
    pub(super) fn address(&self) -> *const () {
        match self {
            Self::Flow(flow) => ptr::from_ref::<Flow<T>>(flow).cast(),
            Self::Timer(timer) => Arc::as_ptr(timer).cast(),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            Source::Flow(flow) => Source::Flow(flow.clone()),
            Source::Timer(timer) => Source::Timer(Arc::clone(timer)),
        };
        Self { source }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

/// See [`Receiver::iter`].
pub struct Iter<'a, T>(&'a Receiver<T>);

/// See [`Receiver::try_iter`].
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// See [`Receiver`]'s `into_iter`: as [`Receiver::iter`], and owns the receiver.
pub struct IntoIter<T>(Receiver<T>);

macro_rules! iterators {
    ($($name:ident $(<$life:lifetime>)? : $text:literal, $next:ident;)*) => { $(
        impl<$($life,)? T> Iterator for $name<$($life,)? T> {
            type Item = T;
            fn next(&mut self) -> Option<T> {
                self.0.$next().ok()
            }
        }

        impl<$($life,)? T> fmt::Debug for $name<$($life,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad($text)
            }
        }
    )* };
}

iterators! {
    Iter<'a>: "Iter { .. }", recv;
    TryIter<'a>: "TryIter { .. }", try_recv;
    IntoIter: "IntoIter { .. }", recv;
}

impl<T> std::iter::FusedIterator for Iter<'_, T> {}
impl<T> std::iter::FusedIterator for IntoIter<T> {}

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
        IntoIter(self)
    }
}
