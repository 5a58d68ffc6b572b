//! Unix listener.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use crate::net::macros::{every_socket, incoming};
use crate::net::socket::Socket;
use crate::net::unix::UnixStream;
use crate::os::socket;

/// A Unix socket that accepts connections. As [`std::os::unix::net::UnixListener`].
///
/// Several fibers, and clones, may accept at once. Closed when dropped; its path stays.
pub struct UnixListener(Socket<net::UnixListener>);

every_socket!(UnixListener, net::UnixListener);
incoming!(
    UnixListener,
    UnixStream,
    "std::os::unix::net::Incoming",
    usize::MAX
);

impl UnixListener {
    /// Listens at that path, which must not exist. As [`std::os::unix::net::UnixListener::bind`].
    ///
    /// # Errors
    /// `AddrInUse`: the path exists. `InvalidInput`: it is too long, or contains a zero byte. Those of its folder.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::of(net::UnixListener::bind(path)?)
    }

    /// As [`bind`](Self::bind), at any address: an abstract name, say.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use fibers::net::unix::{SocketAddr, UnixListener, UnixStream};
    /// use std::os::linux::net::SocketAddrExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let name = SocketAddr::from_abstract_name(format!("fibers-{}", std::process::id()))?;
    /// let listener = UnixListener::bind_addr(&name)?;
    /// let stream = UnixStream::connect_addr(&name)?;
    /// let (accepted, peer) = listener.accept()?;
    /// assert!(peer.is_unnamed());
    /// # drop((stream, accepted));
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::of(net::UnixListener::bind_addr(address)?)
    }

    fn of(listener: net::UnixListener) -> io::Result<Self> {
        socket::set_nonblocking(&listener, true)?;
        Ok(Self(Socket::new(listener)))
    }

    /// Takes the next connection. As [`std::os::unix::net::UnixListener::accept`].
    ///
    /// *Blocks* the fiber until there is one. *Cancellation* and deadlines unwind out of the wait, and then no
    /// connection has been taken.
    ///
    /// # Errors
    /// No more descriptors, or no memory: the connection stays where it is, and the next call waits a little before
    /// it tries again. `InvalidInput`: the socket does not listen, or not any more (`shutdown` on its descriptor ends
    /// all waits of this call).
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let end = || Err(socket::not_listening());
        let accept = |listener: &_| self.0.or_end(listener, socket::accept_unix, end);
        let (fd, address) = self.0.accept(accept)?;
        Ok((UnixStream::of(fd.into()), address))
    }

    /// The connections as they come, without end. As [`std::os::unix::net::UnixListener::incoming`].
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// It is no socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().local_addr()
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}
