//! Latch: the library's own short lock, for a few instructions at a time: under waiting lists and channels.
//!
//! One read-modify-write to lock and a plain store to unlock, where parking_lot's takes two: with two locks per
//! message that is what a channel's cost consists of. The price is paid by whoever has to block its thread, as
//! the holder lost its processor: its last look needs a heavy fence (a system call), since the unlocker looks
//! for it after a light one.
//!
//! LATCH-1: the sleeper is counted, then passes a heavy fence, then looks; the unlocker frees the word, passes a
//! light fence, then looks at the count. So either the sleeper finds the latch free, or the unlocker the sleeper.
//! LATCH-2: the unlocker touches the latch after it has freed it: whoever locks it must keep it alive until
//! `unlock` has returned, by a borrow or a count of its own; nobody may free it from inside its own section.
//!
//! Nobody switches, and no code of a user's runs, while a latch is held.

use std::cell::UnsafeCell;
use std::fmt;
use std::hint;
use std::ops::{Deref, DerefMut};

use crate::os::futex;
use crate::primitive::{AtomicU32, Ordering, heavy_fence, light_fence};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Looks at a held latch before its thread blocks, each after twice the pause of the one before. Long pauses are
/// meant: a holder that is left alone goes through its next sections at full speed, instead of one line of memory
/// going to and fro for each.
const LOOKS: u32 = 12;
/// The longest pause, as a power of two.
const LONGEST: u32 = 7;

/// See the head of the file.
pub(crate) struct Latch<T: ?Sized> {
    word: AtomicU32,
    /// Threads that block, or are about to.
    sleepers: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by the one who holds the latch.
unsafe impl<T: Send + ?Sized> Send for Latch<T> {}
// SAFETY: as above.
unsafe impl<T: Send + ?Sized> Sync for Latch<T> {}

impl<T: ?Sized> fmt::Debug for Latch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latch")
    }
}

impl<T> Latch<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            word: AtomicU32::new(FREE),
            sleepers: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> Latch<T> {
    #[inline(always)]
    pub(crate) fn lock(&self) -> Held<'_, T> {
        if !self.try_take() {
            self.lock_slow();
        }
        Held(self)
    }

    #[inline(always)]
    fn try_take(&self) -> bool {
        // Acquire: pairs with the Release of unlock.
        self.word
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        for look in 0..LOOKS {
            for _ in 0..1 << look.min(LONGEST) {
                hint::spin_loop();
            }
            if self.word.load(Ordering::Relaxed) == FREE && self.try_take() {
                return;
            }
        }
        // Relaxed: the fence orders it (LATCH-1).
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        loop {
            heavy_fence();
            if self.try_take() {
                break;
            }
            let _ = futex::wait(&self.word, HELD, None);
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }

    #[inline(always)]
    fn unlock(&self) {
        // Release: pairs with the Acquire of try_take.
        self.word.store(FREE, Ordering::Release);
        light_fence();
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            self.wake_sleeper();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_sleeper(&self) {
        futex::wake_one(&self.word);
    }
}

/// The right to use what the latch guards. Dropped, it unlocks.
pub(crate) struct Held<'a, T: ?Sized>(&'a Latch<T>);

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: we hold it.
        unsafe { &*self.0.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Held<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we hold it.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T: ?Sized> Drop for Held<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.unlock();
    }
}
