//! Priority lists: one intrusive FIFO per priority and a bitmask of those that are not empty.
//!
//! Plain data: owned by one worker, or guarded by the machine's lock.
//!
//! LISTS-1: bit `p` of the mask is set exactly when list `p` is not empty.
//! LISTS-2: a node is in at most one list; its `next` belongs to that list meanwhile.

use std::cell::Cell;
use std::ptr;

/// How many priorities there are.
pub(crate) const PRIORITIES: usize = 8;

/// A node that can lie in a list.
///
/// # Safety
/// `next` returns the same field each time, used for nothing else while the node is in a list.
pub(crate) unsafe trait Queued: Sized {
    /// The link.
    fn next(&self) -> &Cell<*mut Self>;
}

#[derive(Debug)]
struct Fifo<N> {
    head: *mut N,
    tail: *mut N,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Lists<N> {
    mask: u32,
    fifos: [Fifo<N>; PRIORITIES],
}

impl<N: Queued> Lists<N> {
    pub(crate) const fn new() -> Self {
        Self {
            mask: 0,
            fifos: [const {
                Fifo {
                    head: ptr::null_mut(),
                    tail: ptr::null_mut(),
                }
            }; PRIORITIES],
        }
    }

    /// Bit `p` is set if list `p` is not empty.
    #[inline]
    pub(crate) fn mask(&self) -> u32 {
        self.mask
    }

    /// Appends to the list of `priority`.
    ///
    /// # Safety
    /// `node` is alive while it is in the list, in no other list, and used by no other thread meanwhile.
    #[inline]
    pub(crate) unsafe fn push_back(&mut self, priority: usize, node: *mut N) {
        let fifo = &mut self.fifos[priority];
        // SAFETY: alive and ours by contract.
        unsafe { &*node }.next().set(ptr::null_mut());
        if fifo.head.is_null() {
            fifo.head = node;
            self.mask |= 1 << priority;
        } else {
            // SAFETY: the tail is in the list, so alive by contract.
            unsafe { &*fifo.tail }.next().set(node);
        }
        fifo.tail = node;
    }

    /// The oldest of `priority`, which stays where it is, and the one behind it.
    #[inline]
    pub(crate) fn next_two(&self, priority: usize) -> Option<(*mut N, *mut N)> {
        let first = self.fifos[priority].head;
        // SAFETY: in the list, so alive by the contract of push_back.
        (!first.is_null()).then(|| (first, unsafe { &*first }.next().get()))
    }

    /// Shows every node.
    pub(crate) fn for_each(&self, mut f: impl FnMut(*mut N)) {
        for fifo in &self.fifos {
            let mut node = fifo.head;
            while !node.is_null() {
                f(node);
                // SAFETY: in the list, so alive by the contract of push_back.
                node = unsafe { &*node }.next().get();
            }
        }
    }

    /// Takes the oldest of `priority`.
    #[inline]
    pub(crate) fn pop_front(&mut self, priority: usize) -> Option<*mut N> {
        let fifo = &mut self.fifos[priority];
        let node = fifo.head;
        if node.is_null() {
            return None;
        }
        // SAFETY: in the list, so alive by the contract of push_back.
        fifo.head = unsafe { &*node }.next().get();
        if fifo.head.is_null() {
            self.mask &= !(1 << priority);
        }
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Node {
        next: Cell<*mut Node>,
        id: u32,
    }

    // SAFETY: one field, one use.
    unsafe impl Queued for Node {
        fn next(&self) -> &Cell<*mut Self> {
            &self.next
        }
    }

    #[test]
    fn behaves_like_eight_deques() {
        let mut model: [VecDeque<u32>; PRIORITIES] = Default::default();
        let mut lists = Lists::<Node>::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for id in 0..200_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let priority = (seed >> 8) as usize % PRIORITIES;
            if seed & 1 == 0 {
                let node = Box::into_raw(Box::new(Node {
                    next: Cell::new(ptr::null_mut()),
                    id,
                }));
                // SAFETY: freshly allocated, in no list, freed only after it was popped.
                unsafe { lists.push_back(priority, node) };
                model[priority].push_back(id);
            } else {
                let got = lists.pop_front(priority).map(|node| {
                    // SAFETY: allocated above, popped once.
                    unsafe { Box::from_raw(node) }.id
                });
                assert_eq!(got, model[priority].pop_front());
            }
            // SAFETY: in the list, so not freed.
            let id_of = |node: *mut Node| unsafe { node.as_ref() }.map(|node| node.id);
            let seen = lists.next_two(priority);
            assert_eq!(
                seen.map(|(first, second)| (id_of(first), id_of(second))),
                model[priority]
                    .front()
                    .map(|&first| (Some(first), model[priority].get(1).copied())),
            );
            if id % 1000 == 0 {
                let mut count = 0;
                lists.for_each(|_| count += 1);
                assert_eq!(count, model.iter().map(VecDeque::len).sum::<usize>());
            }
            for (p, list) in model.iter().enumerate() {
                assert_eq!(
                    lists.mask() & (1 << p) != 0,
                    !list.is_empty(),
                    "LISTS-1 at {p}"
                );
            }
        }
        for p in 0..PRIORITIES {
            while let Some(node) = lists.pop_front(p) {
                // SAFETY: as above.
                drop(unsafe { Box::from_raw(node) });
            }
        }
    }
}
