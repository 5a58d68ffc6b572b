//! Waiting for signals, as for anything else.
//!
//! ```no_run
//! use fibers::signal::{Signal, Signals};
//!
//! # fn main() -> std::io::Result<()> {
//! let signals = Signals::new([Signal::TERM, Signal::INT, Signal::HUP])?;
//! loop {
//!     match signals.wait()? {
//!         Signal::HUP => println!("reading the settings again"),
//!         other => {
//!             println!("{other}: good bye");
//!             break Ok(());
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! # What comes, and how
//! A signal that some thread has open runs a handler of this library there, which notes it. One that every thread
//! blocks is read from a signalfd. A thread that is started with the first listener and waits for both tells those who
//! listen. So it does not matter which threads block what: those of other libraries, and those that were there before
//! the first fiber, may have all signals open. No code of yours runs in a signal handler. A program that wants no
//! system call interrupted calls [`block`] first in `main`; then no handler ever runs, and the signalfd brings all.
//!
//! The handler has `SA_RESTART`, runs on an alternate stack where the thread has one (all workers do), and calls the
//! handler that was there before it.
//!
//! # What counts
//! - While somebody listens, the signal does nothing else: SIGTERM does not end the process. When the last listener
//!   of a signal is dropped it does again what it did before. So keep one [`Signals`] over a loop; with [`wait`]
//!   or [`ctrl_c`] in the loop, a signal between two rounds would find nobody.
//! - Every [`Signals`] that listens for a signal gets it. Of several fibers that wait on one `Signals`, one does.
//! - Signals coalesce, as they do in the kernel: two of a kind may arrive as one. But after the last one of a kind
//!   that was sent, it is seen once more.
//! - A signal that is sent to one thread (`pthread_kill`, `raise`) and is blocked there stays with that thread.
//! - Programs that are started inherit blocked signals, but those of [`block`] not if they are started by
//!   `fibers::process`. Handlers are never inherited.
//! - A program that takes the same signals from a signalfd of its own, or by `sigwait`, takes them away here.

mod hub;
mod number;

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

pub use number::Signal;

use crate::fiber::alarm::NEVER;
use crate::machine::clock::current_ns;
use crate::machine::worker::Own;
use crate::os::listen::{self, Set};
use crate::signal::hub::Listener;
use crate::wait::deadline::after;

/// Listens for a set of signals, from when it is made until it is dropped.
///
/// See [the module](self) for what comes and what does not. Fibers and threads may share it.
pub struct Signals(Listener);

impl Signals {
    /// Begins to listen for these signals. Never blocks.
    ///
    /// # Errors
    /// - `InvalidInput`: no signals, one that does not exist, or one that nobody may listen for: SIGKILL, SIGSTOP,
    ///   the faults SIGSEGV, SIGBUS, SIGFPE and SIGILL, and two that the C library keeps for itself.
    /// - By the first listener: no more descriptors, no memory, or no room for another thread.
    ///
    /// ```
    /// use fibers::signal::{Signal, Signals};
    ///
    /// let signals = Signals::new([Signal::USR1, Signal::USR2])?;
    /// assert_eq!(signals.try_wait(), None);
    /// assert!(Signals::new([9]).is_err(), "SIGKILL cannot be caught");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new<I>(signals: I) -> io::Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<Signal>,
    {
        let set = set_of(signals)?;
        if set.is_empty() {
            let text = "no signals to listen for";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self(Listener::new(set)?))
    }

    /// Waits for the next signal of the set.
    ///
    /// What has come since the last call returns at once; if several have, one after the other, each kind in turn.
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind; nothing is lost by
    /// that.
    ///
    /// # Errors
    /// `Unsupported`: this is a deterministic run, which knows nothing outside itself.
    pub fn wait(&self) -> io::Result<Signal> {
        loop {
            if let Some(signal) = self.until(NEVER)? {
                return Ok(signal);
            }
        }
    }

    /// As [`wait`](Self::wait), for that long at the longest: then `None`.
    ///
    /// # Errors
    /// As there.
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<Option<Signal>> {
        self.until(after(current_ns(), timeout))
    }

    /// The next signal, if one has come. Never blocks.
    #[must_use]
    pub fn try_wait(&self) -> Option<Signal> {
        self.0.take().map(Signal::from)
    }

    /// The signals one after the other, as [`wait`](Self::wait) returns them. It never ends.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self)
    }

    fn until(&self, at_ns: u64) -> io::Result<Option<Signal>> {
        let driven = Own::current().is_some_and(|me| me.machine().is_driven());
        if driven {
            let text =
                "a deterministic run waits for nothing outside itself: signals are not for it";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(self.0.wait(at_ns).map(Signal::from))
    }
}

// What has come is in one word.
impl UnwindSafe for Signals {}
impl RefUnwindSafe for Signals {}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.set().iter().map(Signal::from);
        f.write_str("Signals ")?;
        f.debug_set().entries(names).finish()
    }
}

impl<'a> IntoIterator for &'a Signals {
    type Item = io::Result<Signal>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The signals that come, one after the other: [`Signals::iter`].
#[derive(Debug)]
pub struct Iter<'a>(&'a Signals);

impl Iterator for Iter<'_> {
    type Item = io::Result<Signal>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.wait())
    }
}

/// Waits for one of these signals, which do what they did before as soon as it returns.
///
/// For a program that waits once, before it ends. In a loop use [`Signals`].
///
/// *Blocks* and is *cancelled* as [`Signals::wait`].
///
/// # Errors
/// As [`Signals::new`] and [`Signals::wait`].
pub fn wait<I>(signals: I) -> io::Result<Signal>
where
    I: IntoIterator,
    I::Item: Into<Signal>,
{
    Signals::new(signals)?.wait()
}

/// Waits for Ctrl-C (SIGINT). When it has returned, the next one ends the program, as ever.
///
/// *Blocks* and is *cancelled* as [`Signals::wait`].
///
/// # Errors
/// As [`Signals::new`] and [`Signals::wait`].
///
/// ```no_run
/// fibers::spawn(|| serve());
/// fibers::signal::ctrl_c()?;
/// println!("good bye");
/// # fn serve() {}
/// # std::io::Result::Ok(())
/// ```
pub fn ctrl_c() -> io::Result<()> {
    wait([Signal::INT]).map(drop)
}

/// Blocks these signals in the calling thread, and in all that it starts from now on.
///
/// Called first in `main`, before any other thread is there, it keeps handlers from running at all: no
/// system call is interrupted, and [`Signals`] reads the signals from its signalfd. Those for which nobody listens
/// wait, and have no effect. Never blocks the caller. In a fiber it would change whichever worker runs that.
///
/// # Errors
/// `InvalidInput`: as for [`Signals::new`].
///
/// ```
/// use fibers::signal::{self, Signal, Signals};
///
/// signal::block([Signal::USR1])?;
/// let signals = Signals::new([Signal::USR1])?;
/// # drop(signals);
/// # std::io::Result::Ok(())
/// ```
pub fn block<I>(signals: I) -> io::Result<()>
where
    I: IntoIterator,
    I::Item: Into<Signal>,
{
    listen::block(set_of(signals)?)
}

fn set_of<I>(signals: I) -> io::Result<Set>
where
    I: IntoIterator,
    I::Item: Into<Signal>,
{
    let mut set = Set::default();
    for signal in signals {
        set.add(signal.into().as_raw())?;
    }
    Ok(set)
}
