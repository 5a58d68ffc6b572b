//! Unix stream.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::net::macros::{every_socket, stream, timeouts};
use crate::net::socket::Socket;
use crate::os::socket;
use crate::reactor::readiness::Direction;

/// A Unix connection. As [`std::os::unix::net::UnixStream`].
///
/// It can be read and written through a shared reference, by several fibers at once. Closed when dropped.
pub struct UnixStream(Socket<net::UnixStream>);

every_socket!(UnixStream, net::UnixStream);
timeouts!(UnixStream);
// A read ends where a message with descriptors or credentials does: a short one does not tell that all is read.
stream!(UnixStream, |socket, buffer| socket.receive(buffer, false));

impl UnixStream {
    /// Connects to the listener at that path. As [`std::os::unix::net::UnixStream::connect`].
    ///
    /// *Blocks* the fiber while the listener's queue is full. (The kernel does not tell when there is room again:
    /// it is tried every few milliseconds.) *Cancellation* and deadlines unwind, and close the socket.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`: nobody listens there. `InvalidInput`: the path is too long, or contains
    /// a zero byte. No more descriptors.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](Self::connect), to any address: an abstract name, say.
    ///
    /// # Errors
    /// As there.
    pub fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let stream = Self::of(socket::open_unix()?.into());
        stream
            .0
            .insist(|stream| socket::connect_unix(stream, address))?;
        Ok(stream)
    }

    /// Two sockets that are connected to each other, without a name. As
    /// [`std::os::unix::net::UnixStream::pair`].
    ///
    /// # Errors
    /// No more descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixStream::pair()?;
        socket::set_nonblocking(&one, true)?;
        socket::set_nonblocking(&other, true)?;
        Ok((Self::of(one), Self::of(other)))
    }

    /// Of a non-blocking socket of our own.
    pub(super) fn of(stream: net::UnixStream) -> Self {
        Self(Socket::new(stream))
    }

    /// This side's address.
    ///
    /// # Errors
    /// It is no socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().local_addr()
    }

    /// The other side's address.
    ///
    /// # Errors
    /// It is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().peer_addr()
    }

    /// Ends one direction, or both, for all clones. As [`std::os::unix::net::UnixStream::shutdown`].
    ///
    /// Never blocks. Whoever waits is woken, fiber or thread: reads find the end, writes fail with `BrokenPipe`.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.std().shutdown(how)
    }
}
