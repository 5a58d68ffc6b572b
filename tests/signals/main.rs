//! What `fibers::signal` promises: whoever listens for a signal gets it, whichever threads block it; none is seen too
//! little; and nothing of it stays behind.
//!
//! Signals belong to a process, so most of these tests run in a child of their own.

#[path = "../common/mod.rs"]
mod common;

mod cut_short;
mod handlers;
mod listeners;
mod names;
mod storms;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fibers::signal::Signal;

const LONG: Duration = Duration::from_secs(3600);
/// The kinds that are sent.
const KINDS: [Signal; 4] = [Signal::USR1, Signal::USR2, Signal::HUP, Signal::WINCH];

fn kinds() -> [Signal; 5] {
    let [a, b, c, d] = KINDS;
    [a, b, c, d, Signal::from(libc::SIGRTMIN() + 1)]
}

/// To the process.
fn send(signal: Signal) {
    // SAFETY: our own process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal.as_raw()) }, 0);
}

/// To the calling thread.
fn raise(signal: Signal) {
    // SAFETY: no preconditions.
    assert_eq!(unsafe { libc::raise(signal.as_raw()) }, 0);
}

/// Runs a test's body in a process of its own.
fn alone(test: &str, body: impl FnOnce()) {
    common::alone(test, 120, body);
}

/// A bit of a line such as `SigCgt` of /proc/self/status.
fn status_bit(line: &str, signal: Signal) -> bool {
    let text = std::fs::read_to_string("/proc/self/status").expect("a status");
    let mask = text
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(":\t"))
        .and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .expect("a mask");
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// Installs a handler of the test's own.
fn install(signal: Signal, handler: extern "C" fn(i32), flags: i32) -> libc::sigaction {
    // SAFETY: a plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: as above.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both live; the handler does nothing but what a handler may.
    let done = unsafe { libc::sigaction(signal.as_raw(), &raw const action, &raw mut old) };
    assert_eq!(done, 0);
    old
}

/// How often `count` ran.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_signal: i32) {
    COUNTED.fetch_add(1, Ordering::SeqCst);
}
