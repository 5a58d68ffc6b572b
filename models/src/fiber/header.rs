//! Stands for `src/fiber/header.rs` where workers are modelled: the one fiber of a worker.

use crate::machine::worker::{Own, Worker};
use loom::cell::UnsafeCell;

#[derive(Debug)]
pub(crate) struct Header {
    home: &'static Worker,
    /// Used by whoever wakes it, and written when a wait is over and its frame is gone.
    frame: UnsafeCell<()>,
}

impl Header {
    pub(crate) fn new(home: &'static Worker) -> Self {
        Self {
            home,
            frame: UnsafeCell::new(()),
        }
    }

    /// Stands for `machine::wake::wake`.
    pub(crate) fn wake(&self) {
        // Loom sees who comes too late (WAITERS-1).
        self.frame.with(|_| ());
        match Own::current() {
            Some(me) if me.floats() => me.make_ready(),
            _ => self.home.send(),
        }
    }

    /// By the fiber: a wait is over.
    pub(crate) fn leave_frame(&self) {
        self.frame.with_mut(|_| ());
    }
}
