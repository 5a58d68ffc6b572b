//! The seam to the atomics, and to the plain cells that they guard: the real ones here, loom's in the `models` crate.
//!
//! Pure files (those that hold a protocol and know no fiber switch) import their atomics from here and
//! nowhere else. The `models` crate compiles the very same files against a `primitive` of its own.
//!
//! `light_fence` and `heavy_fence` order like two `SeqCst` fences (in the models they are); the first is for
//! the side of a store-load race that passes often, the second for the side that is about to sleep.

pub(crate) use crate::os::barrier::{heavy as heavy_fence, light as light_fence};
pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// A plain cell, used through a closure: loom's notes who is in it when.
#[derive(Debug, Default)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
