//! TCP listener.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::net::addrs::{ToSocketAddrs, each};
use crate::net::macros::{every_socket, incoming};
use crate::net::socket::Socket;
use crate::net::tcp::TcpStream;
use crate::os::socket;

/// A TCP socket that accepts connections. As [`std::net::TcpListener`].
///
/// Several fibers, and clones, may accept at once. Closed when dropped.
///
/// ```
/// use fibers::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// let (accepted, peer) = listener.accept()?;
/// assert_eq!(peer, stream.local_addr()?);
/// # drop(accepted);
/// # Ok(())
/// # }
/// ```
pub struct TcpListener(Socket<net::TcpListener>);

every_socket!(TcpListener, net::TcpListener);
incoming!(TcpListener, TcpStream, "std::net::Incoming", 0);

impl TcpListener {
    /// Listens at the first of these addresses that can be listened at. Port 0: one that is free. As
    /// [`std::net::TcpListener::bind`].
    ///
    /// *Blocks* the fiber while a name is looked up ([`ToSocketAddrs`]).
    ///
    /// # Errors
    /// There is no such name, or the last address cannot be had.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let listener = each(address, net::TcpListener::bind)?;
        socket::set_nonblocking(&listener, true)?;
        Ok(Self(Socket::new(listener)))
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// It is no socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().local_addr()
    }

    /// Takes the next connection. As [`std::net::TcpListener::accept`].
    ///
    /// *Blocks* the fiber until there is one. *Cancellation* and deadlines unwind out of the wait, and then no
    /// connection has been taken.
    ///
    /// # Errors
    /// `ConnectionAborted`: the peer was faster to go. No more descriptors, or no memory: the connection stays where
    /// it is, and the next call waits a little before it tries again. `InvalidInput`: the socket does not listen, or
    /// not any more (`shutdown` on its descriptor ends all waits of this call). As there, errors are no reason to
    /// stop accepting.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, address) = self.0.accept(socket::accept_tcp)?;
        Ok((TcpStream::accepted(fd), address))
    }

    /// The connections as they come, without end. As [`std::net::TcpListener::incoming`].
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Sets the time to live of packets (`IP_TTL`).
    ///
    /// # Errors
    /// The value is none.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.std().set_ttl(ttl)
    }

    /// What [`set_ttl`](Self::set_ttl) has set, or the system's default.
    ///
    /// # Errors
    /// It is no socket.
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.std().ttl()
    }

    /// As [`std::net::TcpListener::set_only_v6`], and of as little use.
    ///
    /// # Errors
    /// Always: it can only be set before the socket is bound.
    #[deprecated(note = "this option can only be set before the socket is bound")]
    #[expect(deprecated, reason = "std's is too")]
    pub fn set_only_v6(&self, only_v6: bool) -> io::Result<()> {
        self.0.std().set_only_v6(only_v6)
    }

    /// As [`std::net::TcpListener::only_v6`].
    ///
    /// # Errors
    /// It is no socket of IP version 6.
    #[deprecated(note = "this option can only be set before the socket is bound")]
    #[expect(deprecated, reason = "std's is too")]
    pub fn only_v6(&self) -> io::Result<bool> {
        self.0.std().only_v6()
    }
}
