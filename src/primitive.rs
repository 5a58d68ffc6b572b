//! The seam to the atomics: the real ones here, loom's in the `models` crate.
//!
//! Pure files (those that hold a protocol and know no fiber switch) import their atomics from here and
//! nowhere else. The `models` crate compiles the very same files against a `primitive` of its own.

pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
