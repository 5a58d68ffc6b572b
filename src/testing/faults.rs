//! System calls that fail on demand: how a program behaves when the kernel runs out of something.
//!
//! Process-wide: a test that orders a failure needs a process of its own, or a lock that its neighbours
//! respect.

use crate::os::memory::fail;

/// The calls that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FailCall {
    /// Mapping address space for stacks.
    Mmap,
    /// Making a stack's guard by markers in the page tables.
    GuardMarker,
    /// Making a stack's guard by `mprotect`.
    Protect,
    /// Starting a worker thread.
    ThreadSpawn,
    /// Making the reactor's epoll instance.
    Epoll,
    /// Making the reactor's timer.
    Timerfd,
    /// Making the reactor's bell.
    Eventfd,
}

impl FailCall {
    fn call(self) -> fail::Call {
        match self {
            Self::Mmap => fail::Call::Mmap,
            Self::GuardMarker => fail::Call::GuardMarker,
            Self::Protect => fail::Call::Protect,
            Self::ThreadSpawn => fail::Call::ThreadSpawn,
            Self::Epoll => fail::Call::Epoll,
            Self::Timerfd => fail::Call::Timerfd,
            Self::Eventfd => fail::Call::Eventfd,
        }
    }
}

/// Makes the `k`-th call of this kind from now on fail with ENOMEM, that one only. 1 is the next call; 0
/// takes the order back.
pub fn fail_call(call: FailCall, k: u64) {
    fail::set(call.call(), k);
}

/// How many calls of this kind are left until the one that fails; 0 when it has failed, or none was ordered.
#[must_use]
pub fn calls_left(call: FailCall) -> u64 {
    fail::calls_left(call.call())
}
