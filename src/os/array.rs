//! An array in pages of its own, which the kernel moves when it grows (`mremap`): no element is copied, and
//! what it gives up goes back to the system.
//!
//! It holds plain memory: no element is ever dropped, and which of them mean something is the owner's to know.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};

use rustix::mm::{self, MapFlags, MremapFlags, ProtFlags};

use super::memory::page_size;

/// See the head of the file. Elements are `Copy`, and zeroed memory is a valid element.
#[derive(Debug)]
pub(crate) struct Array<T> {
    start: NonNull<T>,
    bytes: usize,
}

// SAFETY: it owns its pages as a Vec owns its heap.
unsafe impl<T: Send> Send for Array<T> {}

impl<T: Copy> Array<T> {
    /// No pages yet.
    pub(crate) const fn new() -> Self {
        Self {
            start: NonNull::dangling(),
            bytes: 0,
        }
    }

    /// How many elements there is room for.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes / size_of::<T>()
    }

    /// The first element. Valid for reads and writes of `capacity` elements, until the next `resize`.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.start.as_ptr()
    }

    /// Makes room for `capacity` elements, rounded up to pages; keeps the first ones that fit.
    ///
    /// Ends the process, as every failed allocation in Rust does, if the kernel has no room.
    pub(crate) fn resize(&mut self, capacity: usize) {
        let wanted = (capacity * size_of::<T>()).next_multiple_of(page_size());
        if wanted == self.bytes {
            return;
        }
        let moved = if self.bytes == 0 {
            // SAFETY: no address is asked for, so the kernel picks one that nothing else uses.
            unsafe {
                mm::mmap_anonymous(
                    ptr::null_mut(),
                    wanted,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE,
                )
            }
        } else {
            // SAFETY: the whole of our own mapping; `&mut self` says that nobody looks at it meanwhile.
            unsafe {
                mm::mremap(
                    self.start.as_ptr().cast(),
                    self.bytes,
                    wanted,
                    MremapFlags::MAYMOVE,
                )
            }
        };
        let start = moved.ok().and_then(|start| NonNull::new(start.cast::<T>()));
        let Some(start) = start else {
            handle_alloc_error(Layout::array::<T>(capacity).unwrap_or(Layout::new::<T>()));
        };
        self.start = start;
        self.bytes = wanted;
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        if self.bytes != 0 {
            // SAFETY: our own mapping, and nobody looks at it any more.
            let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), self.bytes) };
        }
    }
}
