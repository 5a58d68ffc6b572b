//! Unix sockets, with the face of [`std::os::unix::net`].
//!
//! [`SocketAddr`] is std's own; abstract names are made and read by [`std::os::linux::net::SocketAddrExt`].
//!
//! ```
//! use fibers::net::unix::UnixStream;
//! use std::io::{Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! let (mut here, mut there) = UnixStream::pair()?;
//! let echo = fibers::spawn(move || -> std::io::Result<()> {
//!     let mut word = [0; 5];
//!     there.read_exact(&mut word)?;
//!     there.write_all(&word)
//! });
//! here.write_all(b"hello")?;
//! let mut answer = String::new();
//! here.read_to_string(&mut answer)?;
//! assert_eq!(answer, "hello");
//! echo.join().unwrap()
//! # }
//! ```

mod datagram;
mod listener;
mod stream;

pub use std::os::unix::net::SocketAddr;

pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use stream::UnixStream;
