//! Park: how the running fiber, or a plain thread, waits.
//!
//! Whoever must not switch blocks its OS thread instead: a plain thread, code inside `on_worker_stack`, and
//! a fiber that unwinds from a panic (std counts panics per thread, so another fiber that ran on this
//! worker meanwhile would find `panicking()` true, and its locks would be poisoned for no reason).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::fiber::alarm::NEVER;
use crate::fiber::current;
use crate::fiber::header::{Header, State};
use crate::fiber::reasons::Reasons;
use crate::machine::alarm::ring_if_due;
use crate::machine::clock::Clock;
use crate::machine::idle::ASLEEP;
use crate::machine::rng::Rng;
use crate::machine::worker::{Outcome, Own};
use crate::os::{
    self,
    futex::{self, Waited},
};
use crate::primitive::heavy_fence;

const CANCEL: u16 = Reasons::CANCEL.0;
const TIMEOUT: u16 = Reasons::TIMEOUT.0;
/// What a sleep returns without consuming it.
const STICKY: u16 = CANCEL | TIMEOUT;

/// Waits until a reason in `mask` has come, consumes and returns those that have. `CANCEL` and `TIMEOUT` are
/// returned but not consumed. With `TIMEOUT` in the mask the wait ends at the moment that the fiber is armed for
/// (`alarm.rs`).
///
/// Blocks the fiber; a plain thread, or a fiber that must not switch, blocks its OS thread.
///
/// Always inlined, up to the caller's own frame: corosensei switches in by a call and out by a return, and
/// the processor predicts that return only if no frame was entered or left in between.
#[inline(always)]
pub(crate) fn sleep(mask: u16) -> u16 {
    if let Some((me, header)) = running()
        && !must_block(me)
    {
        // SAFETY: the running fiber is alive.
        let fiber = unsafe { &*header };
        // Set by `absorb`, which only pinned fibers reach.
        if fiber.absorbed.get() {
            if fiber.reasons.get() & mask == 0 {
                fiber.mask.set(mask);
                fiber.state.set(State::Parked);
                me.counters().parks.add(1);
                switch_out(me, fiber, Outcome::Parked);
            }
            return take_own(fiber, mask);
        }
    }
    sleep_slow(mask)
}

/// As [`sleep`], and also for what may unwind the caller; `None` where that is not simple: the caller is no pinned fiber
/// that may switch and has waited before.
#[inline(always)]
pub(crate) fn sleep_pinned(mask: u16) -> Option<u16> {
    let (me, header) = running()?;
    // SAFETY: the running fiber is alive.
    let fiber = unsafe { &*header };
    if must_block(me) || !fiber.absorbed.get() {
        return None;
    }
    let mask = mask | fiber.ends.get();
    if fiber.reasons.get() & mask == 0 {
        fiber.mask.set(mask);
        fiber.state.set(State::Parked);
        me.counters().parks.add(1);
        switch_out(me, fiber, Outcome::Parked);
    }
    Some(take_own(fiber, mask))
}

/// Consumes what is accepted of a pinned fiber's reasons.
#[inline(always)]
fn take_own(fiber: &Header, mask: u16) -> u16 {
    let accepted = fiber.reasons.get() & mask;
    fiber
        .reasons
        .set(fiber.reasons.get() & !(accepted & !STICKY));
    accepted
}

/// The first wait of a pinned fiber, and the waits of everybody else.
#[cold]
#[inline(never)]
fn sleep_slow(mask: u16) -> u16 {
    let Some((me, header)) = running() else {
        if let Some(me) = Own::current() {
            refuse_if_driven(me, None);
        }
        let thread = current::thread_fiber();
        return block_thread(&thread, mask);
    };
    // SAFETY: the running fiber is alive.
    let fiber = unsafe { &*header };
    if must_block(me) {
        return block_worker(me, fiber, mask);
    }
    if fiber.word.is_shared() {
        return sleep_floating(me, fiber, mask);
    }
    absorb(fiber);
    if fiber.reasons.get() & mask == 0 {
        fiber.mask.set(mask);
        fiber.state.set(State::Parked);
        me.counters().parks.add(1);
        switch_out(me, fiber, Outcome::Parked);
    }
    take_own(fiber, mask)
}

/// The reasons that wait for the running fiber or thread, without consuming any.
#[inline(always)]
pub(crate) fn pending() -> u16 {
    match running() {
        // SAFETY: the running fiber is alive.
        Some((_, header)) => pending_of(unsafe { &*header }),
        None => pending_here(&current::thread_fiber()),
    }
}

/// As [`pending`], and what is still on its way to the running fiber: for one that does not come back to its
/// worker.
pub(crate) fn pending_or_sent() -> u16 {
    let sent = running().map_or(0, |(_, header)| {
        // SAFETY: the running fiber is alive.
        unsafe { &*header }.word.pending()
    });
    pending() | sent
}

/// As [`pending`], of the running fiber.
#[inline(always)]
fn pending_of(fiber: &Header) -> u16 {
    if fiber.word.is_shared() {
        return fiber.word.pending();
    }
    if fiber.word.has_unabsorbed() {
        absorb(fiber);
    }
    fiber.reasons.get()
}

/// As [`pending`], on a plain thread, which nobody wakes at its deadline while it runs.
fn pending_here(thread: &Header) -> u16 {
    let at_ns = thread.alarm.at_ns();
    let due = at_ns != NEVER && at_ns <= os::clock::now_ns();
    thread.word.pending() | if due { TIMEOUT } else { 0 }
}

/// Lets others run first. Fibers of the same priority run in turn. On a plain thread, or where the fiber
/// must not switch, this is `std::thread::yield_now`. Returns which of the reasons that may unwind the caller
/// are pending then.
#[inline(always)]
pub(crate) fn yield_now() -> u16 {
    let Some((me, header)) = running() else {
        thread::yield_now();
        let thread = current::thread_fiber();
        return pending_here(&thread) & thread.ends.get();
    };
    // SAFETY: the running fiber is alive.
    let fiber = unsafe { &*header };
    if must_block(me) {
        // Nobody else reads the mail or looks at the clock meanwhile.
        me.drain_inbox();
        ring_if_due(me, fiber);
        thread::yield_now();
    } else {
        switch_out(me, fiber, Outcome::Yielded);
    }
    pending_of(fiber) & fiber.ends.get()
}

/// The running fiber and its worker, if the caller is a fiber.
#[inline(always)]
pub(crate) fn running() -> Option<(Own, *const Header)> {
    let me = Own::current()?;
    let header = me.local().current.get();
    if header.is_null() {
        None
    } else {
        Some((me, header))
    }
}

/// True if the running fiber must not switch now.
#[inline(always)]
pub(crate) fn must_block(me: Own) -> bool {
    me.local().no_switch.get() != 0 || thread::panicking()
}

/// From now on wakes come through the inbox (WORD-2); those that came earlier are taken over.
#[cold]
fn absorb(fiber: &Header) {
    fiber.absorbed.set(true);
    fiber.reasons.set(fiber.reasons.get() | fiber.word.absorb());
}

#[inline(always)]
fn switch_out(me: Own, fiber: &Header, outcome: Outcome) {
    me.local().outcome.set(outcome);
    // SAFETY: a running fiber has a runner, and we are on its stack.
    unsafe { (*fiber.runner.get()).suspend() };
}

#[inline(never)]
fn sleep_floating(me: Own, fiber: &Header, mask: u16) -> u16 {
    let accepted = take_shared(fiber, mask);
    if accepted != 0 {
        return accepted;
    }
    // Parked by the worker, after the registers were saved (WORD-3).
    fiber.mask.set(mask);
    me.counters().parks.add(1);
    switch_out(me, fiber, Outcome::Parking);
    // Perhaps on another worker now, and `me` another's token (WORKER-2): begin anew.
    match take_shared(fiber, mask) {
        0 => sleep_slow(mask),
        accepted => accepted,
    }
}

fn take_shared(fiber: &Header, mask: u16) -> u16 {
    let sticky = fiber.word.pending() & mask & STICKY;
    fiber.word.try_take(mask & !STICKY) | sticky
}

/// Until when a wait with that mask blocks a thread.
fn until(fiber: &Header, mask: u16) -> Option<u64> {
    let at_ns = fiber.alarm.at_ns();
    (mask & TIMEOUT != 0 && at_ns != NEVER).then_some(at_ns)
}

/// A plain thread waits.
fn block_thread(fiber: &Header, mask: u16) -> u16 {
    let mut until = until(fiber, mask);
    loop {
        let accepted = take_shared(fiber, mask);
        if accepted != 0 {
            return accepted;
        }
        // Relaxed: published by commit_park.
        fiber.futex.store(0, Ordering::Relaxed);
        if !fiber.word.commit_park(mask) {
            continue;
        }
        // The one waker that takes PARKED out stores 1 as its last touch, so this loop must see that 1
        // before the header may go. Acquire: pairs with its Release.
        while fiber.futex.load(Ordering::Acquire) == 0 {
            if futex::wait_until(&fiber.futex, 0, until) == Waited::TimedOut {
                if fiber.word.cancel_park() {
                    return TIMEOUT;
                }
                // A waker was first, and is about to store that 1.
                until = None;
            }
        }
    }
}

/// A fiber that must not switch waits: its worker runs nothing else meanwhile.
#[cold]
fn block_worker(me: Own, fiber: &Header, mask: u16) -> u16 {
    if let Clock::Virtual(clock) = &me.machine().clock {
        // The one thread that there is would block. Unless what it waits for is there already,
        me.drain_inbox();
        if pending() & mask != 0 {
            return if fiber.word.is_shared() {
                take_shared(fiber, mask)
            } else {
                take_own(fiber, mask)
            };
        }
        // nothing happens meanwhile but that time passes.
        match until(fiber, mask) {
            Some(at_ns) => clock.jump_to(at_ns),
            None => refuse_block(Some(fiber)),
        }
        return TIMEOUT;
    }
    // What lies in our cache cannot be run by us now, and one of them may be what we wait for.
    me.offer_cache();
    if fiber.word.is_shared() {
        fiber.word.begin_blocking();
        let accepted = block_thread(fiber, mask);
        fiber.word.end_blocking();
        return accepted;
    }
    if !fiber.absorbed.get() {
        absorb(fiber);
    }
    loop {
        me.drain_inbox();
        let accepted = fiber.reasons.get() & mask;
        if accepted != 0 {
            return take_own(fiber, mask);
        }
        // Asleep without being registered as idle: only mail wakes us (IDLE-1 holds for mail alone).
        let worker = me.worker();
        worker.sleep.lie_down();
        heavy_fence();
        let waited = if worker.inbox.has_mail() {
            Waited::Woken
        } else {
            futex::wait_until(worker.sleep.futex(), ASLEEP, until(fiber, mask))
        };
        worker.sleep.rise();
        if waited == Waited::TimedOut && !worker.inbox.has_mail() {
            return TIMEOUT;
        }
    }
}

/// For a wait that others are about to be told of, and that has no end of its own: refuses here what would be refused
/// when it blocks, while it can still be unwound.
pub(crate) fn refuse_if_stuck() {
    let Some(me) = Own::current() else { return };
    if !me.machine().is_driven() {
        return;
    }
    match running() {
        // SAFETY: the running fiber is alive.
        Some((me, header)) if must_block(me) => refuse_block(Some(unsafe { &*header })),
        Some(_) => {}
        None => refuse_block(None),
    }
}

/// The running fiber, if it is one and no run of the deterministic mode refuses it a wait.
#[inline(always)]
pub(crate) fn simple() -> Option<*const Header> {
    let (me, header) = running()?;
    (!me.machine().is_driven()).then_some(header)
}

/// A number below `bound`, which is not zero: of the worker's own chance, or of what the threads share.
pub(crate) fn random(bound: usize) -> usize {
    static SHARED: AtomicU64 = AtomicU64::new(1);
    match Own::current() {
        Some(me) => me.local().rng.below(bound),
        None => {
            // Two threads may draw the same number.
            let rng = Rng::new(SHARED.fetch_add(1, Ordering::Relaxed));
            rng.below(bound)
        }
    }
}

/// True if a lock that is taken for a few instructions only is worth spinning for: its holder may run elsewhere, and
/// there is nothing else to do here.
pub(crate) fn may_spin() -> bool {
    let Some(me) = Own::current() else {
        return true;
    };
    let machine = me.machine();
    machine.workers.len() > 1 && machine.config.spin_ns > 0 && !me.has_something()
}

/// In the deterministic mode one thread stands for all workers: if it blocked, the run would hang.
fn refuse_if_driven(me: Own, fiber: Option<&Header>) {
    if me.machine().is_driven() {
        refuse_block(fiber);
    }
}

/// Ends a run in which somebody would block the one thread that there is.
#[cold]
fn refuse_block(fiber: Option<&Header>) -> ! {
    let who = match fiber {
        None => "the scheduler's own frame (a destructor, perhaps)".to_owned(),
        Some(fiber) => {
            let name = fiber.cold().and_then(|cold| cold.name.as_deref());
            format!(
                "fiber '{}' (id {})",
                name.unwrap_or("<unnamed>"),
                fiber.id()
            )
        }
    };
    let why = if std::thread::panicking() {
        "while it unwinds"
    } else {
        "where it must not switch"
    };
    panic!(
        "{who} waits {why}, so it would block its thread: in a deterministic run that is the only one"
    );
}
