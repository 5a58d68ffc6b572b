//! Errors of the channels: as crossbeam-channel's, type for type.

use std::error::Error;
use std::fmt;

/// All receivers are gone; the message is in the error.
#[derive(PartialEq, Eq, Clone, Copy)]
pub struct SendError<T>(pub T);

/// Why [`try_send`](super::Sender::try_send) did not send; the message is in the error.
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum TrySendError<T> {
    /// There is no room, or (capacity 0) no receiver waits.
    Full(T),
    /// All receivers are gone.
    Disconnected(T),
}

/// Why [`send_timeout`](super::Sender::send_timeout) did not send; the message is in the error.
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum SendTimeoutError<T> {
    /// The time is up.
    Timeout(T),
    /// All receivers are gone.
    Disconnected(T),
}

/// The channel is empty, and all senders are gone.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct RecvError;

/// Why [`try_recv`](super::Receiver::try_recv) received nothing.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum TryRecvError {
    /// There is no message now.
    Empty,
    /// The channel is empty, and all senders are gone.
    Disconnected,
}

/// Why [`recv_timeout`](super::Receiver::recv_timeout) received nothing.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum RecvTimeoutError {
    /// The time is up.
    Timeout,
    /// The channel is empty, and all senders are gone.
    Disconnected,
}

/// No operation of the selection could go on at once.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct TrySelectError;

/// No operation of the selection could go on in time.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct SelectTimeoutError;

/// No operation of the selection is ready.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct TryReadyError;

/// No operation of the selection became ready in time.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct ReadyTimeoutError;

/// `Debug` and `Display` that need nothing of the message, and `Error`.
macro_rules! texts {
    ($($error:ident $(<$t:ident>)? { $($case:pat => $debug:literal, $text:literal;)* })*) => { $(
        texts!(@debug $error $(<$t>)? { $($case => $debug;)* });
        impl $(<$t>)? fmt::Display for $error $(<$t>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($case => $text,)* })
            }
        }
        impl $(<$t>)? Error for $error $(<$t>)? {}
    )* };
    (@debug $error:ident <$t:ident> { $($case:pat => $debug:literal;)* }) => {
        impl<$t> fmt::Debug for $error<$t> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($case => $debug,)* })
            }
        }
    };
    (@debug $error:ident { $($rest:tt)* }) => {};
}

texts! {
    SendError<T> {
        SendError(_) => "SendError(..)", "sending on a disconnected channel";
    }
    TrySendError<T> {
        Self::Full(_) => "Full(..)", "sending on a full channel";
        Self::Disconnected(_) => "Disconnected(..)", "sending on a disconnected channel";
    }
    SendTimeoutError<T> {
        Self::Timeout(_) => "Timeout(..)", "timed out waiting on send operation";
        Self::Disconnected(_) => "Disconnected(..)", "sending on a disconnected channel";
    }
    RecvError {
        Self => "", "receiving on an empty and disconnected channel";
    }
    TryRecvError {
        Self::Empty => "", "receiving on an empty channel";
        Self::Disconnected => "", "receiving on an empty and disconnected channel";
    }
    RecvTimeoutError {
        Self::Timeout => "", "timed out waiting on receive operation";
        Self::Disconnected => "", "channel is empty and disconnected";
    }
    TrySelectError {
        Self => "", "all operations in select would block";
    }
    SelectTimeoutError {
        Self => "", "timed out waiting on select";
    }
    TryReadyError {
        Self => "", "all operations would block";
    }
    ReadyTimeoutError {
        Self => "", "timed out waiting for an operation to become ready";
    }
}

impl<T> SendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Disconnected(message) => message,
        }
    }

    /// True if there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// True if all receivers are gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> SendTimeoutError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(message) | Self::Disconnected(message) => message,
        }
    }

    /// True if the time is up.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// True if all receivers are gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl TryRecvError {
    /// True if there was no message.
    pub fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    /// True if all senders are gone.
    pub fn is_disconnected(&self) -> bool {
        *self == Self::Disconnected
    }
}

impl RecvTimeoutError {
    /// True if the time is up.
    pub fn is_timeout(&self) -> bool {
        *self == Self::Timeout
    }

    /// True if all senders are gone.
    pub fn is_disconnected(&self) -> bool {
        *self == Self::Disconnected
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(error: SendError<T>) -> Self {
        Self::Disconnected(error.0)
    }
}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(error: SendError<T>) -> Self {
        Self::Disconnected(error.0)
    }
}

impl From<RecvError> for TryRecvError {
    fn from(_: RecvError) -> Self {
        Self::Disconnected
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(_: RecvError) -> Self {
        Self::Disconnected
    }
}
