//! Locks and the like: as [`std::sync`], for fibers and plain threads alike.
//!
//! Change `use std::sync` to `use fibers::sync`, and a program that waits blocks its fiber instead of its thread. All
//! of it works between fibers of any machine, between fibers and threads, and inside destructors.
//!
//! # What std's locks do on a fiber
//! A `std::sync` lock blocks the whole worker, with every fiber on it. If its holder is a fiber of the same worker that
//! waits for something, that is for ever. Nothing can detect a std guard that is held over a wait, so keep them out of
//! code that fibers run; a lint in your `clippy.toml` helps:
//!
//! ```toml
//! disallowed-types = [
//!     { path = "std::sync::Mutex", reason = "blocks the worker: use fibers::sync::Mutex" },
//!     { path = "std::sync::RwLock", reason = "blocks the worker: use fibers::sync::RwLock" },
//!     { path = "std::sync::Condvar", reason = "blocks the worker: use fibers::sync::Condvar" },
//!     { path = "std::sync::Barrier", reason = "blocks the worker: use fibers::sync::Barrier" },
//!     { path = "std::sync::mpsc::Receiver", reason = "blocks the worker: use fibers::sync::mpsc" },
//! ]
//! ```
//! A std lock that guards a few lines without a wait in them is fine, as it is in async code.
//!
//! # Cancellation
//! A fiber that waits for a [`Mutex`] or an [`RwLock`] is not cancelled, as nobody expects a lock to unwind; see their
//! `_interruptible` and `_timeout` methods. All other waits of this module are, and deadlines end them: nothing is lost
//! by that, be it a permit, a notification, or somebody's turn.
//!
//! # Beyond std
//! [`Semaphore`] and [`Notify`] are after tokio's, without `await` and without owned permits; [`WaitGroup`] is
//! crossbeam's (of `crossbeam_utils::sync`), and [`Event`] Python's. None of them can be an arm of
//! [`select!`](crate::channel::select): for a shutdown that a `select!` is to see, drop the last sender of a channel on
//! which nothing is sent.
//!
//! # Poisoning
//! As in std, a lock is poisoned if a *panic* unwinds through its guard. An unwind by cancellation or by a
//! [`timeout`](crate::timeout) is none: it is orderly, comes at waits only, and does not poison.
//! (Code that catches its own cancellation, and panics before it waits again, poisons nothing either.)

mod barrier;
mod batch;
mod condvar;
mod contend;
mod crowd;
mod event;
mod lazy_lock;
pub mod mpsc;
mod mutex;
mod notify;
mod once;
mod once_lock;
mod pay;
mod poison;
mod raw_condvar;
mod raw_event;
mod raw_mutex;
mod raw_once;
mod raw_rwlock;
mod raw_semaphore;
mod rwlock;
mod rwlock_guards;
mod semaphore;
#[cfg(test)]
mod tests;
mod wait_group;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
pub use notify::Notify;
#[expect(deprecated, reason = "std has it")]
pub use once::ONCE_INIT;
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use rwlock::RwLock;
pub use rwlock_guards::{RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};
pub use std::sync::atomic;
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak};
pub use wait_group::WaitGroup;
