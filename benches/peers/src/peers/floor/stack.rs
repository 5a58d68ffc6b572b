//! Stacks of coroutines whose tops do not all compete for the same lines of the cache.
//!
//! Mapped stacks begin at the end of a page. The tops of two hundred would share a few of the first level's
//! sets, and a switch would wait for the second level: no floor.

use corosensei::stack::{DefaultStack, Stack, StackPointer};

/// More than any coroutine here needs, a failing assertion included.
const BYTES: usize = 64 * 1024;

/// Two lines of the cache: processors fetch them in pairs.
const COLOUR_BYTES: usize = 128;

/// All of them together are less than a page.
const COLOURS: usize = 31;

/// A stack whose top is below the end of its mapping.
pub(super) struct Coloured {
    mapped: DefaultStack,
    base: StackPointer,
}

impl Coloured {
    /// A stack for the coroutine of that index.
    pub(super) fn new(index: u64) -> Coloured {
        let mapped = DefaultStack::new(BYTES).expect("memory for a stack");
        let offset = index as usize % COLOURS * COLOUR_BYTES;
        let base = StackPointer::new(mapped.base().get() - offset);
        Coloured {
            base: base.expect("the mapping is larger than all colours"),
            mapped,
        }
    }
}

// SAFETY: the lower end is that of the mapping, guard page included. The base is aligned, as the mapping's
// end is and all colours are; it is less than a page below that end, which leaves far more than the minimum.
unsafe impl Stack for Coloured {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.mapped.limit()
    }
}
