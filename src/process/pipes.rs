//! The pipes to a child and from it: ends of pipes by other names.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::process::{self, Stdio};

use crate::io::{PipeReader, PipeWriter};

/// What the child reads as its standard input. As [`std::process::ChildStdin`].
///
/// A write *blocks* the fiber while the pipe is full; see [`PipeWriter`]. Dropping it lets the child find the end.
pub struct ChildStdin(PipeWriter);

/// What the child writes to its standard output. As [`std::process::ChildStdout`].
///
/// A read *blocks* the fiber until there is something, or the end; see [`PipeReader`].
pub struct ChildStdout(PipeReader);

/// What the child writes to its standard error. As [`std::process::ChildStderr`].
///
/// A read *blocks* the fiber until there is something, or the end; see [`PipeReader`].
pub struct ChildStderr(PipeReader);

macro_rules! pipe {
    ($name:ident, $pipe:ty) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }

        /// Sets it to non-blocking.
        impl From<OwnedFd> for $name {
            fn from(fd: OwnedFd) -> Self {
                Self(fd.into())
            }
        }

        /// Sets it to non-blocking.
        impl From<process::$name> for $name {
            fn from(pipe: process::$name) -> Self {
                OwnedFd::from(pipe).into()
            }
        }

        /// Sets it back to blocking.
        impl From<$name> for OwnedFd {
            fn from(pipe: $name) -> Self {
                pipe.0.into()
            }
        }

        /// For the next program of a pipeline. Sets it back to blocking.
        impl From<$name> for Stdio {
            fn from(pipe: $name) -> Self {
                pipe.0.into()
            }
        }

        impl From<$name> for $pipe {
            fn from(pipe: $name) -> Self {
                pipe.0
            }
        }

        impl IntoRawFd for $name {
            fn into_raw_fd(self) -> RawFd {
                self.0.into_raw_fd()
            }
        }

        impl FromRawFd for $name {
            unsafe fn from_raw_fd(fd: RawFd) -> Self {
                // SAFETY: by contract.
                unsafe { OwnedFd::from_raw_fd(fd) }.into()
            }
        }
    };
}

macro_rules! read {
    ($name:ident, $($type:ty),*) => {$(
        impl Read for $type {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&self.0).read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&self.0).read_vectored(buffers)
            }
        }
    )*
        impl $name {
            pub(super) fn pipe(&self) -> &PipeReader {
                &self.0
            }
        }
    };
}

macro_rules! write {
    ($($type:ty),*) => {$(
        impl Write for $type {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                (&self.0).write(bytes)
            }

            fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                (&self.0).write_vectored(pieces)
            }

            /// Does nothing: nothing is kept back.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

pipe!(ChildStdin, PipeWriter);
pipe!(ChildStdout, PipeReader);
pipe!(ChildStderr, PipeReader);
write!(ChildStdin, &ChildStdin);
read!(ChildStdout, ChildStdout, &ChildStdout);
read!(ChildStderr, ChildStderr, &ChildStderr);
