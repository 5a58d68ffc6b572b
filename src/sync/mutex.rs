//! Mutex: as std's, with a line of waiters and a lock that nobody waits for longer than others do.
//!
//! The protocol is `raw_mutex.rs`.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

use crate::fiber::header::Header;
use crate::fiber::owed::Owed;
use crate::fiber::waiters::Waiter;
use crate::machine::wake::pay;
use crate::sync::contend::{self, Claim, Contended};
use crate::sync::poison::Before;
use crate::sync::raw_mutex::{RawMutex, Record, Wish};
use crate::wait::cancel::Me;
use crate::wait::deadline::after;

/// A mutual exclusion lock for fibers and threads. As [`std::sync::Mutex`].
///
/// Whoever finds it free takes it, so a fiber that locks it again and again runs at full speed; but one that has
/// waited for about a millisecond gets it before anybody else (the scheme of Go's `sync.Mutex`).
///
/// ```
/// use fibers::sync::{Arc, Mutex};
///
/// let count = Arc::new(Mutex::new(0));
/// let fibers: Vec<_> = (0..8)
///     .map(|_| {
///         let count = Arc::clone(&count);
///         fibers::spawn(move || *count.lock().unwrap() += 1)
///     })
///     .collect();
/// for fiber in fibers {
///     fiber.join().unwrap();
/// }
/// assert_eq!(*count.lock().unwrap(), 8);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one holder at a time.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// The right to use what a [`Mutex`] guards; dropped, it unlocks. As [`std::sync::MutexGuard`].
///
/// It stays where it was taken: not `Send`.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized + 'a> {
    lock: &'a Mutex<T>,
    before: Before,
    not_send: PhantomData<*const ()>,
}

// SAFETY: shared, it gives shared access to the value, and no more.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl Contended for RawMutex {
    type Record = Record;
    fn record(&self, me: *const Header) -> Record {
        Waiter::new(me, Wish::default())
    }
    fn owed(record: &Record) -> &Owed {
        &record.owed
    }
    fn is_granted(record: &Record) -> bool {
        record.what.is_granted()
    }
    fn try_as(&self, woken: bool) -> bool {
        Self::try_as(self, woken)
    }
    unsafe fn enter(&self, record: &Record, woken: bool) -> Claim {
        // SAFETY: passed on.
        unsafe { Self::enter(self, record, woken) }
    }
    fn starve(&self, record: &Record) -> Claim {
        Self::starve(self, record)
    }
    fn in_line(&self, record: &Record, leave: bool) -> bool {
        Self::in_line(self, record, leave)
    }
    fn give_up(&self) -> bool {
        Self::give_up(self)
    }
}

impl<T> Mutex<T> {
    /// A mutex that is free.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self {
            raw: RawMutex::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// The value; no lock is needed.
    ///
    /// # Errors
    /// If a holder panicked; the value is in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.is_poisoned();
        let value = self.value.into_inner();
        if poisoned {
            Err(PoisonError::new(value))
        } else {
            Ok(value)
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the lock is free and takes it.
    ///
    /// *Blocks* the fiber, or the plain thread. *Not cancelled*, and not ended by a deadline: see
    /// [`lock_interruptible`](Self::lock_interruptible) and [`lock_timeout`](Self::lock_timeout). A fiber that locks
    /// what it holds already waits for ever.
    ///
    /// # Errors
    /// If a holder panicked; the guard is in the error.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        if self.raw.try_fast() {
            return Ok(self.guard());
        }
        contend::lock(&self.raw);
        self.checked_guard()
    }

    /// Takes the lock if it is free. Never blocks.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is not, [`TryLockError::Poisoned`] with the guard if a holder panicked.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_fast() {
            return Ok(self.guard());
        }
        if !self.raw.try_lock() {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.checked_guard()?)
    }

    /// As [`lock`](Self::lock), for at most that long.
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock): `WouldBlock` means that the time is up.
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        if !self.raw.try_lock()
            && !contend::lock_until(&self.raw, after(Me::get().soon_ns(), timeout))
        {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.checked_guard()?)
    }

    /// As [`lock`](Self::lock); but cancellation, and deadlines that enclose the call, unwind it.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_interruptible(&self) -> LockResult<MutexGuard<'_, T>> {
        if !self.raw.try_lock()
            && let Err(unwind) = contend::lock_cancellable(&self.raw)
        {
            unwind.unwind();
        }
        self.checked_guard()
    }

    /// True if a holder panicked. Without the lock, the answer may be old.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Declares the value sound again.
    #[inline]
    pub fn clear_poison(&self) {
        self.raw.clear_poison();
    }

    /// The value; the borrow is the lock.
    ///
    /// # Errors
    /// If a holder panicked; the borrow is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.is_poisoned();
        let value = self.value.get_mut();
        if poisoned {
            Err(PoisonError::new(value))
        } else {
            Ok(value)
        }
    }

    #[inline(always)]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            lock: self,
            before: Before::now(),
            not_send: PhantomData,
        }
    }

    fn checked_guard(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = self.guard();
        if self.is_poisoned() {
            Err(PoisonError::new(guard))
        } else {
            Ok(guard)
        }
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Whose guard it is.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.lock
    }

    /// Unlocks, to lock again after a wait. Poisons nothing: the guard is to come back.
    pub(super) fn unlock_to_wait(self) -> Unlocked<'a, T> {
        let guard = ManuallyDrop::new(self);
        let unlocked = Unlocked {
            lock: guard.lock,
            before: guard.before,
        };
        guard.unlock();
        unlocked
    }

    #[inline]
    fn unlock(&self) {
        if let Some(next) = self.lock.raw.unlock() {
            // SAFETY: taken out of the line, so owed its wake by us, once.
            unsafe { pay(&(*next).owed) };
        }
    }
}

/// A guard that waits for something, without the lock.
pub(super) struct Unlocked<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    before: Before,
}

impl<'a, T: ?Sized> Unlocked<'a, T> {
    /// The guard again. Not cancelled.
    pub(super) fn lock_again(self) -> MutexGuard<'a, T> {
        if !self.lock.raw.try_fast() {
            contend::lock(&self.lock.raw);
        }
        MutexGuard {
            lock: self.lock,
            before: self.before,
            not_send: PhantomData,
        }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.before.poisons() {
            self.lock.raw.poison();
        }
        self.unlock();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: we hold the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we hold the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => text.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => text.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => text.field("data", &format_args!("<locked>")),
        };
        text.field("poisoned", &self.is_poisoned());
        text.finish_non_exhaustive()
    }
}
