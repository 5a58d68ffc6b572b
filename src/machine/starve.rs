//! Starve: what becomes of a fiber that cannot have a stack.
//!
//! Address space, page tables or `vm.max_map_count` may run out long after `spawn` has returned, because a
//! fiber gets its stack at its first run. Such a fiber is put aside, and started when another one ends and
//! leaves its stack, or when the kernel has room again (idle workers try now and then). If no started fiber is
//! left that could end, or a second of retries in an idle machine brings nothing, it fails instead: its
//! handle's `join` returns the error's text as a panic payload. The second half of a `join` fails at once. While fibers starve, `Builder::spawn` refuses new ones.

use std::io;

use crate::fiber::header::{Ending, Header, Origin};
use crate::machine::core::Machine;
use crate::machine::shared::Shared;
use crate::machine::worker::{Own, Pick};
use crate::stack::SizeClass;

impl Machine {
    /// Started fibers that have not ended, over all workers.
    fn live(&self) -> u64 {
        let (started, finished) =
            self.workers
                .iter()
                .fold((0, 0), |(started, finished), worker| {
                    (
                        started + worker.counters.started.get(),
                        finished + worker.counters.finished.get(),
                    )
                });
        started.saturating_sub(finished)
    }

    /// The error for a spawn while fibers starve.
    #[inline]
    pub(crate) fn check_starving(&self) -> io::Result<()> {
        if self.is_starving() {
            self.why_starving()
        } else {
            Ok(())
        }
    }

    #[cold]
    fn why_starving(&self) -> io::Result<()> {
        let text = self.shared.lock().starved_why.clone();
        Err(io::Error::new(io::ErrorKind::OutOfMemory, text))
    }
}

impl Own {
    /// Puts a fiber aside that found no stack.
    #[cold]
    pub(crate) fn starve(self, header: *const Header, error: &io::Error) {
        let machine = self.machine();
        let why = format!("no stack for a fiber: {error}");
        // SAFETY: picked, so alive and ours.
        let fiber = unsafe { &*header };
        if fiber.origin == Origin::Job {
            // Its owner has a stack and waits for it: it is told at once.
            self.fail(header, why);
            return;
        }
        machine.add_starved();
        let mut shared = machine.shared.lock();
        shared.starved_why = why;
        if fiber.origin == Origin::Local {
            self.local().starved.with(|starved| starved.push(header));
        } else {
            shared.starved.push(header);
        }
        drop(shared);
        // Idle workers may hold stacks in their magazines.
        machine.notify_all();
    }

    /// A stack came free here while fibers starve: they may try again.
    #[cold]
    pub(crate) fn stop_starving(self) {
        let machine = self.machine();
        let mut shared = machine.shared.lock();
        shared.starved_rounds = 0;
        let starved = std::mem::take(&mut shared.starved);
        drop(shared);
        // One by one: idle workers get theirs by hand-off, lest they sleep beside a full list (SHARED-1).
        for header in starved {
            machine.sub_starved();
            machine.push_shared(header, false);
        }
        for header in self.local().starved.with(std::mem::take) {
            machine.sub_starved();
            self.make_ready(header);
        }
    }

    /// For a worker about to sleep, under the lock: true if it could do something for the starving.
    pub(crate) fn may_feed(self, shared: &Shared) -> bool {
        self.serves(shared) || (self.is_last_hope(shared) && self.has_starved(shared))
    }

    /// A worker with nothing else to do helps the starving: with a stack of its own, with one that can be
    /// had by now (`retry`: a while has passed), or by failing a fiber that nobody can help. True if it did
    /// something.
    pub(crate) fn feed_starved(self, retry: bool) -> bool {
        let machine = self.machine();
        if !machine.is_starving() {
            return false;
        }
        let mut shared = machine.shared.lock();
        if retry && self.others_idle(&shared) {
            shared.starved_rounds += 1;
        }
        let hopeless = self.is_last_hope(&shared);
        if !(retry || hopeless || self.serves(&shared)) {
            return false;
        }
        let Some(header) = self.take_starved(&mut shared) else {
            return false;
        };
        let why = shared.starved_why.clone();
        drop(shared);
        machine.sub_starved();
        // SAFETY: taken out of the list, so alive and ours.
        let fiber = unsafe { &*header };
        if self.has_stack(fiber.class) || self.refill(fiber.class).is_ok() {
            machine.shared.lock().starved_rounds = 0;
            self.run(Pick::Fresh(header));
        } else if hopeless {
            self.fail(header, why);
        } else {
            machine.add_starved();
            if fiber.origin == Origin::Local {
                self.local().starved.with(|starved| starved.push(header));
            } else {
                machine.shared.lock().starved.push(header);
            }
            return false;
        }
        true
    }

    fn fail(self, header: *const Header, why: String) {
        // SAFETY: the caller's, so alive; it never started.
        unsafe { ((*header).vtable.fail)(header, why) };
        crate::machine::run::end_unstarted(self, header);
    }

    fn has_starved(self, shared: &Shared) -> bool {
        !shared.starved.is_empty() || self.local().starved.with(|starved| !starved.is_empty())
    }

    /// True if a stack of ours fits a starved fiber.
    fn serves(self, shared: &Shared) -> bool {
        // SAFETY: starved fibers are queued there only, and alive.
        let fits = |header: &*const Header| self.has_stack(unsafe { &**header }.class);
        shared.starved.iter().any(fits)
            || self
                .local()
                .starved
                .with(|starved| starved.iter().any(fits))
    }

    /// The first that a stack of ours fits, else any.
    fn take_starved(self, shared: &mut Shared) -> Option<*const Header> {
        let take = |starved: &mut Vec<*const Header>| {
            // SAFETY: as in `serves`.
            let fits = |header: &*const Header| self.has_stack(unsafe { &**header }.class);
            let at = starved.iter().position(fits).unwrap_or(0);
            (!starved.is_empty()).then(|| starved.swap_remove(at))
        };
        self.local()
            .starved
            .with(take)
            .or_else(|| take(&mut shared.starved))
    }

    fn others_idle(self, shared: &Shared) -> bool {
        shared.idle.len() + 1 >= self.machine().workers.len()
    }

    /// True if everybody else has gone idle, which nobody does while it could help, and either no fiber is
    /// left whose end would free a stack, or a second's worth of retries has brought none.
    fn is_last_hope(self, shared: &Shared) -> bool {
        self.others_idle(shared)
            && (self.machine().live() == 0 || shared.starved_rounds > HOPELESS_ROUNDS)
    }

    fn has_stack(self, class: u8) -> bool {
        self.local()
            .stacks
            .with(|stacks| !stacks[usize::from(class)].is_empty())
    }

    fn refill(self, class: u8) -> io::Result<()> {
        let class = SizeClass::from_index(class);
        self.local().stacks.with(|stacks| {
            self.machine()
                .pool
                .take(class, &mut stacks[class.index()], 1)
        })
    }
}

/// Retries, ten milliseconds apart, after which starved fibers fail although others still live.
const HOPELESS_ROUNDS: u32 = 100;

/// A fiber that failed before it started counts as ended by a panic.
pub(crate) const FAILED: Ending = Ending::Panicked;
