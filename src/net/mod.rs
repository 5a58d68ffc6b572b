//! Sockets, with the face of [`std::net`] and [`std::os::unix::net`]: change the `use` lines.
//!
//! ```
//! use fibers::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = fibers::spawn(move || -> std::io::Result<()> {
//!     let (mut client, _) = listener.accept()?;
//!     let mut question = [0; 4];
//!     client.read_exact(&mut question)?;
//!     client.write_all(b"pong")
//! });
//! let mut stream = TcpStream::connect(address)?;
//! stream.write_all(b"ping")?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert_eq!(answer, "pong");
//! server.join().unwrap()
//! # }
//! ```
//!
//! **What waits** is the fiber; its worker runs others meanwhile. On a plain thread the thread waits, so threads and
//! fibers, of several machines even, may share a socket; of several that wait for the same, a thread is often quicker than
//! a fiber. A fiber whose calls always find something ready lets others
//! run now and then all the same.
//!
//! **How a wait ends early:** by a time-out of the socket (an error, as in std), by a [`timeout`](crate::timeout)
//! around it or a [cancellation](crate::Fiber::cancel) (both unwind; the socket is whole, and is closed if the unwind
//! drops it), or as somebody shuts the socket down, from wherever (of a full Unix stream a writer finds that out within
//! a tenth of a second: the kernel does not tell). So a server stops accepting by [`cancel`](crate::JoinHandle::cancel)
//! on the fiber that accepts.
//!
//! **In a destructor that runs during an unwind** every wait blocks its worker, also the wait for the turn to write: if
//! whoever has the turn is a fiber of that worker, neither goes on. Do not write there to what others write to.
//!
//! **What differs from std:**
//! - The kernel's mode of the open socket is non-blocking (`O_NONBLOCK`), and a process that shares it sees that.
//! - Time-outs are kept here and not in the kernel, to the nanosecond.
//! - Writers to one socket take turns: see [`Write` for `TcpStream`](TcpStream#impl-Write-for-%26TcpStream).
//! - After an `accept` that failed for lack of descriptors or memory, the next one on that listener waits some 30 ms
//!   before it tries, so that a loop that ignores the error does not keep a processor busy.
//! - [`ToSocketAddrs`] is a trait of its own, implemented for the same types.
//!
//! A deterministic run ([`testing`](crate::testing)) waits for no sockets: there they fail with `Unsupported`.

mod addrs;
mod macros;
mod socket;
mod tcp;
mod turn;
mod udp;
pub mod unix;

pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};

pub use addrs::ToSocketAddrs;
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
