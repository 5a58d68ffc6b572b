//! Contend: how a fiber, or a plain thread, gets a lock that is not free.
//!
//! The protocol is the lock's own (`raw_mutex.rs`, `raw_rwlock.rs`); this is its slow path: spin if that may help, go
//! into the line, try again when woken, and after a millisecond say so and have the lock handed over.

use std::hint;

use crate::fiber::alarm::NEVER;
use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::header::Header;
use crate::fiber::owed::Owed;
use crate::fiber::reasons::Reasons;
use crate::machine::clock::has_come;
use crate::machine::park;
use crate::machine::wake::settle;
use crate::wait::cancel::{self, Me, Unwind};
use crate::wait::line::Early;

const QUEUE: u16 = Reasons::QUEUE.0;
/// A waiter that has waited so long gets the lock before anybody else.
const STARVED_NS: u64 = 1_000_000;
/// Looks at a lock that is held, each after twice the pause of the one before: some microseconds in all. Who is left
/// alone meanwhile goes through many short sections at full speed.
const LOOKS: u32 = 8;

/// What became of one who wants the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Claim {
    /// It holds the lock.
    Locked,
    /// It is in the line.
    Waits,
    /// Somebody has taken it out of the line and lets go of it soon.
    Taken,
}

/// A lock with a line, wanted in one way.
pub(crate) trait Contended {
    /// The waiter's record.
    type Record;
    fn record(&self, me: *const Header) -> Self::Record;
    fn owed(record: &Self::Record) -> &Owed;
    /// The lock was handed over. By the waiter, once it has been let go.
    fn is_granted(record: &Self::Record) -> bool;
    /// Takes the lock if it is free; `woken`: as one who was woken to try.
    fn try_as(&self, woken: bool) -> bool;
    /// Takes the lock, or goes into the line; `woken`: as one who has to go back.
    ///
    /// # Safety
    /// The record is in no line, and stays where it is until it has left this one (WAITERS-1).
    unsafe fn enter(&self, record: &Self::Record, woken: bool) -> Claim;
    /// Has waited long enough.
    fn starve(&self, record: &Self::Record) -> Claim;
    /// True if the record is in the line; with `leave`, it is taken out.
    fn in_line(&self, record: &Self::Record, leave: bool) -> bool;
    /// Was woken and will not go on. True if it got the lock all the same.
    fn give_up(&self) -> bool;
}

/// Gets the lock, whatever happens.
#[cold]
#[inline(never)]
pub(crate) fn lock<L: Contended>(lock: &L) {
    let _ = contend::<L, false>(lock, NEVER);
}

/// Gets the lock until `at_ns`. Neither cancellation nor an enclosing deadline ends the wait.
#[cold]
#[inline(never)]
pub(crate) fn lock_until<L: Contended>(lock: &L, at_ns: u64) -> bool {
    contend::<L, false>(lock, at_ns).is_ok()
}

/// Gets the lock, unless cancellation or an enclosing deadline ends the wait.
#[cold]
#[inline(never)]
pub(crate) fn lock_cancellable<L: Contended>(lock: &L) -> Result<(), Unwind> {
    match contend::<L, true>(lock, NEVER) {
        Ok(()) => Ok(()),
        Err(Early::Unwind(unwind)) => Err(unwind),
        Err(Early::TimedOut) => unreachable!("a wait without an end"),
    }
}

#[inline(always)]
fn contend<L: Contended, const CANCELLABLE: bool>(lock: &L, at_ns: u64) -> Result<(), Early> {
    let mut woken = false;
    let mut starve_ns = None;
    loop {
        if spin(lock, woken) {
            return Ok(());
        }
        if !woken && at_ns == NEVER {
            park::refuse_if_stuck();
        }
        let me = Me::get();
        let record = lock.record(me.header());
        // SAFETY: new, and in this frame until it is out again.
        if unsafe { lock.enter(&record, woken) } == Claim::Locked {
            return Ok(());
        }
        let starve_ns = *starve_ns.get_or_insert_with(|| me.soon_ns() + STARVED_NS);
        if let Some(ended) = stay::<L, CANCELLABLE>(lock, &record, starve_ns, at_ns) {
            return ended;
        }
        if L::is_granted(&record) {
            return Ok(());
        }
        woken = true;
        if at_ns != NEVER && has_come(at_ns) {
            return if lock.give_up() {
                Ok(())
            } else {
                Err(Early::TimedOut)
            };
        }
    }
}

/// Stays in the line. `None`: taken out, and let go.
#[inline(always)]
fn stay<L: Contended, const CANCELLABLE: bool>(
    lock: &L,
    record: &L::Record,
    starve_ns: u64,
    at_ns: u64,
) -> Option<Result<(), Early>> {
    let bomb = AbortOnUnwind("a wait for a lock was refused");
    let owed = L::owed(record);
    let mut starved = false;
    let ended = loop {
        let until_ns = if starved { at_ns } else { starve_ns.min(at_ns) };
        let slept = match (CANCELLABLE, until_ns) {
            (false, NEVER) => Ok(park::sleep(QUEUE)),
            (false, _) => Ok(cancel::sleep_shielded_until(QUEUE, until_ns)),
            (true, NEVER) => cancel::sleep(QUEUE),
            (true, _) => cancel::sleep_until(QUEUE, until_ns),
        };
        if owed.has_let_go() {
            break None;
        }
        let in_line = match slept {
            Ok(0) if until_ns != at_ns => match lock.starve(record) {
                Claim::Locked => break Some(Ok(())),
                Claim::Taken => false,
                Claim::Waits => {
                    starved = true;
                    true
                }
            },
            Ok(0) => {
                if lock.in_line(record, true) {
                    break Some(Err(Early::TimedOut));
                }
                false
            }
            Ok(_) => lock.in_line(record, false),
            Err(unwind) => {
                if lock.in_line(record, true) {
                    break Some(Err(Early::Unwind(unwind)));
                }
                settle(owed);
                break if L::is_granted(record) || lock.give_up() {
                    Some(Ok(()))
                } else {
                    Some(Err(Early::Unwind(unwind)))
                };
            }
        };
        if !in_line {
            settle(owed);
            break None;
        }
    };
    std::mem::forget(bomb);
    ended
}

#[inline]
fn spin<L: Contended>(lock: &L, woken: bool) -> bool {
    for look in 0..LOOKS {
        if lock.try_as(woken) {
            return true;
        }
        if !park::may_spin() {
            return false;
        }
        for _ in 0..1 << look {
            hint::spin_loop();
        }
    }
    false
}
