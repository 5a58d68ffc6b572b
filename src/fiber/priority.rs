//! Priorities: eight levels, the middle one the default.

use crate::queue::lists::PRIORITIES;

/// How urgently a fiber wants to run, from [`Priority::IDLE`] (0) to [`Priority::REALTIME`] (7).
///
/// A worker runs the highest non-empty level first, and every so many picks (see
/// [`RuntimeBuilder::fairness`](crate::RuntimeBuilder::fairness)) one of the others, so that none starves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(u8);

impl Priority {
    /// Level 0: only what is left over.
    pub const IDLE: Self = Self(0);
    /// Level 1.
    pub const LOWEST: Self = Self(1);
    /// Level 2.
    pub const LOW: Self = Self(2);
    /// Level 3: just below the default.
    pub const BELOW: Self = Self(3);
    /// Level 4: the default.
    pub const NORMAL: Self = Self(4);
    /// Level 5: just above the default.
    pub const ABOVE: Self = Self(5);
    /// Level 6.
    pub const HIGH: Self = Self(6);
    /// Level 7: before everything else.
    pub const REALTIME: Self = Self(7);

    /// The priority of that level, or `None` if it is above 7.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if (level as usize) < PRIORITIES {
            Some(Self(level))
        } else {
            None
        }
    }

    /// The level, 0 to 7.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// From a level that is known to be in range.
    pub(crate) const fn from_level(level: u8) -> Self {
        debug_assert!((level as usize) < PRIORITIES);
        Self(level)
    }

    /// As an index into the lists.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize % PRIORITIES
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}
