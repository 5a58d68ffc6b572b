//! Size classes, and the addresses of a stack.
//!
//! Pure arithmetic: no memory is touched here. The drawing is at the head of the room.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;

use corosensei::stack::{MIN_STACK_SIZE, STACK_ALIGNMENT, Stack, StackPointer};

/// Bytes at the top of each stack that are left to the user of the pool.
///
/// They read as zero on a stack that was never used and on one whose memory went back (*fresh*);
/// otherwise they hold what the last user left there.
pub(crate) const HEAD_BYTES: usize = 256;
/// Bytes at the top of an idle stack, head included, that no trim takes away: they stay, or the
/// whole stack turns to zero. Whatever lives on an idle stack (a runner that waits for its next fiber)
/// must lie up here. Two pages for the head and a few frames of an unoptimised build; as hardly any
/// stack is kept that long, the second costs next to nothing.
pub(crate) const KEPT_BYTES: usize = 8192;
/// What must be left between guard and head: corosensei's minimum, and a page that stays.
const USABLE_BYTES_MIN: usize = 4096;

/// Colours, see `SizeClass::colour_bytes`: two lines apart, as processors fetch lines in pairs.
const COLOUR_LINES: usize = 16;
const COLOUR_LINE_BYTES: usize = 128;
const COLOUR_PAGE_BYTES: usize = 4096;
/// The most that a line colour takes.
const COLOUR_BYTES_MAX: usize = (COLOUR_LINES - 1) * COLOUR_LINE_BYTES;

const _: () = assert!(HEAD_BYTES.is_multiple_of(64) && HEAD_BYTES.is_multiple_of(STACK_ALIGNMENT));
const _: () = assert!(HEAD_BYTES < KEPT_BYTES);
const _: () = assert!(USABLE_BYTES_MIN >= MIN_STACK_SIZE);

/// The size of a stack: a power of two from 16 KiB to 8 MiB, guard and head included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SizeClass(u8);

impl SizeClass {
    /// How many classes there are.
    pub(crate) const COUNT: usize = 10;
    /// The smallest size.
    pub(crate) const BYTES_MIN: usize = 16 << 10;
    /// The largest size.
    pub(crate) const BYTES_MAX: usize = Self::BYTES_MIN << (Self::COUNT - 1);

    /// The smallest class of at least `bytes`. None for 0 and for more than the largest.
    pub(crate) const fn for_bytes(bytes: usize) -> Option<SizeClass> {
        if bytes == 0 || bytes > Self::BYTES_MAX {
            return None;
        }
        let bytes = if bytes < Self::BYTES_MIN {
            Self::BYTES_MIN
        } else {
            bytes
        };
        let shift = bytes.next_power_of_two().trailing_zeros();
        Some(SizeClass((shift - Self::BYTES_MIN.trailing_zeros()) as u8))
    }

    /// All classes, smallest first.
    pub(crate) fn all() -> impl Iterator<Item = SizeClass> {
        (0..Self::COUNT as u8).map(SizeClass)
    }

    /// The class of an index below `COUNT`.
    pub(crate) const fn from_index(index: u8) -> SizeClass {
        assert!((index as usize) < Self::COUNT);
        SizeClass(index)
    }

    /// The size, guard and head included.
    pub(crate) const fn bytes(self) -> usize {
        Self::BYTES_MIN << self.0
    }

    /// 0 for the smallest class, up to `COUNT - 1`.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether a stack of this class has room to run beside a guard of `guard_bytes`.
    pub(crate) const fn has_room_beside(self, guard_bytes: usize) -> bool {
        match guard_bytes.checked_add(USABLE_BYTES_MIN + HEAD_BYTES + COLOUR_BYTES_MAX) {
            Some(least) => least <= self.bytes() - (self.colour_pages() - 1) * COLOUR_PAGE_BYTES,
            None => false,
        }
    }

    /// The lowest address of a stack of this class, guard included.
    pub(crate) fn limit_of(self, stack: StackRef) -> usize {
        // Each stack is aligned to its size (STACK-2).
        stack.base() & !(self.bytes() - 1)
    }

    /// How many page colours there are: an eighth of the stack's pages, 1 to 16.
    const fn colour_pages(self) -> usize {
        match self.bytes() / 8 / COLOUR_PAGE_BYTES {
            0 => 1,
            pages if pages > 16 => 16,
            pages => pages,
        }
    }

    /// How far below the top of its slot the head of the stack at `limit` lies.
    ///
    /// Slots are a power of two apart, so without this the same byte of every stack would fall into the
    /// same few sets of the caches, and a thousand fibers that take turns would evict one another. The
    /// offset differs in its line (16 colours) and, in larger stacks, in its page (an eighth of the address
    /// space, no memory).
    fn colour_bytes(self, limit: usize) -> usize {
        let number = limit / self.bytes();
        number % COLOUR_LINES * COLOUR_LINE_BYTES
            + number / COLOUR_LINES % self.colour_pages() * COLOUR_PAGE_BYTES
    }

    /// The addresses of the guard, half-open; `guard_bytes` is `StackPool::guard_bytes`.
    pub(crate) fn guard_of(self, stack: StackRef, guard_bytes: usize) -> Range<usize> {
        let limit = self.limit_of(stack);
        limit..limit + guard_bytes
    }

    /// The stack that begins at `limit`, its lowest address.
    ///
    /// # Safety
    /// `limit` is the start of a mapped range of this class's size.
    pub(super) unsafe fn stack_at(self, limit: NonNull<u8>) -> StackRef {
        let colour_bytes = self.colour_bytes(limit.as_ptr() as usize);
        let offset = self.bytes() - HEAD_BYTES - colour_bytes;
        // SAFETY: stays inside the range, whose end lies at least HEAD_BYTES further: a colour is less than a
        // quarter of any class (COLOUR_BYTES_MAX and an eighth).
        let head = unsafe { limit.add(offset) };
        StackRef { head }
    }

    /// The lowest address of a stack, as a pointer to its memory.
    ///
    /// # Safety
    /// The stack is of this class, and still mapped.
    pub(super) unsafe fn limit_ptr(self, stack: StackRef) -> NonNull<u8> {
        // SAFETY: undoes `stack_at`, inside the same mapping.
        unsafe { stack.head.sub(stack.base() - self.limit_of(stack)) }
    }
}

/// A stack, by the address of its head. A plain name: holding one gives no right to the memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct StackRef {
    head: NonNull<u8>,
}

// SAFETY: an address and nothing else; who may use the memory is the state table of the room.
unsafe impl Send for StackRef {}
// SAFETY: as above.
unsafe impl Sync for StackRef {}

impl StackRef {
    /// The stack whose head that is.
    ///
    /// # Safety
    /// `head` came from [`StackRef::head`].
    pub(crate) unsafe fn from_head(head: NonNull<u8>) -> StackRef {
        StackRef { head }
    }

    /// The [`HEAD_BYTES`] bytes at the top of the stack, 64-aligned.
    pub(crate) fn head(self) -> NonNull<u8> {
        self.head
    }

    /// The address from which the usable stack grows down: that of the head.
    pub(crate) fn base(self) -> usize {
        self.head.as_ptr() as usize
    }
}

/// A stack as corosensei wants it: the two ends. Owns nothing; does not give the stack back.
#[derive(Debug)]
pub(crate) struct RawStack {
    base: NonZeroUsize,
    limit: NonZeroUsize,
}

impl RawStack {
    /// The ends of `stack`.
    ///
    /// # Safety
    /// The stack is of this class, was taken from a pool, and is not given back while the result
    /// is in use; nothing else runs on it.
    pub(crate) unsafe fn new(class: SizeClass, stack: StackRef) -> RawStack {
        let limit = NonZeroUsize::new(class.limit_of(stack)).expect("page 0 is never mapped");
        RawStack {
            base: stack.head.addr(),
            limit,
        }
    }
}

// SAFETY: the two duties of the trait. A guard page: `limit` is the start of a guard, installed
// before the pool handed the stack out (STACK-1). The minimum size: `has_room_beside` was checked
// by `StackPool::take`, and includes it. Alignment: the base is 64-aligned, the limit page aligned.
unsafe impl Stack for RawStack {
    fn base(&self) -> StackPointer {
        self.base
    }

    fn limit(&self) -> StackPointer {
        self.limit
    }
}
