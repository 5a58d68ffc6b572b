//! Sockets: the calls that fibers repeat until they have done something, and what std cannot ask for.
//!
//! Each call says by itself that it must not block (MSG_DONTWAIT), and no call raises SIGPIPE. So a thread is not held
//! up even if somebody else who has the same open socket, another process say, takes its O_NONBLOCK away. accept and
//! connect know no such flag: they go by the socket's mode.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny,
    SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, connect, recvfrom, recvmsg, sendmsg,
    sendto, socket_with,
};
use rustix::time::Timespec;

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// The most pieces that the kernel takes at once (UIO_MAXIOV).
const PIECES_MAX: usize = 1024;

/// Takes a connection; the new socket is non-blocking.
///
/// # Errors
/// accept4's; `WouldBlock` if there is none.
pub(crate) fn accept_tcp(listener: &impl AsFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let (fd, address) = acceptfrom_with(listener, FLAGS)?;
    Ok((fd, inet(address)?))
}

/// As [`accept_tcp`].
///
/// # Errors
/// As there.
pub(crate) fn accept_unix(listener: &impl AsFd) -> io::Result<(OwnedFd, UnixAddr)> {
    let (fd, address) = acceptfrom_with(listener, FLAGS)?;
    Ok((fd, unix(address)?))
}

/// True if a call failed as there are no descriptors or no memory: it fails again until somebody gives some back.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// A TCP socket for addresses like that one.
///
/// # Errors
/// socket's.
pub(crate) fn open_tcp(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    Ok(socket_with(family, SocketType::STREAM, FLAGS, None)?)
}

/// A Unix stream socket.
///
/// # Errors
/// socket's.
pub(crate) fn open_unix() -> io::Result<OwnedFd> {
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        FLAGS,
        None,
    )?)
}

/// Begins to connect. True if it is done already.
///
/// # Errors
/// connect's.
pub(crate) fn connect_tcp(fd: impl AsFd, address: &SocketAddr) -> io::Result<bool> {
    match connect(fd, address) {
        Ok(()) => Ok(true),
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Connects.
///
/// # Errors
/// connect's. `WouldBlock`: the listener's queue is full. The kernel does not tell when there is room again.
pub(crate) fn connect_unix(fd: impl AsFd, address: &UnixAddr) -> io::Result<()> {
    Ok(connect(fd, &unix_arg(address)?)?)
}

/// Receives what is there; leaves it there if it is only to be looked at.
///
/// # Errors
/// recv's.
pub(crate) fn receive(fd: impl AsFd, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
    let (bytes, _) = rustix::net::recv(fd, buffer, receive_flags(peek))?;
    Ok(bytes)
}

/// As [`receive`], into several pieces.
///
/// # Errors
/// recvmsg's.
pub(crate) fn receive_vectored(fd: impl AsFd, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let pieces = buffers.len().min(PIECES_MAX);
    let mut control = RecvAncillaryBuffer::default();
    let received = recvmsg(
        fd,
        &mut buffers[..pieces],
        &mut control,
        receive_flags(false),
    )?;
    Ok(received.bytes)
}

/// As [`receive`], and from whom.
///
/// # Errors
/// recvfrom's.
pub(crate) fn receive_from(
    fd: impl AsFd,
    buffer: &mut [u8],
    peek: bool,
) -> io::Result<(usize, SocketAddr)> {
    let (bytes, _, address) = recvfrom(fd, buffer, receive_flags(peek))?;
    Ok((bytes, inet(address)?))
}

/// True if that socket was shut down for receiving. For those whose non-blocking calls do not tell: Unix listeners and
/// datagram sockets fail with `WouldBlock` then, though blocking ones would find the end.
pub(crate) fn is_shut_down(fd: impl AsFd) -> bool {
    let flags = PollFlags::RDHUP;
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(&fd, flags)];
    matches!(poll(&mut polled, Some(&now)), Ok(1))
}

/// As [`receive_from`].
///
/// # Errors
/// As there.
pub(crate) fn receive_from_unix(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, UnixAddr)> {
    let (bytes, _, address) = recvfrom(fd, buffer, receive_flags(false))?;
    Ok((bytes, unix(address)?))
}

fn receive_flags(peek: bool) -> RecvFlags {
    if peek {
        RecvFlags::DONTWAIT | RecvFlags::PEEK
    } else {
        RecvFlags::DONTWAIT
    }
}

/// Sends as much as there is room for.
///
/// # Errors
/// send's.
pub(crate) fn send(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(fd, bytes, SEND)?)
}

/// How many of these bytes [`send_vectored`] takes at once.
pub(crate) fn vectored_len(pieces: &[IoSlice<'_>]) -> usize {
    let taken = pieces.iter().take(PIECES_MAX);
    taken.map(|piece| piece.len()).sum()
}

/// As [`send`], from several pieces.
///
/// # Errors
/// sendmsg's.
pub(crate) fn send_vectored(fd: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let taken = &pieces[..pieces.len().min(PIECES_MAX)];
    let mut control = SendAncillaryBuffer::default();
    Ok(sendmsg(fd, taken, &mut control, SEND)?)
}

/// As [`send`], to whom.
///
/// # Errors
/// sendto's.
pub(crate) fn send_to(fd: impl AsFd, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
    Ok(sendto(fd, bytes, SEND, address)?)
}

/// As [`send_to`].
///
/// # Errors
/// As there.
pub(crate) fn send_to_unix(fd: impl AsFd, bytes: &[u8], address: &UnixAddr) -> io::Result<usize> {
    Ok(sendto(fd, bytes, SEND, &unix_arg(address)?)?)
}

/// Whether calls on that open file, by whoever has it, are to block.
///
/// # Errors
/// ioctl's.
pub(crate) fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> io::Result<()> {
    Ok(ioctl_fionbio(fd, nonblocking)?)
}

/// The kernel's time-outs of a blocking socket, for receiving and for sending.
///
/// # Errors
/// getsockopt's.
pub(crate) fn timeouts(fd: impl AsFd) -> io::Result<[Option<Duration>; 2]> {
    Ok([
        sockopt::socket_timeout(&fd, Timeout::Recv)?,
        sockopt::socket_timeout(&fd, Timeout::Send)?,
    ])
}

/// Sets them.
///
/// # Errors
/// setsockopt's.
pub(crate) fn set_timeouts(fd: impl AsFd, timeouts: [Option<Duration>; 2]) -> io::Result<()> {
    let [receive, send] = timeouts;
    sockopt::set_socket_timeout(&fd, Timeout::Recv, receive)?;
    Ok(sockopt::set_socket_timeout(&fd, Timeout::Send, send)?)
}

/// What the kernel says when a time-out is over.
#[cold]
pub(crate) fn would_block() -> io::Error {
    Errno::AGAIN.into()
}

/// What accept says of a socket that was shut down, if it may block.
#[cold]
pub(crate) fn not_listening() -> io::Error {
    Errno::INVAL.into()
}

fn inet(address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    let known = address.and_then(|address| SocketAddr::try_from(address).ok());
    known.ok_or_else(|| Errno::INVAL.into())
}

/// Not by rustix, for which who has no name has an empty one, and a path without a zero byte at its end is a reason
/// to panic.
fn unix(address: Option<SocketAddrAny>) -> io::Result<UnixAddr> {
    const PATH_AT: usize = size_of::<libc::sa_family_t>();
    let known = address.as_ref().map_or(&[][..], |address| {
        let len = address.addr_len() as usize;
        // SAFETY: so many bytes of it are filled in, and it is borrowed for as long.
        unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), len) }
    });
    let unnamed = || UnixAddr::from_pathname("");
    match known.get(PATH_AT..) {
        None | Some([]) => unnamed(),
        Some([0, name @ ..]) => UnixAddr::from_abstract_name(name),
        Some(path) => {
            let len = path.iter().position(|byte| *byte == 0);
            let path = &path[..len.unwrap_or(path.len())];
            // std cannot be told of a path that fills the kernel's structure to the last byte.
            UnixAddr::from_pathname(OsStr::from_bytes(path)).or_else(|_| unnamed())
        }
    }
}

fn unix_arg(address: &UnixAddr) -> io::Result<SocketAddrUnix> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => Ok(SocketAddrUnix::new(path)?),
        (None, Some(name)) => Ok(SocketAddrUnix::new_abstract_name(name)?),
        (None, None) => Ok(SocketAddrUnix::new_unnamed()),
    }
}
