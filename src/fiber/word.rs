//! The fiber's one atomic word: references, life cycle, and the wakes that come from other threads.
//!
//! Pure: no switch, no clock, no system call. What it is *not*: the state of a pinned fiber that waits.
//! That is plain data owned by the fiber's home worker (see `header.rs`); this word only carries what
//! other threads have to say.
//!
//! ```text
//!  63      40 39          32 31      16 15       0
//! +----------+--------------+----------+----------+
//! |   refs   |    flags     |   mask   | reasons  |
//! +----------+--------------+----------+----------+
//! ```
//!
//! Two ways to wait share the layout:
//!
//! | kind | who may resume it | `reasons` means | `mask`, `PARKED` |
//! |---|---|---|---|
//! | pinned | its home worker | wakes on their way to the home's inbox | unused |
//! | shared: floating fiber | any worker of its machine | wakes not yet consumed | the sleep it is in |
//! | shared + `THREAD`: a plain OS thread | itself | wakes not yet consumed | the sleep it is in |
//!
//! Pinned protocol. WORD-1: while `reasons` is not zero and `HOMELESS` is clear, exactly one message is
//! linked (or about to be linked) in the home's inbox, and it holds one reference. The waker that takes
//! `reasons` from zero pushes it; later wakers only add bits. The home unlinks the message first and calls
//! `take_remote` second, so the link is never in two lists.
//! WORD-2: while `HOMELESS` is set, wakes only accumulate: the fiber runs or is about to run, and looks
//! at them by `absorb` before it first waits. `absorb` is a read-modify-write after the store of the home
//! pointer, so a waker that finds `HOMELESS` clear also sees the home.
//!
//! Shared protocol. WORD-3: `PARKED` is set by `commit_park` only, after the fiber's registers were saved,
//! and taken out by exactly one waker, which must then make it runnable (or unblock its thread).
//!
//! Life. WORD-4: `DONE` is set once, by `finish`, together with the release of the scheduler's reference;
//! whoever ran the fiber owns nothing of it afterwards. The one exception: `finish` reports a waiting
//! joiner, and that joiner keeps the fiber alive until it is let go (`owed.rs`); for a waker, its registration's
//! reference does (`awaiter.rs`).
//! WORD-5: the result is dropped by exactly one side. `JOINABLE` is clear when `finish` is called: the
//! fiber's side, before `DONE`. Else: the handle's side.
//!
//! Ordering: every transition that hands something over is AcqRel, so each waker's writes are seen by the
//! sleeper it wakes (all wakers of one message are in one release sequence of read-modify-writes).

use crate::primitive::{AtomicU64, Ordering};

const REASONS: u64 = 0xffff;
const MASK_SHIFT: u32 = 16;
const MASK: u64 = 0xffff << MASK_SHIFT;
/// Set at creation, cleared by `absorb`. The fiber has not waited yet: nobody needs to push a message.
const HOMELESS: u64 = 1 << 32;
/// Set at creation: this word, not a home worker, decides who resumes the fiber. Never with `HOMELESS`.
const SHARED: u64 = 1 << 33;
/// Set by `commit_park`, cleared by the waker that must make it runnable. Only with `SHARED`.
const PARKED: u64 = 1 << 34;
/// Set by `finish`, never cleared.
const DONE: u64 = 1 << 35;
/// Set by `wait_join`, cleared by `unwait_join`: a joiner (or a waker, `awaiter.rs`) waits and is owed a wake.
const JOIN_WAIT: u64 = 1 << 36;
/// Set by `announce_call`, cleared by `finish` callers through `calls_closed`.
const HAS_CALLS: u64 = 1 << 37;
/// The sleeper is an OS thread that blocks on the header's futex. Only with `SHARED`.
const THREAD: u64 = 1 << 38;
/// A join handle exists. Set at creation, cleared by `detach` / `join`.
const JOINABLE: u64 = 1 << 39;
const REF_SHIFT: u32 = 40;
const REF_ONE: u64 = 1 << REF_SHIFT;
/// Half of what 24 bits hold: far from the wrap even if every thread adds one more at the same time.
const REF_MAX: u64 = 1 << 23;

const _: () = {
    let flags = HOMELESS | SHARED | PARKED | DONE | JOIN_WAIT | HAS_CALLS | THREAD | JOINABLE;
    assert!(REASONS & MASK == 0 && (REASONS | MASK) & flags == 0 && flags < REF_ONE);
    assert!(
        REASONS + MASK + flags == REF_ONE - 1,
        "the masks must partition the word"
    );
};

/// What kind of sleeper the word belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Resumed by its home worker only.
    Pinned,
    /// Resumed by any worker of its machine.
    Floating,
    /// An OS thread that blocks.
    Thread,
}

/// What a waker must do next.
#[must_use]
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    /// Nothing: the reason is stored, or the fiber is over.
    Nothing,
    /// Push the fiber into its home's inbox; one reference was added for the message.
    Push,
    /// The fiber was parked and is the caller's to make runnable.
    Enqueue,
    /// The thread was parked and is the caller's to unblock.
    Unblock,
}

/// What `finish` found.
#[must_use]
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Finished {
    /// Calls were announced: close and run them, then call again with `calls_closed`.
    CallsPending,
    /// Nobody holds a handle: drop the result, then call again with `result_dropped`.
    DropResult,
    /// `DONE` is set and the reference is gone.
    Done {
        /// A joiner waits and is owed a wake.
        joiner: bool,
        /// That was the last reference: free the cell.
        last: bool,
        /// A message is still on its way to the home's inbox (WORD-1).
        in_flight: bool,
    },
}

/// What a handle that gives up its fiber found.
#[must_use]
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Detached {
    /// The fiber goes on without a handle; it will drop its result itself.
    Running,
    /// The fiber is over: drop the result, then call `release_handle`. Nothing was changed.
    Done,
}

/// The word. See the head of the file.
#[derive(Debug)]
pub(crate) struct Word(AtomicU64);

impl Word {
    /// A word with `refs` references; `joinable` if one of them is a join handle.
    #[inline]
    pub(crate) fn new(kind: Kind, refs: u64, joinable: bool) -> Self {
        let kind = match kind {
            Kind::Pinned => HOMELESS,
            Kind::Floating => SHARED,
            Kind::Thread => SHARED | THREAD,
        };
        Self(AtomicU64::new(
            kind | (refs * REF_ONE) | if joinable { JOINABLE } else { 0 },
        ))
    }

    /// Stores reasons from any thread, and says what the caller must do.
    pub(crate) fn wake(&self, reasons: u16) -> Woken {
        // Relaxed: only the first guess of the exchange below.
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & DONE != 0 {
                return Woken::Nothing;
            }
            let mut new = old | u64::from(reasons);
            let woken;
            if old & SHARED != 0 {
                let accepted = (old & MASK) >> MASK_SHIFT;
                if old & PARKED != 0 && new & accepted != 0 {
                    new &= !(PARKED | MASK);
                    woken = if old & THREAD != 0 {
                        Woken::Unblock
                    } else {
                        Woken::Enqueue
                    };
                } else {
                    woken = Woken::Nothing;
                }
            } else if old & (HOMELESS | REASONS) != 0 {
                woken = Woken::Nothing;
            } else {
                // Free: PINNED, at home, no message yet (WORD-1).
                new += REF_ONE;
                woken = Woken::Push;
            }
            // Written even if nothing changes, so that every waker's writes reach the sleeper.
            // Release: pairs with Acquire in absorb, take_remote, try_take, finish.
            // Acquire: pairs with Release in commit_park and absorb (saved registers, home pointer).
            match self
                .0
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return woken,
                Err(now) => old = now,
            }
        }
    }

    // ---- pinned ----

    /// Pinned, by the fiber before it first waits: from now on wakes come through the inbox (WORD-2).
    pub(crate) fn absorb(&self) -> u16 {
        // Release: publishes the home pointer stored before. Acquire: pairs with wake.
        let old = self.0.fetch_and(!(HOMELESS | REASONS), Ordering::AcqRel);
        (old & REASONS) as u16
    }

    /// Pinned, by the home worker after it unlinked the message: takes what the wakers stored.
    ///
    /// The caller also takes over the message's reference.
    pub(crate) fn take_remote(&self) -> u16 {
        // Acquire: pairs with wake. Release: the link may be written again by the next waker.
        let old = self.0.fetch_and(!REASONS, Ordering::AcqRel);
        (old & REASONS) as u16
    }

    /// True if wakes wait in a word that was never absorbed.
    #[inline]
    pub(crate) fn has_unabsorbed(&self) -> bool {
        // Relaxed: a hint, `absorb` follows.
        let word = self.0.load(Ordering::Relaxed);
        word & HOMELESS != 0 && word & REASONS != 0
    }

    // ---- shared ----

    /// True if the word itself carries the sleep (floating fibers and threads).
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        // Relaxed: constant since creation.
        self.0.load(Ordering::Relaxed) & SHARED != 0
    }

    /// Shared, by the sleeper: consumes the accepted reasons, if there are any.
    pub(crate) fn try_take(&self, mask: u16) -> u16 {
        // Relaxed: if nothing is there the caller parks, which looks again.
        if self.0.load(Ordering::Relaxed) & u64::from(mask) == 0 {
            return 0;
        }
        // Acquire: pairs with wake.
        let old = self.0.fetch_and(!u64::from(mask), Ordering::AcqRel);
        old as u16 & mask
    }

    /// By the sleeper: which reasons are pending, without consuming them. Pinned: those on their way.
    pub(crate) fn pending(&self) -> u16 {
        // Acquire: pairs with wake.
        (self.0.load(Ordering::Acquire) & REASONS) as u16
    }

    /// Shared: what the sleeper accepts, if it is parked.
    pub(crate) fn parked_for(&self) -> Option<u16> {
        let word = self.0.load(Ordering::Relaxed);
        (word & PARKED != 0).then_some(((word & MASK) >> MASK_SHIFT) as u16)
    }

    /// Shared, after the registers were saved: parks, unless an accepted reason has come meanwhile.
    /// True if parked; false if the fiber goes on at once.
    #[must_use]
    pub(crate) fn commit_park(&self, mask: u16) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & u64::from(mask) != 0 {
                return false;
            }
            let new = (old & !MASK) | PARKED | u64::from(mask) << MASK_SHIFT;
            // Release: pairs with Acquire in wake; publishes the saved registers.
            match self
                .0
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }

    /// Shared, by the sleeper itself: takes the park back (a timed wait that ran out). False if a waker
    /// was first and is about to unblock it.
    #[must_use]
    pub(crate) fn cancel_park(&self) -> bool {
        self.0.fetch_and(!(PARKED | MASK), Ordering::AcqRel) & PARKED != 0
    }

    /// A floating fiber that must not switch blocks its thread like a thread, from here on until
    /// `end_blocking`.
    pub(crate) fn begin_blocking(&self) {
        // Relaxed: own flag; the park that follows publishes it.
        self.0.fetch_or(THREAD, Ordering::Relaxed);
    }

    /// See `begin_blocking`.
    pub(crate) fn end_blocking(&self) {
        self.0.fetch_and(!THREAD, Ordering::Relaxed);
    }

    // ---- life ----

    /// One more reference. Aborts far before the count could wrap.
    pub(crate) fn retain(&self) {
        // Relaxed: the caller has a reference, so the cell is alive.
        let old = self.0.fetch_add(REF_ONE, Ordering::Relaxed);
        if old >> REF_SHIFT >= REF_MAX {
            std::process::abort();
        }
    }

    /// Gives up one reference. True if it was the last one.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // AcqRel: everybody's last use happens before the free.
        self.0.fetch_sub(REF_ONE, Ordering::AcqRel) >> REF_SHIFT == 1
    }

    /// Gives up the join handle and its reference, unless the fiber is over.
    pub(crate) fn detach(&self) -> Detached {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & DONE != 0 {
                // Acquire: pairs with finish; the result is the caller's (WORD-5).
                let _ = self.is_done();
                return Detached::Done;
            }
            let new = old - (REF_ONE | JOINABLE);
            // Not the last reference: the scheduler's is there until DONE.
            match self
                .0
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Detached::Running,
                Err(now) => old = now,
            }
        }
    }

    /// After DONE, when the result is gone: gives up the join handle's reference. True if it was the last.
    #[must_use]
    #[inline]
    pub(crate) fn release_handle(&self) -> bool {
        self.0.fetch_sub(REF_ONE | JOINABLE, Ordering::AcqRel) >> REF_SHIFT == 1
    }

    /// True once the fiber is over and its result may be taken by the handle.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // Acquire: pairs with finish; publishes the result.
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    /// By the joiner, after it stored itself: true if it must wait until it is let go, false if it is done.
    #[must_use]
    #[inline]
    pub(crate) fn wait_join(&self) -> bool {
        // Release: publishes the joiner pointer. Acquire: pairs with finish.
        self.0.fetch_or(JOIN_WAIT, Ordering::AcqRel) & DONE == 0
    }

    /// True if a joiner waited at the time of the look.
    pub(crate) fn has_joiner(&self) -> bool {
        // Relaxed: a hint.
        self.0.load(Ordering::Relaxed) & JOIN_WAIT != 0
    }

    /// By the joiner that gives up: true if nobody will wake it, false if `finish` was first and the
    /// waker lets go soon.
    #[must_use]
    pub(crate) fn unwait_join(&self) -> bool {
        self.0.fetch_and(!JOIN_WAIT, Ordering::AcqRel) & DONE == 0
    }

    /// By a caller, before it pushes a call: false if the fiber is over.
    #[must_use]
    pub(crate) fn announce_call(&self) -> bool {
        // Relaxed: the push that follows publishes the call; `finish` looks at the list itself.
        let old = self.0.load(Ordering::Relaxed);
        if old & HAS_CALLS != 0 {
            return old & DONE == 0;
        }
        self.0.fetch_or(HAS_CALLS, Ordering::AcqRel) & DONE == 0
    }

    /// The end of a fiber (WORD-4, WORD-5).
    pub(crate) fn finish(&self, calls_closed: bool, result_dropped: bool) -> Finished {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & HAS_CALLS != 0 && !calls_closed {
                return Finished::CallsPending;
            }
            if old & JOINABLE == 0 && !result_dropped {
                return Finished::DropResult;
            }
            let new = (old | DONE) - REF_ONE;
            // Release: publishes the result. Acquire: pairs with wait_join (the joiner pointer).
            match self
                .0
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    return Finished::Done {
                        joiner: old & JOIN_WAIT != 0,
                        last: old >> REF_SHIFT == 1,
                        in_flight: old & (HOMELESS | SHARED) == 0 && old & REASONS != 0,
                    };
                }
                Err(now) => old = now,
            }
        }
    }
}
