//! Run: a worker switches to a fiber, and what happens when it comes back or ends.

use std::sync::atomic::Ordering;

use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::header::{Ending, Header, State};
use crate::fiber::reasons::Reasons;
use crate::fiber::runner::Runner;
use crate::fiber::word::Finished;
use crate::machine::starve::FAILED;
use crate::machine::wake::{pay, pay_awaiter};
use crate::machine::worker::{Outcome, Own, Pick};
use crate::stack::SizeClass;

/// Hot stacks that a worker keeps to itself, per size class; beyond this half go to the machine's pool.
const MAGAZINE_MAX: usize = 64;
/// Stacks from this size on hold what a pick needs, in unoptimised builds too.
const CHAIN_BYTES_MIN: usize = 64 << 10;
/// How many it takes at a time when it has none.
const MAGAZINE_REFILL: usize = 16;

impl Own {
    /// Runs what was picked, and what its runner picked after it, until there is something to decide.
    #[inline(always)]
    pub(crate) fn run(self, pick: Pick) {
        let local = self.local();
        if local.searching.get() {
            // Woken to search, it found work at home: others are silent because of it (IDLE-2).
            self.end_search();
        }
        let mut next = Some(pick);
        while let Some(pick) = next {
            let (header, runner) = match pick {
                Pick::Started(header) => {
                    // SAFETY: picked, so alive and ours.
                    (header, unsafe { &*header }.runner.get())
                }
                Pick::Fresh(header) => match self.take_runner(header) {
                    Some(runner) => {
                        self.begin(header, runner);
                        (header, runner)
                    }
                    None => {
                        next = local.picked.take();
                        continue;
                    }
                },
            };
            // SAFETY: as above.
            let fiber = unsafe { &*header };
            fiber.state.set(State::Running);
            // A pinned fiber's home is this worker already; a floating one's changes here.
            fiber
                .home
                .store(self.worker().as_home().cast_mut(), Ordering::Relaxed);
            local.current.set(header);
            self.counters().switches.add(1);
            // SAFETY: RUN-3: the fiber is ready and ours, its runner suspended.
            unsafe { (*runner).resume() };
            self.after_switch();
            next = local.picked.take();
        }
    }

    /// Back on the worker's stack.
    #[inline(always)]
    fn after_switch(self) {
        let local = self.local();
        // Not always the fiber that was resumed: a runner goes on to other fibers.
        let header = local.current.replace(std::ptr::null());
        match local.outcome.get() {
            Outcome::Yielded => self.make_ready(header),
            Outcome::Parked => {}
            Outcome::Idle => {
                // Only now: the runner was still on its stack when it suspended.
                // SAFETY: just suspended without a fiber; ours.
                self.give_runner(unsafe { &*local.idle_runner.get() });
            }
            Outcome::Parking => {
                // SAFETY: switched out and not yet parked: still ours.
                let fiber = unsafe { &*header };
                // If it parks, somebody may resume or even free it from here on: last touch.
                if !fiber.word.commit_park(fiber.mask.get()) {
                    self.counters().unparks.add(1);
                    self.make_ready(header);
                }
            }
        }
    }

    /// Takes a stack for a fiber that starts. Without one the fiber is put aside, or fails.
    fn take_runner(self, header: *const Header) -> Option<*const Runner> {
        // SAFETY: picked, so alive and ours.
        let class = SizeClass::from_index(unsafe { &*header }.class);
        let taken = self.local().stacks.with(|stacks| {
            let magazine = &mut stacks[class.index()];
            if magazine.is_empty() {
                self.machine().pool.take(class, magazine, MAGAZINE_REFILL)?;
            }
            let stack = magazine.pop();
            // Where many fibers start, stacks come from the pool, and have lain there for long.
            if let Some(&next) = magazine.last() {
                Runner::prefetch_on(next);
            }
            Ok(stack)
        });
        match taken {
            // SAFETY: from the magazine, so ours and without a fiber.
            Ok(Some(stack)) => Some(unsafe { Runner::on(stack, class, runner_body) }),
            Ok(None) => None,
            Err(error) => {
                self.starve(header, &error);
                None
            }
        }
    }

    fn give_runner(self, runner: &Runner) {
        let class = runner.class();
        self.local().stacks.with(|stacks| {
            let magazine = &mut stacks[class.index()];
            magazine.push(runner.stack());
            if magazine.len() > MAGAZINE_MAX {
                self.machine().pool.give(class, magazine, MAGAZINE_MAX / 2);
            }
        });
        if self.machine().is_starving() {
            self.stop_starving();
        }
    }

    /// A fiber's first moment: it gets its home and its stack.
    fn begin(self, header: *const Header, runner: *const Runner) {
        // SAFETY: picked, so alive and ours.
        let fiber = unsafe { &*header };
        fiber.runner.set(runner);
        // SAFETY: the runner is ours and carries no fiber.
        let runner = unsafe { &*runner };
        // Relaxed: published by the store that follows.
        runner
            .home
            .store(self.worker().as_home().cast_mut(), Ordering::Relaxed);
        // Release: pairs with Acquire in Runner::fiber.
        runner.fiber.store(header.cast_mut(), Ordering::Release);
        self.machine().fiber_began(self);
    }

    /// The next fiber for a runner whose fiber has just ended, if it can start it by a plain call.
    fn next_fresh(self, runner: &Runner) -> Option<*const Header> {
        // On a small stack the scheduler's own frames would not fit: back to the worker's.
        if !self.machine().chains || runner.class().bytes() < CHAIN_BYTES_MIN {
            return None;
        }
        let pick = self.pick(true)?;
        match pick {
            // SAFETY: picked, so alive and ours.
            Pick::Fresh(header) if unsafe { &*header }.class as usize == runner.class().index() => {
                Some(header)
            }
            _ => {
                self.local().picked.set(Some(pick));
                None
            }
        }
    }
}

/// What every runner does: see `fiber/runner.rs`.
fn runner_body(runner: &Runner) {
    // Never disarmed: the loop does not end.
    let _bomb = AbortOnUnwind("a panic left the scheduler's own code on a fiber stack");
    let mut me = worker();
    loop {
        let ending = run_closure(me, me.local().current.get());
        // A floating fiber may have ended on another worker than it began.
        me = end(runner, ending);
        if let Some(header) = me.next_fresh(runner) {
            me.begin(header, runner);
            // SAFETY: picked, so alive and ours.
            let fiber = unsafe { &*header };
            fiber.state.set(State::Running);
            fiber
                .home
                .store(me.worker().as_home().cast_mut(), Ordering::Relaxed);
            me.local().current.set(header);
            continue;
        }
        me.local().current.set(std::ptr::null());
        me.local().idle_runner.set(runner);
        me.local().outcome.set(Outcome::Idle);
        // SAFETY: on this runner's stack.
        unsafe { runner.suspend() };
        // Perhaps the stack is another worker's by now.
        me = worker();
    }
}

/// This thread's worker, which it is as it runs a fiber.
#[inline]
fn worker() -> Own {
    let Some(me) = Own::current() else {
        std::process::abort()
    };
    me
}

fn run_closure(me: Own, header: *const Header) -> Ending {
    // SAFETY: the running fiber is alive.
    let fiber = unsafe { &*header };
    let cancelled = me.machine().is_stopping()
        || me.machine().epoch() != fiber.alarm.epoch
        || (fiber.word.is_shared() || fiber.word.has_unabsorbed() || fiber.reasons.get() != 0)
            && crate::machine::park::pending() & Reasons::CANCEL.0 != 0;
    // SAFETY: once, as the fiber starts once; its closure is there.
    unsafe { (fiber.vtable.run)(header, cancelled) }
}

/// The end of a fiber that never started: it has failed, and has no runner.
pub(crate) fn end_unstarted(me: Own, header: *const Header) {
    me.machine().fiber_began(me);
    let _ = finish(me, header, None, FAILED);
}

/// The end of a fiber, on its own stack, as the running fiber until the last step. Returns the worker on which it ended.
fn end(runner: &Runner, ending: Ending) -> Own {
    let me = worker();
    let header = me.local().current.get();
    // SAFETY: alive until `finish` gives up the scheduler's reference.
    let fiber = unsafe { &*header };
    // Its destructors may wait, but no cancellation unwinds out of them any more.
    fiber.ends.set(0);
    let me = drop_locals(me, fiber);
    finish(me, header, Some(runner), ending)
}

/// Publishes the result, runs the last calls, tells joiner and scope, frees the cell. `me` is read again whenever user
/// code has run (WORKER-2).
fn finish(mut me: Own, header: *const Header, runner: Option<&Runner>, ending: Ending) -> Own {
    // SAFETY: alive until the word's `finish` gives up the scheduler's reference.
    let fiber = unsafe { &*header };
    let floating = fiber.word.is_shared();
    let on_stack = |me: Own, fiber: *mut Header| {
        let Some(runner) = runner else { return };
        // RUN-2, floating: whoever looks holds the roster.
        let roster = floating.then(|| me.machine().roster.lock());
        runner.fiber.store(fiber, Ordering::Release);
        drop(roster);
    };
    me.machine().fiber_ends(me, ending);
    let patience = &me.local().patience;
    if patience.is_booty(header) {
        patience.ended(me.now_ns());
    }
    let scope = fiber.scope.get();
    let vtable = fiber.vtable;
    let mut calls_closed = false;
    let mut result_dropped = false;
    let mut unseen_panic = false;
    let (joiner, last, in_flight) = loop {
        // No alarm may know the fiber when it is over. Here, as what was run meanwhile may have armed one.
        me.forget(fiber);
        // RUN-2: cleared before the reference goes, and set again where user code still runs.
        on_stack(me, std::ptr::null_mut());
        fiber.state.set(State::Over);
        let finished = fiber.word.finish(calls_closed, result_dropped);
        if let Finished::Done {
            joiner,
            last,
            in_flight,
        } = finished
        {
            break (joiner, last, in_flight);
        }
        fiber.state.set(State::Running);
        on_stack(me, header.cast_mut());
        if finished == Finished::CallsPending {
            // Made if need be: a caller may have announced its call and not yet found the queue, which it
            // must then find closed.
            for call in fiber.cold_or_new().calls.take(true) {
                // SAFETY: taken out of the queue, so ours to run, once.
                unsafe { ((*call).run)(call) };
            }
            me = drop_locals(worker(), fiber);
            calls_closed = true;
        } else {
            // SAFETY: no handle is left, so the result is ours to drop (WORD-5).
            unseen_panic = unsafe { (vtable.drop_result)(header) };
            // What that destructor stored in fiber-local values goes here, at home.
            me = drop_locals(worker(), fiber);
            result_dropped = true;
        }
    };
    // From here on the fiber is over: nothing below switches.
    me.local().current.set(std::ptr::null());
    if joiner {
        if fiber.joiner.waiter().is_null() {
            // SAFETY: `finish` told us, and us alone.
            unsafe { pay_awaiter(header) };
        } else {
            // The joiner keeps the fiber, and itself, until we let go (OWED-2).
            // SAFETY: as above.
            unsafe { pay(&fiber.joiner) };
        }
    } else if last {
        // SAFETY: the last reference was ours.
        unsafe { (vtable.free)(header) };
    }
    me.machine().fiber_over(me, in_flight);
    if !scope.is_null() {
        // SAFETY: the scope's frame waits for this very call (SCOPE-1).
        let scope = unsafe { &*scope };
        if scope.done(unseen_panic) {
            // SAFETY: the owner waits, and leaves only when we let go.
            unsafe { pay(&scope.owner) };
        }
    }
    me
}

/// Returns the worker on which that came to its end: destructors may wait.
fn drop_locals(me: Own, fiber: &Header) -> Own {
    let Some(cold) = fiber.cold() else { return me };
    let bomb = AbortOnUnwind("a fiber-local value panicked in its destructor");
    // SAFETY: the fiber's own thread of execution; the borrow ends before the value is dropped.
    while let Some(value) = unsafe { (*cold.locals.get()).take_newest() } {
        drop(value);
    }
    std::mem::forget(bomb);
    worker()
}
