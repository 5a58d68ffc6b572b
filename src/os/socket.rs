//! Sockets, as far as std cannot make them non-blocking from the start.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, connect, socket_with};

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Accepts a connection; the new socket is non-blocking.
///
/// # Errors
/// accept4's; `WouldBlock` if there is none.
pub(crate) fn accept_tcp(listener: &impl AsFd) -> io::Result<(TcpStream, SocketAddr)> {
    let (fd, address) = acceptfrom_with(listener, FLAGS)?;
    let address = address
        .and_then(|address| SocketAddr::try_from(address).ok())
        .ok_or_else(|| io::Error::from(Errno::INVAL))?;
    Ok((TcpStream::from(fd), address))
}

/// Begins to connect a non-blocking socket. True if it is connected already.
///
/// # Errors
/// socket's and connect's.
pub(crate) fn connect_tcp(address: &SocketAddr) -> io::Result<(TcpStream, bool)> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd: OwnedFd = socket_with(family, SocketType::STREAM, FLAGS, None)?;
    let connected = match connect(&fd, address) {
        Ok(()) => true,
        Err(Errno::INPROGRESS | Errno::INTR) => false,
        Err(errno) => return Err(errno.into()),
    };
    Ok((TcpStream::from(fd), connected))
}
