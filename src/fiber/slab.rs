//! Where fiber cells come from: free lists per worker, refilled and emptied in batches.
//!
//! A machine makes and frees millions of cells of a few sizes. The general allocator gives memory back to
//! the kernel and takes it again between two bursts, and a cell freed on another thread than it was made on
//! costs it a lock. Here a cell goes to the free list of the worker that frees it; a list that grows long
//! gives half to a process-wide depot, where an empty one finds it. Cells are never given back to the
//! kernel: what a process once needed for its fibers (some 130 bytes each) it keeps.
//!
//! SLAB-1: a block in a list is owned by the list; its first word links it.
//! SLAB-2: only a worker's lists hold anything. Plain threads go to the depot each time, under its lock. So who finds a
//! block in a list need not ask whether this thread is a worker. (In a forked child it may have been one: then its lists
//! just run empty.)

use std::alloc::{Layout, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

use parking_lot::Mutex;

use crate::fiber::current;

/// Sizes are multiples of this; also the blocks' alignment.
const GRAIN_BYTES: usize = 64;
/// Larger cells come from the general allocator.
const BLOCK_BYTES_MAX: usize = 512;
const CLASSES: usize = BLOCK_BYTES_MAX / GRAIN_BYTES;
/// How many blocks move between a worker and the depot at a time.
const BATCH: usize = 64;

/// A chain of free blocks.
#[derive(Clone, Copy)]
struct Chain {
    head: *mut Block,
    len: usize,
}

struct Block {
    next: *mut Block,
}

const EMPTY: Chain = Chain {
    head: ptr::null_mut(),
    len: 0,
};

// SAFETY: free blocks belong to whoever holds the chain (SLAB-1).
unsafe impl Send for Chain {}

impl Chain {
    #[inline]
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let block = NonNull::new(self.head)?;
        // SAFETY: in the list, so free and linked (SLAB-1).
        self.head = unsafe { block.as_ref() }.next;
        self.len -= 1;
        Some(block.cast())
    }

    /// # Safety
    /// The block is free, and given up by the caller.
    #[inline]
    unsafe fn push(&mut self, block: NonNull<u8>) {
        let block = block.cast::<Block>();
        // SAFETY: free and ours, at least GRAIN_BYTES large and aligned.
        unsafe { block.write(Block { next: self.head }) };
        self.head = block.as_ptr();
        self.len += 1;
    }

    /// Splits off the newest `count` blocks.
    fn split(&mut self, count: usize) -> Chain {
        let mut part = EMPTY;
        while part.len < count
            && let Some(block) = self.pop()
        {
            // SAFETY: just popped.
            unsafe { part.push(block) };
        }
        part
    }
}

thread_local! {
    /// The lists of the worker that this thread is, one per size.
    static LISTS: [Cell<Chain>; CLASSES] = const { [const { Cell::new(EMPTY) }; CLASSES] };
}

/// Batches that no worker holds, per size.
static DEPOT: [Mutex<Vec<Chain>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];

/// Inlined where the layout is known, it is a constant.
#[inline(always)]
fn class_of(layout: Layout) -> Option<usize> {
    let fits = layout.size() <= BLOCK_BYTES_MAX && layout.align() <= GRAIN_BYTES;
    fits.then(|| layout.size().max(1).div_ceil(GRAIN_BYTES) - 1)
}

/// Memory for a cell. Never null: ends the process if there is none, as `Box` does.
#[inline]
pub(crate) fn allocate(layout: Layout) -> NonNull<u8> {
    let Some(class) = class_of(layout) else {
        return general(layout);
    };
    take(class)
}

/// Never inlined into code that switches: the lists are a thread-local.
#[inline(never)]
fn take(class: usize) -> NonNull<u8> {
    LISTS.with(|lists| {
        let mut list = lists[class].get();
        let Some(block) = list.pop() else {
            return take_slow(class);
        };
        lists[class].set(list);
        block
    })
}

/// The list is empty, or this thread has none.
#[cold]
#[inline(never)]
fn take_slow(class: usize) -> NonNull<u8> {
    let mut batch = take_batch(class);
    let block = batch.pop().expect("a batch is not empty");
    if current::worker().is_null() {
        give_batch(class, batch);
    } else {
        LISTS.with(|lists| lists[class].set(batch));
    }
    block
}

/// Takes a cell's memory back.
///
/// # Safety
/// It came from `allocate` with the same layout, and is not used any more.
#[inline]
pub(crate) unsafe fn free(block: NonNull<u8>, layout: Layout) {
    let Some(class) = class_of(layout) else {
        // SAFETY: a layout of no class came from the general allocator.
        return unsafe { std::alloc::dealloc(block.as_ptr(), layout) };
    };
    // SAFETY: given up by the caller, of that class.
    unsafe { give(class, block) };
}

/// Never inlined into code that switches: the lists are a thread-local.
///
/// # Safety
/// The block is free, of that class, and given up by the caller.
#[inline(never)]
unsafe fn give(class: usize, block: NonNull<u8>) {
    LISTS.with(|lists| {
        let mut list = lists[class].get();
        // Empty: perhaps this thread has no lists (SLAB-2).
        let rare = list.len == 0 || list.len == 2 * BATCH - 1;
        // SAFETY: by contract.
        unsafe { list.push(block) };
        if rare {
            list = give_slow(class, list);
        }
        lists[class].set(list);
    });
}

/// What the list is to be from now on.
#[cold]
#[inline(never)]
fn give_slow(class: usize, mut list: Chain) -> Chain {
    if current::worker().is_null() {
        give_batch(class, list);
        return EMPTY;
    }
    if list.len >= 2 * BATCH {
        give_batch(class, list.split(BATCH));
    }
    list
}

/// A worker's thread is about to end, or to be a worker no more: its lists go to the depot.
pub(crate) fn flush() {
    for class in 0..CLASSES {
        give_batch(class, LISTS.with(|lists| lists[class].replace(EMPTY)));
    }
}

fn give_batch(class: usize, batch: Chain) {
    if batch.len > 0 {
        DEPOT[class].lock().push(batch);
    }
}

#[cold]
fn take_batch(class: usize) -> Chain {
    if let Some(batch) = DEPOT[class].lock().pop() {
        return batch;
    }
    let bytes = (class + 1) * GRAIN_BYTES;
    let layout = Layout::from_size_align(bytes * BATCH, GRAIN_BYTES).expect("a small constant");
    let chunk = general(layout);
    let mut batch = EMPTY;
    for index in (0..BATCH).rev() {
        // SAFETY: inside the chunk, which is never freed; each block once.
        unsafe { batch.push(chunk.add(index * bytes)) };
    }
    batch
}

fn general(layout: Layout) -> NonNull<u8> {
    // SAFETY: not of size zero: a cell holds a header, a chunk its blocks.
    let block = unsafe { std::alloc::alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}
