//! What lies in a worker's cache: an unstarted fiber, or the second half of a `join`.
//!
//! One tagged pointer. A job lives in the frame of the fiber that called `join`, which does not leave that
//! frame before the job was run or taken back.

use crate::fiber::header::Header;

/// The second half of a `join`, as the scheduler sees it. The first field of every concrete job.
#[derive(Debug)]
#[repr(C, align(8))]
pub(crate) struct Job {
    /// Runs the job (or, if refused, only drops it) and tells its owner; never unwinds. Once.
    pub run: unsafe fn(*const Job, refused: bool),
}

/// A job that was taken out of a cache to be run as a fiber. If that fiber is dropped unrun (the machine
/// stops, or has no stack for it), the owner is told so: it waits for the answer.
#[derive(Debug)]
pub(crate) struct Stolen(*const Job);

// SAFETY: the job's closure is Send (the bounds of `join`), and ours alone.
unsafe impl Send for Stolen {}

impl Stolen {
    /// # Safety
    /// Taken out of a cache, by the caller alone; the owner's frame waits.
    pub(crate) unsafe fn new(job: *const Job) -> Self {
        Self(job)
    }

    pub(crate) fn run(self) {
        let job = self.0;
        std::mem::forget(self);
        // SAFETY: by the contract of `new`; once, as `self` is gone.
        unsafe { ((*job).run)(job, false) }
    }
}

impl Drop for Stolen {
    fn drop(&mut self) {
        // SAFETY: by the contract of `new`; once, as `run` forgets.
        unsafe { ((*self.0).run)(self.0, true) }
    }
}

const JOB: usize = 1;

/// See the head of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Item(*const ());

// SAFETY: a queued fiber or job belongs to whoever takes it out of the queue, on whatever thread; the
// spawn calls require the closures to be Send.
unsafe impl Send for Item {}

/// An item, told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Fiber(*const Header),
    Job(*const Job),
}

impl Item {
    pub(crate) fn fiber(header: *const Header) -> Self {
        Self(header.cast())
    }

    pub(crate) fn job(job: *const Job) -> Self {
        Self(job.cast::<()>().map_addr(|address| address | JOB))
    }

    pub(crate) fn work(self) -> Work {
        if self.0.addr() & JOB != 0 {
            Work::Job(self.0.map_addr(|address| address & !JOB).cast())
        } else {
            Work::Fiber(self.0.cast())
        }
    }
}
