//! Watch: any descriptor of the user's.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::io::source::Watched;
use crate::os::poll::is_ready;
use crate::os::socket::set_nonblocking;
use crate::reactor::readiness::Direction;
use crate::wait::deadline::after;

/// Something with a descriptor, and fibers that wait until it can be read from or written to.
///
/// ```
/// use fibers::io::{Read, Watch, Write};
/// use std::os::unix::net::UnixStream;
///
/// let (one, other) = UnixStream::pair()?;
/// let (one, other) = (Watch::new(one)?, Watch::new(other)?);
/// let echo = fibers::spawn(move || {
///     let mut byte = [0];
///     (&other).read_exact(&mut byte)?;
///     (&other).write_all(&byte)
/// });
/// (&one).write_all(b"x")?;
/// one.readable()?;
/// let mut answer = [0];
/// let read = one.read_with(|mut stream| stream.read(&mut answer))?;
/// assert_eq!((read, &answer), (1, b"x"));
/// echo.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
///
/// # The mode of the descriptor
/// [`new`](Self::new) sets it to non-blocking (`O_NONBLOCK`), as a call on it would else block the worker. The mode
/// belongs to the open file: duplicates share it, in other processes too, and it stays when the `Watch` is gone. So
/// do not watch what you have inherited from a shell ([`stdin`](super::stdin) and its like do without).
/// [`new_as_is`](Self::new_as_is) leaves the mode alone.
///
/// # What cannot be waited for
/// Files and folders are always ready, as `poll` has it: [`readable`](Self::readable) returns at once. A call on one
/// never says that it would block; should `read_with`'s, then that is an error that says so (`PermissionDenied`).
///
/// # Who waits
/// Any number of fibers and plain threads, each way. When something happens, all that wait for that direction look
/// again. A descriptor whose other side is gone is ready, once for each time that it is asked.
///
/// # The rules
/// `T::as_fd` always returns the same descriptor, and `T` keeps it open. A `T` that breaks them makes waits that do not
/// end, or end for nothing: its own, or those for another descriptor that got the same number.
pub struct Watch<T>(Watched<T>);

impl<T: AsFd> Watch<T> {
    /// Watches `io`, whose descriptor is set to non-blocking. Never blocks.
    ///
    /// # Errors
    /// The descriptor is closed.
    pub fn new(io: T) -> io::Result<Self> {
        set_nonblocking(&io, true)?;
        Ok(Self::new_as_is(io))
    }

    /// Watches `io` in the mode in which it is.
    ///
    /// If that is the blocking one, call [`readable`](Self::readable) or [`writable`](Self::writable) before each
    /// read or write, make one call, and be the only one who reads or writes; do not use
    /// [`read_with`](Self::read_with) and its like.
    pub fn new_as_is(io: T) -> Self {
        Self(Watched::new(io))
    }

    /// What is watched.
    pub fn get_ref(&self) -> &T {
        self.0.get()
    }

    /// Gives it back, in the mode in which it is.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }

    /// Waits until a read would not block: there is something, or the end, or an error.
    ///
    /// Another may be quicker to read it. *Blocks* the fiber; on a plain thread the thread. *Cancellation* and
    /// deadlines unwind.
    ///
    /// # Errors
    /// No more descriptors can be watched (`fs.epoll.max_user_watches`). `Unsupported`: a deterministic run.
    pub fn readable(&self) -> io::Result<()> {
        self.ready(Direction::Read, NEVER).map(drop)
    }

    /// As [`readable`](Self::readable), for that long at the most. False: the time is up.
    ///
    /// # Errors
    /// As there.
    pub fn readable_timeout(&self, timeout: Duration) -> io::Result<bool> {
        self.ready(Direction::Read, after(0, timeout))
    }

    /// As [`readable`](Self::readable), for a write.
    ///
    /// # Errors
    /// As there.
    pub fn writable(&self) -> io::Result<()> {
        self.ready(Direction::Write, NEVER).map(drop)
    }

    /// As [`writable`](Self::writable), for that long at the most. False: the time is up.
    ///
    /// # Errors
    /// As there.
    pub fn writable_timeout(&self, timeout: Duration) -> io::Result<bool> {
        self.ready(Direction::Write, after(0, timeout))
    }

    /// Calls `read`, and while it would block (`WouldBlock`) waits until there is something, and calls it again. One
    /// that a signal has interrupted (`Interrupted`) is called again as well.
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind out of the waits, never
    /// between a call and its result.
    ///
    /// # Errors
    /// `read`'s, and those of [`readable`](Self::readable).
    pub fn read_with<R>(&self, read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.run(Direction::Read, NEVER, read)
    }

    /// As [`read_with`](Self::read_with), and waits for that long at the most. Zero: `read` is called once.
    ///
    /// # Errors
    /// As there. `TimedOut`: the time is up.
    pub fn read_with_timeout<R>(
        &self,
        timeout: Duration,
        read: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        timed(self.0.run(Direction::Read, after(0, timeout), read))
    }

    /// As [`read_with`](Self::read_with), for a call that writes.
    ///
    /// # Errors
    /// As there.
    pub fn write_with<R>(&self, write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.run(Direction::Write, NEVER, write)
    }

    /// As [`write_with`](Self::write_with), and waits for that long at the most. Zero: `write` is called once.
    ///
    /// # Errors
    /// As there. `TimedOut`: the time is up.
    pub fn write_with_timeout<R>(
        &self,
        timeout: Duration,
        write: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        timed(self.0.run(Direction::Write, after(0, timeout), write))
    }

    fn ready(&self, direction: Direction, timeout_ns: u64) -> io::Result<bool> {
        // The kernel is asked each time: what is known from events may be out of date, as nobody need tell us what he
        // has read.
        let asked = self.0.run(direction, timeout_ns, |io| {
            if is_ready(io.as_fd(), direction == Direction::Write)? {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        });
        match asked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn timed<R>(result: io::Result<R>) -> io::Result<R> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the time is up"),
        _ => error,
    })
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(self.get_ref()).finish()
    }
}

// What waits is whole after each call.
impl<T: UnwindSafe> UnwindSafe for Watch<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Watch<T> {}

impl<T: AsFd> AsFd for Watch<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get().as_fd()
    }
}

impl<T: AsFd> AsRawFd for Watch<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// *Blocks* the fiber until there is something, or the end. As [`Watch::read_with`].
impl<T: AsFd> Read for &Watch<T>
where
    for<'a> &'a T: Read,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(|mut io| io.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_with(|mut io| io.read_vectored(buffers))
    }
}

/// *Blocks* the fiber until something can be written; that may be less than all. As [`Watch::write_with`].
impl<T: AsFd> Write for &Watch<T>
where
    for<'a> &'a T: Write,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|mut io| io.write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|mut io| io.write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_with(|mut io| io.flush())
    }
}

/// As for a shared reference.
impl<T: AsFd> Read for Watch<T>
where
    for<'a> &'a T: Read,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

/// As for a shared reference.
impl<T: AsFd> Write for Watch<T>
where
    for<'a> &'a T: Write,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}
