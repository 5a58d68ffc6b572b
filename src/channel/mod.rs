//! Channels between fibers, and between fibers and plain threads. As the crate `crossbeam-channel`: many senders, many
//! receivers, bounded, unbounded or without any room; and [`select!`].
//!
//! ```
//! use fibers::channel;
//!
//! let (sender, receiver) = channel::bounded(2);
//! let producer = fibers::spawn(move || {
//!     for number in 0..10 {
//!         sender.send(number).unwrap();
//!     }
//! });
//! assert_eq!(receiver.iter().sum::<i32>(), 45);
//! producer.join().unwrap();
//! ```
//!
//! Change `use crossbeam_channel` to `use fibers::channel`, and waits block the fiber instead of the thread. What is new:
//! a wait can be cancelled, and ended by a [`timeout`](crate::timeout) around it, without losing a message: one that
//! comes at the same moment is delivered.
//!
//! After Go's channels: one short lock; a message goes straight to a receiver that waits, in the order of their coming.

mod buffer;
mod case;
mod choose;
mod core;
mod ends;
mod error;
mod flow;
mod macros;
mod party;
mod quick;
mod receiver;
mod select;
mod sender;
mod timer;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use crate::channel::flow::Flow;
use crate::channel::receiver::Source;
use crate::channel::timer::Timer;
use crate::instant::Instant;
use crate::machine::clock::current_ns;
use crate::wait::deadline;

pub use crate::__fibers_select as select;
pub use crate::__fibers_select_biased as select_biased;
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError,
    SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError,
};
#[cfg(feature = "stream")]
pub(crate) use receiver::Watched;
pub use receiver::{IntoIter, Iter, Receiver, TryIter};
pub use select::{Select, SelectedOperation};
pub use sender::Sender;

/// What the macros expand to.
#[doc(hidden)]
pub mod internal {
    pub use super::case::{AnyCase, RecvCase, SendCase};
    pub use super::choose::Choice;
    use crate::fiber::alarm::NEVER;
    use crate::wait::cancel::Me;
    use crate::wait::deadline::after;

    impl Choice {
        /// Waits.
        #[must_use]
        pub fn wait(biased: bool) -> Self {
            Self {
                biased,
                at_ns: NEVER,
            }
        }

        /// Does not wait.
        #[must_use]
        pub fn now(biased: bool) -> Self {
            Self { biased, at_ns: 0 }
        }

        /// Waits that long.
        #[must_use]
        pub fn timeout(biased: bool, timeout: std::time::Duration) -> Self {
            Self {
                biased,
                at_ns: after(Me::get().soon_ns(), timeout).max(1),
            }
        }
    }

    /// Which case was selected.
    #[inline]
    #[must_use]
    pub fn choose(cases: &[AnyCase<'_>], choice: Choice) -> Option<usize> {
        super::choose::choose(cases, choice)
    }
}

/// A channel with room for that many messages; 0: each message waits for a receiver.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    // As many as there are numbers is no bound.
    channel(capacity)
}

/// A channel without a limit.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (flow, source) = ends::pair(Flow::new(capacity));
    let source = Source::Flow(source);
    (Sender { flow }, Receiver { source })
}

fn timer<T>(timer: Timer<T>) -> Receiver<T> {
    Receiver {
        source: Source::Timer(Arc::new(timer)),
    }
}

/// A channel with one message, the moment, which is there after that long.
#[must_use]
pub fn after(duration: Duration) -> Receiver<std::time::Instant> {
    timer(Timer::at(Instant(deadline::after(current_ns(), duration))))
}

/// A channel with one message, the moment, which is there from that moment on.
#[must_use]
pub fn at(when: impl Into<Instant>) -> Receiver<std::time::Instant> {
    timer(Timer::at(when.into()))
}

/// A channel with a message, the moment, once in every such time. It holds one message: while that is not taken, the
/// ticks that pass are left out.
#[must_use]
pub fn tick(duration: Duration) -> Receiver<std::time::Instant> {
    timer(Timer::tick(duration))
}

/// A channel on which no message ever comes.
#[must_use]
pub fn never<T>() -> Receiver<T> {
    timer(Timer::never())
}
