//! Patience: how long a worker leaves the others' caches alone after it has robbed one.
//!
//! A robbery stops the victim's CPU for some microseconds (`queue/deque.rs`), and whoever waits for what was taken is
//! woken across CPUs. That is well spent on a fiber that takes longer than that. Where fibers spawn such as do next to
//! nothing, and join them, a thief that never waits slows its victim down tenfold and wins nothing. So a thief
//! whose booty has come to its end at once lets some time pass before the next robbery, twice as long each time.

use std::cell::Cell;
use std::ptr;

use crate::fiber::header::Header;

/// A robbery pays if what was taken lasts so long.
const PAYS_NS: u64 = 5_000;
/// The first pause after one that did not; each further one is twice as long.
const PAUSE_MIN_NS: u64 = 4_000;
const PAUSE_MAX_NS: u64 = 256_000;
/// Between two shares that a busy worker takes.
const SHARE_NS: u64 = 20_000;

/// What a worker's robberies have brought.
#[derive(Debug)]
pub(crate) struct Patience {
    robbed_ns: Cell<u64>,
    /// What it then took, until that ends. Only compared.
    booty: Cell<*const Header>,
    pause_ns: Cell<u64>,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self {
            robbed_ns: Cell::new(0),
            booty: Cell::new(ptr::null()),
            pause_ns: Cell::new(0),
        }
    }

    /// For a new machine.
    pub(crate) fn begin(&self) {
        self.robbed_ns.set(0);
        self.booty.set(ptr::null());
        self.pause_ns.set(0);
    }

    /// The worker has robbed another one. What it took before and has not ended paid.
    pub(crate) fn robbed(&self, booty: *const Header, now_ns: u64) {
        if !self.booty.replace(booty).is_null() {
            self.pause_ns.set(0);
        }
        self.robbed_ns.set(now_ns);
    }

    /// True if that is what it took last.
    #[inline]
    pub(crate) fn is_booty(&self, fiber: *const Header) -> bool {
        ptr::eq(self.booty.get(), fiber)
    }

    /// What it took last has ended.
    pub(crate) fn ended(&self, now_ns: u64) {
        self.booty.set(ptr::null());
        let pause_ns = if now_ns.saturating_sub(self.robbed_ns.get()) >= PAYS_NS {
            0
        } else {
            (2 * self.pause_ns.get()).clamp(PAUSE_MIN_NS, PAUSE_MAX_NS)
        };
        self.pause_ns.set(pause_ns);
    }

    /// True if the last robbery that was judged did not pay.
    pub(crate) fn was_tried(&self) -> bool {
        self.pause_ns.get() > 0
    }

    /// When it may rob again.
    pub(crate) fn until_ns(&self) -> u64 {
        self.robbed_ns.get().saturating_add(self.pause_ns.get())
    }

    /// True if it may rob again.
    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns()
    }

    /// True if it may take a share, busy as it is.
    pub(crate) fn may_share(&self, now_ns: u64) -> bool {
        self.is_over(now_ns) && now_ns.saturating_sub(self.robbed_ns.get()) >= SHARE_NS
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_MAX_NS, PAUSE_MIN_NS, PAYS_NS, Patience, SHARE_NS};
    use crate::fiber::header::Header;

    const BOOTY: *const Header = std::ptr::without_provenance(64);

    /// One robbery, of what lasts so long; the time after it.
    fn rob(patience: &Patience, begin_ns: u64, lasts_ns: u64) -> u64 {
        assert!(patience.is_over(begin_ns), "robbed too soon");
        patience.robbed(BOOTY, begin_ns);
        assert!(patience.is_booty(BOOTY));
        patience.ended(begin_ns + lasts_ns);
        assert!(!patience.is_booty(BOOTY));
        begin_ns + lasts_ns
    }

    #[test]
    fn the_first_robbery_and_those_that_pay_wait_for_nothing() {
        let patience = Patience::new();
        let mut now_ns = 0;
        for _ in 0..10 {
            now_ns = rob(&patience, now_ns, PAYS_NS);
            assert!(patience.is_over(now_ns));
        }
    }

    #[test]
    fn those_that_do_not_pay_come_ever_more_seldom() {
        let patience = Patience::new();
        let mut robbed_ns = 1_000_000;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            rob(&patience, robbed_ns, 100);
            let pause_ns = patience.until_ns() - robbed_ns;
            pauses.push(pause_ns);
            assert!(!patience.is_over(robbed_ns + pause_ns - 1));
            robbed_ns += pause_ns;
        }
        assert_eq!(
            pauses[..3],
            [PAUSE_MIN_NS, 2 * PAUSE_MIN_NS, 4 * PAUSE_MIN_NS]
        );
        assert_eq!(pauses[7..], [PAUSE_MAX_NS; 2]);
    }

    #[test]
    fn one_that_pays_restores_it_and_so_does_one_that_does_not_end() {
        let patience = Patience::new();
        let now_ns = rob(&patience, 1_000_000, 100);
        assert!(!patience.is_over(now_ns));
        let now_ns = rob(&patience, now_ns + PAUSE_MAX_NS, PAYS_NS);
        assert!(patience.is_over(now_ns));

        let now_ns = rob(&patience, now_ns, 100) + PAUSE_MAX_NS;
        patience.robbed(BOOTY, now_ns);
        assert!(!patience.is_over(now_ns));
        let now_ns = now_ns + PAUSE_MAX_NS;
        patience.robbed(BOOTY, now_ns);
        assert!(patience.is_over(now_ns));
    }

    #[test]
    fn a_busy_worker_takes_a_share_now_and_then() {
        let patience = Patience::new();
        patience.robbed(BOOTY, 1_000_000);
        assert!(patience.is_over(1_000_000));
        assert!(!patience.may_share(1_000_000 + SHARE_NS - 1));
        assert!(patience.may_share(1_000_000 + SHARE_NS));
    }
}
