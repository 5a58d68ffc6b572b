//! Who awaits a fiber's end by a waker, instead of waiting as a fiber or a thread: the slot that the waker lies in.
//!
//! Pure. Told from a joiner by `Header::joiner`, which is null while the join handle's `JOIN_WAIT` stands for a waker.
//!
//! | state | entered by | the slot belongs to |
//! |---|---|---|
//! | idle: no `JOIN_WAIT` | creation, `withdraw` | the join handle |
//! | registered: `JOIN_WAIT`, not `DONE` | the handle, `register` | nobody |
//! | told: `finish` set `DONE` and found `JOIN_WAIT` | the fiber's end | the finisher: it takes the waker, once |
//! | untold: `finish` set `DONE` and found none | the fiber's end | the join handle |
//!
//! AWAIT-1: the slot is touched by its owner only. Who leaves `registered` owns it: the handle, if its `unwait_join`
//! comes before `DONE`, or else the finisher. So a waker is never changed in place: the handle withdraws the old one
//! first, and if it cannot, the fiber is over.
//! AWAIT-2: a registration holds one counted reference, from before it is announced until whoever owns the slot gives
//! it up. So neither side waits for the other: the finisher takes the waker, gives up the reference, and only then
//! calls the waker, which may do anything; meanwhile the handle may take the result and be gone.
//! AWAIT-3: a waker that leaves the slot is handed to the caller: its destructor is a user's code, and runs where
//! that may wait, and unwind. When the cell is freed the slot is empty.

use crate::fiber::word::Word;
use crate::primitive::UnsafeCell;

/// The slot. See the head of the file.
#[derive(Debug)]
pub(crate) struct Awaiter<W>(UnsafeCell<Option<W>>);

impl<W> Default for Awaiter<W> {
    fn default() -> Self {
        Self(UnsafeCell::new(None))
    }
}

impl<W> Awaiter<W> {
    /// By the handle: announces the waker. `Err`: the fiber is over, and nobody was told of it.
    ///
    /// # Safety
    /// `word` is that of this slot's fiber; the caller has its handle; the state is idle, or untold.
    pub(crate) unsafe fn register(&self, word: &Word, waker: W) -> Result<(), W> {
        // SAFETY: ours (AWAIT-1).
        self.0.with_mut(|slot| unsafe { *slot = Some(waker) });
        word.retain();
        if word.wait_join() {
            return Ok(());
        }
        // Not the last one: the handle has its own.
        let _ = word.release();
        // SAFETY: untold, so still ours; stored above.
        match unsafe { self.take() } {
            Some(waker) => Err(waker),
            None => Ok(()),
        }
    }

    /// By the handle that has registered a waker: takes it back. `None`: the fiber is over, and the waker is called.
    ///
    /// # Safety
    /// As for `register`; the last call of that was `Ok`, and no `withdraw` came after it.
    pub(crate) unsafe fn withdraw(&self, word: &Word) -> Option<W> {
        if !word.unwait_join() {
            return None;
        }
        let _ = word.release();
        // SAFETY: idle, so ours.
        unsafe { self.take() }
    }

    /// What lies in the slot. By the finisher that was told; it then gives up the registration's reference.
    ///
    /// # Safety
    /// The slot is the caller's (AWAIT-1).
    pub(crate) unsafe fn take(&self) -> Option<W> {
        // SAFETY: by contract.
        self.0.with_mut(|slot| unsafe { (*slot).take() })
    }
}
