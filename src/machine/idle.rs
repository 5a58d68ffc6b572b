//! Idle: how a worker falls asleep without missing work, and how many are woken for it.
//!
//! Pure: no system call, no lock. The futex and the machine's lock are the caller's (`sleep.rs`); the
//! models drive these words with loom threads.
//!
//! A worker is *awake*, or *idle* (registered in the machine's idle list) and then *asleep* on its futex.
//! An awake worker that looks for other workers' work is a *searcher*.
//!
//! | `SleepWord` | entered by | means |
//! |---|---|---|
//! | AWAKE | the worker, in `rise` | it will look at its inbox and at every queue before it sleeps |
//! | ASLEEP | the worker, in `lie_down` or `end_polling` | it may be in the futex |
//! | POLLING | the worker, in `begin_polling` | as ASLEEP, but it may be in the reactor instead |
//! | NOTIFIED | anyone, in `notify` | it will rise; exactly the notifier that took it out of ASLEEP calls the futex, out of POLLING rings its bell |
//!
//! To fall asleep: (1) `lie_down`; (2) under the lock: look at the lists, register, `IdleWord::retire`;
//! (3) heavy fence; (4) look again at the inbox and at every cache; (5) futex. Whoever brings work:
//! (a) make it visible (push); (b) light fence; (c) look at the word (`SleepWord` for a wake that must
//! go to this worker, `IdleWord` for work that any worker may take), notify if need be. In (5) ASLEEP may become
//! POLLING and ASLEEP again, by exchanges that fail if a notifier was first.
//!
//! IDLE-1, no lost wake-up: both sides write, fence, read (the store-buffer pattern). The two fences are
//! totally ordered, as two `SeqCst` fences are (see `os/barrier.rs` for why one is cheap). If (b) comes first, (4) sees the push. If (3) comes first, (c) sees ASLEEP, or the
//! idle count that (2) raised. There is no third case.
//!
//! IDLE-2, throttle: `claim_search` lets a push wake a worker only while nobody searches. The
//! searcher that was the reason to stay silent either finds the work, or retires; it retires *before* its
//! fence (3), so by IDLE-1 with `searching` in place of the idle count it sees the push in (4).
//! A searcher that finds work and was the last one notifies the next (Go's rule), so a burst wakes
//! workers one after another, each by the one before.

use crate::primitive::{AtomicU32, AtomicU64, Ordering, light_fence};

const AWAKE: u32 = 0;
/// The futex value to wait on.
pub(crate) const ASLEEP: u32 = 1;
const NOTIFIED: u32 = 2;
const POLLING: u32 = 3;

/// What a notifier has to do now.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notify {
    /// Nothing: the worker is awake, or another notifier was first.
    Nothing,
    /// `futex_wake` on its word.
    Futex,
    /// Ring its bell.
    Bell,
}

/// One worker's sleep state; also its futex. See the head of the file.
#[derive(Debug)]
pub(crate) struct SleepWord(AtomicU32);

impl SleepWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// The futex word itself, for the system call.
    pub(crate) fn futex(&self) -> &AtomicU32 {
        &self.0
    }

    /// By the worker: it may be asleep from now on.
    pub(crate) fn lie_down(&self) {
        // Relaxed: the caller's heavy fence orders it before the last look (IDLE-1).
        self.0.store(ASLEEP, Ordering::Relaxed);
    }

    /// By the worker: up again, notified or not.
    pub(crate) fn rise(&self) {
        // Acquire: pairs with Release in notify. A swap, so that a notify that comes at the same moment
        // is either absorbed here or finds AWAKE and does nothing.
        self.0.swap(AWAKE, Ordering::Acquire);
    }

    /// True if a notifier has been here since `lie_down`.
    pub(crate) fn is_notified(&self) -> bool {
        !matches!(self.0.load(Ordering::Acquire), ASLEEP | POLLING)
    }

    /// By the worker, down: it will wait in the reactor. False: a notifier was first.
    #[must_use]
    pub(crate) fn begin_polling(&self) -> bool {
        self.change(ASLEEP, POLLING)
    }

    /// By the worker, back from the reactor. False: a notifier was first, and has rung its bell or is about to.
    #[must_use]
    pub(crate) fn end_polling(&self) -> bool {
        self.change(POLLING, ASLEEP)
    }

    fn change(&self, from: u32, to: u32) -> bool {
        // Acquire: pairs with Release in notify, where this fails. Nothing is published: the fence of IDLE-1
        // was passed when it lay down.
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// By anyone, after the work was made visible and a light fence.
    pub(crate) fn notify(&self) -> Notify {
        // Relaxed: ordered by the caller's fence. An awake worker costs its waker this one load.
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let how = match old {
                ASLEEP => Notify::Futex,
                POLLING => Notify::Bell,
                _ => return Notify::Nothing,
            };
            // Release: pairs with Acquire in rise.
            match self
                .0
                .compare_exchange_weak(old, NOTIFIED, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return how,
                Err(now) => old = now,
            }
        }
    }
}

const SEARCH_ONE: u64 = 1;
const SEARCH: u64 = 0xffff_ffff;
const IDLE_ONE: u64 = 1 << 32;

/// How many workers are idle (upper half) and how many search (lower half).
///
/// The upper half equals the length of the machine's idle list whenever the machine's lock is free.
#[derive(Debug)]
pub(crate) struct IdleWord(AtomicU64);

impl IdleWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// By a worker that ran dry: true if it may search. At most `max` do so at a time.
    #[must_use]
    pub(crate) fn try_search(&self, max: u64) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        while old & SEARCH < max {
            // Relaxed would do for a counter; the orders that matter are fenced (IDLE-2).
            match self.0.compare_exchange_weak(
                old,
                old + SEARCH_ONE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// By a searcher that found work: true if it was the last searcher, so the next one is its to notify.
    #[must_use]
    pub(crate) fn found(&self) -> bool {
        self.0.fetch_sub(SEARCH_ONE, Ordering::AcqRel) & SEARCH == 1
    }

    /// Under the lock, by a worker that registers as idle; `searching` if it was a searcher. Step (2).
    pub(crate) fn retire(&self, searching: bool) {
        let delta = if searching {
            IDLE_ONE - SEARCH_ONE
        } else {
            IDLE_ONE
        };
        self.0.fetch_add(delta, Ordering::AcqRel);
    }

    /// Under the lock, by whoever takes a worker off the idle list.
    pub(crate) fn unregister(&self) {
        self.0.fetch_sub(IDLE_ONE, Ordering::AcqRel);
    }

    /// By whoever made work visible for any worker: true if one idle worker should be notified. The claim
    /// counts as a searcher from now on and passes to that worker (or is given back by `found`).
    #[must_use]
    #[inline]
    pub(crate) fn claim_search(&self) -> bool {
        // Step (b); pairs with the sleeper's fence, step (3).
        light_fence();
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            // Mostly that is all, hence inlined.
            if old & SEARCH != 0 || old < IDLE_ONE {
                return false;
            }
            match self.0.compare_exchange_weak(
                old,
                old + SEARCH_ONE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }

    /// How many workers count as searchers, at a glance.
    pub(crate) fn searchers(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & SEARCH
    }

    /// How many workers are idle, at a glance.
    pub(crate) fn idle(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> 32
    }
}
