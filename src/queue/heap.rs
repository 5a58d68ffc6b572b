//! A 4-ary heap of things to do at a time, the earliest first; every node knows its row in the heap's table.
//!
//! Plain data of one owner, in arrays of mapped memory that the kernel moves when they grow. Four children
//! share a cache line (the root lies at place 3, so a node at place `p` has its children at `4p - 8`), which
//! halves the lines touched on the way down beside a binary heap: D. B. Johnson's d-heap, 1975.
//!
//! An entry that moves must be found again. Its place is written into a small table, by row, and not into the
//! node: among a million of them most lie in no cache, and a pop moves ten entries. A node is touched when it
//! goes in and when it comes out. A little before that it is fetched, and then what lies behind it.
//!
//! HEAP-1: a node is in at most one heap; while it is in one, `row` says which of the table's rows is its, and 0
//! says that it is in none. Nobody but the heap changes `row`.
//! HEAP-2: of the rows 1 to `rows`, those of the entries have a node and the entry's place; the others have none, and
//! form a list from `free` on, 0 at its end. So there are never more rows than the heap had entries at one time.

use std::cell::Cell;
use std::ptr;

use crate::os::array::Array;

/// A node that can lie in a heap.
///
/// # Safety
/// `row` returns the same cell each time, used for nothing else.
pub(crate) unsafe trait Placed {
    /// Its row in the table of its heap; 0: it is in none.
    fn row(&self) -> &Cell<u32>;

    /// It will soon be first: fetches it.
    fn fetch(node: *const Self);

    /// It will be first very soon: fetches what will be used then. It was fetched itself, mostly.
    fn fetch_near(&self);
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at_ns: u64,
    row: u32,
}

const ROOT: usize = 3;
/// Places before this one are the root's and its children's.
const NEAR: usize = ROOT + 1 + 4;
/// And before this one also its grandchildren's: what comes up there is fetched, as some ten others go first.
const FETCHED: usize = NEAR + 16;
const CAPACITY_MIN: usize = 256;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Heap<N> {
    entries: Array<Entry>,
    len: usize,
    /// By row: the entry's place, or the next free row; and whose row it is, or null.
    places: Array<u32>,
    nodes: Array<*const N>,
    rows: u32,
    free: u32,
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
            entries: Array::new(),
            len: 0,
            places: Array::new(),
            nodes: Array::new(),
            rows: 0,
            free: 0,
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
        Some((entry.at_ns, self.node(entry.row)))
    }

    /// The time of the node of that row.
    #[inline]
    pub(crate) fn at_ns(&self, row: u32) -> u64 {
        self.get(self.place(row)).at_ns
    }

    /// Puts a node in.
    ///
    /// # Safety
    /// The node is in no heap (HEAP-1), and alive until it has been taken out.
    pub(crate) unsafe fn push(&mut self, at_ns: u64, node: *const N) {
        let place = ROOT + self.len;
        if place >= self.capacity() {
            self.grow();
        }
        self.len += 1;
        let row = self.take_row();
        self.set_node(row, node);
        // SAFETY: by contract.
        unsafe { &*node }.row().set(row);
        self.up(place, Entry { at_ns, row });
    }

    /// Takes the node of that row out.
    pub(crate) fn remove(&mut self, row: u32) {
        let place = self.place(row);
        // SAFETY: in the heap, so alive.
        unsafe { &*self.node(row) }.row().set(0);
        self.give_row(row);
        self.len -= 1;
        let last = self.get(ROOT + self.len);
        if last.row != row {
            self.settle(place, last);
        }
        if self.capacity() > CAPACITY_MIN && self.len * 8 < self.capacity() {
            self.shrink();
        }
    }

    /// Changes the time of the node of that row.
    pub(crate) fn move_to(&mut self, row: u32, at_ns: u64) {
        self.settle(self.place(row), Entry { at_ns, row });
    }

    /// Puts an entry where there is a hole, and moves it up or down from there.
    fn settle(&mut self, hole: usize, entry: Entry) {
        if hole > ROOT && entry.at_ns < self.get(parent(hole)).at_ns {
            self.up(hole, entry);
        } else {
            self.down(hole, entry);
        }
    }

    fn up(&mut self, mut hole: usize, entry: Entry) {
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

    fn down(&mut self, mut hole: usize, entry: Entry) {
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
            if hole < FETCHED {
                if least >= FETCHED {
                    N::fetch(self.node(other.row));
                } else if hole < NEAR && least >= NEAR {
                    // SAFETY: in the heap, so alive.
                    unsafe { &*self.node(other.row) }.fetch_near();
                }
            }
            self.put(hole, other);
            hole = least;
        }
        self.put(hole, entry);
    }

    /// How many entries there is room for, those before the root included; and rows, that of none included.
    fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[inline]
    fn get(&self, place: usize) -> Entry {
        debug_assert!((ROOT..=ROOT + self.len).contains(&place));
        // SAFETY: places up to the length are below the capacity, and were written by `put`.
        unsafe { *self.entries.as_ptr().add(place) }
    }

    #[inline]
    fn put(&mut self, place: usize, entry: Entry) {
        debug_assert!(place < self.capacity());
        // SAFETY: below the capacity, see `push`.
        unsafe { *self.entries.as_ptr().add(place) = entry };
        self.set_place(entry.row, place as u32);
    }

    #[inline]
    fn place(&self, row: u32) -> usize {
        debug_assert!((1..=self.rows).contains(&row));
        // SAFETY: rows are below the capacity (HEAP-2), and were written when they were first taken.
        (unsafe { *self.places.as_ptr().add(row as usize) }) as usize
    }

    #[inline]
    fn set_place(&mut self, row: u32, place: u32) {
        debug_assert!((1..=self.rows).contains(&row));
        // SAFETY: below the capacity (HEAP-2).
        unsafe { *self.places.as_ptr().add(row as usize) = place };
    }

    #[inline]
    fn node(&self, row: u32) -> *const N {
        debug_assert!((1..=self.rows).contains(&row));
        // SAFETY: as in `place`.
        unsafe { *self.nodes.as_ptr().add(row as usize) }
    }

    #[inline]
    fn set_node(&mut self, row: u32, node: *const N) {
        debug_assert!((1..=self.rows).contains(&row));
        // SAFETY: below the capacity (HEAP-2).
        unsafe { *self.nodes.as_ptr().add(row as usize) = node };
    }

    /// A row that was free.
    #[inline]
    fn take_row(&mut self) -> u32 {
        if self.free == 0 {
            self.rows += 1;
            debug_assert!((self.rows as usize) < self.capacity(), "HEAP-2");
            return self.rows;
        }
        let row = self.free;
        self.free = self.place(row) as u32;
        row
    }

    #[inline]
    fn give_row(&mut self, row: u32) {
        self.set_node(row, ptr::null());
        self.set_place(row, self.free);
        self.free = row;
    }

    #[cold]
    fn grow(&mut self) {
        let capacity = (2 * self.capacity()).max(CAPACITY_MIN);
        assert!(
            u32::try_from(capacity).is_ok(),
            "more timers than a 32-bit place can tell apart"
        );
        self.resize(capacity);
    }

    #[cold]
    fn shrink(&mut self) {
        let half = self.capacity() / 2;
        if half > ROOT + self.len {
            self.close_ranks();
            self.resize(half.max(CAPACITY_MIN));
        }
    }

    /// The rows first: the number of entries says how many there is room for.
    fn resize(&mut self, capacity: usize) {
        self.places.resize(capacity);
        self.nodes.resize(capacity);
        self.entries.resize(capacity);
    }

    /// Moves the nodes of the last rows to free ones before them, until as many rows as nodes are left.
    fn close_ranks(&mut self) {
        let mut free = 1;
        for row in self.len as u32 + 1..=self.rows {
            let node = self.node(row);
            if node.is_null() {
                continue;
            }
            // As many are free before the length as are not behind it.
            while !self.node(free).is_null() {
                free += 1;
            }
            let place = self.place(row);
            self.set_node(free, node);
            let at_ns = self.get(place).at_ns;
            self.put(place, Entry { at_ns, row: free });
            // SAFETY: in the heap, so alive.
            unsafe { &*node }.row().set(free);
        }
        self.rows = self.len as u32;
        self.free = 0;
    }
}

#[cfg(test)]
mod tests;
