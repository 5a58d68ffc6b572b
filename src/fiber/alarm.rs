//! When a fiber is to be woken: its one entry in a heap of deadlines, and the deadlines in force.
//!
//! A fiber has at most one entry, whatever it waits for and however many deadlines enclose it: the entry is
//! for the earliest. `at_ns` says when the fiber is to be woken; the entry in the heap may say earlier. So
//! arming for later, and disarming, change `at_ns` alone; the entry is put right when it comes up.
//!
//! ALARM-1: if `at_ns` is not `NEVER`, either an entry no later than `at_ns` (where machines float, and its slack:
//! `machine/alarm.rs`) is in the heap of the worker `keeper`, or the fiber's `TIMEOUT` reason is pending. (A plain
//! thread has no entry: it blocks until `at_ns` by itself.)
//! ALARM-2: `TIMEOUT` is a hint. Whoever gets it compares its own deadline with the clock; if that is not
//! reached it arms anew, which takes the hint back.
//!
//! | field | who |
//! |---|---|
//! | `at_ns` | written by the fiber; read by the keeper |
//! | `row` | pinned: the home's thread. Floating: under the keeper's lock |
//! | `keeper` | the fiber's own |
//! | `frame` | the fiber's own; the frames lie on its stack |

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;
/// No keeper.
const NOBODY: u16 = u16::MAX;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct AlarmSlot {
    at_ns: AtomicU64,
    pub frame: Cell<*const Frame>,
    row: Cell<u32>,
    keeper: Cell<u16>,
    /// How often all fibers of its machine had been cancelled when it was spawned. Here because there is room.
    pub epoch: u16,
}

/// One deadline in force: it lies in the frame of the call that set it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub at_ns: u64,
    /// The earliest of this one and those outside.
    pub earliest_ns: u64,
    pub outer: *const Frame,
    /// Put on while the thread was panicking, by a destructor: what it calls may be unwound to here, all the same.
    pub in_panic: bool,
    /// The frames outside count as well: not for the first one that is put on in a panic.
    pub outer_counts: bool,
    /// Somebody unwinds to it.
    pub fired: Cell<bool>,
}

impl AlarmSlot {
    #[inline]
    pub(crate) const fn new(epoch: u16) -> Self {
        Self {
            at_ns: AtomicU64::new(NEVER),
            frame: Cell::new(ptr::null()),
            row: Cell::new(0),
            keeper: Cell::new(NOBODY),
            epoch,
        }
    }

    /// When the fiber is to be woken.
    #[inline]
    pub(crate) fn at_ns(&self) -> u64 {
        // Relaxed: a keeper that reads an old value wakes the fiber for nothing (ALARM-2), or moves the entry
        // to an older time, and then the fiber, which looks at the entry after its store, moves it again.
        self.at_ns.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_at_ns(&self, at_ns: u64) {
        self.at_ns.store(at_ns, Ordering::Relaxed);
    }

    /// Its entry's row in the heap, 0: it has none; see the table.
    #[inline]
    pub(crate) fn row(&self) -> &Cell<u32> {
        &self.row
    }

    /// The worker in whose heap its entry may lie.
    pub(crate) fn keeper(&self) -> Option<usize> {
        let keeper = self.keeper.get();
        (keeper != NOBODY).then_some(keeper as usize)
    }

    pub(crate) fn set_keeper(&self, keeper: Option<usize>) {
        self.keeper.set(keeper.map_or(NOBODY, |index| index as u16));
    }

    /// The earliest deadline that encloses what runs now.
    #[inline]
    pub(crate) fn enclosing_ns(&self) -> u64 {
        let frame = self.frame.get();
        if frame.is_null() {
            NEVER
        } else {
            // SAFETY: a frame is taken off before it goes (`wait/deadline.rs`), on this very stack.
            unsafe { &*frame }.earliest_ns
        }
    }
}
