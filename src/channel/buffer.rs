//! Buffer: the messages of a channel that nobody has received yet, first in first out.
//!
//! Blocks of slots, so that it grows and shrinks a block at a time: a ring that doubles would copy a million messages
//! under the channel's latch. One empty block is kept, so a channel that goes to and fro allocates nothing. A message
//! that comes while there is no other needs no block: a channel for one message is one allocation.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ptr;

/// A block is about as large as a page's quarter, and has between one and 64 slots.
const fn slots<T>() -> usize {
    let size = size_of::<T>();
    if size == 0 {
        return 64;
    }
    let fit = 1024 / size;
    if fit == 0 {
        1
    } else if fit > 64 {
        64
    } else {
        fit
    }
}

/// Its first slot. By pointer, not `Box`: `front` and `back` point into it, too.
type Block<T> = *mut MaybeUninit<T>;

/// See the head of the file.
pub(super) struct Buffer<T> {
    /// The first holds the oldest messages from `head` on, the last one the newest up to `tail`.
    blocks: VecDeque<Block<T>>,
    /// The slots of the first, and of the last block; of no use while there is none.
    front: Block<T>,
    back: Block<T>,
    head: usize,
    tail: usize,
    /// The oldest message, if it came when there was no other.
    first: Option<T>,
    /// With that one.
    len: usize,
    spare: Option<Block<T>>,
}

// SAFETY: it owns its blocks, and what is in them.
unsafe impl<T: Send> Send for Buffer<T> {}

impl<T> Buffer<T> {
    const SLOTS: usize = slots::<T>();

    pub(super) const fn new() -> Self {
        Self {
            blocks: VecDeque::new(),
            front: ptr::null_mut(),
            back: ptr::null_mut(),
            head: 0,
            // Full: the first push takes a block.
            tail: Self::SLOTS,
            first: None,
            len: 0,
            spare: None,
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) fn push(&mut self, message: T) {
        if self.len == 0 {
            self.first = Some(message);
            self.len = 1;
            return;
        }
        if self.tail == Self::SLOTS {
            self.grow();
        }
        // SAFETY: `back` has that slot, and no message is in it.
        unsafe { (*self.back.add(self.tail)).write(message) };
        self.tail += 1;
        self.len += 1;
    }

    #[cold]
    fn grow(&mut self) {
        let block = self.spare.take();
        self.back = block
            .unwrap_or_else(|| Box::into_raw(Box::<[T]>::new_uninit_slice(Self::SLOTS)).cast());
        if self.blocks.is_empty() {
            self.front = self.back;
        }
        self.blocks.push_back(self.back);
        self.tail = 0;
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        // SAFETY: `len` says that there is a message; the oldest lies here, and is read once.
        let message = unsafe { (*self.front.add(self.head)).assume_init_read() };
        self.head += 1;
        if self.len == 0 {
            // There is one block, as each was taken for a message: begin anew in it, it is in the cache.
            self.head = 0;
            self.tail = 0;
        } else if self.head == Self::SLOTS {
            self.shrink();
        }
        Some(message)
    }

    #[cold]
    fn shrink(&mut self) {
        let empty = self.blocks.pop_front();
        if let Some(front) = self.blocks.front() {
            self.front = *front;
        }
        self.head = 0;
        if let Some(block) = std::mem::replace(&mut self.spare, empty) {
            Self::free(block);
        }
    }

    fn free(block: Block<T>) {
        let slots = ptr::slice_from_raw_parts_mut(block, Self::SLOTS);
        // SAFETY: from `grow`, and in no use any more. A slot has no destructor.
        drop(unsafe { Box::from_raw(slots) });
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        /// Goes on if the destructor of a message unwinds: as that of a `Vec` does.
        struct Rest<'a, T>(&'a mut Buffer<T>);
        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.0.pop().is_some() {}
                self.0
                    .blocks
                    .drain(..)
                    .chain(self.0.spare.take())
                    .for_each(Buffer::<T>::free);
            }
        }
        if self.len == 0 && self.blocks.capacity() == 0 {
            // There never were two messages at a time: nothing to free.
            return;
        }
        let rest = Rest(self);
        while rest.0.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_queue_beside_a_deque() {
        let mut chance = 88_172_645_463_325_252_u64;
        let mut buffer = Buffer::new();
        let mut model = VecDeque::new();
        for round in 0..200_000_u64 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            // Grows for a while, then shrinks.
            let grows = (round / 5_000) % 2 == 0;
            if chance % 8 < if grows { 5 } else { 3 } {
                buffer.push(round);
                model.push_back(round);
            } else {
                assert_eq!(buffer.pop(), model.pop_front());
            }
            assert_eq!(buffer.len(), model.len());
        }
    }

    #[test]
    fn what_is_left_is_dropped_once() {
        let one = Rc::new(());
        let mut buffer = Buffer::new();
        for _ in 0..1000 {
            buffer.push(Rc::clone(&one));
        }
        for _ in 0..321 {
            buffer.pop();
        }
        assert_eq!(Rc::strong_count(&one), 680);
        drop(buffer);
        assert_eq!(Rc::strong_count(&one), 1);
    }

    #[test]
    fn large_and_empty_messages() {
        let mut large = Buffer::new();
        let mut empty = Buffer::new();
        for round in 0..300_u32 {
            large.push([round; 1000]);
            empty.push(());
        }
        for round in 0..300 {
            assert_eq!(large.pop().map(|message| message[999]), Some(round));
            assert_eq!(empty.pop(), Some(()));
        }
        assert_eq!(empty.pop(), None);
    }
}
