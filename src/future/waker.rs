//! The waker of a fiber, or of a plain thread: its data is the header, its wake the reason `WAKER`.
//!
//! A waker owns one counted reference, so it may outlive the future, the fiber and the machine: a wake of a fiber
//! that is over finds `DONE` in its word and does nothing (`Word::wake`). To clone one is to count one up. All wakers
//! of a fiber have the same data and the same table, so `will_wake` is true between them.
//!
//! Never blocks, never runs a user's code, never unwinds; any thread may use it.

use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::fiber::header::{FiberRef, Header, release};
use crate::fiber::reasons::Reasons;
use crate::machine::wake::wake as wake_fiber;

/// A static, not a constant: one address.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, forget);

/// The waker of that fiber, without a reference of its own: what is cloned from it has one.
///
/// # Safety
/// The header is alive as long as what is returned.
pub(super) unsafe fn borrowed(header: *const Header) -> ManuallyDrop<Waker> {
    // SAFETY: the table's functions keep the contract of RawWaker: they are safe to call from any thread, as the word
    // is atomic and a wake may come from anywhere; `clone` counts a reference that `wake` and `forget` give up. This
    // one has none, and is never dropped; that the header is alive is the contract.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(header.cast(), &VTABLE)) })
}

/// # Safety
/// The data of one of our wakers, which is alive.
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: alive by contract.
    let fiber = ManuallyDrop::new(unsafe { FiberRef::retain(data.cast()) });
    RawWaker::new(fiber.as_ptr().cast(), &VTABLE)
}

/// # Safety
/// As `clone`; the waker's reference is given up.
unsafe fn wake(data: *const ()) {
    // SAFETY: by contract.
    unsafe {
        wake_by_ref(data);
        forget(data);
    }
}

/// # Safety
/// As `clone`.
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the caller's waker has a reference (or borrows the running fiber's).
    unsafe { wake_fiber(data.cast(), Reasons::WAKER.0) };
}

/// # Safety
/// As `wake`.
unsafe fn forget(data: *const ()) {
    // SAFETY: by contract.
    unsafe { release(data.cast()) };
}
