//! Which signal.

use std::fmt;

use crate::os::listen::number;

/// A signal, by its number.
///
/// The constants name what one usually listens for. Anything else, a real-time signal for one, comes from its number:
/// `Signal::from(34)`. Whether there is such a signal, and whether it may be listened for, is found out by
/// [`Signals::new`](super::Signals::new).
///
/// ```
/// use fibers::signal::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!(Signal::from(15), Signal::TERM);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $number:ident,)*) => {
        impl Signal {
            $($(#[$doc])* pub const $name: Self = Self(number::$number);)*

            fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($number)),)*
                    _ => None,
                }
            }
        }
    };
}

signals! {
    /// The terminal is gone; services take it as "read your settings again".
    HUP = SIGHUP,
    /// Ctrl-C.
    INT = SIGINT,
    /// Ctrl-\\.
    QUIT = SIGQUIT,
    /// A breakpoint.
    TRAP = SIGTRAP,
    /// `abort` was called. The process dies of it even so.
    ABRT = SIGABRT,
    /// For the program's own use.
    USR1 = SIGUSR1,
    /// For the program's own use.
    USR2 = SIGUSR2,
    /// Nobody reads from that pipe any more. Rust programs ignore it from the start.
    PIPE = SIGPIPE,
    /// `alarm`'s time has come.
    ALRM = SIGALRM,
    /// Please end.
    TERM = SIGTERM,
    /// A child has changed its state.
    CHLD = SIGCHLD,
    /// Go on after a stop.
    CONT = SIGCONT,
    /// Ctrl-Z.
    TSTP = SIGTSTP,
    /// A process in the background reads from the terminal.
    TTIN = SIGTTIN,
    /// A process in the background writes to the terminal.
    TTOU = SIGTTOU,
    /// Urgent data has come on a socket.
    URG = SIGURG,
    /// The limit of CPU time is reached.
    XCPU = SIGXCPU,
    /// The limit of a file's size is reached.
    XFSZ = SIGXFSZ,
    /// A timer of the process's own time.
    VTALRM = SIGVTALRM,
    /// A profiler's timer.
    PROF = SIGPROF,
    /// The terminal has another size.
    WINCH = SIGWINCH,
    /// A descriptor is ready (`O_ASYNC`).
    IO = SIGIO,
    /// The power fails.
    PWR = SIGPWR,
    /// A system call that there is not.
    SYS = SIGSYS,
}

impl Signal {
    /// Its number.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl From<i32> for Signal {
    /// Any number: [`Signals::new`](super::Signals::new) judges it.
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl From<&Self> for Signal {
    fn from(signal: &Self) -> Self {
        *signal
    }
}

impl From<&i32> for Signal {
    fn from(number: &i32) -> Self {
        Self(*number)
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

impl PartialEq<i32> for Signal {
    fn eq(&self, number: &i32) -> bool {
        self.0 == *number
    }
}

impl fmt::Display for Signal {
    /// `SIGTERM`; `signal 34` for one without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
