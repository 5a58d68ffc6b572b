//! What the tests of this package share beside the library's own `tests/common`.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fibers::JoinHandle;
use fibers::net::{SocketAddr, TcpListener, TcpStream};

/// Descriptors are counted for the whole process: tests that count take turns.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many descriptors are open.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A listener and its address.
pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server in a fiber of its own; cancelled at the end.
#[derive(Debug)]
pub struct Server {
    fiber: Option<JoinHandle<()>>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it.
    pub fn start(serve: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let (listener, address) = listen();
        let fiber = fibers::spawn(move || serve(&listener));
        Self {
            fiber: Some(fiber),
            address,
        }
    }

    /// Cancels it, and waits until it has ended with all its connections.
    pub fn stop(mut self) {
        let fiber = self.fiber.take().unwrap();
        fiber.cancel().unwrap();
        let ended = fiber.join().unwrap_err();
        assert!(ended.is::<fibers::Cancelled>(), "the server panicked");
    }
}

/// Has the close of this socket be a reset.
pub fn reset_at_close(stream: &TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: a live descriptor, and a live struct of the size that is told.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of_val(&linger) as libc::socklen_t,
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// Reads until the other side has closed or reset.
pub fn until_closed(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = io::Read::read_to_end(&mut stream, &mut bytes);
    bytes
}
