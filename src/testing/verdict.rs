//! Verdict: what a run that hangs tells, and what must not be left after one that ended.

use std::fmt::Write;
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::machine::clock::VirtualClock;
use crate::machine::worker::Own;
use crate::testing::driver::Driver;

/// How many fibers a failure lists.
const REPORT_MAX: usize = 50;

/// How long the run had gone on, by the virtual clock.
fn since_begin(at_ns: u64) -> Duration {
    Duration::from_nanos(at_ns.saturating_sub(VirtualClock::BEGIN_NS))
}

impl Driver {
    /// Ends the run: `what` is wrong.
    pub(super) fn fail(&self, what: &str) -> ! {
        panic!(
            "{what} (seed {}, after {} steps and {:.1?} of virtual time)\n{}{}",
            self.seed,
            self.steps,
            since_begin(self.now_ns()),
            self.describe_fibers(),
            self.describe_machine()
        );
    }

    /// What the fibers do.
    fn describe_fibers(&self) -> String {
        let machine = self.machine();
        let mut fibers = Vec::new();
        for index in 0..machine.workers.len() {
            // A floating machine shows all its fibers to everybody.
            if machine.config.floating && index != 0 {
                break;
            }
            self.as_worker(index, |me| {
                me.for_each_fiber(&mut |header| {
                    // SAFETY: alive while `for_each_fiber` shows it.
                    fibers.push(me.report(unsafe { &*header }));
                });
            });
        }
        fibers.sort_by_key(|fiber| fiber.id);
        let mut text = String::new();
        for fiber in fibers.iter().take(REPORT_MAX) {
            let _ = writeln!(text, "  {fiber}");
        }
        if fibers.len() > REPORT_MAX {
            let _ = writeln!(text, "  and {} more", fibers.len() - REPORT_MAX);
        }
        text
    }

    /// What the scheduler does: of use to those who look for a fault in it.
    fn describe_machine(&self) -> String {
        let machine = self.machine();
        let mut text = String::new();
        let shared = machine.shared.lock();
        let _ = writeln!(
            text,
            "machine: lists {:#x}, control {:#x}, idle workers {:?}, sentinel {:?}, searchers {}, \
             starving fibers {}, stopping: {}",
            shared.lists.mask(),
            shared.control,
            shared.idle.iter().map(|w| w.index()).collect::<Vec<_>>(),
            shared.sentinel(),
            machine.shared.idle.searchers(),
            shared.starved.len(),
            machine.is_stopping(),
        );
        drop(shared);
        for index in 0..machine.workers.len() {
            let holds = if self.holds_pick(index) {
                ", holds a pick"
            } else {
                ""
            };
            let due_ns = self.due_ns(index);
            let _ = write!(text, "worker {index}: {:?}{holds}", self.phase(index));
            self.as_worker(index, |me| {
                let local = me.local();
                let _ = writeln!(
                    text,
                    ", ready {:#x}, unstarted {}, floating ready {}, mail: {}, live {}, \
                     alarms {}, due {:?}, searching: {}",
                    local.ready.with(|ready| ready.mask()),
                    local.cache.len(),
                    local.floats.len(),
                    me.worker().inbox.has_mail(),
                    local.live.get(),
                    self.entries(index).0,
                    Some(due_ns)
                        .filter(|&due_ns| due_ns != NEVER)
                        .map(since_begin),
                    local.searching.get(),
                );
            });
        }
        text
    }

    /// Between two steps: panics if what the scheduler's files promise of each other does not hold.
    pub(super) fn look_for_contradictions(&self) {
        self.look_at_alarms();
        let machine = self.machine();
        let shared = machine.shared.lock();
        let idle = &machine.shared.idle;
        let met = !shared.idle.is_empty() && shared.lists.mask() != 0;
        let miscounted = idle.idle() != shared.idle.len() as u64;
        let claims = machine
            .workers
            .iter()
            .filter(|w| w.woken_to_search.get())
            .count();
        let asleep = !shared.idle.is_empty();
        let unwatched = shared.sentinel().is_none();
        drop(shared);
        // One that is about to look, or on its way up, will see for itself.
        let looks = (0..machine.workers.len()).any(|index| self.will_look(index));
        let spare = machine.workers.iter().any(|worker| worker.has_spare());
        if spare && asleep && !looks && idle.searchers() == 0 {
            self.fail(
                "workers sleep and nobody searches, while a cache has work to spare (IDLE-2)",
            );
        }
        let lone = machine.workers.iter().any(|worker| worker.holds_any());
        if lone && asleep && unwatched && !looks && idle.searchers() == 0 {
            self.fail("workers sleep and none watches, while a cache has a lone fiber (SHARED-3)");
        }
        if met {
            self.fail("idle workers and queued fibers meet (SHARED-1)");
        }
        if miscounted {
            self.fail("the idle word differs from the idle list");
        }
        let searching = |index: &usize| self.local(*index).searching.get();
        let searchers = (0..machine.workers.len()).filter(searching);
        if idle.searchers() != (searchers.count() + claims) as u64 {
            self.fail("the idle word differs from the searchers");
        }
        if self.searched_busy() {
            self.fail("a worker runs a fiber while it counts as a searcher (IDLE-2)");
        }
    }

    /// After the stop: panics if a queue, a list, a cache or a counter is not as it was at the start.
    pub(super) fn look_for_leftovers(&self) {
        let machine = self.machine();
        let mut left = Vec::new();
        for index in 0..machine.workers.len() {
            self.as_worker(index, |me| {
                for what in leftovers(me) {
                    left.push(format!("worker {index}: {what}"));
                }
            });
            if self.entries(index).0 != 0 {
                left.push(format!("worker {index}: deadlines"));
            }
        }
        let shared = machine.shared.lock();
        let checks = [
            (shared.lists.mask() != 0, "fibers in the shared lists"),
            (!shared.starved.is_empty(), "fibers that starve"),
            (!shared.idle.is_empty(), "workers in the idle list"),
            (shared.sentinel().is_some(), "a sentinel"),
        ];
        drop(shared);
        left.extend(checks.iter().filter(|c| c.0).map(|c| c.1.to_owned()));
        let idle = (machine.shared.idle.idle(), machine.shared.idle.searchers());
        let metrics = machine.metrics();
        for (what, number) in [
            ("idle workers in the idle word", idle.0),
            ("searchers in the idle word", idle.1),
            ("parked fibers", metrics.parked),
            ("deadlines in the metrics", metrics.timers_pending),
            ("stacks in use", metrics.stacks_in_use),
            (
                "fibers spawned beyond those ended",
                metrics.spawned.abs_diff(metrics.finished),
            ),
            (
                "fibers started beyond those ended",
                metrics.started.abs_diff(metrics.finished),
            ),
            (
                "floating fibers alive",
                machine
                    .floating_live
                    .load(std::sync::atomic::Ordering::Relaxed) as u64,
            ),
            (
                "fibers in the population",
                machine
                    .population
                    .load(std::sync::atomic::Ordering::Relaxed),
            ),
        ] {
            if number != 0 {
                left.push(format!("{number} {what}"));
            }
        }
        if !left.is_empty() {
            self.fail(&format!(
                "left behind by a stopped machine: {}",
                left.join("; ")
            ));
        }
    }
}

/// What a worker still has that it must not have when it has left.
fn leftovers(me: Own) -> impl Iterator<Item = &'static str> {
    let (local, worker) = (me.local(), me.worker());
    let picked = local.picked.take();
    [
        (local.live.get() != 0, "live fibers"),
        (local.in_flight.get() != 0, "messages on their way"),
        (local.ready.with(|ready| ready.mask()) != 0, "ready fibers"),
        (!local.cache.is_empty(), "unstarted fibers"),
        (!local.floats.is_empty(), "ready floating fibers"),
        (worker.inbox.has_mail(), "mail"),
        (!worker.slot.get().is_null(), "a fiber in its slot"),
        (!local.current.get().is_null(), "a running fiber"),
        (picked.is_some(), "a picked fiber"),
        (local.searching.get(), "a search"),
        (worker.woken_to_search.get(), "a search to come"),
        (
            local
                .stacks
                .with(|stacks| stacks.iter().any(|magazine| !magazine.is_empty())),
            "stacks",
        ),
        (local.no_switch.get() != 0, "a call on its own stack"),
        (local.due_ns.get() != NEVER, "a due"),
    ]
    .into_iter()
    .filter_map(|(left, what)| left.then_some(what))
}
