//! Queue work: where a new fiber, or a floating one that may go on, is put, and who is told.

use crate::fiber::header::{Header, Origin, State};
use crate::fiber::priority::Priority;
use crate::machine::core::Machine;
use crate::machine::item::{Item, Job};
use crate::machine::wake::{notify, rouse};
use crate::machine::worker::Own;

/// The machine takes no new fibers.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Machine {
    /// Queues an unstarted fiber; from a worker of this machine or from anywhere.
    pub(crate) fn submit(&self, header: *const Header) -> Result<(), Stopped> {
        // SAFETY: the caller has just made it; nobody else knows it yet.
        let fiber = unsafe { &*header };
        match Own::current() {
            Some(me) if me.worker().is_of(self) => {
                if self.is_stopping() {
                    return Err(Stopped);
                }
                me.counters().spawned.add(1);
                if fiber.origin == Origin::Local {
                    fiber.home.store(
                        me.worker().as_home().cast_mut(),
                        std::sync::atomic::Ordering::Relaxed,
                    );
                    me.make_ready(header);
                    fiber.state.set(State::Fresh);
                } else if fiber.priority() == Priority::NORMAL {
                    me.local().cache.push(Item::fiber(header));
                    me.offer_one();
                } else {
                    self.push_shared(header, false);
                }
                Ok(())
            }
            _ => {
                if !self.is_left_behind() && self.push_shared(header, true) {
                    Ok(())
                } else {
                    Err(Stopped)
                }
            }
        }
    }

    /// Into an idle worker's slot if there is one (SHARED-1), else into the list of its priority. False if
    /// the machine stops and the fiber is `new`.
    pub(crate) fn push_shared(&self, header: *const Header, new: bool) -> bool {
        // SAFETY: the caller's to queue.
        let class = unsafe { &*header }.priority().index();
        let mut shared = self.shared.lock();
        if new {
            if shared.control & crate::machine::shared::STOP != 0 {
                return false;
            }
            shared.spawned += 1;
        }
        if let Some(worker) = shared.pop_idle() {
            let wake = shared.hand_over(worker, header);
            drop(shared);
            rouse(worker, wake);
        } else {
            // SAFETY: alive until it has run, in no other list.
            unsafe { shared.lists.push_back(class, header.cast_mut()) };
        }
        true
    }

    /// Work became visible that any worker may take: wakes one, if nobody searches already (IDLE-2).
    #[inline]
    pub(crate) fn notify_one(&self) {
        if self.shared.idle.claim_search() {
            self.notify_claimed();
        }
    }

    #[cold]
    fn notify_claimed(&self) {
        let mut shared = self.shared.lock();
        let worker = shared.pop_idle();
        if let Some(worker) = worker {
            // The claim passes to it, under the lock under which it will rise.
            worker.woken_to_search.set(true);
        }
        drop(shared);
        match worker {
            Some(worker) => notify(worker),
            // All are awake, and each looks at every cache before it sleeps.
            None => {
                let _ = self.shared.idle.found();
            }
        }
    }

    /// Wakes every idle worker: for news that concerns them all.
    pub(crate) fn notify_all(&self) {
        loop {
            let Some(worker) = self.shared.lock().pop_idle() else {
                return;
            };
            notify(worker);
        }
    }
}

impl Own {
    /// An item was pushed into the cache: tells others if they should know.
    #[inline]
    pub(crate) fn offer_one(self) {
        let machine = self.machine();
        if machine.workers.len() == 1 {
            return;
        }
        if self.local().cache.len() >= 2 {
            machine.notify_one();
        } else if self.local().lone_notify.replace(false) {
            // A lone item is left to its owner, who is about to look. See SHARED-3.
            machine.notify_one();
        }
    }

    /// This worker is about to block its thread: what it has queued is for others, now.
    pub(crate) fn offer_cache(self) {
        if !(self.local().cache.is_empty() && self.local().floats.is_empty()) {
            self.machine().notify_one();
        }
    }

    /// A floating fiber may go on: where any worker finds it.
    // Inlined, it would have every wake save registers for it.
    #[inline(never)]
    pub(crate) fn float(self, header: *const Header) {
        // SAFETY: ours to queue, so alive.
        if unsafe { &*header }.priority() == Priority::NORMAL {
            self.local().floats.push(Item::fiber(header));
            if self.local().floats.len() >= 2 || self.local().lone_notify.replace(false) {
                self.machine().notify_one();
            }
        } else {
            self.machine().push_shared(header, false);
        }
    }

    /// Queues the second half of a `join`.
    #[inline]
    pub(crate) fn push_job(self, job: *const Job) {
        self.local().cache.push(Item::job(job));
        self.offer_one();
    }

    /// Takes the job back, if nobody was faster and nothing lies on top of it.
    #[inline]
    pub(crate) fn take_back(self, job: *const Job) -> bool {
        match self.local().cache.pop() {
            Some(item) if item == Item::job(job) => true,
            Some(other) => {
                // Fibers spawned meanwhile lie on top: the job will be run in its turn.
                self.local().cache.push(other);
                false
            }
            None => false,
        }
    }
}
