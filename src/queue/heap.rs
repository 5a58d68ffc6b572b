//! A 4-ary heap of things to do at a time, the earliest first; every node knows its place in it.
//!
//! Plain data of one owner. The array is mapped memory that the kernel moves when it grows. Four children
//! share a cache line (the root lies at place 3, so a node at place `p` has its children at `4p - 8`), which
//! halves the lines touched on the way down beside a binary heap: D. B. Johnson's d-heap, 1975.
//!
//! HEAP-1: a node is in at most one heap; while it is in one, `place` says where, and 0 says that it is in
//! none. Nobody but the heap changes `place`.

use std::cell::Cell;
use std::ptr;

use crate::os::array::Array;

/// A node that can lie in a heap.
///
/// # Safety
/// `place` returns the same cell each time, used for nothing else.
pub(crate) unsafe trait Placed {
    /// Where it lies; 0: nowhere.
    fn place(&self) -> &Cell<u32>;
}

#[derive(Debug)]
struct Entry<N> {
    at_ns: u64,
    node: *const N,
}

impl<N> Clone for Entry<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Entry<N> {}

const ROOT: usize = 3;
const CAPACITY_MIN: usize = 256;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Heap<N> {
    array: Array<Entry<N>>,
    len: usize,
}

#[inline]
fn parent(place: usize) -> usize {
    place / 4 + 2
}

#[inline]
fn first_child(place: usize) -> usize {
    4 * place - 8
}

impl<N: Placed> Heap<N> {
    /// An empty heap without memory.
    pub(crate) const fn new() -> Self {
        Self {
            array: Array::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The earliest node and its time.
    #[inline]
    pub(crate) fn first(&self) -> Option<(u64, *const N)> {
        if self.len == 0 {
            return None;
        }
        let entry = self.get(ROOT);
        Some((entry.at_ns, entry.node))
    }

    /// The time of the node at that place.
    #[inline]
    pub(crate) fn at_ns(&self, place: u32) -> u64 {
        self.get(place as usize).at_ns
    }

    /// Puts a node in.
    ///
    /// # Safety
    /// The node is in no heap (HEAP-1), and alive until it has been taken out.
    pub(crate) unsafe fn push(&mut self, at_ns: u64, node: *const N) {
        let place = ROOT + self.len;
        if place >= self.array.capacity() {
            self.grow();
        }
        self.len += 1;
        self.up(place, Entry { at_ns, node });
    }

    /// Takes the node at that place out.
    pub(crate) fn remove(&mut self, place: u32) {
        let place = place as usize;
        let gone = self.get(place).node;
        // SAFETY: in the heap, so alive.
        unsafe { &*gone }.place().set(0);
        self.len -= 1;
        let last = self.get(ROOT + self.len);
        if !ptr::eq(last.node, gone) {
            self.settle(place, last);
        }
        if self.array.capacity() > CAPACITY_MIN && self.len * 8 < self.array.capacity() {
            self.shrink();
        }
    }

    /// Changes the time of the node at that place.
    pub(crate) fn move_to(&mut self, place: u32, at_ns: u64) {
        let place = place as usize;
        let node = self.get(place).node;
        self.settle(place, Entry { at_ns, node });
    }

    /// Puts an entry where there is a hole, and moves it up or down from there.
    fn settle(&mut self, hole: usize, entry: Entry<N>) {
        if hole > ROOT && entry.at_ns < self.get(parent(hole)).at_ns {
            self.up(hole, entry);
        } else {
            self.down(hole, entry);
        }
    }

    fn up(&mut self, mut hole: usize, entry: Entry<N>) {
        while hole > ROOT {
            let above = parent(hole);
            let other = self.get(above);
            if other.at_ns <= entry.at_ns {
                break;
            }
            self.put(hole, other);
            hole = above;
        }
        self.put(hole, entry);
    }

    fn down(&mut self, mut hole: usize, entry: Entry<N>) {
        let end = ROOT + self.len;
        loop {
            let first = first_child(hole);
            if first >= end {
                break;
            }
            let mut least = first;
            for child in first + 1..end.min(first + 4) {
                if self.get(child).at_ns < self.get(least).at_ns {
                    least = child;
                }
            }
            let other = self.get(least);
            if entry.at_ns <= other.at_ns {
                break;
            }
            self.put(hole, other);
            hole = least;
        }
        self.put(hole, entry);
    }

    #[inline]
    fn get(&self, place: usize) -> Entry<N> {
        debug_assert!((ROOT..=ROOT + self.len).contains(&place));
        // SAFETY: places up to the length are below the capacity, and were written by `put`.
        unsafe { *self.array.as_ptr().add(place) }
    }

    #[inline]
    fn put(&mut self, place: usize, entry: Entry<N>) {
        debug_assert!(place < self.array.capacity());
        // SAFETY: below the capacity, see `push`.
        unsafe { *self.array.as_ptr().add(place) = entry };
        // SAFETY: in the heap, so alive.
        unsafe { &*entry.node }.place().set(place as u32);
    }

    #[cold]
    fn grow(&mut self) {
        let capacity = (2 * self.array.capacity()).max(CAPACITY_MIN);
        assert!(
            u32::try_from(capacity).is_ok(),
            "more timers than a 32-bit place can tell apart"
        );
        self.array.resize(capacity);
    }

    #[cold]
    fn shrink(&mut self) {
        let half = self.array.capacity() / 2;
        if half > ROOT + self.len {
            self.array.resize(half.max(CAPACITY_MIN));
        }
    }
}

#[cfg(test)]
mod tests;
