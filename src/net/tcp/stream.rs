//! TCP stream.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::linux::net::TcpStreamExt;
use std::time::Duration;

use crate::net::addrs::{ToSocketAddrs, each};
use crate::net::macros::{every_socket, stream, timeouts};
use crate::net::socket::{Socket, zero_timeout};
use crate::os::socket;
use crate::reactor::readiness::Direction;

/// A TCP connection. As [`std::net::TcpStream`].
///
/// It can be read and written through a shared reference, by several fibers at once. Closed when dropped.
///
/// ```
/// use fibers::net::TcpListener;
/// use std::io::{Read, Write};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = fibers::net::TcpStream::connect(listener.local_addr()?)?;
/// let (mut server, _) = listener.accept()?;
/// client.write_all(b"hello")?;
/// let mut word = [0; 5];
/// server.read_exact(&mut word)?;
/// assert_eq!(&word, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct TcpStream(Socket<net::TcpStream>);

every_socket!(TcpStream, net::TcpStream);
timeouts!(TcpStream);
stream!(TcpStream, |socket, buffer| socket.read(buffer));

impl TcpStream {
    /// Connects to the first of these addresses that lets it. As [`std::net::TcpStream::connect`].
    ///
    /// *Blocks* the fiber: while a name is looked up ([`ToSocketAddrs`]), and until the peer answers.
    /// *Cancellation* and deadlines unwind out of the wait, and close the socket.
    ///
    /// # Errors
    /// The last address's: `ConnectionRefused`, `TimedOut` (the kernel has tried for minutes), unreachable, no more
    /// descriptors or ports. Or there is no such name.
    ///
    /// ```
    /// use fibers::net::TcpStream;
    /// use std::time::Duration;
    ///
    /// // A deadline for all of it, the look-up too.
    /// let connected = fibers::timeout(Duration::from_secs(1), || TcpStream::connect("127.0.0.1:1"));
    /// assert!(connected.unwrap().is_err());
    /// ```
    pub fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        each(address, |address| {
            let (stream, connected) = Self::begin(&address)?;
            stream.finish(connected)?;
            Ok(stream)
        })
    }

    /// As [`connect`](Self::connect), to one address, and for that long at the most.
    ///
    /// # Errors
    /// As there. `TimedOut`: the time is up. `InvalidInput`: a time of zero.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        let (stream, connected) = Self::begin(address)?;
        if !connected {
            if timeout.is_zero() {
                return Err(zero_timeout());
            }
            // Of the new socket, so nobody else sees it.
            stream.0.set_timeout(Direction::Write, Some(timeout))?;
            stream.finish(false).map_err(|error| {
                if error.kind() == io::ErrorKind::WouldBlock {
                    io::Error::new(io::ErrorKind::TimedOut, "connection timed out")
                } else {
                    error
                }
            })?;
            stream.0.set_timeout(Direction::Write, None)?;
        }
        Ok(stream)
    }

    fn begin(address: &SocketAddr) -> io::Result<(Self, bool)> {
        let stream = Self::accepted(socket::open_tcp(address)?);
        let connected = socket::connect_tcp(&stream, address)?;
        Ok((stream, connected))
    }

    /// Waits until it is connected.
    fn finish(&self, connected: bool) -> io::Result<()> {
        if connected {
            return Ok(());
        }
        let mut asked = false;
        self.0.run(Direction::Write, |stream| {
            // It has just begun: the first time there is nothing to find out.
            if !std::mem::replace(&mut asked, true) {
                return Err(socket::would_block());
            }
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
            match stream.peer_addr() {
                Ok(_) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    Err(socket::would_block())
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Of a non-blocking socket of our own.
    pub(super) fn accepted(fd: OwnedFd) -> Self {
        Self(Socket::new(fd.into()))
    }

    /// The other side's address.
    ///
    /// # Errors
    /// It is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().peer_addr()
    }

    /// This side's address.
    ///
    /// # Errors
    /// It is no socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.std().local_addr()
    }

    /// Ends one direction, or both, for all clones. As [`std::net::TcpStream::shutdown`].
    ///
    /// Never blocks. Whoever waits is woken, fiber or thread: reads find the end, writes fail with `BrokenPipe`.
    ///
    /// # Errors
    /// `NotConnected`: the connection has ended.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.std().shutdown(how)
    }

    /// As [`read`](Read::read), but leaves the bytes where they are. As [`std::net::TcpStream::peek`].
    ///
    /// *Blocks* the fiber until there is something to read, or the end. *Cancellation* and deadlines unwind.
    ///
    /// # Errors
    /// As `read`.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buffer, true)
    }

    /// With `true`: small writes are sent at once (`TCP_NODELAY`), and do not wait for company.
    ///
    /// # Errors
    /// It is no TCP socket.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.std().set_nodelay(nodelay)
    }

    /// What [`set_nodelay`](Self::set_nodelay) has set.
    ///
    /// # Errors
    /// It is no TCP socket.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.std().nodelay()
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

    /// With `true`: received packets are acknowledged at once (`TCP_QUICKACK`), until the kernel decides otherwise.
    /// As in std's `TcpStreamExt`.
    ///
    /// # Errors
    /// It is no TCP socket.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.0.std().set_quickack(quickack)
    }

    /// Whether packets are acknowledged at once.
    ///
    /// # Errors
    /// It is no TCP socket.
    pub fn quickack(&self) -> io::Result<bool> {
        self.0.std().quickack()
    }
}
