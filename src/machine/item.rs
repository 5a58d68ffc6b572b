//! What lies in a worker's cache: an unstarted fiber, or the second half of a `join`.
//!
//! One tagged pointer. A job lives in the frame of the fiber that called `join`, which does not leave that
//! frame before the job was run or taken back.

use crate::fiber::header::Header;

/// The second half of a `join`, as the scheduler sees it. The first field of every concrete job.
#[derive(Debug)]
#[repr(C, align(8))]
pub(crate) struct Job {
    /// Runs the job and tells its owner; never unwinds. Once.
    pub run: unsafe fn(*const Job),
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
