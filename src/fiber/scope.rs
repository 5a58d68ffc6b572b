//! The counter of a scope: how many of its fibers still run, and whether its owner waits for them.
//!
//! Pure. It lies in the frame of `scope(...)`, which does not return before the count is zero.
//!
//! SCOPE-1: `done` is a fiber's last touch of the scope. If it takes the count to zero while the owner
//! waits, the owner is handed out and is owed exactly one `QUEUE` wake; the owner leaves only after that
//! wake (it found a count above zero, so it knows that one will come).
//! SCOPE-2: `owner` is written before `wait` and read only by the `done` that saw `WAITING`.

use crate::fiber::header::Header;
use crate::primitive::{AtomicU64, Cell, Ordering};

const WAITING: u64 = 1;
const PANICKED: u64 = 2;
const ONE: u64 = 4;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct ScopeWord {
    word: AtomicU64,
    owner: Cell<*const Header>,
}

// SAFETY: `owner` by SCOPE-2.
unsafe impl Sync for ScopeWord {}
// SAFETY: as above.
unsafe impl Send for ScopeWord {}

impl ScopeWord {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            owner: Cell::new(std::ptr::null()),
        }
    }

    /// One more fiber.
    pub(crate) fn add(&self) {
        // Relaxed: the spawn publishes it to the fiber.
        self.word.fetch_add(ONE, Ordering::Relaxed);
    }

    /// A fiber was not spawned after all. By the scope's own fibers or owner, which the count does not lose.
    pub(crate) fn undo(&self) -> Option<*const Header> {
        self.done(false)
    }

    /// A fiber is over. Returns the owner if it must be woken (SCOPE-1).
    #[must_use]
    pub(crate) fn done(&self, unseen_panic: bool) -> Option<*const Header> {
        if unseen_panic {
            self.note_panic();
        }
        // Read first: after the subtraction the frame may be gone, unless the owner waits for us.
        // Release: the fiber's writes. Acquire: pairs with wait (the owner's address).
        let old = self.word.fetch_sub(ONE, Ordering::AcqRel);
        if old & !PANICKED == ONE | WAITING {
            Some(self.owner.get())
        } else {
            None
        }
    }

    /// A fiber's panic was seen by nobody: the scope will raise one of its own.
    pub(crate) fn note_panic(&self) {
        // Relaxed: the count's Release publishes it.
        self.word.fetch_or(PANICKED, Ordering::Relaxed);
    }

    /// By the owner: true if fibers still run; then exactly one `QUEUE` wake will come.
    #[must_use]
    pub(crate) fn wait(&self, owner: *const Header) -> bool {
        // Acquire: pairs with done. Relaxed is not enough: the fibers' writes are the caller's to read.
        if self.word.load(Ordering::Acquire) < ONE {
            return false;
        }
        self.owner.set(owner);
        self.word.fetch_or(WAITING, Ordering::AcqRel) >= ONE
    }

    /// True if a fiber of the scope panicked and nobody has seen it. After all have ended.
    pub(crate) fn panicked(&self) -> bool {
        self.word.load(Ordering::Acquire) & PANICKED != 0
    }
}
