//! Whose turn it is, for the workloads in which two parties park and unpark each other.
//!
//! | value | means |
//! |---|---|
//! | PING | the first party may go on |
//! | PONG | the second party may go on |
//!
//! A park may return early (an old permit), so each party loops until the turn is its own.

use std::sync::atomic::{AtomicU32, Ordering};

pub(super) const PING: u32 = 0;
pub(super) const PONG: u32 = 1;

/// The turn; PING at first.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU32);

impl Turn {
    /// Parks by `park` until the turn is `me`.
    #[inline(always)]
    pub(super) fn wait(&self, me: u32, park: impl Fn()) {
        // Acquire: pairs with Release in `give`.
        while self.0.load(Ordering::Acquire) != me {
            park();
        }
    }

    /// The word itself, for who waits by it.
    pub(super) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Passes the turn; the caller unparks the other party afterwards.
    pub(super) fn give(&self, to: u32) {
        // Release: pairs with Acquire in `wait`.
        self.0.store(to, Ordering::Release);
    }
}
