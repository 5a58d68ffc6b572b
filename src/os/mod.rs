//! Floor 0: the only place with system calls.
//!
//! Contract of the room: a call that the kernel may interrupt is repeated here (EINTR never
//! leaves), an errno becomes an `io::Error` or an outcome enum here, and nobody above names
//! `rustix`, `libc` or a system call number. The files know nothing of fibers, stacks or machines,
//! and import no other room.
//!
//! | file      | what it provides                                                     |
//! |-----------|----------------------------------------------------------------------|
//! | `barrier` | an asymmetric memory barrier                                         |
//! | `futex`   | block a thread on a word, wake threads blocked on one                |
//! | `memory`  | reserve, release, guard and discard memory; fault injection (`fail`) |
//! | `array`   | an array in pages of its own, grown by the kernel                   |
//! | `poll`    | epoll, and the timer and the bell to put into it                     |
//! | `thread`  | how many threads to run, where, and how to start one                 |
//! | `cgroup`  | the CPU quota, read from files (pure but for reading them)           |
//! | `clock`   | the monotonic clock                                                  |
//! | `fork`    | whether this process is the one that made something                  |
//! | `cycles`  | the same from the processor's counter, cheaper and a little ahead    |
//! | `signal`  | alternate signal stacks and the fault handler                        |
//! | `listen`  | the other signals: handler, signalfd, and who is told                 |
//! | `process` | children by their pidfds                                             |
//! | `stdio`   | reading and writing descriptors 0 to 2                               |
//! | `raw_err` | writing to standard error from a signal handler                      |
#![allow(unsafe_code)]

pub(crate) mod array;
pub(crate) mod barrier;
mod cgroup;
pub(crate) mod clock;
pub(crate) mod cycles;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod listen;
pub(crate) mod memory;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod raw_err;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stdio;
pub(crate) mod thread;

/// Asks the processor to have that cache line at hand soon. Any address: a hint, and no access.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Lets a unit test run its body in a child process.
#[cfg(test)]
pub(crate) mod child;
#[cfg(test)]
mod tests;
