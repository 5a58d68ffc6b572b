//! The README is the guide; what it names is linked below.
//!
#![doc = include_str!("../README.md")]
#![allow(
    clippy::needless_doctest_main,
    reason = "README's example is a whole program"
)]

mod blocking;
pub mod channel;
mod fiber;
pub mod fs;
mod future;
mod handle;
mod instant;
pub mod io;
mod latch;
mod machine;
pub mod net;
mod os;
mod primitive;
pub mod process;
mod queue;
mod reactor;
mod runtime;
pub mod signal;
mod spawn;
mod stack;
pub mod sync;
pub mod testing;
pub mod time;
pub mod wait;

pub use crate::blocking::blocking;
pub use crate::cancel::{CancelError, is_cancelled, shield};
pub use crate::current::*;
pub use crate::fiber::cell::Cancelled;
pub use crate::fiber::priority::Priority;
#[cfg(feature = "stream")]
pub use crate::future::RecvStream;
pub use crate::future::{JoinFuture, block_on};
pub use crate::handle::{Fiber, FiberId, JoinHandle, LocalJoinHandle};
pub use crate::machine::config::{GuardMethod, Poller};
pub use crate::machine::metrics::Metrics;
pub use crate::machine::stop::FiberReport;
pub use crate::runtime::{
    Handle, LocalRuntime, Runtime, RuntimeBuilder, ShutdownReport, SpawnError,
};
pub use crate::spawn::builder::{Builder, spawn, spawn_local};
pub use crate::spawn::call::{CallError, CallHandle, CallSlot, Sent, process_calls};
pub use crate::spawn::join::join;
pub use crate::spawn::local::{AccessError, LocalKey};
pub use crate::spawn::scope::{Scope, ScopedJoinHandle, scope};
pub use crate::time::{Elapsed, deadline, interval, park_timeout, sleep, sleep_until, timeout};
mod cancel;
mod current;
pub mod thread;
