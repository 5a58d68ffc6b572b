//! Table: the records of all descriptors that fibers of this process wait for.
//!
//! TABLE-1: a record is never freed. One whose source is gone is used again, with its generation counted up
//! (READY-3), so a poller that comes late with an old token touches a record, and changes nothing.
//! TABLE-2: `inner.reactor` is the reactor with which the descriptor is registered now; `None`: with none. It
//! changes under the record's lock only; a waiter looks there, under the same lock, before it lies down.
//! TABLE-3: with a worker's own reactor it is registered only while all who wait for it are fibers that are at home on
//! that worker: another's fiber moves it first (`io/source.rs`). So whoever waits can go on only where the one thread
//! that looks there has come back from whatever it did.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};

use crate::fiber::waiters::{Waiter, Waiters};
use crate::os::prefetch;
use crate::primitive::Mutex;
use crate::reactor::Reactor;
use crate::reactor::readiness::{Direction, Readiness};

/// Records per chunk, and the most chunks that there can be: more descriptors than a process can have.
const CHUNK: usize = 256;
const CHUNKS: usize = 1 << 14;

static TABLE: [OnceLock<Box<[Record]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
static UNUSED: Mutex<Unused> = Mutex::new(Unused {
    records: Vec::new(),
    made: 0,
});

/// Records without a source.
struct Unused {
    records: Vec<u32>,
    made: usize,
}

/// One descriptor, as pollers and waiters share it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Record {
    pub readiness: Readiness,
    pub inner: Mutex<Inner>,
    /// What is touched when an event has come: where the record of who waits lies, its fiber, and what its source's
    /// owner looks at. Only ever prefetched, so it may be out of date.
    near: [AtomicPtr<u8>; 3],
    index: u32,
}

/// So many cache lines of a waiting fiber's stack are about to be used: below its waiter's record, and from it on.
const LINES_BELOW: usize = 4;
const LINES_ABOVE: usize = 20;

/// What a record's lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    pub waiters: Waiters<Direction>,
    pub reactor: Option<Arc<Reactor>>,
    /// It has moved from one worker's own reactor to another's.
    pub has_moved: bool,
}

impl Record {
    /// A record for a new source. `None`: there are as many sources as the table can hold.
    pub(crate) fn take() -> Option<&'static Self> {
        let mut unused = UNUSED.lock();
        if let Some(index) = unused.records.pop() {
            return Self::at(index);
        }
        let first = unused.made;
        let chunk = TABLE.get(first / CHUNK)?;
        let records = (first..first + CHUNK).map(|index| Self {
            readiness: Readiness::new(),
            inner: Mutex::new(Inner {
                waiters: Waiters::new(),
                reactor: None,
                has_moved: false,
            }),
            near: [const { AtomicPtr::new(ptr::null_mut()) }; 3],
            index: index as u32,
        });
        let chunk = chunk.get_or_init(|| records.collect());
        unused.made += CHUNK;
        unused
            .records
            .extend((first + 1..first + CHUNK).rev().map(|index| index as u32));
        chunk.first()
    }

    /// Gives it back. Its source is gone, and is registered nowhere.
    pub(crate) fn give(&'static self) {
        self.readiness.retire();
        UNUSED.lock().records.push(self.index);
    }

    /// By its number.
    pub(crate) fn at(index: u32) -> Option<&'static Self> {
        let index = index as usize;
        let chunk = TABLE.get(index / CHUNK)?.get()?;
        chunk.get(index % CHUNK)
    }

    /// By a waiter: where it lies.
    pub(crate) fn set_near(&self, waiter: *const Waiter<Direction>) {
        // SAFETY: the caller's own record.
        let fiber = unsafe { &(*waiter).owed }.waiter();
        // Relaxed: hints.
        self.near[0].store(waiter.cast_mut().cast(), Ordering::Relaxed);
        self.near[1].store(fiber.cast_mut().cast(), Ordering::Relaxed);
    }

    /// By the source's owner: what it looks at in each call.
    pub(crate) fn set_owner_near(&self, near: *const u8) {
        self.near[2].store(near.cast_mut(), Ordering::Relaxed);
    }

    /// Has the processor fetch the record, for those that follow.
    pub(crate) fn prefetch(index: u32) {
        if let Some(record) = Self::at(index) {
            prefetch(ptr::from_ref(record).cast());
        }
    }

    /// Has it fetch what the waiter will use first. The record itself is near by now.
    pub(crate) fn prefetch_near(index: u32) {
        let Some(record) = Self::at(index) else {
            return;
        };
        let [waiter, fiber, owner] = &record.near;
        prefetch(owner.load(Ordering::Relaxed));
        let fiber = fiber.load(Ordering::Relaxed);
        prefetch(fiber);
        prefetch(fiber.wrapping_add(64));
        let low = waiter
            .load(Ordering::Relaxed)
            .wrapping_sub(64 * LINES_BELOW);
        for line in 0..LINES_BELOW + LINES_ABOVE {
            prefetch(low.wrapping_add(64 * line));
        }
    }

    /// What names it, and its owner of now, in a registration.
    pub(crate) fn token(&self) -> u64 {
        u64::from(self.readiness.generation()) << 32 | u64::from(self.index)
    }

    /// Takes out the next waiter that is to be told; the caller owes it a wake. And whether it was the last of all.
    pub(crate) fn next_waiter(
        &self,
        read: bool,
        write: bool,
    ) -> Option<(*const Waiter<Direction>, bool)> {
        let waiters = &mut self.inner.lock().waiters;
        let waiter = waiters.take(|direction| match direction {
            Direction::Read => read,
            Direction::Write => write,
        })?;
        Some((waiter, waiters.len() == 0))
    }

    /// Every record that there is.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        let made = UNUSED.lock().made;
        (0..made).filter_map(|index| Self::at(index as u32))
    }
}
