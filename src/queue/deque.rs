//! Deque: a store that its owner fills and empties at one end, and thieves empty at the other.
//!
//! Pure. The owner takes the newest item, thieves the oldest. It is Cilk's protocol (M. Frigo, C. Leiserson, K. Randall,
//! 1998) with an asymmetric fence: as long as owner and thieves are after different items, the owner passes neither a
//! lock, nor a fence, nor a read-modify-write, and a thief pays for all of that. As the heavy side of that fence stops the
//! owner's CPU (some microseconds), an owner that has many items leaves the older ones to the lock: a thief has those
//! without a fence.
//!
//! | word | written by | means |
//! |---|---|---|
//! | `back` | owner | one past the newest item |
//! | `claim` | either, under the lock | one past the items that the owner, too, takes under the lock only |
//! | `front` | either, under the lock | the oldest item; not after `claim` |
//!
//! ```text
//! owner:  pop    back -= 1; light fence; claim > back?  no: the item is ours   yes: lock, and look at `front`
//! thief:  steal  lock; front < claim?  take up to there
//!                else: claim += n; heavy fence; look at `back`: what lies before both is ours; front = claim = its end
//! owner:  push   back == limit?  lock, grow if need be, raise `claim`, `limit`    write the item; back += 1
//! ```
//!
//! DEQUE-1: an item is taken once. Both sides write, fence, read (as in IDLE-1), so of an owner that pops item `i` and a
//! thief that claims beyond `i`, at least one sees the other. If the owner does, it waits for the lock, and thereby until
//! the thief has settled. If only the thief does, it leaves `i`, and whatever follows, to the owner. Where
//! the owner itself has raised `claim`, it sees it without a fence, and it alone lowers it.
//! DEQUE-2: a slot is not written while a thief may read it. The owner writes slots before `limit` only, which is at most
//! `front` and the room, as of a moment at which the owner held the lock; and `front` goes on when the items were read.
//! DEQUE-3: nobody takes the deque for empty that is not: `front` never lies beyond an item that is left, and `back`
//! never before one, but for the owner's own doing.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use crate::primitive::{AtomicU64, Mutex, Ordering, UnsafeCell, heavy_fence, light_fence};

/// How many items there is room for at first. A power of two.
const ROOM_MIN: usize = 256;
/// How many items a thief takes at a time, at the most.
const BATCH_MAX: usize = 32;
/// So many of its newest items an owner that has more takes without the lock.
const KEPT: u64 = 128;

type Slot<T> = UnsafeCell<MaybeUninit<T>>;

/// Where item `i` lies: at `i` modulo the number of slots, a power of two.
#[derive(Debug)]
struct Slots<T> {
    first: *const Slot<T>,
    mask: u64,
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slots<T> {}

impl<T: Copy> Slots<T> {
    /// # Safety
    /// The ring is not freed, and that slot is the caller's.
    #[inline]
    unsafe fn write(self, index: u64, item: T) {
        // SAFETY: inside the ring.
        let slot = unsafe { &*self.first.add((index & self.mask) as usize) };
        slot.with_mut(|slot| {
            // SAFETY: the caller's.
            unsafe { slot.write(MaybeUninit::new(item)) };
        });
    }

    /// # Safety
    /// The ring is not freed, and that item was written and is the caller's.
    #[inline]
    unsafe fn read(self, index: u64) -> T {
        // SAFETY: inside the ring.
        let slot = unsafe { &*self.first.add((index & self.mask) as usize) };
        // SAFETY: written, and the caller's.
        slot.with_mut(|slot| unsafe { slot.read().assume_init() })
    }
}

/// The slots' memory.
#[derive(Debug)]
struct Ring<T>(Slots<T>);

impl<T> Ring<T> {
    fn new(room: usize) -> Self {
        let slots: Box<[Slot<T>]> = (0..room)
            .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
            .collect();
        Self(Slots {
            first: Box::into_raw(slots).cast_const().cast(),
            mask: room as u64 - 1,
        })
    }

    fn room(&self) -> u64 {
        self.0.mask + 1
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let first = self.0.first.cast_mut();
        // SAFETY: from Box::into_raw in `new`, of that many.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, self.room() as usize)) });
    }
}

// SAFETY: owns its slots; the items in them are handed over by the protocol above.
unsafe impl<T: Send> Send for Ring<T> {}

/// In cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<W>(W);

#[derive(Debug)]
struct Shared<T> {
    back: Apart<AtomicU64>,
    thieves: Apart<Thieves<T>>,
}

/// What thieves write.
#[derive(Debug)]
struct Thieves<T> {
    claim: AtomicU64,
    front: AtomicU64,
    /// Exchanged by the owner only. Held by whoever changes `claim` or `front`.
    ring: Mutex<Ring<T>>,
}

impl<T> Shared<T> {
    fn len(&self) -> usize {
        // First, as it only grows: rather items are counted that leave meanwhile than others missed.
        // Acquire: keeps that order.
        let front = self.thieves.0.front.load(Ordering::Acquire);
        // Relaxed: a hint. Where a decision to sleep hangs on it, the caller puts a heavy fence before.
        let back = self.back.0.load(Ordering::Relaxed);
        back.saturating_sub(front) as usize
    }

    /// Under the lock: the items before `front` are gone, those before `claim` are taken under the lock only.
    fn settle(&self, front: u64, claim: u64) {
        // Relaxed: an owner that reads an old value goes by the lock, or finds items that are gone by the lock.
        self.thieves.0.front.store(front, Ordering::Relaxed);
        self.thieves.0.claim.store(claim, Ordering::Relaxed);
    }
}

/// The owner's end.
#[derive(Debug)]
pub(crate) struct Owner<T> {
    shared: Arc<Shared<T>>,
    /// As in the ring.
    slots: Cell<Slots<T>>,
    /// DEQUE-2.
    limit: Cell<u64>,
}

/// The thieves' end.
#[derive(Debug)]
pub(crate) struct Thief<T>(Arc<Shared<T>>);

impl<T: Copy> Owner<T> {
    pub(crate) fn new() -> Self {
        let ring = Ring::new(ROOM_MIN);
        let slots = ring.0;
        Self {
            shared: Arc::new(Shared {
                // Not zero: an owner that pops from an empty deque goes one below `front`, and comes back.
                back: Apart(AtomicU64::new(1)),
                thieves: Apart(Thieves {
                    claim: AtomicU64::new(1),
                    front: AtomicU64::new(1),
                    ring: Mutex::new(ring),
                }),
            }),
            slots: Cell::new(slots),
            limit: Cell::new(1 + ROOM_MIN as u64),
        }
    }

    pub(crate) fn thief(&self) -> Thief<T> {
        Thief(Arc::clone(&self.shared))
    }

    /// How many items there are; those that a thief is just taking may be counted.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn push(&self, item: T) {
        // Relaxed: our own.
        let back = self.shared.back.0.load(Ordering::Relaxed);
        if back >= self.limit.get() {
            self.make_room(back);
        }
        // SAFETY: before `limit` (DEQUE-2), and behind the last item.
        unsafe { self.slots.get().write(back, item) };
        // Release: pairs with Acquire in `take`; publishes the item.
        self.shared.back.0.store(back + 1, Ordering::Release);
    }

    /// Takes the newest item. Dear if there is none: look first where that is likely.
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        let newest = self.shared.back.0.load(Ordering::Relaxed) - 1;
        // Release: a thief that reads this value, and not the push's, must see the older items too.
        self.shared.back.0.store(newest, Ordering::Release);
        light_fence();
        // Relaxed: ordered by the fences (DEQUE-1).
        if self.shared.thieves.0.claim.load(Ordering::Relaxed) > newest {
            return self.pop_late(newest);
        }
        // SAFETY: ours, as no thief has claimed it, and who does so from now on sees that it is gone (DEQUE-1).
        Some(unsafe { self.slots.get().read(newest) })
    }

    /// A thief is after the newest item, or it is one of those for the lock, or there is none.
    #[cold]
    #[inline(never)]
    fn pop_late(&self, newest: u64) -> Option<T> {
        let ring = self.shared.thieves.0.ring.lock();
        // Relaxed: under the lock.
        let front = self.shared.thieves.0.front.load(Ordering::Relaxed);
        if front > newest {
            self.shared.back.0.store(newest + 1, Ordering::Release);
            return None;
        }
        let claim = newest.saturating_sub(KEPT).max(front);
        self.shared.settle(front, claim);
        // SAFETY: all thieves have settled, none has taken it, and the next one will see that it is gone.
        Some(unsafe { ring.0.read(newest) })
    }

    /// Takes the oldest item.
    pub(crate) fn pop_oldest(&self) -> Option<T> {
        let ring = self.shared.thieves.0.ring.lock();
        // Relaxed: under the lock; our own.
        let oldest = self.shared.thieves.0.front.load(Ordering::Relaxed);
        if oldest >= self.shared.back.0.load(Ordering::Relaxed) {
            return None;
        }
        // SAFETY: all thieves have settled, none has taken it, and we pop nothing meanwhile.
        let item = unsafe { ring.0.read(oldest) };
        let claim = self.shared.thieves.0.claim.load(Ordering::Relaxed);
        self.shared.settle(oldest + 1, claim.max(oldest + 1));
        Some(item)
    }

    /// Finds room for the item `back`, and leaves the older ones to the lock.
    #[cold]
    #[inline(never)]
    fn make_room(&self, back: u64) {
        let mut ring = self.shared.thieves.0.ring.lock();
        // Relaxed: under the lock.
        let front = self.shared.thieves.0.front.load(Ordering::Relaxed);
        // Not only if it is full: or else this would be done again soon.
        if back - front > ring.room() / 2 {
            let larger = Ring::new(2 * ring.room() as usize);
            for index in front..back {
                // SAFETY: we are alone: thieves read under the lock.
                unsafe { larger.0.write(index, ring.0.read(index)) };
            }
            self.slots.set(larger.0);
            *ring = larger;
        }
        let claim = self.shared.thieves.0.claim.load(Ordering::Relaxed);
        let claim = back.saturating_sub(KEPT).max(claim);
        self.shared.settle(front, claim);
        self.limit.set((front + ring.room()).min(back + 2 * KEPT));
    }
}

impl<T: Copy> Thief<T> {
    /// How many items there were at the time of the look.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there was none at the time of the look.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the oldest item.
    pub(crate) fn steal(&self) -> Option<T> {
        let mut stolen = None;
        self.take(|_| 1, |item| stolen = Some(item));
        stolen
    }

    /// Takes the older half, or as many as are taken at a time; all but the last one of them go to `own`.
    pub(crate) fn steal_half(&self, own: &Owner<T>) -> Option<T> {
        let mut stolen = [None; BATCH_MAX];
        let mut places = stolen.iter_mut();
        let half = |len: u64| len.div_ceil(2).min(BATCH_MAX as u64);
        self.take(half, |item| {
            *places.next().expect("no more than asked for") = Some(item);
        });
        // Not under the lock: `push` may take that of `own`.
        let mut stolen = stolen.into_iter().flatten();
        let mut last = stolen.next()?;
        for item in stolen {
            own.push(std::mem::replace(&mut last, item));
        }
        Some(last)
    }

    /// Takes the oldest items, as many as `count` makes of their number.
    fn take(&self, count: impl FnOnce(u64) -> u64, mut each: impl FnMut(T)) {
        if self.is_empty() {
            return;
        }
        let shared = &*self.0;
        let ring = shared.thieves.0.ring.lock();
        // Relaxed: under the lock; a guess.
        let front = shared.thieves.0.front.load(Ordering::Relaxed);
        let len = shared.back.0.load(Ordering::Relaxed).saturating_sub(front);
        if len == 0 {
            return;
        }
        let wanted = front + count(len);
        let claim = shared.thieves.0.claim.load(Ordering::Relaxed);
        let (end, claim) = if front < claim {
            // They are there: they were before the owner raised it, under the lock, and it lowers it before it takes them.
            (wanted.min(claim), claim)
        } else {
            // Relaxed: ordered by the fences (DEQUE-1).
            shared.thieves.0.claim.store(wanted, Ordering::Relaxed);
            heavy_fence();
            // Acquire: pairs with Release in push and pop; the items are there.
            let back = shared.back.0.load(Ordering::Acquire);
            // The owner may have been faster.
            let end = wanted.min(back).max(front);
            (end, end)
        };
        for index in front..end {
            // SAFETY: ours (DEQUE-1), and the slots are not written before `front` has gone on (DEQUE-2).
            each(unsafe { ring.0.read(index) });
        }
        shared.settle(end, claim);
    }
}

#[cfg(test)]
mod tests;
