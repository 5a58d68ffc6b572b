//! RwLock: as std's, with a line of waiters in which neither readers nor writers starve.
//!
//! The protocol is `raw_rwlock.rs`; the guards are in `rwlock_guards.rs`.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

use crate::fiber::header::Header;
use crate::fiber::owed::Owed;
use crate::fiber::waiters::Waiter;
use crate::sync::contend::{self, Claim, Contended};
use crate::sync::pay::pay_out;
use crate::sync::raw_rwlock::{Entry, RawRwLock, Record, Want, Wish};
use crate::sync::rwlock_guards::{RwLockReadGuard, RwLockWriteGuard};
use crate::wait::cancel::Me;
use crate::wait::deadline::after;

/// A reader-writer lock for fibers and threads. As [`std::sync::RwLock`].
///
/// Readers get in while no writer holds it, also past a writer that waits; but who has waited for about a
/// millisecond, reader or writer, gets in before all who come later. So neither a stream of readers nor one of
/// writers keeps anybody out. A fiber that reads what it reads already may therefore wait for ever: for a writer that
/// waits for it (as with std's).
///
/// The scheme is the one of Go's `sync.Mutex`, extended to readers.
///
/// ```
/// use fibers::sync::{Arc, RwLock};
///
/// let prices = Arc::new(RwLock::new(vec![3, 4]));
/// let writer = fibers::spawn({
///     let prices = Arc::clone(&prices);
///     move || prices.write().unwrap().push(5)
/// });
/// writer.join().unwrap();
/// let (first, second) = (prices.read().unwrap(), prices.read().unwrap());
/// assert_eq!(first.len() + second.len(), 6);
/// ```
pub struct RwLock<T: ?Sized> {
    pub(super) raw: RawRwLock,
    pub(super) value: UnsafeCell<T>,
}

// SAFETY: the lock moves with its value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the value is reached by one writer, or by readers, at a time.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}
// Code of a user's never runs in it.
impl RefUnwindSafe for RawRwLock {}

/// The lock, wanted in one way.
#[derive(Clone, Copy)]
struct Wanted<'a>(&'a RawRwLock, Want);

/// Wakes who comes next.
#[cold]
#[inline(never)]
pub(super) fn see_to(raw: &RawRwLock) {
    pay_out(|batch| raw.next(batch));
}

impl Wanted<'_> {
    /// A reader that was woken brings along those behind it.
    fn bring(self, got_in: bool, woken: bool) {
        if got_in && woken && self.1 == Want::Read {
            see_to(self.0);
        }
    }
}

impl Contended for Wanted<'_> {
    type Record = Record;
    fn record(&self, me: *const Header) -> Record {
        Waiter::new(me, Wish::new(self.1))
    }
    fn owed(record: &Record) -> &Owed {
        &record.owed
    }
    fn is_granted(record: &Record) -> bool {
        record.what.is_granted()
    }
    fn try_as(&self, woken: bool) -> bool {
        let got_in = self.0.try_as(self.1, woken);
        self.bring(got_in, woken);
        got_in
    }
    unsafe fn enter(&self, record: &Record, woken: bool) -> Claim {
        // SAFETY: passed on.
        let claim = unsafe { self.0.enter(record, woken) };
        self.bring(claim == Claim::Locked, woken);
        claim
    }
    fn starve(&self, record: &Record) -> Claim {
        self.0.starve(record)
    }
    fn in_line(&self, record: &Record, leave: bool) -> bool {
        let queued = self.0.in_line(record, leave);
        if queued && leave {
            see_to(self.0);
        }
        queued
    }
    fn give_up(&self) -> bool {
        let got_in = self.0.give_up(self.1);
        see_to(self.0);
        got_in
    }
}

impl<T> RwLock<T> {
    /// A lock that is free.
    #[inline]
    pub const fn new(t: T) -> Self {
        Self {
            raw: RawRwLock::new(),
            value: UnsafeCell::new(t),
        }
    }

    /// The value; no lock is needed.
    ///
    /// # Errors
    /// If a writer panicked; the value is in the error.
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

impl<T: ?Sized> RwLock<T> {
    /// Waits until no writer holds it, and gets in as a reader.
    ///
    /// *Blocks* the fiber, or the plain thread. *Not cancelled*, and not ended by a deadline: see
    /// [`read_interruptible`](Self::read_interruptible) and [`read_timeout`](Self::read_timeout). A fiber that reads
    /// what it writes waits for ever.
    ///
    /// # Errors
    /// If a writer panicked; the guard is in the error.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        match self.raw.begin_read() {
            Entry::Inside => Ok(self.read_guard()),
            entry => self.read_slow(entry),
        }
    }

    #[cold]
    fn read_slow(&self, entry: Entry) -> LockResult<RwLockReadGuard<'_, T>> {
        if entry == Entry::Refused {
            if self.raw.unlock_read() {
                see_to(&self.raw);
            }
            contend::lock(&Wanted(&self.raw, Want::Read));
        }
        self.checked_read_guard()
    }

    /// Gets in as a reader if no writer holds it and nobody is starved. Never blocks.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it does not get in, [`TryLockError::Poisoned`] with the guard if a writer
    /// panicked.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if !self.raw.try_as(Want::Read, false) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.checked_read_guard()?)
    }

    /// As [`read`](Self::read), for at most that long.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read): `WouldBlock` means that the time is up.
    pub fn read_timeout(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if !self.get_in_until(Want::Read, timeout) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.checked_read_guard()?)
    }

    /// As [`read`](Self::read); but cancellation, and deadlines that enclose the call, unwind it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_interruptible(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.get_in_interruptibly(Want::Read);
        self.checked_read_guard()
    }

    /// Waits until nobody holds it, and gets in as the writer.
    ///
    /// *Blocks* the fiber, or the plain thread. *Not cancelled*, and not ended by a deadline: see
    /// [`write_interruptible`](Self::write_interruptible) and [`write_timeout`](Self::write_timeout). A fiber that
    /// writes what it reads or writes already waits for ever.
    ///
    /// # Errors
    /// If a writer panicked; the guard is in the error.
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        if self.raw.try_write_fast() {
            return Ok(RwLockWriteGuard::new(self));
        }
        contend::lock(&Wanted(&self.raw, Want::Write));
        self.checked_write_guard()
    }

    /// Gets in as the writer if nobody holds it. Never blocks.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it does not get in, [`TryLockError::Poisoned`] with the guard if a writer
    /// panicked.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if !self.raw.try_as(Want::Write, false) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.checked_write_guard()?)
    }

    /// As [`write`](Self::write), for at most that long.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write): `WouldBlock` means that the time is up.
    pub fn write_timeout(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if !self.get_in_until(Want::Write, timeout) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.checked_write_guard()?)
    }

    /// As [`write`](Self::write); but cancellation, and deadlines that enclose the call, unwind it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_interruptible(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.get_in_interruptibly(Want::Write);
        self.checked_write_guard()
    }

    /// True if a writer panicked. Without the lock, the answer may be old.
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
    /// If a writer panicked; the borrow is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.is_poisoned();
        let value = self.value.get_mut();
        if poisoned {
            Err(PoisonError::new(value))
        } else {
            Ok(value)
        }
    }

    fn get_in_until(&self, want: Want, timeout: Duration) -> bool {
        self.raw.try_as(want, false)
            || contend::lock_until(
                &Wanted(&self.raw, want),
                after(Me::get().soon_ns(), timeout),
            )
    }

    fn get_in_interruptibly(&self, want: Want) {
        if !self.raw.try_as(want, false)
            && let Err(unwind) = contend::lock_cancellable(&Wanted(&self.raw, want))
        {
            unwind.unwind();
        }
    }

    #[inline(always)]
    fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard::new(self)
    }

    fn checked_read_guard(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let guard = self.read_guard();
        if self.is_poisoned() {
            Err(PoisonError::new(guard))
        } else {
            Ok(guard)
        }
    }

    fn checked_write_guard(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let guard = RwLockWriteGuard::new(self);
        if self.is_poisoned() {
            Err(PoisonError::new(guard))
        } else {
            Ok(guard)
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(t: T) -> Self {
        Self::new(t)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => text.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => text.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => text.field("data", &format_args!("<locked>")),
        };
        text.field("poisoned", &self.is_poisoned());
        text.finish_non_exhaustive()
    }
}
