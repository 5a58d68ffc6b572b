//! Pick: which fiber a worker runs next, out of what it can reach without searching.
//!
//! The highest priority that has anything runs first; inside it, started fibers at home come before
//! unstarted ones, the worker's own cache (newest first) before the shared list (oldest first).
//! Every few picks, while fibers wait for deadlines, the clock is looked at.
//! Every `fairness`-th pick is a *fair* one: it goes round the priorities and, inside one, round the three
//! sources, and takes the oldest there. So whatever is runnable is picked within
//! `fairness * PRIORITIES * SOURCES` picks of its being the oldest of its source. It passes over what ordinary
//! picks take in that very order, the started fibers of the highest priority that has any: with one
//! priority in use, fibers that yield for ever leave each fair pick to one that has not started. A worker without
//! any takes one from another worker's cache: fibers stay where they start, so busy workers, too, share
//! those that have not.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::fiber::alarm::NEVER;
use crate::fiber::cell::FiberCell;
use crate::fiber::header::{Header, NewFiber, Origin};
use crate::fiber::priority::Priority;
use crate::fiber::runner::Runner;
use crate::machine::item::{Item, Stolen, Work};
use crate::machine::shared::{CONTROL, LISTS};
use crate::machine::worker::{Own, Pick};
use crate::queue::heap::Placed;
use crate::queue::lists::PRIORITIES;

const NORMAL: u32 = 1 << Priority::NORMAL.level();
const SOURCES: u32 = 3;
/// Where so many have started here, the next one's memory is fetched ahead.
const CROWD: u64 = 4096;

impl Own {
    /// The next fiber, or `None` if there is nothing, or (if `heed`) if a control bit wants attention first.
    #[inline]
    pub(crate) fn pick(self, heed: bool) -> Option<Pick> {
        let local = self.local();
        let worker = self.worker();
        if worker.inbox.has_mail() {
            self.drain_inbox();
        }
        let tick = local.tick.get().wrapping_add(1);
        local.tick.set(tick);
        // Relaxed: thieves compare two looks at it, nothing is published.
        worker.looks.store(tick, Ordering::Relaxed);
        let mut shared = self.machine().shared.mask();
        if heed && shared & CONTROL != 0 {
            return None;
        }
        shared &= LISTS;
        if tick.wrapping_sub(local.next_turn.get()) as i32 >= 0
            && let Some(pick) = self.take_turn(tick)
        {
            return Some(pick);
        }
        let ready = local.ready.with(|ready| ready.mask());
        // The common case: nothing anywhere is above what is ready at home.
        if ready > NORMAL - 1 && shared <= ready {
            return self.pop_ready(top(ready));
        }
        self.pick_slow(ready, shared)
    }

    /// What comes up every few picks: a look at the clock, if anybody waits for it; a fair pick.
    #[inline(never)]
    fn take_turn(self, tick: u32) -> Option<Pick> {
        let local = self.local();
        let is_due = |turn: &Cell<u32>| tick.wrapping_sub(turn.get()) as i32 >= 0;
        // Into its own reactor nobody else looks: where fibers run for long it cannot wait for a fair pick.
        let by_time = local.alarm_ns.get() != NEVER || self.has_own_sources();
        let looked = by_time && self.look_at_clock();
        let fair = is_due(&local.next_fair);
        if fair {
            let fairness = self.machine().config.fairness;
            local.next_fair.set(tick.wrapping_add(fairness));
        }
        if (fair || looked) && self.should_look_outside(fair) {
            self.look_outside();
        }
        let mut until = local.next_fair.get().wrapping_sub(tick);
        if by_time {
            until = until.min(local.next_look.get().wrapping_sub(tick));
        }
        local.next_turn.set(tick.wrapping_add(until));
        if fair { self.pick_fair() } else { None }
    }

    fn pick_slow(self, ready: u32, mut shared: u32) -> Option<Pick> {
        let local = self.local();
        let mut floats = !local.floats.is_empty();
        let mut own = if floats || !local.cache.is_empty() {
            NORMAL
        } else {
            0
        };
        loop {
            let all = ready | own | shared;
            if all == 0 {
                return None;
            }
            let class = top(all);
            let bit = 1 << class;
            if ready & bit != 0 {
                return self.pop_ready(class);
            }
            if own & bit != 0 {
                if floats {
                    floats = false;
                    if let Some(item) = local.floats.pop() {
                        return Some(started(item));
                    }
                }
                if let Some(item) = local.cache.pop() {
                    let pick = self.fresh(item);
                    if !self.gives_away(pick.header()) {
                        return Some(pick);
                    }
                } else {
                    own = 0;
                }
                continue;
            }
            if shared & bit != 0 {
                if let Some(header) = self.machine().shared.lock().lists.pop_front(class) {
                    return Some(from_list(header));
                }
                shared &= !bit;
            }
        }
    }

    #[inline]
    fn pop_ready(self, class: usize) -> Option<Pick> {
        // Unstarted here: spawned by spawn_local.
        let local = self.local();
        let header = local.ready.with(|ready| ready.pop_front(class));
        if local.live.get() > CROWD {
            self.fetch_ahead(class);
        }
        header.map(|header| from_list(header))
    }

    /// Of very many fibers the next lies in no cache: fetches its stack while this one runs, and the header of the
    /// one behind it.
    #[inline(never)]
    fn fetch_ahead(self, class: usize) {
        let next = self.local().ready.with(|ready| ready.next_two(class));
        if let Some((next, behind)) = next {
            // SAFETY: in the list, so alive; its header was fetched at the last pick.
            let runner = unsafe { &*next }.runner.get();
            if !runner.is_null() {
                Runner::prefetch(runner);
            }
            Header::fetch(behind);
        }
    }

    /// The fair pick: the oldest of the next class in turn. See the head of the file.
    #[cold]
    fn pick_fair(self) -> Option<Pick> {
        let local = self.local();
        let own = if local.cache.is_empty() && local.floats.is_empty() {
            0
        } else {
            NORMAL
        };
        let shared = self.machine().shared.mask() & LISTS;
        let ready = local.ready.with(|ready| ready.mask());
        let all = ready | own | shared;
        if all == 0 {
            return None;
        }
        // The first non-empty class at or above the cursor, else the first of all.
        let cursor = local.fair_class.get();
        let above = all & !((1 << cursor) - 1);
        let class = if above != 0 { above } else { all }.trailing_zeros();
        local.fair_class.set((class + 1) % PRIORITIES as u32);
        let source = local.fair_source.get();
        local.fair_source.set((source + 1) % SOURCES);
        let served = class as usize == top(all) && self.has_started(ready, class);
        (0..SOURCES).find_map(|step| match (source + step) % SOURCES {
            0 if served => None,
            0 => self
                .pop_ready(class as usize)
                .or_else(|| self.oldest_float(class)),
            1 if 1 << class == NORMAL => self.oldest_unstarted(),
            2 if shared & 1 << class != 0 => self
                .machine()
                .shared
                .lock()
                .lists
                .pop_front(class as usize)
                .map(|header| from_list(header)),
            _ => None,
        })
    }

    /// True if a started fiber of that priority is ready here.
    fn has_started(self, ready: u32, class: u32) -> bool {
        ready & 1 << class != 0 || (1 << class == NORMAL && !self.local().floats.is_empty())
    }

    /// Of a floating machine the started fibers are here, not in the ready lists. A source apart from the
    /// cache: one that always yields would keep the unstarted ones from their turn.
    fn oldest_float(self, class: u32) -> Option<Pick> {
        if 1 << class != NORMAL {
            return None;
        }
        self.local().floats.pop().map(started)
    }

    fn oldest_unstarted(self) -> Option<Pick> {
        // Looked at first: it takes the lock.
        if self.local().cache.is_empty() {
            return self.take_a_share();
        }
        let item = self.local().cache.pop_oldest()?;
        let pick = self.fresh(item);
        (!self.gives_away(pick.header())).then_some(pick)
    }

    /// An unstarted item as a pick: a job is given a fiber of its own.
    pub(crate) fn fresh(self, item: Item) -> Pick {
        match item.work() {
            Work::Fiber(header) => from_list(header),
            Work::Job(job) => {
                // SAFETY: taken out of a cache, so ours; the owner's frame waits for it.
                let stolen = unsafe { Stolen::new(job) };
                let new = NewFiber {
                    class: self.machine().class.index() as u8,
                    origin: Origin::Job,
                    epoch: self.machine().epoch(),
                    ..NewFiber::default()
                };
                self.machine().count_in();
                let header =
                    FiberCell::create(self.machine().kind(), false, new, move || stolen.run());
                self.counters().spawned.add(1);
                Pick::Fresh(header)
            }
        }
    }
}

fn top(mask: u32) -> usize {
    (31 - mask.leading_zeros()) as usize
}

pub(crate) fn started(item: Item) -> Pick {
    match item.work() {
        Work::Fiber(header) => Pick::Started(header),
        Work::Job(_) => unreachable!("jobs are not started"),
    }
}

/// Shared lists hold unstarted fibers, and started ones of floating machines.
pub(crate) fn from_list(header: *const Header) -> Pick {
    // SAFETY: taken out of a queue, so alive and ours.
    if unsafe { &*header }.runner.get().is_null() {
        Pick::Fresh(header)
    } else {
        Pick::Started(header)
    }
}
