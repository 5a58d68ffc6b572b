//! UDP.

use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::net::addrs::{ToSocketAddrs, each, first};
use crate::net::macros::{every_socket, timeouts};
use crate::net::socket::Socket;
use crate::os::socket;
use crate::reactor::readiness::Direction;

/// A UDP socket. As [`std::net::UdpSocket`].
///
/// A datagram is sent and received as a whole; what does not fit into the receiver's buffer is lost. Several fibers
/// may use one socket at once.
///
/// ```
/// use fibers::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let here = UdpSocket::bind("127.0.0.1:0")?;
/// let there = UdpSocket::bind("127.0.0.1:0")?;
/// here.send_to(b"hello", there.local_addr()?)?;
/// let mut buffer = [0; 16];
/// let (bytes, from) = there.recv_from(&mut buffer)?;
/// assert_eq!((&buffer[..bytes], from), (&b"hello"[..], here.local_addr()?));
/// # Ok(())
/// # }
/// ```
pub struct UdpSocket(Socket<net::UdpSocket>);

every_socket!(UdpSocket, net::UdpSocket);
timeouts!(UdpSocket);

/// Settings that std's type knows, and that need no waiting.
macro_rules! settings {
    ($($(#[$doc:meta])* $set:ident, $get:ident: $value:ty;)*) => {
        impl UdpSocket {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// The value is none, or the socket is of another kind.
            pub fn $set(&self, value: $value) -> io::Result<()> {
                self.0.std().$set(value)
            }

            #[doc = concat!("What [`", stringify!($set), "`](Self::", stringify!($set), ") has set.")]
            ///
            /// # Errors
            /// The socket is of another kind.
            pub fn $get(&self) -> io::Result<$value> {
                self.0.std().$get()
            }
        )*}
    };
}

settings! {
    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    set_broadcast, broadcast: bool;
    /// Whether what it sends to groups comes back to this host (`IP_MULTICAST_LOOP`).
    set_multicast_loop_v4, multicast_loop_v4: bool;
    /// How far what it sends to groups goes (`IP_MULTICAST_TTL`).
    set_multicast_ttl_v4, multicast_ttl_v4: u32;
    /// Whether what it sends to groups comes back to this host (`IPV6_MULTICAST_LOOP`).
    set_multicast_loop_v6, multicast_loop_v6: bool;
    /// The time to live of packets (`IP_TTL`).
    set_ttl, ttl: u32;
}

impl UdpSocket {
    /// A socket at the first of these addresses that can be had. Port 0: one that is free. As
    /// [`std::net::UdpSocket::bind`].
    ///
    /// *Blocks* the fiber while a name is looked up ([`ToSocketAddrs`]).
    ///
    /// # Errors
    /// There is no such name, or the last address cannot be had.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let socket = each(address, net::UdpSocket::bind)?;
        socket::set_nonblocking(&socket, true)?;
        Ok(Self(Socket::new(socket)))
    }

    /// The next datagram: its length, and who sent it. As [`std::net::UdpSocket::recv_from`].
    ///
    /// *Blocks* the fiber until there is one. *Cancellation* and deadlines unwind out of the wait, and then none has
    /// been taken.
    ///
    /// # Errors
    /// `WouldBlock`: the time-out is over. What the network has reported of earlier datagrams, `ConnectionRefused`
    /// say.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.run(Direction::Read, |socket| {
            socket::receive_from(socket, buffer, false)
        })
    }

    /// As [`recv_from`](Self::recv_from), but leaves the datagram where it is.
    ///
    /// # Errors
    /// As there.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.run(Direction::Read, |socket| {
            socket::receive_from(socket, buffer, true)
        })
    }

    /// Sends a datagram to the first of these addresses. As [`std::net::UdpSocket::send_to`].
    ///
    /// *Blocks* the fiber while a name is looked up ([`ToSocketAddrs`]), and until there is room in the socket.
    /// *Cancellation* and deadlines unwind out of the wait, and then nothing has been sent.
    ///
    /// # Errors
    /// There is no such name; the datagram is too long; the network cannot be reached. `WouldBlock`: the time-out is
    /// over.
    pub fn send_to<A: ToSocketAddrs>(&self, bytes: &[u8], address: A) -> io::Result<usize> {
        let address = first(address)?;
        self.0.run(Direction::Write, |socket| {
            socket::send_to(socket, bytes, &address)
        })
    }

    /// From now on it sends to, and receives from, the first of these addresses that can be had. As
    /// [`std::net::UdpSocket::connect`].
    ///
    /// *Blocks* the fiber while a name is looked up ([`ToSocketAddrs`]).
    ///
    /// # Errors
    /// There is no such name, or the last address cannot be reached.
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        each(address, |address| self.0.std().connect(address))
    }

    /// Sends a datagram to where it is connected to. As [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// As there. It is not connected.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .run(Direction::Write, |socket| socket::send(socket, bytes))
    }

    /// The next datagram from where it is connected to. As [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    /// As there.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buffer, false)
    }

    /// As [`recv`](Self::recv), but leaves the datagram where it is.
    ///
    /// # Errors
    /// As there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buffer, true)
    }

    /// Where it is connected to.
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

    /// Receives what is sent to that group, by the interface of that address (unspecified: any).
    ///
    /// # Errors
    /// There is no such group or interface, or it has joined already.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.std().join_multicast_v4(group, interface)
    }

    /// Receives what is sent to that group, by the interface of that number (0: any).
    ///
    /// # Errors
    /// As [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.std().join_multicast_v6(group, interface)
    }

    /// Takes back [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    /// It has not joined.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.std().leave_multicast_v4(group, interface)
    }

    /// Takes back [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    /// It has not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.std().leave_multicast_v6(group, interface)
    }
}
