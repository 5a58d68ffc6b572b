//! Crowd: those who wait for one event, in the order in which they came; one can be let go, or all that are there.
//!
//! Pure. Lies under its owner's latch.
//!
//! CROWD-1: each has a ticket, higher than those of all before it. Who lets all go takes the highest ticket when the
//! event happens, and then takes out, batch by batch, who has that one or a lower one: so those who come meanwhile,
//! perhaps for the next event, stay.

use std::cell::Cell;

use crate::fiber::waiters::{Waiter, Waiters};
use crate::sync::batch::Batch;

/// What a waiter's record says. Used under the latch; by the waiter again once it has been let go.
#[derive(Debug, Default)]
pub(crate) struct Place {
    ticket: Cell<u64>,
}

// SAFETY: see above.
unsafe impl Sync for Place {}

impl Place {
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket.get()
    }
}

pub(crate) type Record = Waiter<Place>;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Crowd {
    waiters: Waiters<Place>,
    last: u64,
}

impl Crowd {
    pub(crate) const fn new() -> Self {
        Self {
            waiters: Waiters::new(),
            last: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// The highest ticket so far.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// # Safety
    /// The record is in no list, and stays where it is until it has left this one (WAITERS-1).
    pub(crate) unsafe fn push(&mut self, record: &Record) {
        self.last += 1;
        record.what.ticket.set(self.last);
        // SAFETY: by contract.
        unsafe { self.waiters.push_back(record) };
    }

    /// True if the record is here. With `leave` it is taken out.
    pub(crate) fn holds(&mut self, record: &Record, leave: bool) -> bool {
        let queued = record.is_queued();
        if queued && leave {
            // SAFETY: it is queued, and in no other list than the one that it was put into.
            unsafe { self.waiters.remove(record) };
        }
        queued
    }

    /// Takes out who has waited longest; the caller owes it a wake.
    pub(crate) fn take_first(&mut self) -> Option<*const Record> {
        self.waiters.take(|_| true)
    }

    /// Takes out those with tickets up to that one, as many as the batch has room for. True if there may be more.
    pub(crate) fn take(&mut self, up_to: u64, batch: &mut Batch<Place>) -> bool {
        while !batch.is_full() {
            let Some(first) = self.waiters.first() else {
                return false;
            };
            // SAFETY: in the list, under the latch.
            if unsafe { &*first }.what.ticket() > up_to {
                return false;
            }
            // SAFETY: in the list; and taken out, so the batch may have it.
            unsafe {
                self.waiters.remove(first);
                batch.push(first);
            }
        }
        true
    }
}
