//! All that the servers take from the system, in one place: with `std` for `fibers` in the first lines, the
//! same code runs on threads. std needs no `blocking`; but it has no signals either, and no way to end a wait
//! in `accept`.

pub use fibers::blocking;
pub use fibers::fs;
pub use fibers::net::{TcpListener, TcpStream};
pub use fibers::thread;

pub use fibers::signal::{Signal, Signals};

/// Ends an accept loop: its wait is cancelled. A thread would need a connection from itself for that.
pub fn stop_accepting(acceptor: &thread::JoinHandle<()>) {
    // It fails only in a program that cannot unwind, and ours can.
    let _ = acceptor.cancel();
}
