//! Buffer: the messages of a channel that nobody has received yet, first in first out.
//!
//! Blocks of slots, so that it grows and shrinks a block at a time: a ring that doubles would copy a million messages
//! under the channel's latch. One empty block is kept, so a channel that goes to and fro allocates nothing.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

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

type Block<T> = Box<[MaybeUninit<T>]>;

/// See the head of the file.
pub(super) struct Buffer<T> {
    /// The first holds the oldest messages from `head` on, the last one the newest up to `tail`.
    blocks: VecDeque<Block<T>>,
    head: usize,
    tail: usize,
    len: usize,
    spare: Option<Block<T>>,
}

impl<T> Buffer<T> {
    const SLOTS: usize = slots::<T>();

    pub(super) const fn new() -> Self {
        Self {
            blocks: VecDeque::new(),
            head: 0,
            // Full: the first push takes a block.
            tail: Self::SLOTS,
            len: 0,
            spare: None,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, message: T) {
        if self.tail == Self::SLOTS {
            self.grow();
        }
        if let Some(block) = self.blocks.back_mut() {
            block[self.tail].write(message);
            self.tail += 1;
            self.len += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let block = self.spare.take();
        self.blocks
            .push_back(block.unwrap_or_else(|| Box::new_uninit_slice(Self::SLOTS)));
        self.tail = 0;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let block = self.blocks.front_mut()?;
        // SAFETY: `len` says that there is a message; the oldest lies here, and is read once.
        let message = unsafe { block[self.head].assume_init_read() };
        self.head += 1;
        self.len -= 1;
        if self.len == 0 {
            // Begin anew in the block that is in the cache.
            self.head = 0;
            self.tail = 0;
        } else if self.head == Self::SLOTS {
            self.shrink();
        }
        Some(message)
    }

    #[cold]
    fn shrink(&mut self) {
        self.spare = self.blocks.pop_front();
        self.head = 0;
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
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
