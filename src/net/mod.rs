//! Floor 6: sockets. As std's, but only the fiber waits.

mod tcp;

pub use tcp::{TcpListener, TcpStream};
