//! The shared queue: per-priority FIFO lists and the list of idle workers, under one lock.
//!
//! The lock is held for the items moved and nothing else: no system call, no user code.
//!
//! SHARED-1: an idle worker is registered only while the lists are empty, and a push with an idle worker at
//! hand goes to that worker's slot; so idle workers and queued fibers never meet.
//! SHARED-2: a worker's slot is touched under the lock only, filled only by whoever takes that worker off
//! the idle list, emptied by the worker when it rises.
//! SHARED-3: the sentinel. An awake worker keeps a lone fresh fiber to itself, as it is about to look at it;
//! if it computes for long instead, somebody must notice. While some worker is awake and some other idle,
//! either one idle worker (the sentinel) sleeps with a timeout, or every worker that left the idle list
//! since has its `lone_notify` flag up and wakes one at its next lone push. While all are idle there is no
//! sentinel and nobody wakes up at all. A sentinel that leaves wakes a successor; a woken worker that finds
//! work instead of becoming the sentinel wakes the next, until one lies down or none is idle.

use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::fiber::header::Header;
use crate::machine::idle::{IdleWord, Notify};
use crate::machine::worker::Worker;
use crate::queue::lists::Lists;

/// Bit in the mask: the machine stops.
pub(crate) const STOP: u32 = 1 << 8;
/// Bit in the mask: somebody asks the workers for a report on their fibers.
pub(crate) const ASK: u32 = 1 << 9;
/// Bit in the mask: all fibers are to be cancelled.
pub(crate) const SWEEP: u32 = 1 << 10;
/// Bits that a worker must heed before it goes on as usual.
pub(crate) const CONTROL: u32 = STOP | ASK | SWEEP;
/// The lists' bits.
pub(crate) const LISTS: u32 = 0xff;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct SharedQueue {
    inner: Mutex<Shared>,
    mask: AtomicU32,
    pub idle: IdleWord,
    /// Mirror of "there is a sentinel", for a look without the lock.
    watched: AtomicBool,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Shared {
    pub lists: Lists<Header>,
    /// Idle workers, the most recent last: that one's caches are warmest, so it is woken first.
    pub idle: Vec<&'static Worker>,
    sentinel: Option<usize>,
    /// Fibers that found no stack, and wait until one is free.
    pub starved: Vec<*const Header>,
    pub starved_why: String,
    /// How often in a row a retry for them failed while every other worker was idle.
    pub starved_rounds: u32,
    pub control: u32,
    /// How often all fibers were to be cancelled, and how many workers have still to do so for the last time.
    pub sweep: u64,
    pub sweeps_left: usize,
    pub acquisitions: u64,
    /// Spawned from outside the workers.
    pub spawned: u64,
    /// Floating fibers made ready from outside the workers.
    pub unparks: u64,
    pub handoffs: u64,
    pub futex_wakes: u64,
}

// SAFETY: queued fibers belong to the queue, whichever thread holds its lock.
unsafe impl Send for Shared {}

/// The lock, held. Publishes the mask when it is given up.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    queue: &'a SharedQueue,
    inner: MutexGuard<'a, Shared>,
}

impl SharedQueue {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            inner: Mutex::new(Shared {
                lists: Lists::new(),
                idle: Vec::with_capacity(workers),
                sentinel: None,
                starved: Vec::new(),
                starved_why: String::new(),
                starved_rounds: 0,
                control: 0,
                sweep: 0,
                sweeps_left: 0,
                acquisitions: 0,
                spawned: 0,
                unparks: 0,
                handoffs: 0,
                futex_wakes: 0,
            }),
            mask: AtomicU32::new(0),
            idle: IdleWord::new(),
            watched: AtomicBool::new(false),
        }
    }

    /// True if a sentinel naps (SHARED-3). After a light fence, by a searcher that found work.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        let mut inner = self.inner.lock();
        inner.acquisitions += 1;
        Guard { queue: self, inner }
    }

    /// Non-empty lists and control bits, at a glance and without the lock.
    #[inline]
    pub(crate) fn mask(&self) -> u32 {
        // Relaxed: a hint; who acts on it takes the lock. Before a sleep the look is under the lock.
        self.mask.load(Ordering::Relaxed)
    }
}

impl std::ops::Deref for Guard<'_> {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.inner
    }
}

impl std::ops::DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Shared {
        &mut self.inner
    }
}

impl Guard<'_> {
    /// Index of the idle worker that sleeps with a timeout.
    pub(crate) fn sentinel(&self) -> Option<usize> {
        self.inner.sentinel
    }

    pub(crate) fn set_sentinel(&mut self, index: Option<usize>) {
        self.inner.sentinel = index;
        self.queue.watched.store(index.is_some(), Ordering::Relaxed);
    }

    /// Takes the most recently idle worker off the list.
    pub(crate) fn pop_idle(&mut self) -> Option<&'static Worker> {
        let worker = self.inner.idle.pop()?;
        self.queue.idle.unregister();
        Some(worker)
    }

    /// Hands a fiber to a worker that was just taken off the list (SHARED-2). What is left to do for the notify: after the
    /// unlock, so that the woken worker does not run into our lock.
    pub(crate) fn hand_over(&mut self, worker: &Worker, header: *const Header) -> Notify {
        worker.slot.set(header);
        self.inner.handoffs += 1;
        let wake = worker.sleep.notify();
        self.inner.futex_wakes += u64::from(wake != Notify::Nothing);
        wake
    }

    /// Takes this worker off the list, if it is still there.
    pub(crate) fn remove_idle(&mut self, worker: &Worker) {
        if let Some(at) = self
            .inner
            .idle
            .iter()
            .rposition(|other| std::ptr::eq(*other, worker))
        {
            self.inner.idle.remove(at);
            self.queue.idle.unregister();
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mask = self.inner.lists.mask() | self.inner.control;
        // Relaxed: readers act under the lock. Written only if changed, to leave the line shared.
        if self.queue.mask.load(Ordering::Relaxed) != mask {
            self.queue.mask.store(mask, Ordering::Relaxed);
        }
    }
}
