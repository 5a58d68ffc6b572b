//! The rarely used part of a fiber: its number, its name, its locals, its queue of calls, who awaits it.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Waker;

use crate::fiber::awaiter::Awaiter;
use crate::fiber::calls::CallQueue;
use crate::fiber::locals::Locals;

/// See the head of the file. Made when first needed, freed with the fiber's cell.
#[derive(Debug, Default)]
pub(crate) struct Cold {
    /// Zero until it is asked for.
    pub id: AtomicU64,
    /// It unwinds because it was cancelled, or a deadline has passed: that is no panic, and poisons no lock. The fiber's
    /// own.
    pub unwinds: AtomicBool,
    pub name: Option<String>,
    /// The fiber's own thread of execution only.
    pub locals: UnsafeCell<Locals>,
    pub calls: CallQueue,
    /// AWAIT-1 says who may use it.
    pub awaiter: Awaiter<Waker>,
}

impl Cold {
    pub(crate) fn named(name: String) -> Self {
        Self {
            name: Some(name),
            ..Self::default()
        }
    }
}
