//! Who waits for one event, and the handshake by which the waker lets go of the waiter.
//!
//! Pure. A wake reason is one bit: two wakes of one fiber may come as one, and a wait inside a served call may
//! take the bit that an outer wait was to get. So the bit is only a hint. What tells a waiter that its event
//! has come is the event's own word; what tells it that its waker has let go is this record.
//!
//! OWED-1: the waiter stores itself before it announces that it waits (the event's word orders that). Exactly
//! one waker then calls `waiter`, wakes that fiber, and calls `let_go`, its last touch of the waiter and of
//! whatever the waiter keeps alive.
//! OWED-2: a waiter that announced itself does not go on before the event has come and `let_go` was called.
//! Between the two lie a few instructions of the waker, so it spins for that.

use crate::fiber::header::Header;
use crate::primitive::{AtomicPtr, Ordering};

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Owed(AtomicPtr<Header>);

impl Owed {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// By the waiter, before it announces itself. A fiber's joiner sets null if it is a waker (`awaiter.rs`).
    #[inline]
    pub(crate) fn set(&self, waiter: *const Header) {
        // Relaxed: published by the announcement.
        self.0.store(waiter.cast_mut(), Ordering::Relaxed);
    }

    /// By the waker that saw the announcement.
    pub(crate) fn waiter(&self) -> *const Header {
        // Relaxed: acquired with the announcement.
        self.0.load(Ordering::Relaxed)
    }

    /// By the waker, after the wake: last touch.
    pub(crate) fn let_go(&self) {
        // Release: pairs with Acquire in has_let_go; all of the waker's touches come before.
        self.0.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// By the waiter, once the event has come.
    #[inline]
    pub(crate) fn has_let_go(&self) -> bool {
        self.0.load(Ordering::Acquire).is_null()
    }
}
