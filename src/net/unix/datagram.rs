//! Unix datagrams.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::net::macros::{every_socket, timeouts};
use crate::net::socket::Socket;
use crate::os::socket;
use crate::reactor::readiness::Direction;

/// A Unix socket for datagrams. As [`std::os::unix::net::UnixDatagram`].
///
/// A datagram is sent and received as a whole; what does not fit into the receiver's buffer is lost. None is lost
/// otherwise: who sends waits while the receiver's queue is full. Several fibers may use one socket at once.
pub struct UnixDatagram(Socket<net::UnixDatagram>);

every_socket!(UnixDatagram, net::UnixDatagram);
timeouts!(UnixDatagram);

impl UnixDatagram {
    /// A socket at that path, which must not exist. As [`std::os::unix::net::UnixDatagram::bind`].
    ///
    /// # Errors
    /// `AddrInUse`: the path exists. `InvalidInput`: it is too long, or contains a zero byte. Those of its folder.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::of(net::UnixDatagram::bind(path)?)
    }

    /// As [`bind`](Self::bind), at any address: an abstract name, say.
    ///
    /// # Errors
    /// As there.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::of(net::UnixDatagram::bind_addr(address)?)
    }

    /// A socket without an address: it can send, and receive once it is connected.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn unbound() -> io::Result<Self> {
        Self::of(net::UnixDatagram::unbound()?)
    }

    /// Two sockets that are connected to each other, without a name.
    ///
    /// # Errors
    /// No more descriptors.
    ///
    /// ```
    /// use fibers::net::unix::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (here, there) = UnixDatagram::pair()?;
    /// here.send(b"hello")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(there.recv(&mut buffer)?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixDatagram::pair()?;
        Ok((Self::of(one)?, Self::of(other)?))
    }

    fn of(socket: net::UnixDatagram) -> io::Result<Self> {
        socket::set_nonblocking(&socket, true)?;
        Ok(Self(Socket::new(socket)))
    }

    /// From now on [`send`](Self::send) sends to the socket at that path, and only from there is received. Never
    /// blocks.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`: there is none.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.0.std().connect(path)
    }

    /// As [`connect`](Self::connect), for any address.
    ///
    /// # Errors
    /// As there.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.0.std().connect_addr(address)
    }

    /// This side's address.
    ///
    /// # Errors
    /// It is no socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().local_addr()
    }

    /// Where it is connected to.
    ///
    /// # Errors
    /// It is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().peer_addr()
    }

    /// The next datagram: its length, and who sent it. As [`std::os::unix::net::UnixDatagram::recv_from`].
    ///
    /// *Blocks* the fiber until there is one. *Cancellation* and deadlines unwind out of the wait, and then none has
    /// been taken.
    ///
    /// # Errors
    /// `WouldBlock`: the time-out is over.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let end = || Ok((0, SocketAddr::from_pathname("")?));
        self.0.run(Direction::Read, |socket| {
            let receive = |socket: &_| socket::receive_from_unix(socket, buffer);
            self.0.or_end(socket, receive, end)
        })
    }

    /// The next datagram's length. As [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    /// As there.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.run(Direction::Read, |socket| {
            let receive = |socket: &_| socket::receive(socket, buffer, false);
            self.0.or_end(socket, receive, || Ok(0))
        })
    }

    /// Sends a datagram to the socket at that path. As [`std::os::unix::net::UnixDatagram::send_to`].
    ///
    /// *Blocks* the fiber while the receiver's queue is full. (The kernel does not tell everybody when there is room
    /// again: it is tried every few milliseconds.) *Cancellation* and deadlines unwind out of the wait, and then
    /// nothing has been sent.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused`: there is none. The datagram is too long. `WouldBlock`: the time-out is over.
    pub fn send_to<P: AsRef<Path>>(&self, bytes: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(bytes, &SocketAddr::from_pathname(path)?)
    }

    /// As [`send_to`](Self::send_to), to any address.
    ///
    /// # Errors
    /// As there.
    pub fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.0
            .insist(|socket| socket::send_to_unix(socket, bytes, address))
    }

    /// Sends a datagram to where it is connected to. As [`send_to`](Self::send_to), but it goes on as soon as there is
    /// room.
    ///
    /// # Errors
    /// As there. `NotConnected`.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .run(Direction::Write, |socket| socket::send(socket, bytes))
    }

    /// Ends one direction, or both, for all clones. Never blocks. Whoever waits is woken, fiber or thread.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.std().shutdown(how)
    }
}
