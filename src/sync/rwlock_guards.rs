//! The guards of an `RwLock`. Whoever makes one has got in, in that way.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::sync::poison::Before;
use crate::sync::raw_rwlock::RawRwLock;
use crate::sync::rwlock::{RwLock, see_to};

/// The right to read what an [`RwLock`] guards; dropped, it unlocks. As [`std::sync::RwLockReadGuard`].
///
/// It stays where it was taken: not `Send`.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'rwlock, T: ?Sized + 'rwlock> {
    /// No reference: it is shared until the guard is dropped, not for as long as the guard is somebody's argument.
    value: NonNull<T>,
    raw: &'rwlock RawRwLock,
}

// SAFETY: shared, it gives shared access to the value, and no more.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

/// The right to write what an [`RwLock`] guards; dropped, it unlocks. As [`std::sync::RwLockWriteGuard`].
///
/// It stays where it was taken: not `Send`.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'rwlock, T: ?Sized + 'rwlock> {
    lock: &'rwlock RwLock<T>,
    before: Before,
    not_send: PhantomData<*const ()>,
}

// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'rwlock, T: ?Sized> RwLockReadGuard<'rwlock, T> {
    /// By one who got in as a reader.
    #[inline(always)]
    pub(super) fn new(lock: &'rwlock RwLock<T>) -> Self {
        Self {
            // SAFETY: from a cell, so not null.
            value: unsafe { NonNull::new_unchecked(lock.value.get()) },
            raw: &lock.raw,
        }
    }
}

impl<'rwlock, T: ?Sized> RwLockWriteGuard<'rwlock, T> {
    /// By one who got in as the writer.
    #[inline(always)]
    pub(super) fn new(lock: &'rwlock RwLock<T>) -> Self {
        Self {
            lock,
            before: Before::now(),
            not_send: PhantomData,
        }
    }

    /// The writer becomes a reader, and other readers get in; no writer does in between. Never blocks.
    ///
    /// ```
    /// use fibers::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.write().unwrap();
    /// *writer = 2;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!(*reader + *lock.read().unwrap(), 4);
    /// ```
    pub fn downgrade(s: Self) -> RwLockReadGuard<'rwlock, T> {
        let lock = s.lock;
        mem::forget(s);
        if lock.raw.downgrade() {
            see_to(&lock.raw);
        }
        RwLockReadGuard::new(lock)
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.raw.unlock_read() {
            see_to(self.raw);
        }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.before.poisons() {
            self.lock.raw.poison();
        }
        if self.lock.raw.unlock_write() {
            see_to(&self.lock.raw);
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: of the lock that we borrow, which we hold as a reader.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: we hold the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we hold the lock as the writer.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
