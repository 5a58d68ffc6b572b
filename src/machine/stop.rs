//! Stop: how a machine ends, and how a worker answers those who ask what its fibers do.
//!
//! Order of a stop: (1) the flag: no new fibers; (2) the control bit, and every idle worker is woken;
//! (3) each worker cancels the started fibers at home (the sweep) and runs what is queued: unstarted fibers
//! only drop their closures; (4) a worker leaves when none of its fibers is left, no message is on its way
//! and every queue it can reach is empty; (5) the last Arc frees the machine and unmaps its stacks.
//!
//! STOP-1: after (1) nobody queues a new fiber from outside (checked under the shared lock), and a worker
//! queues none either (it reads its own flag), so (3) is finite.
//! STOP-2: whoever queues something queued it while its own worker was alive, and that worker looks at the
//! shared lists before it leaves; so nothing is left behind.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::fiber::alarm::NEVER;
use crate::fiber::header::{Header, State};
use crate::fiber::reasons::Reasons;
use crate::fiber::runner::Runner;
use crate::machine::core::Machine;
use crate::machine::shared::{ASK, CONTROL, STOP, SWEEP, Shared};
use crate::machine::wake::wake;
use crate::machine::worker::{Own, Worker};

/// Every how many `cancel_all` the fibers that wait unstarted in the shared lists are told one by one.
const EPOCHS_MARKED: u16 = 1 << 14;
/// How many fibers a worker lists at the most.
const REPORT_MAX: usize = 1000;

/// One fiber, as a report shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FiberReport {
    /// The fiber's number.
    pub id: u64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// `running`, `ready` or `parked`.
    pub state: &'static str,
    /// What it waits for, if it is parked.
    pub waits_for: Reasons,
    /// How long until a deadline ends that wait, if one does: its own, or one that encloses it.
    pub until: Option<Duration>,
    /// The worker that is its home; of a floating machine the one that has run it last.
    pub worker: usize,
}

impl std::fmt::Display for FiberReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or("<unnamed>");
        write!(
            f,
            "fiber '{name}' (id {}) on worker {}: {}",
            self.id, self.worker, self.state
        )?;
        // Nearly every wait accepts these, so they are shown only if there is nothing else to show.
        let usual = Reasons::CANCEL | Reasons::CALL | Reasons::TIMEOUT;
        let mut shown = self.waits_for & !usual;
        if shown.is_empty() && self.until.is_none() {
            shown = self.waits_for;
        }
        if !shown.is_empty() {
            write!(f, ", waits for {shown:?}")?;
        }
        if shown.contains(Reasons::QUEUE) {
            f.write_str(" (a lock, a channel, a join, a scope, a call, blocking or a wait queue)")?;
        }
        if let Some(until) = self.until {
            write!(f, ", until {until:.1?} from now")?;
        }
        Ok(())
    }
}

impl Machine {
    /// Steps (1) and (2).
    pub(crate) fn stop(&self) {
        self.set_stopping();
        let mut shared = self.shared.lock();
        shared.control |= STOP;
        drop(shared);
        self.notify_all();
    }

    /// Cancels every fiber that was spawned before. Those that have started are cancelled by each worker when it
    /// next comes to its scheduler; those that have not when they would start (`run_closure`). A worker that
    /// starts an old fiber after its sweep has seen the new epoch; one that starts it before sweeps it.
    pub(crate) fn cancel_all(&self) {
        let mut shared = self.shared.lock();
        // Relaxed: ordered by the lock, which every sweep takes.
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if epoch.is_multiple_of(EPOCHS_MARKED) {
            // Long before the epoch comes round again: who still waits from far back is told in its word.
            shared.lists.for_each(|header| {
                // SAFETY: queued, so alive.
                unsafe { wake(header, Reasons::CANCEL.0) };
            });
        }
        shared.sweep += 1;
        shared.sweeps_left = self.workers.len();
        shared.control |= SWEEP;
        drop(shared);
        self.notify_all();
    }

    /// Asks every worker what its fibers do; those that do not come back to their scheduler in time are
    /// named by number in the second list.
    pub(crate) fn reports(&self, patience: Duration) -> (Vec<FiberReport>, Vec<usize>) {
        let _one_at_a_time = self.reporting.lock();
        let deadline = Instant::now() + patience;
        let mut gate = self.gate.lock();
        let asked = self.asked.load(Ordering::Relaxed) + 1;
        gate.reports.clear();
        gate.answered.clear();
        gate.listing = false;
        self.asked.store(asked, Ordering::Relaxed);
        drop(gate);
        self.shared.lock().control |= ASK;
        self.notify_all();
        let mut gate = self.gate.lock();
        while gate.answered.len() + gate.exited < self.workers.len() {
            if self.gate_moved.wait_until(&mut gate, deadline).timed_out() {
                break;
            }
        }
        let reports = std::mem::take(&mut gate.reports);
        let silent = (0..self.workers.len())
            .filter(|index| !gate.answered.contains(index) && !gate.left.contains(index))
            .collect();
        drop(gate);
        self.shared.lock().control &= !ASK;
        (reports, silent)
    }
}

impl Own {
    /// Heeds the control bits. True if this worker is to leave.
    pub(crate) fn heed(self) -> bool {
        let control = self.machine().shared.mask() & CONTROL;
        if control == 0 {
            return false;
        }
        if control & ASK != 0 {
            self.answer();
        }
        if control & SWEEP != 0 {
            self.sweep_once();
        }
        if control & STOP == 0 {
            return false;
        }
        if !self.local().swept.replace(true) {
            self.sweep(|_| true);
        }
        let shared = self.machine().shared.lock();
        let leaves = self.may_leave(&shared);
        drop(shared);
        if leaves {
            self.give_all_stacks();
        }
        leaves
    }

    /// For a worker about to sleep, under the lock: true if no control bit wants it.
    pub(crate) fn has_heeded(self, shared: &Shared) -> bool {
        let answered = shared.control & ASK == 0
            || self.local().answered.get() == self.machine().asked.load(Ordering::Relaxed);
        let answered = answered
            && (shared.control & SWEEP == 0 || self.local().swept_to.get() == shared.sweep);
        let stays =
            shared.control & STOP == 0 || self.local().swept.get() && !self.may_leave(shared);
        answered && stays
    }

    /// Step (4).
    fn may_leave(self, shared: &Shared) -> bool {
        let local = self.local();
        let machine = self.machine();
        let live = if machine.config.floating {
            machine.floating_live.load(Ordering::Acquire) != 0
        } else {
            local.live.get() != 0
        };
        !live
            && local.in_flight.get() == 0
            && local.ready.with(|ready| ready.mask()) == 0
            && local.cache.is_empty()
            && local.floats.is_empty()
            && !self.worker().inbox.has_mail()
            && shared.lists.mask() == 0
            && shared.starved.is_empty()
            && local.starved.with(|starved| starved.is_empty())
            && self.worker().slot.get().is_null()
    }

    /// This worker's part in `cancel_all`.
    fn sweep_once(self) {
        let machine = self.machine();
        let sweep = machine.shared.lock().sweep;
        if self.local().swept_to.replace(sweep) == sweep {
            return;
        }
        // One that was spawned after `cancel_all` may have started here before this sweep (a stolen one), or on
        // another worker of a floating machine: it goes on.
        // Older, not merely other: all may be cancelled once more during this sweep, and what has been spawned since is
        // newer than both. Epochs wrap, but whoever is half a round behind was told long ago.
        let epoch = machine.epoch();
        self.sweep(|fiber| epoch.wrapping_sub(fiber.alarm.epoch) as i16 > 0);
        let mut shared = machine.shared.lock();
        if shared.sweep == sweep {
            shared.sweeps_left -= 1;
            if shared.sweeps_left == 0 {
                shared.control &= !SWEEP;
            }
        }
    }

    /// Step (3): cancels every started fiber at home that is `meant`.
    fn sweep(self, meant: impl Fn(&Header) -> bool) {
        self.for_each_fiber(&mut |header| {
            // SAFETY: alive while `for_each_fiber` shows it.
            let fiber = unsafe { &*header };
            if meant(fiber) {
                // SAFETY: as above.
                unsafe { wake(fiber, Reasons::CANCEL.0) };
            }
        });
    }

    fn answer(self) {
        let asked = self.machine().asked.load(Ordering::Relaxed);
        if self.local().answered.replace(asked) == asked {
            return;
        }
        let mut reports = Vec::new();
        let machine = self.machine();
        // A floating machine's fibers are everybody's: the first to answer lists them.
        let taken = std::mem::replace(&mut machine.gate.lock().listing, true);
        let listed = machine.config.floating && taken;
        self.for_each_fiber(&mut |header| {
            if !listed && reports.len() < REPORT_MAX {
                // SAFETY: alive while `for_each_fiber` shows it.
                reports.push(self.report(unsafe { &*header }));
            }
        });
        let mut gate = self.machine().gate.lock();
        gate.reports.append(&mut reports);
        gate.answered.push(self.index());
        self.machine().gate_moved.notify_all();
    }

    pub(crate) fn report(self, fiber: &Header) -> FiberReport {
        // A floating fiber's plain state is not ours to read: only its word is.
        let (state, waits_for) = if fiber.word.is_shared() {
            match fiber.word.parked_for() {
                Some(mask) => ("parked", Reasons(mask)),
                None => ("running or ready", Reasons::NONE),
            }
        } else {
            match fiber.state.get() {
                State::Parked => ("parked", Reasons(fiber.mask.get())),
                State::Running => ("running", Reasons::NONE),
                _ => ("ready", Reasons::NONE),
            }
        };
        let home = fiber.home.load(Ordering::Relaxed);
        let worker = if home.is_null() {
            self.index()
        } else {
            // SAFETY: stored by as_home.
            unsafe { Worker::from_home(home) }.index()
        };
        FiberReport {
            id: fiber.id(),
            name: fiber.cold().and_then(|cold| cold.name.clone()),
            state,
            waits_for,
            until: self.until(fiber, waits_for),
            worker,
        }
    }

    /// How long until a fiber that waits for that is woken for its deadline.
    fn until(self, fiber: &Header, waits_for: Reasons) -> Option<Duration> {
        let at_ns = fiber.alarm.at_ns();
        (waits_for.contains(Reasons::TIMEOUT) && at_ns != NEVER)
            .then(|| Duration::from_nanos(at_ns.saturating_sub(self.machine().clock.now_ns())))
    }

    /// Shows every started fiber at home; of a floating machine every one, wherever it is.
    pub(crate) fn for_each_fiber(self, f: &mut dyn FnMut(*const Header)) {
        let machine = self.machine();
        let floating = machine.config.floating;
        let roster = floating.then(|| machine.roster.lock());
        machine.pool.for_each_cut(&mut |_, stack| {
            let runner = stack.head().cast::<Runner>().as_ptr();
            // SAFETY: a cut stack's head is readable; zeroed, it shows no fiber.
            let runner = unsafe { &*runner };
            // The fiber first: with Acquire it brings the home that was stored before it. If that is us,
            // only this thread can end the fiber (RUN-2).
            let header = runner.fiber();
            let ours = std::ptr::eq(runner.home.load(Ordering::Relaxed), self.worker().as_home());
            if !header.is_null() && (floating || ours) {
                f(header);
            }
        });
        drop(roster);
    }

    fn give_all_stacks(self) {
        self.local().stacks.with(|stacks| {
            for (index, magazine) in stacks.iter_mut().enumerate() {
                let class = crate::stack::SizeClass::from_index(index as u8);
                self.machine().pool.give(class, magazine, 0);
            }
        });
    }
}
