//! Baton: which thread blocks in the reactor.
//!
//! Pure but for the futex, which is the caller's (`poll.rs`, `sleep.rs`). Any thread may look into the reactor
//! without waiting; one thread at a time should block there, or else an event wakes two. Best is a worker that has
//! nothing to do: the event's fiber then needs no second thread. So a worker about to sleep takes the baton, if it is
//! free, and blocks in the reactor in place of its futex; a notifier rings its bell there (`SleepWord::POLLING`).
//! The dedicated thread stands in while all workers are busy and none looks.
//!
//! | the dedicated thread | its futex (`watch`) | it ends when |
//! |---|---|---|
//! | naps | NAPS | its nap is over |
//! | sleeps deeply: a worker blocks in the reactor, and has for a whole nap | DEEP | that worker lets go of the baton |
//! | sleeps deeply: nobody need look, and nobody did for a whole nap | DEEP | the first source is registered |
//! | polls: over a whole nap nobody held the baton and no worker looked | NAPS | a worker looks, or takes the baton |
//!
//! BATON-1: at no time does the dedicated thread sleep deeply while nobody holds the baton, for longer than it takes
//! the last holder to get from `release` to its futex call. Both sides write, fence, read: the holder
//! stores `holder`, fences, reads `watch`; the dedicated thread stores DEEP, fences, reads `holder`. One of them
//! sees the other. That is about sources: without any, nobody need look, and workers sleep elsewhere. Whoever registers
//! the first one rouses the dedicated thread itself: it registers, fences, reads `watch`; the holder stores `holder`,
//! fences, reads the number of sources; the dedicated thread, where nobody holds, stores DEEP, fences, reads that
//! number. The stamp in `holder` tells it whether that is the same holding as before its nap.
//! BATON-2: nothing is lost whoever polls: the readiness words take events from any thread, in any order. The baton
//! decides about cost only; so it may be taken while the dedicated thread still blocks in the reactor (the kernel
//! wakes the latest comer first, and that thread stops polling after its next event, or a while).

use crate::primitive::{AtomicU32, AtomicU64, Ordering, heavy_fence, light_fence};

const NOBODY: u64 = 0;
const HOLDER: u64 = 0xffff_ffff;
const STAMP_ONE: u64 = 1 << 32;

/// The futex value to wait on during a nap.
pub(crate) const NAPS: u32 = 0;
/// The futex value to wait on while somebody holds the baton.
pub(crate) const DEEP: u32 = 1;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Baton {
    /// Worker index + 1 in the lower half; the upper half counts how often it was taken.
    holder: AtomicU64,
    /// How often workers have looked into the reactor.
    looks: AtomicU32,
    watch: AtomicU32,
}

/// What the dedicated thread knew before its nap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    holder: u64,
    looks: u32,
}

/// What it is to do after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Watch {
    /// Workers look into the reactor themselves.
    Nap,
    /// One of them has blocked there for a while; or nobody need look.
    Deep,
    /// None of them does.
    Poll,
}

impl Baton {
    pub(crate) fn new() -> Self {
        Self {
            holder: AtomicU64::new(NOBODY),
            looks: AtomicU32::new(0),
            watch: AtomicU32::new(NAPS),
        }
    }

    /// The dedicated thread's futex.
    pub(crate) fn watch(&self) -> &AtomicU32 {
        &self.watch
    }

    /// By a worker about to sleep: true if it is to block in the reactor.
    pub(crate) fn take(&self, worker: usize) -> bool {
        let old = self.holder.load(Ordering::Relaxed);
        let new = (old & !HOLDER).wrapping_add(STAMP_ONE) | (worker as u64 + 1);
        old & HOLDER == NOBODY
            && self
                .holder
                .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// By the holder: true if it must now wake the dedicated thread, by its futex. `wanted`: somebody must look into the
    /// reactor from now on.
    #[must_use]
    pub(crate) fn release(&self, wanted: impl FnOnce() -> bool) -> bool {
        let old = self.holder.load(Ordering::Relaxed);
        self.holder.store(old & !HOLDER, Ordering::Release);
        // BATON-1.
        light_fence();
        wanted() && self.rouse()
    }

    /// By whoever wants the dedicated thread to look round: true if the caller must now call its futex.
    #[must_use]
    pub(crate) fn rouse(&self) -> bool {
        self.watch.load(Ordering::Relaxed) == DEEP
            && self
                .watch
                .compare_exchange(DEEP, NAPS, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// By a worker that looks into the reactor.
    pub(crate) fn looked(&self) {
        // Relaxed: a hint for the dedicated thread.
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// By the dedicated thread, before its nap.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            holder: self.holder.load(Ordering::Acquire),
            looks: self.looks.load(Ordering::Relaxed),
        }
    }

    /// By the dedicated thread, after it. `needed`: somebody must look into the reactor.
    pub(crate) fn judge(&self, before: Seen, needed: bool) -> Watch {
        let now = self.seen();
        match now.holder & HOLDER {
            NOBODY if now == before && needed => Watch::Poll,
            NOBODY if now == before => Watch::Deep,
            NOBODY => Watch::Nap,
            _ if now.holder == before.holder => Watch::Deep,
            _ => Watch::Nap,
        }
    }

    /// By the dedicated thread: true if it may now block on its futex while that is `DEEP`. `needed` as in `judge`,
    /// asked anew.
    #[must_use]
    pub(crate) fn lie_deep(&self, before: Seen, needed: impl FnOnce() -> bool) -> bool {
        self.watch.store(DEEP, Ordering::Relaxed);
        heavy_fence();
        let holder = self.holder.load(Ordering::Acquire);
        let may = holder == before.holder && (holder & HOLDER != NOBODY || !needed());
        if !may {
            self.rise();
        }
        may
    }

    /// By the dedicated thread, awake again.
    pub(crate) fn rise(&self) {
        self.watch.swap(NAPS, Ordering::AcqRel);
    }
}
