//! Pipes.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::Stdio;

use crate::fiber::alarm::NEVER;
use crate::io::source::Watched;
use crate::os::socket::set_nonblocking;
use crate::reactor::readiness::Direction;

/// Makes a pipe: what is written to one end comes out of the other. As [`std::io::pipe`].
///
/// Both ends are non-blocking, and neither is inherited by programs that are started, unless it is given to them.
///
/// # Errors
/// No more descriptors.
///
/// ```
/// use fibers::io::{Read, Write};
///
/// let (mut reader, mut writer) = fibers::io::pipe()?;
/// fibers::spawn(move || writer.write_all(b"ping"));
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "ping");
/// # std::io::Result::Ok(())
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    set_nonblocking(&reader, true)?;
    set_nonblocking(&writer, true)?;
    Ok((
        PipeReader(Watched::new(reader)),
        PipeWriter(Watched::new(writer)),
    ))
}

/// The end of a pipe that is read. As [`std::io::PipeReader`].
///
/// A read *blocks* the fiber until there is something, or all writers are closed: then it reads nothing (0). On a
/// plain thread it blocks the thread. *Cancellation* and deadlines unwind, and take no bytes with them. Several may
/// read, through shared references; each byte goes to one of them.
///
/// Given away (to `OwnedFd`, [`Stdio`], std's type) the pipe's end is set back to blocking, which is what others
/// expect. That counts for its clones as well, as they are the same open file: a clone that is still used here would
/// block its worker.
pub struct PipeReader(Watched<io::PipeReader>);

/// The end of a pipe that is written to. As [`std::io::PipeWriter`].
///
/// A write *blocks* the fiber while the pipe is full; on a plain thread it blocks the thread. One call may write less
/// than all, `write_all` writes all. Up to 4096 bytes are never mixed with another writer's. *Cancellation* and
/// deadlines unwind; what a call of `write` wrote it has returned. When all readers are closed it is an error
/// (`BrokenPipe`).
///
/// Given away as [`PipeReader`] is.
pub struct PipeWriter(Watched<io::PipeWriter>);

macro_rules! end {
    ($name:ident, $std:ty) => {
        impl $name {
            /// Another descriptor of the same end. Never blocks.
            ///
            /// # Errors
            /// No more descriptors.
            pub fn try_clone(&self) -> io::Result<Self> {
                Ok(Self(Watched::new(self.0.get().try_clone()?)))
            }

            /// For who waits in system calls.
            fn release(self) -> $std {
                let end = self.0.into_inner();
                // It can fail for what is no open descriptor only.
                let _ = set_nonblocking(&end, false);
                end
            }
        }

        // As std's.
        impl UnwindSafe for $name {}
        impl RefUnwindSafe for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let fd = self.as_raw_fd();
                f.debug_struct(stringify!($name)).field("fd", &fd).finish()
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.get().as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        /// Sets it to non-blocking.
        impl From<$std> for $name {
            fn from(end: $std) -> Self {
                // As in `release`.
                let _ = set_nonblocking(&end, true);
                Self(Watched::new(end))
            }
        }

        /// Sets it to non-blocking.
        impl From<OwnedFd> for $name {
            fn from(fd: OwnedFd) -> Self {
                <$std>::from(fd).into()
            }
        }

        /// Sets it back to blocking.
        impl From<$name> for $std {
            fn from(end: $name) -> Self {
                end.release()
            }
        }

        /// Sets it back to blocking.
        impl From<$name> for OwnedFd {
            fn from(end: $name) -> Self {
                end.release().into()
            }
        }

        /// Sets it back to blocking.
        impl From<$name> for Stdio {
            fn from(end: $name) -> Self {
                end.release().into()
            }
        }

        impl IntoRawFd for $name {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
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

end!(PipeReader, io::PipeReader);
end!(PipeWriter, io::PipeWriter);

impl PipeReader {
    /// One call that does not wait.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get().read(buffer)
    }
}

impl Read for &PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A short read does not always tell that nothing is left: some pipes keep what was written apart (O_DIRECT).
        self.0
            .run(Direction::Read, NEVER, |mut pipe| pipe.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.run(Direction::Read, NEVER, |mut pipe| {
            pipe.read_vectored(buffers)
        })
    }
}

impl Write for &PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .run(Direction::Write, NEVER, |mut pipe| pipe.write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.run(Direction::Write, NEVER, |mut pipe| {
            pipe.write_vectored(pieces)
        })
    }

    /// Does nothing: nothing is kept back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
