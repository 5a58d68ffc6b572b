//! Stands for `src/machine/wake.rs`: how a waiter is woken and let go of, and waits for that.

use crate::fiber::owed::Owed;

/// # Safety
/// As in the library.
pub(crate) unsafe fn pay(owed: &Owed) {
    // SAFETY: the header stays until the next run.
    unsafe { &*owed.waiter() }.wake();
    owed.let_go();
}

/// # Safety
/// As in the library.
pub(crate) unsafe fn pay_with(owed: &Owed, _: u16) {
    // SAFETY: passed on.
    unsafe { pay(owed) };
}

pub(crate) fn settle(owed: &Owed) {
    while !owed.has_let_go() {
        loom::thread::yield_now();
    }
}

pub(crate) fn call(waker: std::task::Waker) {
    waker.wake();
}
