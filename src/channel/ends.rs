//! Ends: the handles of a channel's two sides, and who frees the channel.
//!
//! Pure. A side ends with its last handle: that one closes the side, and then lets go of the channel. As the counter of
//! `crossbeam-channel`: one count for each side, and a word by which the second side to let go knows that it is.
//!
//! | `gone` | entered by                  | who may touch the channel                               |
//! |--------|-----------------------------|---------------------------------------------------------|
//! | NOBODY | `pair`                      | all handles; a side's last one until its swap           |
//! | ONE    | the first side, by its swap | the other side alone, which frees the channel at its end |
//!
//! ENDS-1: a side's count is raised by who has a handle of that side, before the new one is there, and lowered by a
//! handle's last touch. So who finds its own count at one has the only handle: it reads nothing older than the raises
//! for its own handle and for that one's clones. Nobody else can raise the count then, and it need not be lowered.
//! ENDS-2: the swap is the last touch of the side that comes first. The one that comes second frees: it finds ONE by its
//! own swap, or even before it has closed. Then it has the channel to itself, and there is nothing to close: nobody to
//! exclude, and nobody to tell.
//! ENDS-3: what `close` returns is dropped after the swap, by code of a user's, which may unwind, and which may drop
//! handles of this very channel.
//!
//! The channel's own latch could not say who comes second: who unlocks it touches it later (LATCH-2).
//!
//! Ordering: all touches of a side come before its last handle's swap, as each of its other handles lowers the count by
//! Release, and the last one reads it by Acquire. The swap is Release, and whoever reads ONE reads it by Acquire.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;

use crate::channel::core::Side;
use crate::primitive::{AtomicU32, Ordering};

const NOBODY: u32 = 0;
const ONE: u32 = 1;

/// What has two sides.
pub(super) trait Close {
    /// What the closed side leaves behind.
    type Left;

    /// Ends that side: once, by its last handle.
    fn close(&self, side: Side) -> Self::Left;
}

/// Which side a handle is of.
pub(super) trait Of {
    const SIDE: Side;
}

pub(super) enum Sending {}
pub(super) enum Receiving {}

impl Of for Sending {
    const SIDE: Side = Side::Senders;
}

impl Of for Receiving {
    const SIDE: Side = Side::Receivers;
}

struct Shared<C> {
    senders: AtomicUsize,
    receivers: AtomicUsize,
    gone: AtomicU32,
    channel: C,
}

/// A handle of one side. See the head of the file.
pub(super) struct End<C: Close, S: Of> {
    shared: NonNull<Shared<C>>,
    side: PhantomData<S>,
}

// SAFETY: as `Arc`: handles on several threads share the channel, and any may be the one that drops it.
unsafe impl<C: Close + Send + Sync, S: Of> Send for End<C, S> {}
// SAFETY: as above.
unsafe impl<C: Close + Send + Sync, S: Of> Sync for End<C, S> {}

/// The first handle of each side.
pub(super) fn pair<C: Close>(channel: C) -> (End<C, Sending>, End<C, Receiving>) {
    let shared = NonNull::from(Box::leak(Box::new(Shared {
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
        gone: AtomicU32::new(NOBODY),
        channel,
    })));
    (End::new(shared), End::new(shared))
}

impl<C: Close, S: Of> End<C, S> {
    fn new(shared: NonNull<Shared<C>>) -> Self {
        Self {
            shared,
            side: PhantomData,
        }
    }

    /// The handles of this side.
    fn count(&self) -> &AtomicUsize {
        // SAFETY: freed after the last handle (ENDS-2), and this is one.
        let shared = unsafe { self.shared.as_ref() };
        match S::SIDE {
            Side::Senders => &shared.senders,
            Side::Receivers => &shared.receivers,
        }
    }
}

impl<C: Close, S: Of> Deref for End<C, S> {
    type Target = C;
    #[inline(always)]
    fn deref(&self) -> &C {
        // SAFETY: freed after the last handle (ENDS-2), and this is one.
        unsafe { &self.shared.as_ref().channel }
    }
}

impl<C: Close, S: Of> Clone for End<C, S> {
    fn clone(&self) -> Self {
        // Relaxed: the caller has a handle (ENDS-1).
        if self.count().fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
            // As Arc does: handles were leaked until the count is about to wrap.
            std::process::abort();
        }
        Self::new(self.shared)
    }
}

impl<C: Close, S: Of> Drop for End<C, S> {
    #[inline]
    fn drop(&mut self) {
        let count = self.count();
        // Acquire: what the others did with their handles comes before the close. Release: as one of those others.
        if count.load(Ordering::Acquire) == 1 || count.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last handle of this side (ENDS-1).
            unsafe { leave(self.shared, S::SIDE) };
        }
    }
}

/// By pointer: while it runs, the other side may free the channel.
///
/// # Safety
/// By the last handle of that side, as its last touch.
#[inline]
unsafe fn leave<C: Close>(this: NonNull<Shared<C>>, side: Side) {
    // SAFETY: this side has not let go yet.
    let shared = unsafe { this.as_ref() };
    let mut _left = None;
    // Acquire: pairs with the swap below, by the other side.
    if shared.gone.load(Ordering::Acquire) == NOBODY {
        _left = Some(shared.channel.close(side));
        // Release: this side's touches come before the other's free. Acquire: the other way round.
        if shared.gone.swap(ONE, Ordering::AcqRel) == NOBODY {
            return;
        }
    }
    // SAFETY: from `pair`; the other side has let go, and this one comes second (ENDS-2).
    drop(unsafe { Box::from_raw(this.as_ptr()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::Any;
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::rc::Rc;

    /// Its close leaves behind what was put into it.
    struct Room {
        left: RefCell<Option<Box<dyn Any>>>,
        freed: Rc<Cell<u32>>,
    }

    impl Close for Room {
        type Left = Option<Box<dyn Any>>;

        fn close(&self, _: Side) -> Self::Left {
            self.left.take()
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            self.freed.set(self.freed.get() + 1);
        }
    }

    type Ends = (End<Room, Sending>, End<Room, Receiving>);

    fn room() -> (Ends, Rc<Cell<u32>>) {
        let freed = Rc::new(Cell::new(0));
        let ends = pair(Room {
            left: RefCell::new(None),
            freed: Rc::clone(&freed),
        });
        (ends, freed)
    }

    #[test]
    fn what_is_left_may_hold_the_last_handle() {
        let ((sender, receiver), freed) = room();
        receiver.left.replace(Some(Box::new(sender)));
        drop(receiver);
        assert_eq!(freed.get(), 1);
    }

    #[test]
    fn what_is_left_may_unwind() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                resume_unwind(Box::new(()));
            }
        }
        let ((sender, receiver), freed) = room();
        receiver.left.replace(Some(Box::new(Bomb)));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(receiver)));
        dropped.expect_err("the bomb unwinds");
        assert_eq!(freed.get(), 0);
        drop(sender);
        assert_eq!(freed.get(), 1);
    }
}
