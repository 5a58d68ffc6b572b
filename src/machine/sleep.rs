//! Sleep: a worker with nothing to do goes idle, and comes back. The steps (1) to (5) are those of `idle.rs`.
//!
//! In real machines the futex blocks the thread. In the deterministic mode the driver calls `go_idle`,
//! `sees_news`, `nap_over` and `rise`, other workers' steps between them, and a worker that is down is simply
//! not stepped until somebody has notified it.

use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::machine::idle::ASLEEP;
use crate::machine::outside::Outside;
use crate::machine::pick::from_list;
use crate::machine::worker::{Own, Pick};
use crate::os::futex;
use crate::primitive::heavy_fence;

/// The sentinel's first nap; each further one is twice as long.
const NAP_FIRST: Duration = Duration::from_micros(50);
pub(crate) const NAP_LAST: Duration = Duration::from_millis(1);
/// How long until an idle worker tries again to get a stack for those that found none.
pub(crate) const RETRY: Duration = Duration::from_millis(10);

/// How a worker may sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Down {
    /// There is something to do after all.
    Up,
    /// Until notified.
    Until,
    /// Until notified, but as the sentinel (SHARED-3).
    Sentinel,
}

/// What came of a nap.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NapOver {
    /// It is up again, perhaps with what it robbed.
    Rose(Option<Pick>),
    /// It stays down, in that way.
    Lies(Down),
}

impl Own {
    /// Sleeps until there may be something to do; returns work that was handed over.
    pub(crate) fn sleep(self) -> Option<Pick> {
        let mut down = self.lie_down();
        let mut nap = NAP_FIRST;
        let mut seen = Vec::new();
        let word = &self.worker().sleep;
        let machine = self.machine();
        while down != Down::Up && !word.is_notified() {
            machine.state_upkeep();
            let timeout = match down {
                Down::Sentinel => Some(nap),
                _ if machine.is_starving() => Some(RETRY),
                _ => None,
            };
            if let Some(whither) = self.goes_outside() {
                let rises = self.wait_outside(whither, timeout);
                if whither == Outside::Shared && machine.baton.release(|| machine.wants_watch()) {
                    futex::wake_one(machine.baton.watch());
                }
                if rises {
                    break;
                }
            } else {
                let _ = futex::wait_until(word.futex(), ASLEEP, self.up_at(timeout));
            }
            if self.is_overdue() {
                break;
            }
            if machine.is_starving() && !word.is_notified() {
                self.try_again_for_starved();
                break;
            }
            if down == Down::Sentinel && !word.is_notified() {
                match self.nap_over(&mut seen) {
                    NapOver::Rose(robbed) => return robbed,
                    NapOver::Lies(now) => down = now,
                }
                nap = (nap * 2).min(NAP_LAST);
            }
        }
        self.rise()
    }

    /// The nap of a worker is over while fibers starve: it is to rise and to try again for them.
    pub(crate) fn try_again_for_starved(self) {
        self.local().retry_starved.set(true);
    }

    /// Steps (1) to (4).
    fn lie_down(self) -> Down {
        let down = self.go_idle();
        if down != Down::Up && self.sees_news() {
            return Down::Up;
        }
        down
    }

    /// Steps (1) and (2).
    pub(crate) fn go_idle(self) -> Down {
        let worker = self.worker();
        let local = self.local();
        let machine = self.machine();
        worker.sleep.lie_down();
        let mut shared = machine.shared.lock();
        let news = shared.lists.mask() != 0 || !self.has_heeded(&shared) || self.may_feed(&shared);
        if news {
            drop(shared);
            return Down::Up;
        }
        shared.idle.push(worker);
        machine.shared.idle.retire(local.searching.replace(false));
        let all_idle = shared.idle.len() == machine.workers.len();
        if all_idle {
            // A sentinel that naps will notice, and stand down.
            Down::Until
        } else if shared.sentinel().is_none() && machine.workers.len() > 1 {
            shared.set_sentinel(Some(self.index()));
            Down::Sentinel
        } else {
            Down::Until
        }
    }

    /// Steps (3) and (4), and the last word on deadlines.
    pub(crate) fn sees_news(self) -> bool {
        // Pairs with the fence of whoever brings work.
        heavy_fence();
        let spare = self.sees_spare();
        if spare {
            // Its owner may have kept silent because we were a searcher: be one again, so that if we find
            // something at home first, the next is told (IDLE-2).
            self.become_searcher();
            if !self.local().searching.get() {
                // Others search, and it is theirs to take. Its owner may wait for this very CPU meanwhile.
                std::thread::yield_now();
            }
        }
        spare || self.worker().inbox.has_mail() || self.is_due_soon()
    }

    /// When it comes up by itself: at its due, or after that long.
    fn up_at(self, timeout: Option<Duration>) -> Option<u64> {
        let mut at_ns = self.local().due_ns.get();
        if let Some(timeout) = timeout {
            at_ns = at_ns.min(self.now_ns().saturating_add(timeout.as_nanos() as u64));
        }
        (at_ns != NEVER).then_some(at_ns)
    }

    /// True if it is down and its due has come.
    pub(crate) fn is_overdue(self) -> bool {
        let due_ns = self.local().due_ns.get();
        due_ns != NEVER && due_ns <= self.now_ns()
    }

    /// Notes when this worker must be up again for its fibers' deadlines. True if that is now.
    fn is_due_soon(self) -> bool {
        if self.machine().config.floating {
            // Stated as soon as it was armed, and anybody may serve it (`dues.rs`).
            return false;
        }
        let at_ns = self.next_due();
        if at_ns != NEVER && at_ns <= self.now_ns() {
            return true;
        }
        self.local().due_ns.set(at_ns);
        false
    }

    /// The sentinel's nap ended, and nobody has notified it: it looks round, and rises or lies on.
    pub(crate) fn nap_over(self, seen: &mut Vec<u32>) -> NapOver {
        if self.sees_stale(seen) {
            return NapOver::Rose(self.rise().or_else(|| self.rob_any()));
        }
        NapOver::Lies(self.stand_down())
    }

    /// Up again: leaves the idle list if nobody has taken us off it, and empties the slot.
    pub(crate) fn rise(self) -> Option<Pick> {
        let worker = self.worker();
        let local = self.local();
        let machine = self.machine();
        let mut shared = machine.shared.lock();
        shared.remove_idle(worker);
        let was_sentinel = shared.sentinel() == Some(self.index());
        if was_sentinel {
            shared.set_sentinel(None);
        }
        let unwatched = shared.sentinel().is_none() && !shared.idle.is_empty();
        let handed = worker.slot.replace(std::ptr::null());
        // The claim that came with the wake, if one did.
        let woken_to_search = worker.woken_to_search.replace(false);
        drop(shared);
        // SHARED-3: without a sentinel our own lone pushes must wake somebody.
        local.lone_notify.set(unwatched);
        worker.sleep.rise();
        let due_ns = local.due_ns.replace(NEVER);
        if due_ns != NEVER {
            let now_ns = self.now_ns();
            let rang = due_ns <= now_ns;
            local.rang.set(rang);
            if rang {
                self.counters().timed_sleeps.add(1);
                local.pace.up(now_ns, self.counters().timers_fired.get());
            }
        }
        if woken_to_search || !handed.is_null() {
            local.rang.set(false);
        }
        // The clock has gone on meanwhile.
        local.next_look.set(local.tick.get());
        local.next_turn.set(local.tick.get());
        if woken_to_search && local.searching.replace(true) {
            // It is one already: one claim is enough.
            let _ = machine.shared.idle.found();
        }
        if was_sentinel && unwatched {
            // Others run whose flag is down: somebody must watch in our place. Heavy: pairs with the light
            // fence of a searcher that found work (end_search).
            heavy_fence();
            machine.notify_one();
        }
        if handed.is_null() {
            return None;
        }
        self.counters().handoffs.add(1);
        Some(from_list(handed))
    }

    /// The sentinel looks whether it is still needed: not while everybody sleeps.
    fn stand_down(self) -> Down {
        let mut shared = self.machine().shared.lock();
        if shared.idle.len() == self.machine().workers.len() {
            shared.set_sentinel(None);
            return Down::Until;
        }
        Down::Sentinel
    }
}
