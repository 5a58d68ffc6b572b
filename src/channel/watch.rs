//! Watch: those who want to look again after the next change, whatever it is: selections that only ask what is ready,
//! and futures.
//!
//! Pure, as `core.rs`. WATCH-1: who watches has seen, under the latch, that it could not go on; every change after that
//! finds `WATCHED` set, and tells all of them once.

use std::task::Waker;

use crate::channel::core::{Core, Side, WATCHED};
use crate::channel::party::{How, Payee, Record, claim_first, payee};
#[cfg(feature = "stream")]
use crate::fiber::header::Header;

impl<T> Core<T> {
    /// Puts one who wants to be told of the next change into the line; false if that side could go on at once.
    ///
    /// # Safety
    /// As [`enter`](Self::enter).
    pub(crate) unsafe fn watch(&self, side: Side, record: &Record<()>) -> bool {
        let mut inner = self.inner.lock();
        let me = record.what.selects_for();
        if inner.is_ready(side, self.capacity, std::ptr::null(), me) {
            return false;
        }
        // SAFETY: by contract.
        unsafe { inner.watchers.push_back(record) };
        inner.flags |= WATCHED;
        true
    }

    /// Takes out one who was to be told.
    pub(crate) fn unwatch(&self, record: &Record<()>) {
        let mut inner = self.inner.lock();
        if record.is_queued() {
            // SAFETY: it is queued.
            unsafe { inner.watchers.remove(record) };
        }
    }

    /// Has that waker woken after the next change; false if a receiver could go on at once. `key`: where it is known
    /// from an earlier time. The waker that it replaces is returned, to be dropped outside.
    #[cfg(feature = "stream")]
    pub(crate) fn watch_by(
        &self,
        key: &mut Option<u64>,
        waker: Waker,
        me: *const Header,
    ) -> (bool, Option<Waker>) {
        let mut inner = self.inner.lock();
        if inner.is_ready(Side::Receivers, self.capacity, std::ptr::null(), me) {
            return (false, Some(waker));
        }
        if let Some(known) = inner.wakers.iter_mut().find(|(own, _)| Some(*own) == *key) {
            return (true, Some(std::mem::replace(&mut known.1, waker)));
        }
        inner.next_waker += 1;
        *key = Some(inner.next_waker);
        let entry = (inner.next_waker, waker);
        inner.wakers.push(entry);
        inner.flags |= WATCHED;
        (true, None)
    }

    /// Forgets that waker.
    #[cfg(feature = "stream")]
    pub(crate) fn unwatch_by(&self, key: u64) -> Option<Waker> {
        let mut inner = self.inner.lock();
        let at = inner.wakers.iter().position(|(own, _)| *own == key)?;
        Some(inner.wakers.swap_remove(at).1)
    }

    /// All who watch: each is to be told once.
    pub(crate) fn take_watchers(&self) -> (Vec<Payee>, Vec<(u64, Waker)>) {
        let mut payees = Vec::new();
        let mut inner = self.inner.lock();
        while let Some(record) = claim_first(&mut inner.watchers) {
            // SAFETY: claimed by us, not paid yet.
            payees.push(unsafe {
                (*record).what.set_how(How::Again);
                payee(record)
            });
        }
        // Who went away before is not missed.
        inner.flags &= !WATCHED;
        (payees, std::mem::take(&mut inner.wakers))
    }
}
