//! What the tasks of the sync suite share and do: the same for every peer.
//!
//! `go/sync.go` repeats these numbers; whoever changes one file changes both.

use std::hint::black_box;

use crate::workloads::Workload;

/// How many messages a bounded channel holds, where more than one or none.
pub(crate) const CAPACITY: usize = 100;

/// Senders of `mpsc` and `mpmc`.
pub(crate) const PRODUCERS: u64 = 4;

/// Receivers of `mpmc`.
pub(crate) const CONSUMERS: u64 = 4;

/// Permits of the semaphores.
pub(crate) const PERMITS: usize = 2;

/// One operation in so many of `rwlock` writes.
pub(crate) const WRITE_EVERY: u64 = 100;

/// The ready channels of `select8+send`.
pub(crate) const READY: usize = 8;

/// Steps of a long section: some microsecond.
const LONG: u64 = 700;

/// What a lock protects.
#[derive(Debug)]
pub(crate) struct Section {
    entered: u64,
    state: u64,
}

impl Section {
    /// Nobody has entered it yet.
    pub(crate) fn new() -> Section {
        Section {
            entered: 0,
            state: 1,
        }
    }

    /// Counts an entry and computes for so many steps.
    ///
    /// Each step of xorshift needs the last one's result, and a compiler cannot combine them.
    #[inline(always)]
    pub(crate) fn enter(&mut self, steps: u64) {
        self.entered += 1;
        let mut state = self.state;
        for _ in 0..steps {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        self.state = state;
    }

    /// Holds the entries against those made: two at a time would have lost some.
    ///
    /// # Panics
    ///
    /// If some are missing.
    pub(crate) fn check(&self, entries: u64) {
        assert_eq!(self.entered, entries, "entries");
        // Xorshift comes to nothing from nothing only.
        assert_ne!(black_box(self.state), 0, "the state");
    }
}

/// How many steps a section of a workload takes.
pub(crate) fn steps(workload: Workload) -> u64 {
    match workload {
        Workload::Mutex8Long | Workload::Mutex64Long => LONG,
        _ => 0,
    }
}

/// The messages of one of the producers, who share `count`: all of them together are `0..count`.
pub(crate) fn messages(producer: u64, count: u64) -> std::ops::Range<u64> {
    let each = count / PRODUCERS;
    producer * each..(producer + 1) * each
}

/// Holds the sum of what arrived against that of `0..count`, which is what was sent.
///
/// # Panics
///
/// If it is not the same.
pub(crate) fn check_sum(sum: u64, count: u64) {
    let sent = count * count.saturating_sub(1) / 2;
    assert_eq!(sum, sent, "the sum of the messages");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_send_each_message_once() {
        let sent: Vec<u64> = (0..PRODUCERS).flat_map(|p| messages(p, 400)).collect();
        assert_eq!(sent, Vec::from_iter(0..400));
    }

    #[test]
    fn a_long_section_changes_the_state_at_each_step() {
        let mut section = Section::new();
        section.enter(1);
        let one = section.state;
        section.enter(LONG - 1);
        assert!(![0, 1, one].contains(&section.state));
        section.check(2);
    }

    #[test]
    #[should_panic(expected = "entries")]
    fn an_entry_that_was_lost_shows() {
        let mut section = Section::new();
        section.enter(0);
        section.check(2);
    }

    #[test]
    #[should_panic(expected = "the sum of the messages")]
    fn a_message_that_was_lost_shows() {
        check_sum((0..9).sum(), 10);
    }
}
