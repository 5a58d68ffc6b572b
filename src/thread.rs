//! `std::thread`'s names: write `use fibers::thread;` where a program says `use std::thread;`.
//!
//! ```
//! use fibers::thread;
//!
//! let handle = thread::Builder::new().name("worker".to_owned()).spawn(|| 6 * 7).unwrap();
//! assert_eq!(handle.join().unwrap(), 42);
//! ```

pub use std::thread::Result;

pub use crate::{
    AccessError, Builder, JoinHandle, LocalKey, Scope, ScopedJoinHandle, available_parallelism,
    current, panicking, park, park_timeout, scope, sleep, sleep_until, spawn, yield_now,
};
/// A fiber, by std's name for it.
pub type Thread = crate::Fiber;
/// A fiber's number, by std's name for it.
pub type ThreadId = crate::FiberId;
