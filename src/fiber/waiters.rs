//! Waiters: who waits for one thing, in order: an intrusive list of records that lie in the waiters' frames.
//!
//! The list is used under its owner's lock; `what` says what that waiter waits for.
//!
//! WAITERS-1: whoever takes a record out of the list owes its fiber a wake, and lets go of the record after it
//! (`owed.rs`). The waiter leaves its frame only after it has taken its record out itself, or has been let go.

use std::cell::Cell;
use std::ptr;

use crate::fiber::header::Header;
use crate::fiber::owed::Owed;

/// One waiter's record.
#[derive(Debug)]
pub(crate) struct Waiter<W> {
    pub owed: Owed,
    pub what: W,
    next: Cell<*const Self>,
    prev: Cell<*const Self>,
    queued: Cell<bool>,
}

impl<W> Waiter<W> {
    /// For that fiber, or plain thread.
    pub(crate) fn new(waiter: *const Header, what: W) -> Self {
        let owed = Owed::new();
        owed.set(waiter);
        Self {
            owed,
            what,
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            queued: Cell::new(false),
        }
    }

    /// For nobody: `what` says who waits.
    #[inline(always)]
    pub(crate) fn of_nobody(what: W) -> Self {
        Self {
            owed: Owed::new(),
            what,
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            queued: Cell::new(false),
        }
    }

    /// True if it is in the list. Under the list's lock.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.get()
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Waiters<W> {
    head: *const Waiter<W>,
    tail: *const Waiter<W>,
    len: usize,
}

// SAFETY: the records are used under the list's lock only (WAITERS-1), and what they say by any thread.
unsafe impl<W: Sync> Send for Waiters<W> {}

impl<W> Waiters<W> {
    pub(crate) const fn new() -> Self {
        Self {
            head: ptr::null(),
            tail: ptr::null(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// The record is in no list, and stays where it is until it has left this one (WAITERS-1).
    #[inline(always)]
    pub(crate) unsafe fn push_back(&mut self, record: *const Waiter<W>) {
        // SAFETY: by contract.
        let waiter = unsafe { &*record };
        waiter.prev.set(self.tail);
        waiter.next.set(ptr::null());
        waiter.queued.set(true);
        if self.tail.is_null() {
            self.head = record;
        } else {
            // SAFETY: in the list.
            unsafe { &*self.tail }.next.set(record);
        }
        self.tail = record;
        self.len += 1;
    }

    /// As [`push_back`](Self::push_back), to the other end.
    ///
    /// # Safety
    /// The same.
    pub(crate) unsafe fn push_front(&mut self, record: *const Waiter<W>) {
        // SAFETY: by contract.
        let waiter = unsafe { &*record };
        waiter.prev.set(ptr::null());
        waiter.next.set(self.head);
        waiter.queued.set(true);
        if self.head.is_null() {
            self.tail = record;
        } else {
            // SAFETY: in the list.
            unsafe { &*self.head }.prev.set(record);
        }
        self.head = record;
        self.len += 1;
    }

    /// The one that has waited longest.
    pub(crate) fn first(&self) -> Option<*const Waiter<W>> {
        (!self.head.is_null()).then_some(self.head)
    }

    /// Takes out the one that has waited longest; the caller owes it a wake.
    #[inline(always)]
    pub(crate) fn pop_front(&mut self) -> Option<*const Waiter<W>> {
        let record = self.first()?;
        // SAFETY: in the list.
        let waiter = unsafe { &*record };
        let next = waiter.next.get();
        self.head = next;
        if next.is_null() {
            self.tail = ptr::null();
        } else {
            // SAFETY: in the list.
            unsafe { &*next }.prev.set(ptr::null());
        }
        waiter.queued.set(false);
        self.len -= 1;
        Some(record)
    }

    /// # Safety
    /// The record is in this list.
    pub(crate) unsafe fn remove(&mut self, record: *const Waiter<W>) {
        // SAFETY: in the list, by contract.
        let waiter = unsafe { &*record };
        debug_assert!(waiter.queued.get());
        let (prev, next) = (waiter.prev.get(), waiter.next.get());
        if prev.is_null() {
            self.head = next;
        } else {
            // SAFETY: in the list.
            unsafe { &*prev }.next.set(next);
        }
        if next.is_null() {
            self.tail = prev;
        } else {
            // SAFETY: in the list.
            unsafe { &*next }.prev.set(prev);
        }
        waiter.queued.set(false);
        self.len -= 1;
    }

    /// The first that `is` it, which stays in the list.
    pub(crate) fn find(&self, mut is: impl FnMut(&W) -> bool) -> Option<*const Waiter<W>> {
        let mut record = self.head;
        while !record.is_null() {
            // SAFETY: in the list, under the lock.
            let waiter = unsafe { &*record };
            if is(&waiter.what) {
                return Some(record);
            }
            record = waiter.next.get();
        }
        None
    }

    /// Takes out the first that `is` it; the caller owes it a wake.
    pub(crate) fn take(&mut self, is: impl FnMut(&W) -> bool) -> Option<*const Waiter<W>> {
        let record = self.find(is)?;
        // SAFETY: just found there.
        unsafe { self.remove(record) };
        Some(record)
    }
}
