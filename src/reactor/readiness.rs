//! Readiness: what is known of one descriptor, in one atomic word.
//!
//! Pure. The descriptor is registered once, edge-triggered, so the kernel tells of each change once; this word
//! remembers it until somebody finds that it is over.
//!
//! ```text
//!  63        32 31       8 7       0
//! +------------+----------+---------+
//! | generation |   tick   |  bits   |
//! +------------+----------+---------+
//! ```
//!
//! READY-1, no event is lost: a waiter announces itself (`WAITS_*`) only in the exchange that finds the bit it waits
//! for clear; `event` sets the bit and takes the announcement in one exchange. So either the waiter sees the bit or
//! the event sees the waiter.
//! READY-2, nothing is forgotten: who finds the descriptor drained clears the bits only if no event has come since
//! it looked (the tick is the same). What a short read alone tells leaves `*_CLOSED` standing; and it tells nothing
//! of a source to which urgent data has come (`URGENT`), as a read ends before that, whatever follows.
//! READY-3, no event reaches the next owner of a number: a source that is given up counts its generation up, and
//! the token of its registration names the generation. `event` with an old one changes nothing.
//!
//! Events may be told by several threads, in any order: at worst a direction is taken for ready that is not, and
//! the next call finds that out. A new source is taken to be ready: whoever uses it tries the system call first.

use crate::primitive::{AtomicU64, Ordering};

/// One direction: to read, or to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

const READ: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const READ_CLOSED: u64 = 1 << 2;
const WRITE_CLOSED: u64 = 1 << 3;
const WAITS_READ: u64 = 1 << 4;
const WAITS_WRITE: u64 = 1 << 5;
const URGENT: u64 = 1 << 6;
const TICK_ONE: u64 = 1 << 8;
const TICK: u64 = 0xff_ffff << 8;
const GENERATION_SHIFT: u32 = 32;
const GENERATION_ONE: u64 = 1 << GENERATION_SHIFT;

impl Direction {
    fn open(self) -> u64 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }

    /// All bits by which it is ready.
    fn ready(self) -> u64 {
        match self {
            Self::Read => READ | READ_CLOSED,
            Self::Write => WRITE | WRITE_CLOSED,
        }
    }

    fn waits(self) -> u64 {
        match self {
            Self::Read => WAITS_READ,
            Self::Write => WAITS_WRITE,
        }
    }
}

/// What the kernel reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Event {
    pub readable: bool,
    pub writable: bool,
    /// Nothing more will come: end of file.
    pub read_closed: bool,
    /// Nothing more can be sent.
    pub write_closed: bool,
    /// Urgent data has come.
    pub urgent: bool,
}

impl Event {
    /// Whatever one may wait for.
    pub(crate) const ALL: Self = Self {
        readable: true,
        writable: true,
        read_closed: false,
        write_closed: false,
        urgent: false,
    };
}

/// Whom an event concerns.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// An owner that is gone.
    Stale,
    /// Those that wait for these directions are to be woken.
    Wake { read: bool, write: bool },
}

/// A look at the word, to clear what was found drained since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look(u64);

/// What somebody found out about a direction by a call on the descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// It would block: not ready, whatever was reported before.
    Blocks,
    /// It did less than it was asked to: the next call would block, or find the end.
    Short,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Readiness(AtomicU64);

impl Readiness {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(READ | WRITE))
    }

    /// The generation that a registration's token names.
    pub(crate) fn generation(&self) -> u32 {
        // Relaxed: constant while the caller owns the source.
        (self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32
    }

    /// If that direction is ready as far as is known: a look, to be used for `clear`.
    #[inline]
    pub(crate) fn look(&self, direction: Direction) -> Option<Look> {
        // Acquire: pairs with event; what the poller knew is known here.
        let word = self.0.load(Ordering::Acquire);
        (word & direction.ready() != 0).then_some(Look(word))
    }

    /// That was found of the direction since the look (READY-2).
    #[inline]
    pub(crate) fn clear(&self, direction: Direction, look: Look, found: Found) {
        let mut old = self.0.load(Ordering::Relaxed);
        let over = match found {
            Found::Blocks => direction.ready(),
            Found::Short if old & URGENT != 0 => return,
            Found::Short => direction.open(),
        };
        while (old ^ look.0) & TICK == 0 && old & over != 0 {
            // Relaxed: a note to ourselves; a waiter decides by the exchange of announce.
            match self.0.compare_exchange_weak(
                old,
                old & !over,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// Somebody has found out otherwise that the direction is ready.
    pub(crate) fn assume(&self, direction: Direction) {
        self.0.fetch_or(direction.open(), Ordering::AcqRel);
    }

    /// By a waiter that is about to put itself where wakers look, under the lock that they need for that: false if
    /// the direction is ready after all (READY-1).
    #[must_use]
    pub(crate) fn announce(&self, direction: Direction) -> bool {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & direction.ready() != 0 {
                return false;
            }
            // AcqRel: pairs with event.
            match self.0.compare_exchange_weak(
                old,
                old | direction.waits(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }

    /// By a poller.
    pub(crate) fn event(&self, generation: u32, event: Event) -> Told {
        let mut bits = 0;
        for (is, bit) in [
            (event.readable, READ),
            (event.writable, WRITE),
            (event.read_closed, READ_CLOSED),
            (event.write_closed, WRITE_CLOSED),
            (event.urgent, URGENT),
        ] {
            bits |= if is { bit } else { 0 };
        }
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if (old >> GENERATION_SHIFT) as u32 != generation {
                return Told::Stale;
            }
            let told = |direction: Direction| {
                bits & direction.ready() != 0 && old & direction.waits() != 0
            };
            let (read, write) = (told(Direction::Read), told(Direction::Write));
            let answered = if read { WAITS_READ } else { 0 } | if write { WAITS_WRITE } else { 0 };
            let tick = old.wrapping_add(TICK_ONE) & TICK;
            let new = (old | bits) & !(TICK | answered) | tick;
            // Acquire: pairs with announce. Release: pairs with look and announce.
            match self
                .0
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Told::Wake { read, write },
                Err(now) => old = now,
            }
        }
    }

    /// By the owner, who gives the source up: the next one begins anew (READY-3).
    pub(crate) fn retire(&self) {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let next = (old >> GENERATION_SHIFT << GENERATION_SHIFT).wrapping_add(GENERATION_ONE);
            match self.0.compare_exchange_weak(
                old,
                next | READ | WRITE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }
}
