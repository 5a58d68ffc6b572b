// What each program says: one line for each result. Included in several modules.
use std::fmt::Debug;
use std::io;
use std::time::Duration;

#[allow(dead_code)]
fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits until the network has brought this socket something: an error, too. It need not be there as soon as the other
/// side's call has returned.
#[allow(dead_code)]
fn until_there(socket: &impl std::os::fd::AsRawFd) {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live struct.
    assert_eq!(unsafe { libc::poll(&raw mut poll, 1, -1) }, 1);
}

/// A result as text: an error by its kind and code.
#[allow(dead_code)]
fn said<T: Debug>(what: &str, result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{what}: {value:?}"),
        Err(error) => match error.raw_os_error() {
            Some(code) => format!("{what}: {:?}, {code}", error.kind()),
            None => format!("{what}: {:?}, {error}", error.kind()),
        },
    }
}

/// A result that matters only if it is an error.
#[allow(dead_code)]
fn told<T>(what: &str, result: io::Result<T>) -> String {
    said(what, result.map(drop))
}
