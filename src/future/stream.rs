//! `RecvStream`: the messages of a channel as a stream. With the feature `stream`.
//!
//! Each poll tries to receive; where there is nothing, the waker goes to those who watch the channel (`channel/watch.rs`),
//! who are all told of the next change, each once. So nothing needs to be passed on by a stream that was told and is
//! dropped: the others were told, too. A fiber that waits to receive has the channel's message before any stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use crate::channel::{Receiver, TryRecvError, Watched};
use crate::fiber::alarm::NEVER;
use crate::future::join::JoinFuture;
use crate::handle::Fiber;
use crate::instant::Instant;
use crate::spawn::builder::spawn;
use crate::time::sleep_until;

/// The messages of a channel as a stream, for any executor: see [`Receiver::stream`].
pub struct RecvStream<'a, T> {
    receiver: Held<'a, T>,
    /// By which the channel knows our waker.
    key: Option<u64>,
    /// Sleeps for us, where the channel is a moment.
    sleeper: Option<(Fiber, JoinFuture<()>)>,
    ended: bool,
}

enum Held<'a, T> {
    Own(Receiver<T>),
    Borrowed(&'a Receiver<T>),
}

impl<T> Receiver<T> {
    /// The messages as a stream, which ends when all senders are gone. With the feature `stream`.
    ///
    /// Nothing here blocks (but where a sender that selects has to come up with its message, in a channel without
    /// room), nor is anything unwound. A stream that waits is told of each change, and so are all others of its
    /// channel: for many consumers, fibers that receive cost less. It does not count as a receiver that waits: in
    /// a channel without room, a `try_send` does not find it. Streams of [`after`](crate::channel::after),
    /// [`at`](crate::channel::at) and [`tick`](crate::channel::tick) have a fiber that sleeps for them.
    ///
    /// ```
    /// use futures::StreamExt;
    ///
    /// let (sender, receiver) = fibers::channel::bounded(1);
    /// fibers::spawn(move || (1..=10).for_each(|number| sender.send(number).unwrap()));
    /// let sum = receiver.stream().fold(0, async |sum, number| sum + number);
    /// assert_eq!(fibers::block_on(sum), 55);
    /// ```
    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream::new(Held::Borrowed(self))
    }

    /// As [`stream`](Self::stream), and owns the receiver.
    pub fn into_stream(self) -> RecvStream<'static, T> {
        RecvStream::new(Held::Own(self))
    }
}

impl<'a, T> RecvStream<'a, T> {
    fn new(receiver: Held<'a, T>) -> Self {
        Self {
            receiver,
            key: None,
            sleeper: None,
            ended: false,
        }
    }

    fn receiver(&self) -> &Receiver<T> {
        match &self.receiver {
            Held::Own(receiver) => receiver,
            Held::Borrowed(receiver) => receiver,
        }
    }

    /// Sees to it that the waker is called then. False: it is time.
    fn sleep(&mut self, until: Instant, context: &mut Context<'_>) -> bool {
        if until.0 == NEVER {
            return true;
        }
        let (_, sleeper) = self.sleeper.get_or_insert_with(|| {
            let fiber = spawn(move || sleep_until(until));
            (fiber.fiber().clone(), fiber.into_future())
        });
        let sleeps = Pin::new(sleeper).poll(context).is_pending();
        if !sleeps {
            self.sleeper = None;
        }
        sleeps
    }
}

impl<T> Unpin for RecvStream<'_, T> {}

impl<T> Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        loop {
            match this.receiver().try_recv() {
                Ok(message) => return Poll::Ready(Some(message)),
                Err(TryRecvError::Disconnected) => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Err(TryRecvError::Empty) => {}
            }
            let mut key = this.key;
            let watched = this.receiver().watch_by(&mut key, context.waker());
            this.key = key;
            let waits = match watched {
                Watched::Ready => false,
                Watched::Told => true,
                Watched::At(moment) => this.sleep(moment, context),
            };
            if waits {
                return Poll::Pending;
            }
        }
    }
}

impl<T> FusedStream for RecvStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T> Drop for RecvStream<'_, T> {
    fn drop(&mut self) {
        if let Some((fiber, _)) = &self.sleeper {
            // Where nothing can be cancelled, it sleeps on.
            let _ = fiber.cancel();
        }
        if let Some(key) = self.key {
            self.receiver().unwatch_by(key);
        }
    }
}

impl<T> fmt::Debug for RecvStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvStream { .. }")
    }
}
