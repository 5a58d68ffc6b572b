//! Turn: who writes to a socket, one at a time and first come first served.
//!
//! A write may take several system calls, and waits in between; another's bytes must not get in there. Whoever wants
//! to write draws a ticket; the turn is the ticket's that is served. Both numbers lie in one word, so a turn that
//! nobody else wants costs one exchange to take and one to pass on.
//!
//! TURN-1: the number served goes up only by whom it serves, or for a ticket that was given up; both see to the next
//! one under the lock of `given_up`, unless nobody waits. So each ticket is served once, or skipped once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::fiber::alarm::NEVER;
use crate::wait::WaitQueue;

/// The lower half: the next ticket. The upper half: the one that is served; counting it up carries nowhere.
const SERVED_SHIFT: u32 = 32;
const SERVED_ONE: u64 = 1 << SERVED_SHIFT;

/// See the head of the file.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Turn {
    word: AtomicU64,
    queue: WaitQueue,
    /// Tickets whose owners went away before they were served.
    given_up: Mutex<Vec<u32>>,
}

/// The turn, until dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct InTurn<'a>(&'a Turn);

/// A ticket that is not served yet. Dropped if its wait is unwound.
struct Ticket<'a> {
    turn: &'a Turn,
    number: u32,
}

fn served(word: u64) -> u32 {
    (word >> SERVED_SHIFT) as u32
}

impl Turn {
    /// Waits for the turn, that long at the most (`NEVER`: for ever). `None`: the time is up.
    ///
    /// *Cancellation* and deadlines unwind.
    #[inline]
    pub(super) fn take(&self, timeout_ns: u64) -> Option<InTurn<'_>> {
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let number = old as u32;
            // In two halves: the ticket after the last one is number 0 again.
            let new = (old & !0xffff_ffff) | u64::from(number.wrapping_add(1));
            // Acquire: pairs with pass_on; what the writer before us did is done.
            match self
                .word
                .compare_exchange_weak(old, new, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) if served(old) == number => return Some(InTurn(self)),
                Ok(_) => return self.wait(number, timeout_ns),
                Err(now) => old = now,
            }
        }
    }

    #[cold]
    fn wait(&self, number: u32, timeout_ns: u64) -> Option<InTurn<'_>> {
        let ticket = Ticket { turn: self, number };
        let is_served = || served(self.word.load(Ordering::Acquire)) == number;
        if timeout_ns == NEVER {
            self.queue.wait_until(is_served);
        } else if !self
            .queue
            .wait_timeout(Duration::from_nanos(timeout_ns), is_served)
        {
            return None;
        }
        std::mem::forget(ticket);
        Some(InTurn(self))
    }

    /// By whom it serves.
    #[inline]
    fn pass_on(&self) {
        // Release: pairs with take.
        let old = self.word.fetch_add(SERVED_ONE, Ordering::AcqRel);
        if old as u32 != served(old).wrapping_add(1) {
            self.call_next(&mut self.given_up.lock());
        }
    }

    /// Skips those that were given up, and wakes the one that is served, if it is there already.
    #[cold]
    fn call_next(&self, given_up: &mut Vec<u32>) {
        loop {
            let number = served(self.word.load(Ordering::Acquire));
            let Some(at) = given_up.iter().position(|gone| *gone == number) else {
                break;
            };
            given_up.swap_remove(at);
            self.word.fetch_add(SERVED_ONE, Ordering::AcqRel);
        }
        self.queue.wake_one();
    }
}

impl Drop for InTurn<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut given_up = self.turn.given_up.lock();
        given_up.push(self.number);
        // It may be served by now, and then nobody else sees to the next one.
        self.turn.call_next(&mut given_up);
    }
}
