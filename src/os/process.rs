//! Children, by their pidfds: descriptors that are readable when the child has ended.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A pidfd of a child that nobody has waited for: its number is still its own.
///
/// # Errors
/// No more descriptors. `Unsupported`: the kernel knows no pidfds (Linux 5.3).
pub(crate) fn pidfd(id: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}

/// Sends a signal to a child that nobody has waited for.
///
/// # Errors
/// `InvalidInput`: there is no such signal. The child belongs to another user by now.
pub(crate) fn send_signal(id: u32, signal: i32) -> io::Result<()> {
    let Ok(pid @ 1..) = i32::try_from(id) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: no preconditions.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
