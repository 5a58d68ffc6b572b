//! Futex: block an OS thread on a 32-bit word, and wake the threads blocked on one.
//!
//! Not a lock and not a queue: the words and their states belong to the callers. All futexes are
//! private to the process. Any thread may call; `wait` blocks the thread, the wakes never do.
//!
//! Ordering: a futex call orders nothing that the caller may rely on. Callers publish through the
//! word itself and read it again after `wait`, which may return without a wake.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

use super::clock;

/// How a [`wait`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Waited {
    /// Woken, or the word did not hold `expected`, or for no reason at all: read the word again.
    Woken,
    /// The timeout passed. The word may have changed all the same.
    TimedOut,
}

/// Blocks the calling thread while `*word == expected`, until a wake or until `timeout` has passed.
///
/// The timeout counts from the call on the monotonic clock, is not prolonged by signals, and never
/// ends early. `None`, and a timeout too long to be a point in time, mean: no timeout.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Waited {
    wait_until(word, expected, timeout.and_then(deadline_after))
}

/// As [`wait`], until a moment of the monotonic clock in nanoseconds. `None`: for ever.
pub(crate) fn wait_until(word: &AtomicU32, expected: u32, at_ns: Option<u64>) -> Waited {
    // The bitset form takes a point in time, so that a wait repeated after a signal keeps its end.
    let deadline = at_ns.map(|at_ns| Timespec {
        tv_sec: (at_ns / 1_000_000_000) as i64,
        tv_nsec: (at_ns % 1_000_000_000) as i64,
    });
    loop {
        let every_bit = NonZeroU32::MAX;
        match futex::wait_bitset(word, Flags::PRIVATE, expected, deadline.as_ref(), every_bit) {
            Ok(()) | Err(Errno::AGAIN) => return Waited::Woken,
            Err(Errno::TIMEDOUT) => return Waited::TimedOut,
            Err(Errno::INTR) => continue,
            Err(errno) => {
                // The word is a live reference and the time is well formed: the kernel has no
                // other error to give. Spurious is the answer every caller must take anyway.
                debug_assert!(false, "futex wait: {errno}");
                return Waited::Woken;
            }
        }
    }
}

/// Wakes one thread blocked on `word`; true when there was one.
///
/// Takes a pointer because the word may be gone: after a waker has published its change, the owner
/// may see it, return, and free the word before this call. The kernel takes a private futex's
/// address as a key and never reads or writes it for a wake, so a stale address finds no waiter, or
/// wakes a thread that waits on something new at that address; for that thread it is a spurious
/// wake, which every user of [`wait`] tolerates.
pub(crate) fn wake_one(word: *const AtomicU32) -> bool {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // Not by rustix, which asks for a reference to a word that must still be alive.
    // SAFETY: FUTEX_WAKE takes four arguments, given here with the kernel's types; it uses the address as a
    // key only and accesses no memory of this process.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word, op, 1) };
    // An error (EFAULT) means an address that is no longer mapped: nobody can be waiting there.
    woken > 0
}

/// The point in monotonic time `timeout` from now, or none when it lies beyond the clock's range.
fn deadline_after(timeout: Duration) -> Option<u64> {
    clock::now_ns().checked_add(u64::try_from(timeout.as_nanos()).ok()?)
}
