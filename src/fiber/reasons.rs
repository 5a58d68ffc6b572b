//! Wake reasons: why a fiber was woken, or what it is willing to be woken for.
//!
//! Pure data: sixteen bits with names. Eight belong to the library, eight to the user's own primitives.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of wake reasons.
///
/// A fiber sleeps with a *mask*, the reasons it accepts; a wake carries one or more reasons. A reason
/// outside the mask does not end the sleep: it is kept, and the next sleep that accepts it returns at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reasons(pub(crate) u16);

impl Reasons {
    /// No reason at all.
    pub const NONE: Self = Self(0);
    /// A file descriptor became readable. Reserved: nothing sends it yet.
    pub const READABLE: Self = Self(1 << 0);
    /// A file descriptor became writable. Reserved: nothing sends it yet.
    pub const WRITABLE: Self = Self(1 << 1);
    /// A deadline has passed: that of a [`sleep_until`](crate::wait::sleep_until), or one that encloses the sleep
    /// and is in its mask.
    pub const TIMEOUT: Self = Self(1 << 2);
    /// A future's waker was called: see [`block_on`](crate::block_on), which alone sleeps for it. Sent by its wakers only.
    pub const WAKER: Self = Self(1 << 3);
    /// Calls are queued for this fiber (see [`Fiber::call`](crate::Fiber::call)).
    pub const CALL: Self = Self(1 << 4);
    /// The fiber is being cancelled. Sticky: it stays set until the fiber has ended.
    pub const CANCEL: Self = Self(1 << 5);
    /// Somebody called [`Fiber::unpark`](crate::Fiber::unpark).
    pub const UNPARK: Self = Self(1 << 6);
    /// A queue, a joined fiber or a scope has what this fiber waits for. Sent by the library only.
    pub const QUEUE: Self = Self(1 << 7);
    /// Free for primitives built outside this library.
    pub const USER0: Self = Self(1 << 8);
    /// Free for primitives built outside this library.
    pub const USER1: Self = Self(1 << 9);
    /// Free for primitives built outside this library.
    pub const USER2: Self = Self(1 << 10);
    /// Free for primitives built outside this library.
    pub const USER3: Self = Self(1 << 11);
    /// Free for primitives built outside this library.
    pub const USER4: Self = Self(1 << 12);
    /// Free for primitives built outside this library.
    pub const USER5: Self = Self(1 << 13);
    /// Free for primitives built outside this library.
    pub const USER6: Self = Self(1 << 14);
    /// Free for primitives built outside this library.
    pub const USER7: Self = Self(1 << 15);

    /// What a caller of [`wait::wake`](crate::wait::wake) may send: the user bits and `UNPARK`.
    ///
    /// The others are promises between the library and itself. A `QUEUE` that nobody owes, for one,
    /// would let a joiner leave its frame while the real waker still looks at it.
    pub const SENDABLE: Self = Self(0xff00 | Self::UNPARK.0);

    /// True if no reason is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if every reason of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if the two sets share a reason.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The union, usable in constants.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Reasons {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Reasons {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Reasons {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Reasons {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "READABLE", "WRITABLE", "TIMEOUT", "WAKER", "CALL", "CANCEL", "UNPARK", "QUEUE",
            "USER0", "USER1", "USER2", "USER3", "USER4", "USER5", "USER6", "USER7",
        ];
        if self.is_empty() {
            return f.write_str("NONE");
        }
        let mut first = true;
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                if !first {
                    f.write_str(" | ")?;
                }
                first = false;
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}
