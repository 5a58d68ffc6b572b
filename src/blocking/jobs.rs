//! Jobs for the offload threads, and which of those threads are idle.
//!
//! Pure: no fiber, no system call; threads are started, and futexes called, by `pool.rs`. A job is a record in a
//! frame that waits for it, a seat a record in the frame of an offload thread: nothing is allocated.
//!
//! | a job is | entered by | the record belongs to |
//! |---|---|---|
//! | queued | its owner, in `offer` | the queue |
//! | handed | its owner, in `offer` | the thread whose seat it was put into |
//! | taken | a thread, in `next`; a starter that failed, in `take_orphan` | who took it, who runs it and then tells its owner |
//!
//! | a seat's word | entered by | means |
//! |---|---|---|
//! | AWAKE | its thread, in `next` | the thread is idle, and looks at the word itself |
//! | ASLEEP | its thread, in `lie_down` | it may be in the futex; whoever fills the seat must call it |
//! | FILLED | a job's owner, in `offer` | a job is in the seat, which is in no list any more |
//!
//! JOBS-1: a thread becomes idle only under the lock, and only when it found the queue empty there; a job is queued
//! only under the lock, and only when nobody is idle. So a job never lies in the queue beside an idle thread.
//! JOBS-2: a seat is filled under the lock, by whoever took it off the idle list. A thread whose patience is at its
//! end looks under the lock whether that has happened: then it has a job and stays, else it takes its seat off the
//! list and is gone. A job is never handed to a thread that leaves.
//! JOBS-3: while a job is queued `threads` is not zero, or somebody is in a loop of `take_orphan`. A thread is counted
//! before it is started and until it has left, which it does only when the queue was empty (JOBS-1); a starter that
//! fails takes its count back, and where that leaves none, it runs what is queued.
//!
//! Ordering: a record changes hands under the lock, but for one place: the thread that finds its seat FILLED does
//! so without it.

use std::cell::Cell;
use std::ptr;

use crate::primitive::{AtomicU32, Mutex, Ordering};

/// A job, as the queue sees it. The first field of every concrete job.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Job {
    next: Cell<*const Job>,
    /// Runs the closure and stores its result; never unwinds. Once.
    pub run: unsafe fn(*const Job),
    /// Tells the owner: the last touch of the record. Once, after `run`.
    pub tell: unsafe fn(*const Job),
}

impl Job {
    pub(crate) fn new(run: unsafe fn(*const Job), tell: unsafe fn(*const Job)) -> Self {
        Self {
            next: Cell::new(ptr::null()),
            run,
            tell,
        }
    }
}

const AWAKE: u32 = 0;
/// The futex value to wait on.
pub(crate) const ASLEEP: u32 = 1;
const FILLED: u32 = 2;

/// Where an idle thread waits for a job. See the head of the file.
#[derive(Debug)]
pub(crate) struct Seat {
    word: AtomicU32,
    job: Cell<*const Job>,
    /// Neighbours in the idle list: above sits who became idle later.
    above: Cell<*const Seat>,
    below: Cell<*const Seat>,
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(AWAKE),
            job: Cell::new(ptr::null()),
            above: Cell::new(ptr::null()),
            below: Cell::new(ptr::null()),
        }
    }

    /// The futex word itself, for the system call.
    pub(crate) fn futex(&self) -> &AtomicU32 {
        &self.word
    }

    /// By its thread, while idle: the job that was put in, if one was.
    pub(crate) fn look(&self) -> Option<*const Job> {
        // Acquire: pairs with Release in offer; brings the job and its record.
        (self.word.load(Ordering::Acquire) == FILLED).then(|| self.job.get())
    }

    /// By its thread, before it calls the futex.
    pub(crate) fn lie_down(&self) {
        // Relaxed: the word is all that is told. If it fails the seat is filled, and the futex returns at once.
        let _ = self
            .word
            .compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// What became of a job that was offered.
#[derive(Debug)]
#[must_use]
pub(crate) enum Offered {
    /// An idle thread has it.
    Handed {
        /// The futex to call, if that thread may be asleep.
        wake: Option<*const AtomicU32>,
    },
    /// It is queued, and one more thread is counted, which the caller must start (else `not_started`).
    Start,
    /// It is queued: there are as many threads as may be.
    Queued,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Jobs {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    first: *const Job,
    last: *const Job,
    /// The thread that became idle last.
    idle: *const Seat,
    /// Started, or about to be.
    threads: usize,
    threads_max: usize,
}

// SAFETY: the records are used under the lock, or by whom the table says.
unsafe impl Send for Inner {}

impl Jobs {
    /// For at most so many threads; at least one.
    pub(crate) fn new(threads_max: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                first: ptr::null(),
                last: ptr::null(),
                idle: ptr::null(),
                threads: 0,
                threads_max,
            }),
        }
    }

    /// Gives a job to the thread that became idle last, or queues it.
    ///
    /// # Safety
    /// The record is in no queue, and stays where it is until `tell` was called.
    pub(crate) unsafe fn offer(&self, job: *const Job) -> Offered {
        let mut inner = self.inner.lock();
        if let Some(seat) = inner.pop_idle() {
            // SAFETY: it was in the list, so its thread is there, and stays until it has run this job (JOBS-2).
            let seat = unsafe { &*seat };
            seat.job.set(job);
            // Release: pairs with Acquire in look.
            let before = seat.word.swap(FILLED, Ordering::Release);
            return Offered::Handed {
                wake: (before == ASLEEP).then_some(&raw const seat.word),
            };
        }
        inner.push(job);
        if inner.threads < inner.threads_max {
            inner.threads += 1;
            return Offered::Start;
        }
        Offered::Queued
    }

    /// By a thread without a job: the oldest one that is queued. `None`: the thread is idle now, in that seat.
    pub(crate) fn next(&self, seat: &Seat) -> Option<*const Job> {
        let mut inner = self.inner.lock();
        let job = inner.pop();
        if job.is_none() {
            // Relaxed: nobody else knows the seat before the lock is let go.
            seat.word.store(AWAKE, Ordering::Relaxed);
            inner.push_idle(seat);
        }
        job
    }

    /// By an idle thread that has waited long enough: it is not counted any more, and must end.
    ///
    /// # Errors
    /// The job that it was given meanwhile: it must stay.
    pub(crate) fn leave(&self, seat: &Seat) -> Result<(), *const Job> {
        let mut inner = self.inner.lock();
        if let Some(job) = seat.look() {
            return Err(job);
        }
        inner.remove_idle(seat);
        inner.threads -= 1;
        Ok(())
    }

    /// By the caller that was told to start a thread, and could not. It goes on with `take_orphan`.
    pub(crate) fn not_started(&self) {
        self.inner.lock().threads -= 1;
    }

    /// A queued job, if there is no thread that will take it.
    pub(crate) fn take_orphan(&self) -> Option<*const Job> {
        let mut inner = self.inner.lock();
        if inner.threads == 0 {
            inner.pop()
        } else {
            None
        }
    }
}

impl Inner {
    fn push(&mut self, job: *const Job) {
        if self.last.is_null() {
            self.first = job;
        } else {
            // SAFETY: queued, so its frame waits.
            unsafe { &*self.last }.next.set(job);
        }
        self.last = job;
    }

    fn pop(&mut self) -> Option<*const Job> {
        let job = self.first;
        if job.is_null() {
            return None;
        }
        // SAFETY: queued, so its frame waits.
        self.first = unsafe { &*job }.next.get();
        if self.first.is_null() {
            self.last = ptr::null();
        }
        Some(job)
    }

    fn push_idle(&mut self, seat: &Seat) {
        seat.above.set(ptr::null());
        seat.below.set(self.idle);
        if !self.idle.is_null() {
            // SAFETY: in the list, so its thread is there.
            unsafe { &*self.idle }.above.set(seat);
        }
        self.idle = seat;
    }

    fn pop_idle(&mut self) -> Option<*const Seat> {
        let seat = self.idle;
        if seat.is_null() {
            return None;
        }
        // SAFETY: in the list, so its thread is there.
        self.remove_idle(unsafe { &*seat });
        Some(seat)
    }

    fn remove_idle(&mut self, seat: &Seat) {
        let (above, below) = (seat.above.get(), seat.below.get());
        if above.is_null() {
            self.idle = below;
        } else {
            // SAFETY: in the list, so its thread is there.
            unsafe { &*above }.below.set(below);
        }
        if !below.is_null() {
            // SAFETY: in the list, so its thread is there.
            unsafe { &*below }.above.set(above);
        }
    }
}
