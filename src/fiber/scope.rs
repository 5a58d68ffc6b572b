//! The counter of a scope: how many of its fibers still run, and whether its owner waits for them.
//!
//! Pure. It lies in the frame of `scope(...)`, which does not return before the count is zero.
//!
//! SCOPE-1: `done` is a fiber's last touch of the scope, unless it takes the count to zero while the owner
//! waits: then it owes the owner a wake, and lets go of the frame with `Owed::let_go` (OWED-1). The owner
//! leaves when the count is zero and, if it waited, its waker has let go.

use crate::fiber::header::Header;
use crate::fiber::owed::Owed;
use crate::primitive::{AtomicU64, Ordering};

const WAITING: u64 = 1;
const PANICKED: u64 = 2;
const ONE: u64 = 4;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct ScopeWord {
    word: AtomicU64,
    pub owner: Owed,
}

impl ScopeWord {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            owner: Owed::new(),
        }
    }

    /// One more fiber.
    pub(crate) fn add(&self) {
        // Relaxed: the spawn publishes it to the fiber.
        self.word.fetch_add(ONE, Ordering::Relaxed);
    }

    /// A fiber is over, or was not spawned after all. True if the caller owes the owner a wake (SCOPE-1).
    #[must_use]
    pub(crate) fn done(&self, unseen_panic: bool) -> bool {
        if unseen_panic {
            self.note_panic();
        }
        // Release: the fiber's writes. Acquire: pairs with wait (the owner's address).
        let old = self.word.fetch_sub(ONE, Ordering::AcqRel);
        old & !PANICKED == ONE | WAITING
    }

    /// A fiber's panic was seen by nobody: the scope will raise one of its own.
    pub(crate) fn note_panic(&self) {
        // Relaxed: the count's Release publishes it.
        self.word.fetch_or(PANICKED, Ordering::Relaxed);
    }

    /// By the owner: true if fibers still run; then exactly one of them will owe it a wake.
    #[must_use]
    pub(crate) fn wait(&self, owner: *const Header) -> bool {
        if self.is_over() {
            return false;
        }
        self.owner.set(owner);
        self.word.fetch_or(WAITING, Ordering::AcqRel) >= ONE
    }

    /// True once no fiber of the scope runs any more.
    pub(crate) fn is_over(&self) -> bool {
        // Acquire: pairs with done; the fibers' writes are the caller's to read.
        self.word.load(Ordering::Acquire) < ONE
    }

    /// True if a fiber of the scope panicked and nobody has seen it. After all have ended.
    pub(crate) fn panicked(&self) -> bool {
        self.word.load(Ordering::Acquire) & PANICKED != 0
    }
}
