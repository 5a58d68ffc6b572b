//! Semaphore: after tokio's, for fibers and threads.
//!
//! The protocol is `raw_semaphore.rs`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::machine::clock::soon_ns;
use crate::machine::park;
use crate::sync::pay::pay_out;
use crate::sync::raw_semaphore::{PERMITS_MAX, RawSemaphore, Request, Wish};
use crate::wait::cancel::Me;
use crate::wait::deadline::after;
use crate::wait::line::{Early, stay};

/// A number of permits, which fibers and threads take and give back: so many at most do something at a time.
///
/// First come, first served, strictly: a large request that waits is not overtaken by small ones. All waits may be
/// *cancelled*, and ended by a deadline that encloses them; whoever has got its permits at that moment returns with
/// them, so none is lost.
///
/// The face is that of tokio's `Semaphore`, the line that of Go's `x/sync/semaphore`.
///
/// ```
/// use fibers::sync::{Arc, Semaphore};
///
/// let connections = Arc::new(Semaphore::new(2));
/// let fibers: Vec<_> = (0..8)
///     .map(|n| {
///         let connections = Arc::clone(&connections);
///         fibers::spawn(move || {
///             let _permit = connections.acquire().unwrap(); // given back when it is dropped
///             n
///         })
///     })
///     .collect();
/// assert_eq!(fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum::<i32>(), 28);
/// assert_eq!(connections.available_permits(), 2);
/// ```
pub struct Semaphore {
    raw: RawSemaphore,
}

impl UnwindSafe for Semaphore {}
impl RefUnwindSafe for Semaphore {}

/// Permits of a [`Semaphore`]; dropped, they are given back.
#[must_use = "if unused the permit is given back at once"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: u32,
}

/// The [`Semaphore`] is closed: nobody gets permits any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AcquireError(());

/// Why there are no permits now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TryAcquireError {
    /// The [`Semaphore`] is closed.
    Closed,
    /// There are not enough, or others wait for them; or the time is up.
    NoPermits,
}

impl Semaphore {
    /// The most permits that there may be.
    pub const MAX_PERMITS: usize = PERMITS_MAX as usize;

    /// One with so many permits.
    ///
    /// # Panics
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        assert!(
            permits <= Self::MAX_PERMITS,
            "a semaphore can't have more than MAX_PERMITS permits"
        );
        Self {
            raw: RawSemaphore::new(permits as u64),
        }
    }

    /// Waits for a permit and takes it.
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it, it
    /// unwinds without one.
    ///
    /// # Errors
    /// If it is closed, or is closed meanwhile.
    #[inline]
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Waits for so many permits, and takes them all at once.
    ///
    /// *Blocks* and is *cancelled* as [`acquire`](Self::acquire). For more than there will ever be it waits until the
    /// semaphore is closed, and all that come later wait behind it.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        match self.raw.try_take(n) {
            Request::Granted => Ok(self.permit(n)),
            Request::Waits => self.acquire_slow(n, NEVER).map_err(|_| AcquireError(())),
            Request::Closed => Err(AcquireError(())),
        }
    }

    /// Takes a permit if there is one and nobody waits for it. Never blocks.
    ///
    /// # Errors
    /// If there is none, or it is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes so many permits if they are there and nobody waits for them. Never blocks.
    ///
    /// # Errors
    /// If they are not there, or it is closed.
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        match self.raw.try_take(n) {
            Request::Granted => Ok(self.permit(n)),
            Request::Waits => Err(TryAcquireError::NoPermits),
            Request::Closed => Err(TryAcquireError::Closed),
        }
    }

    /// As [`acquire`](Self::acquire), for at most that long.
    ///
    /// # Errors
    /// [`TryAcquireError::NoPermits`] if the time is up, [`TryAcquireError::Closed`] if it is closed.
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// As [`acquire_many`](Self::acquire_many), for at most that long.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_many_timeout(
        &self,
        n: u32,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        match self.raw.try_take(n) {
            Request::Granted => Ok(self.permit(n)),
            Request::Waits => self.acquire_slow(n, after(soon_ns(), timeout)),
            Request::Closed => Err(TryAcquireError::Closed),
        }
    }

    /// Adds so many new permits. Never blocks.
    ///
    /// # Panics
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn add_permits(&self, n: usize) {
        match self.raw.add(n as u64) {
            Some(true) => self.see_to(),
            Some(false) => {}
            None => panic!("permits overflow: a semaphore can't have more than MAX_PERMITS"),
        }
    }

    /// So many permits are there at this moment; some of them may be waited for.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.raw.permits() as usize
    }

    /// From now on nobody gets permits; those that wait return with an error. What was taken can be given back. Never
    /// blocks.
    pub fn close(&self) {
        self.raw.close();
        self.see_to();
    }

    /// True if it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }

    #[inline]
    fn permit(&self, permits: u32) -> SemaphorePermit<'_> {
        SemaphorePermit {
            semaphore: self,
            permits,
        }
    }

    #[cold]
    fn acquire_slow(&self, n: u32, at_ns: u64) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        if at_ns == NEVER {
            // Else it would have to unwind from where the record is in the line.
            park::refuse_if_stuck();
        }
        let me = Me::get();
        let record = Waiter::new(me.header(), Wish::new(n));
        // SAFETY: new, and in this frame until it is out again.
        match unsafe { self.raw.enter(&record) } {
            Request::Granted => return Ok(self.permit(n)),
            Request::Closed => return Err(TryAcquireError::Closed),
            Request::Waits => {}
        }
        let stayed = stay(&record.owed, at_ns, |leave| {
            let queued = self.raw.in_line(&record, leave);
            if queued && leave {
                self.see_to();
            }
            queued
        });
        match stayed {
            Ok(()) if record.what.is_granted() => Ok(self.permit(n)),
            Ok(()) => Err(TryAcquireError::Closed),
            Err(Early::TimedOut) => Err(TryAcquireError::NoPermits),
            Err(Early::Unwind(unwind)) => unwind.unwind(),
        }
    }

    /// Wakes those who have what they want now.
    fn see_to(&self) {
        pay_out(|batch| self.raw.next(batch));
    }
}

impl SemaphorePermit<'_> {
    /// The permits are not given back: there are fewer from now on.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// So many permits it stands for.
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits as usize
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.semaphore.raw.give(self.permits) {
            self.semaphore.see_to();
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.available_permits())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("semaphore closed")
    }
}

impl std::error::Error for AcquireError {}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::NoPermits => "no permits available",
        })
    }
}

impl std::error::Error for TryAcquireError {}
