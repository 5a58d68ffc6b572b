//! Models of the mutex, with the slow path that waits for them. Included into each variant.
//!
//! Its line lies under a simple latch here; the library's own is a model apart (`world_latch.rs`).

use super::contend::{self, Claim, Contended};
use super::raw_mutex::{RawMutex, Record};
use super::wake::{pay, settle};
use crate::fiber::header::{self, Header, Patience};
use crate::machine::park;
use crate::wait::deadline::SOON;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;

/// A mutex, and how often it was held.
struct Guarded {
    raw: RawMutex,
    held: UnsafeCell<u32>,
}

// SAFETY: the cell is loom's, which checks every access.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

/// How one gets the mutex.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Lock,
    /// Until `SOON`.
    Timed,
    /// Cancellable.
    Interruptible,
}

impl Guarded {
    fn new() -> Arc<Self> {
        header::begin();
        Arc::new(Self {
            raw: RawMutex::new(),
            held: UnsafeCell::new(0),
        })
    }

    /// True if it got the lock.
    fn lock(&self, ask: Ask) -> bool {
        if self.raw.try_fast() {
            return true;
        }
        match ask {
            Ask::Lock => {
                contend::lock(&self.raw);
                true
            }
            Ask::Timed => contend::lock_until(&self.raw, SOON),
            Ask::Interruptible => contend::lock_cancellable(&self.raw).is_ok(),
        }
    }

    fn unlock(&self) {
        // SAFETY: checked by loom.
        self.held.with_mut(|held| unsafe { *held += 1 });
        if let Some(next) = self.raw.unlock() {
            // SAFETY: taken out of the line by us.
            unsafe { pay(&(*next).owed) };
        }
    }

    /// In a thread of its own; how often it held the lock.
    fn contender(this: &Arc<Self>, patience: Patience, ask: Ask) -> thread::JoinHandle<u32> {
        let this = this.clone();
        thread::spawn(move || {
            header::i_am(patience);
            if !this.lock(ask) {
                return 0;
            }
            this.unlock();
            1
        })
    }

    /// All are through, and nobody has left a trace: it can be taken, and the next that waits is woken.
    fn end(&self, expected: u32) {
        self.is_as_new();
        // SAFETY: checked by loom.
        assert_eq!(self.held.with(|held| unsafe { *held }), expected);
    }
}

/// The mutex is held while some come for it, each in its way; whoever let it go perhaps wants it once more.
fn contended<const N: usize>(others: [(Patience, Ask); N], again: bool) {
    let guarded = Guarded::new();
    assert!(guarded.lock(Ask::Lock));
    let others = others.map(|(patience, ask)| Guarded::contender(&guarded, patience, ask));
    guarded.unlock();
    let mut times = 1;
    if again {
        assert!(guarded.lock(Ask::Lock));
        guarded.unlock();
        times = 2;
    }
    for other in others {
        times += other.join().unwrap();
    }
    guarded.end(times);
}

const PATIENT: (Patience, Ask) = (Patience::Endless, Ask::Lock);
const STARVES: (Patience, Ask) = (Patience::Starves, Ask::Lock);
const TIMED: (Patience, Ask) = (Patience::Endless, Ask::Timed);

/// Three contenders: one at a time, and nobody is left in the line (MUTEX-1).
pub(crate) fn the_mutex_excludes_and_wakes() {
    contended([PATIENT, PATIENT], false);
}

/// The one that was woken finds it taken, and goes back (MUTEX-3).
pub(crate) fn who_was_woken_waits_again() {
    contended([PATIENT], true);
}

/// One of them has waited long enough: it is handed the lock (MUTEX-2).
pub(crate) fn a_starved_waiter_is_handed_the_mutex() {
    contended([STARVES, PATIENT], false);
}

/// The one that let it go comes back.
pub(crate) fn a_starved_waiter_comes_before_the_last_holder() {
    contended([STARVES], true);
}

/// Both are starved.
pub(crate) fn two_starved_waiters_are_handed_the_mutex() {
    contended([STARVES, STARVES], false);
}

/// One is out of time while it waits, or just as it was woken: the other is not stranded (MUTEX-3).
pub(crate) fn who_gives_up_strands_nobody() {
    contended([TIMED, PATIENT], false);
}

/// One is out of time when it is starved.
pub(crate) fn a_starved_waiter_gives_up() {
    contended([(Patience::Starves, Ask::Timed), PATIENT], false);
}

/// One is cancelled while it waits, or just as it was woken.
pub(crate) fn a_cancelled_waiter_strands_nobody() {
    contended([(Patience::Cancelled, Ask::Interruptible), PATIENT], false);
}

/// One is cancelled just as the lock is handed over.
pub(crate) fn a_cancelled_waiter_beside_a_starved_one() {
    contended([(Patience::Cancelled, Ask::Interruptible), STARVES], false);
}

/// One is cancelled, and has starved before: it may be handed the lock at that moment.
pub(crate) fn a_cancelled_waiter_is_handed_the_mutex() {
    contended([(Patience::StarvesThenCancelled, Ask::Interruptible), PATIENT], false);
}

/// A waiter that went into the line while somebody held the lock, for a thread to come.
struct Staged {
    record: Record,
    fiber: &'static Header,
}

// SAFETY: the record's cells are loom's, which checks every access.
unsafe impl Sync for Staged {}
// SAFETY: as above.
unsafe impl Send for Staged {}

impl Guarded {
    fn is_as_new(&self) {
        assert!(self.raw.try_fast(), "something is left in the word");
        let next = self.stage();
        let woken = self.raw.unlock().is_some_and(|woken| std::ptr::eq(woken, &raw const next.record));
        assert!(woken, "something is left in the word");
    }

    fn stage(&self) -> Arc<Staged> {
        let fiber = header::fiber(Patience::Endless);
        let record = self.raw.record(fiber);
        let staged = Arc::new(Staged { record, fiber });
        // SAFETY: it stays until the run ends.
        assert_eq!(unsafe { self.raw.enter(&staged.record, false) }, Claim::Waits);
        staged
    }

    /// By its thread: until it has the lock, and lets go of it.
    fn play(&self, staged: &Staged, starves: bool) {
        header::become_fiber(staged.fiber);
        let record = &staged.record;
        if !starves || self.raw.starve(record) != Claim::Locked {
            while !record.owed.has_let_go() {
                park::sleep(1);
                settle(&record.owed);
            }
            if !record.what.is_granted() && !self.raw.give_up() {
                contend::lock(&self.raw);
            }
        }
        self.unlock();
    }
}

/// A waiter starves while the holder unlocks, and another comes.
pub(crate) fn a_waiter_starves_while_another_comes() {
    let guarded = Guarded::new();
    assert!(guarded.lock(Ask::Lock));
    let waiter = guarded.stage();
    let waiter = {
        let guarded = guarded.clone();
        thread::spawn(move || guarded.play(&waiter, true))
    };
    let other = Guarded::contender(&guarded, Patience::Endless, Ask::Lock);
    guarded.unlock();
    waiter.join().unwrap();
    other.join().unwrap();
    guarded.end(3);
}

/// A waiter starves while one who was woken is on its way, and the holder has come back.
pub(crate) fn a_waiter_starves_behind_one_that_is_woken() {
    let guarded = Guarded::new();
    assert!(guarded.lock(Ask::Lock));
    let waiters = [guarded.stage(), guarded.stage()];
    let mut starves = true;
    let waiters = waiters.map(|waiter| {
        starves = !starves;
        let guarded = guarded.clone();
        thread::spawn(move || guarded.play(&waiter, starves))
    });
    guarded.unlock();
    assert!(guarded.lock(Ask::Lock));
    guarded.unlock();
    for waiter in waiters {
        waiter.join().unwrap();
    }
    guarded.end(4);
}

/// Two waiters are starved, and somebody tries to get the lock all the time: it is theirs first, one after the other.
pub(crate) fn nobody_overtakes_the_starved() {
    let guarded = Guarded::new();
    assert!(guarded.lock(Ask::Lock));
    let waiters = [guarded.stage(), guarded.stage()];
    for waiter in &waiters {
        assert_eq!(guarded.raw.starve(&waiter.record), Claim::Waits);
    }
    let served = Arc::new(AtomicBool::new(false));
    let other = {
        let (guarded, served) = (guarded.clone(), served.clone());
        thread::spawn(move || {
            header::i_am(Patience::Endless);
            if guarded.raw.try_lock() {
                assert!(served.load(Ordering::Relaxed), "it was overtaken");
                guarded.unlock();
            }
        })
    };
    for waiter in &waiters {
        guarded.unlock();
        assert!(waiter.record.owed.has_let_go() && waiter.record.what.is_granted());
    }
    served.store(true, Ordering::Relaxed);
    guarded.unlock();
    other.join().unwrap();
    guarded.is_as_new();
}
