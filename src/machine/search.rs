//! Search: a worker that ran dry looks into the other workers' caches, for a while.
//!
//! At most one worker searches at a time (on large machines: half of the workers). Thieves take the oldest
//! item; many at once from a long cache, so that a flood of spawns costs few visits; one from a short one,
//! so that a fork-join tree is cut at its largest branch.
//! A lone item is left alone until its owner has not looked for `LONE_NS`: the owner of a fresh fiber is
//! about to run it, and taking it from under him costs both more than it brings. (Unless that one has far more fibers than
//! the thief: `balance.rs`.) And so are all, for a while, by a thief
//! whom the last one brought next to nothing (`patience.rs`).

use std::sync::atomic::Ordering;

use crossbeam_deque::{Steal, Stealer};

use crate::fiber::alarm::NEVER;
use crate::machine::item::Item;
use crate::machine::pick::started;
use crate::machine::worker::{Own, Pick, Worker};
use crate::primitive::light_fence;

/// How long a lone item's owner must not have looked.
const LONE_NS: u64 = 3_000;
/// How long a worker spins before it also offers its CPU to other threads between two looks.
const YIELD_AFTER_NS: u64 = 4_000;
/// How often a worker that pauses between two robberies looks outside: nobody else looks into its own reactor, and
/// its pause may be ten times as long as it spins.
const PATIENT_LOOK_NS: u64 = 10_000;
/// A cache as long as this loses half of it (32 at the most) to a thief at a time.
const BATCH_MIN: usize = 128;

/// What a worker remembers of a neighbour with a lone item.
#[derive(Clone, Copy, Debug)]
struct Lone {
    worker: usize,
    looks: u32,
    since_ns: u64,
}

impl Own {
    /// Looks for work elsewhere. `None`: nothing found, or something came to this worker itself.
    pub(crate) fn search(self) -> Option<Pick> {
        let machine = self.machine();
        let local = self.local();
        if machine.workers.len() > 1 {
            self.become_searcher();
        }
        // Woken by nothing but time, it has nobody to wait for.
        let spin_ns = if local.rang.get() {
            0
        } else {
            machine.config.spin_ns
        };
        let begin_ns = machine.clock.now_ns();
        let mut lone = None;
        let mut next_ns = begin_ns;
        let mut look_ns = begin_ns.saturating_add(PATIENT_LOOK_NS);
        loop {
            let now_ns = machine.clock.now_ns();
            if self.is_due(now_ns) && self.serve(now_ns) > 0 && self.has_something() {
                // Time alone brought that: or else it would spin from one deadline to the next.
                local.rang.set(true);
                self.end_search();
                return None;
            }
            if now_ns >= look_ns && !local.patience.is_over(now_ns) && self.has_sources() {
                look_ns = now_ns.saturating_add(PATIENT_LOOK_NS);
                if self.look_outside() && self.has_something() {
                    self.end_search();
                    return None;
                }
            }
            // Who may not search still waits a while for its own mail: a fiber that was just woken
            // elsewhere often answers soon, and a sleeping worker is slow to wake.
            if local.searching.get()
                && now_ns >= next_ns
                && let Some(pick) = self.steal_once(&mut lone, now_ns)
            {
                local.rang.set(false);
                self.end_search();
                return Some(pick);
            }
            if self.has_own_news() {
                self.end_search();
                return None;
            }
            if !local.patience.is_over(now_ns) {
                // Looks, too, slow down whoever works there.
                next_ns = now_ns.saturating_add(LONE_NS);
                next_ns = next_ns.min(local.patience.until_ns());
            }
            // An item in sight is worth waiting for until it may be taken, whatever the spin.
            let end_ns = match lone {
                Some(_) => {
                    let aged_ns = begin_ns.saturating_add(spin_ns.max(2 * LONE_NS));
                    aged_ns.max(local.patience.until_ns())
                }
                None => begin_ns.saturating_add(spin_ns),
            };
            // Virtual time has an end, at which it stands.
            if now_ns >= end_ns.min(NEVER - 1)
                || machine.shared.mask() & crate::machine::shared::CONTROL != 0
            {
                // Still a searcher: `sleep` gives it up together with going idle (IDLE-2).
                return None;
            }
            for _ in 0..32 {
                if self.worker().inbox.has_mail() {
                    break;
                }
                std::hint::spin_loop();
            }
            // Whoever is to bring the news may wait for this very CPU: kernels like to place a woken thread
            // beside its waker.
            if now_ns - begin_ns >= YIELD_AFTER_NS {
                std::thread::yield_now();
            }
        }
    }

    /// Counts this worker as a searcher, unless there are enough of them.
    pub(crate) fn become_searcher(self) {
        let machine = self.machine();
        let searching = &self.local().searching;
        if !searching.get() {
            let searchers_max = (machine.workers.len() as u64 / 2).max(1);
            searching.set(machine.shared.idle.try_search(searchers_max));
        }
    }

    /// Mail, or something in the shared lists.
    fn has_own_news(self) -> bool {
        self.worker().inbox.has_mail()
            || self.machine().shared.mask() & crate::machine::shared::LISTS != 0
    }

    /// No longer a searcher, because there is work: the last one tells the next.
    pub(crate) fn end_search(self) {
        if self.local().searching.replace(false) && self.machine().shared.idle.found() {
            let machine = self.machine();
            // `found`, fence, look: the sentinel that leaves does the opposite (SHARED-3).
            light_fence();
            let more = machine.workers.iter().any(|worker| worker.has_spare());
            if more || !machine.shared.is_watched() {
                machine.notify_one();
            }
        }
    }

    /// One round over the other workers, from a random one on.
    fn steal_once(self, lone: &mut Option<Lone>, now_ns: u64) -> Option<Pick> {
        let workers = &self.machine().workers;
        let start = self.local().rng.below(workers.len());
        let patience = &self.local().patience;
        // Where fibers float nobody can say how many a worker has.
        let pinned = !self.machine().config.floating;
        *lone = lone.filter(|seen| workers[seen.worker].holds_any());
        for step in 0..workers.len() {
            let victim = workers[(start + step) % workers.len()];
            if std::ptr::eq(victim, self.worker()) || !victim.holds_any() {
                continue;
            }
            let spare = victim.has_spare() || pinned && victim.outweighs(self.worker());
            if !(spare && patience.is_over(now_ns)) {
                let looks = victim.looks.load(Ordering::Relaxed);
                let seen = lone.filter(|seen| seen.worker == victim.index() && seen.looks == looks);
                let Some(seen) = seen else {
                    *lone = Some(Lone {
                        worker: victim.index(),
                        looks,
                        since_ns: now_ns,
                    });
                    continue;
                };
                if now_ns - seen.since_ns < LONE_NS {
                    continue;
                }
            }
            if let Some(pick) = self.rob(victim) {
                return Some(pick);
            }
        }
        None
    }

    fn rob(self, victim: &Worker) -> Option<Pick> {
        if let Some(item) = steal_float(&victim.floats) {
            self.counters().steals.add(1);
            return Some(started(item));
        }
        let item = if victim.cache.len() >= BATCH_MIN && self.machine().chains {
            // Beyond those that the owner keeps to itself, which costs it nothing: whatever it brings, it pays.
            let item = victim.cache.steal_half(&self.local().cache)?;
            self.counters().steals.add(1);
            return Some(self.fresh(item));
        } else if self.local().patience.was_tried() {
            // One alone does not pay.
            victim.cache.steal_half(&self.local().cache)?
        } else {
            victim.cache.steal()?
        };
        self.took(item)
    }

    fn took(self, item: Item) -> Option<Pick> {
        let pick = self.fresh(item);
        self.counters().steals.add(1);
        // From now on: the robbery itself takes its time.
        let begin_ns = self.now_ns();
        self.local().patience.robbed(pick.header(), begin_ns);
        Some(pick)
    }

    /// By a worker that is busy, but has nothing unstarted: the oldest of some other worker's cache, if that has more
    /// than one. It looks at one only, as it has better things to do.
    pub(crate) fn take_a_share(self) -> Option<Pick> {
        let workers = &self.machine().workers;
        let others = workers.len() - 1;
        if others == 0 {
            return None;
        }
        let step = 1 + self.local().rng.below(others);
        let victim = workers[(self.index() + step) % workers.len()];
        if victim.cache.len() < 2 {
            return None;
        }
        let now_ns = self.soon_ns();
        if !self.local().patience.may_share(now_ns) {
            return None;
        }
        let item = victim.cache.steal_half(&self.local().cache)?;
        // The others of them lie in this cache now.
        self.offer_one();
        self.took(item)
    }

    /// For a worker about to sleep: true if some cache holds what it would have to take (IDLE-1, step 4).
    pub(crate) fn sees_spare(self) -> bool {
        self.machine()
            .workers
            .iter()
            .any(|worker| !std::ptr::eq(*worker, self.worker()) && worker.has_spare())
    }

    /// For the sentinel: a lone item whose owner has not looked since `before`, and the looks of now.
    pub(crate) fn sees_stale(self, before: &mut Vec<u32>) -> bool {
        let workers = &self.machine().workers;
        let first = before.len() != workers.len();
        before.resize(workers.len(), 0);
        let mut stale = false;
        for (worker, seen) in workers.iter().zip(before.iter_mut()) {
            let looks = worker.looks.load(Ordering::Relaxed);
            let holds = !(worker.cache.is_empty() && worker.floats.is_empty());
            if holds && !first && *seen == looks && !std::ptr::eq(*worker, self.worker()) {
                stale = true;
            }
            *seen = looks;
        }
        stale
    }

    /// Takes from a worker that does not look at its cache: the sentinel's right.
    pub(crate) fn rob_any(self) -> Option<Pick> {
        let workers = &self.machine().workers;
        workers
            .iter()
            .filter(|worker| !std::ptr::eq(**worker, self.worker()))
            .find_map(|worker| self.rob(worker))
    }
}

fn steal_float(queue: &Stealer<Item>) -> Option<Item> {
    loop {
        match queue.steal() {
            Steal::Success(item) => return Some(item),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}
