//! Starve: what becomes of a fiber that cannot have a stack.
//!
//! Address space, page tables or `vm.max_map_count` may run out long after `spawn` has returned, because a
//! fiber gets its stack at its first run. Such a fiber is put aside, and started when another one ends and
//! leaves its stack, or when the kernel has room again (idle workers try now and then). If no started fiber is
//! left that could end, it fails instead: its handle's `join`
//! returns the error's text as a panic payload. While fibers starve, `Builder::spawn` refuses new ones.

use std::io;

use crate::fiber::header::{Ending, Header};
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
    pub(crate) fn check_starving(&self) -> io::Result<()> {
        if !self.is_starving() {
            return Ok(());
        }
        let text = self.shared.lock().starved_why.clone();
        Err(io::Error::new(io::ErrorKind::OutOfMemory, text))
    }
}

impl Own {
    /// Puts a fiber aside that found no stack.
    #[cold]
    pub(crate) fn starve(self, header: *const Header, error: &io::Error) {
        let machine = self.machine();
        let mut shared = machine.shared.lock();
        shared.starved.push(header);
        shared.starved_why = format!("no stack for a fiber: {error}");
        machine.set_starving(true);
        drop(shared);
        // Idle workers may hold stacks in their magazines.
        machine.notify_all();
    }

    /// A stack came free while fibers starve: they may try again.
    #[cold]
    pub(crate) fn stop_starving(self) {
        let machine = self.machine();
        let mut shared = machine.shared.lock();
        machine.set_starving(false);
        let starved = std::mem::take(&mut shared.starved);
        drop(shared);
        // One by one: idle workers get theirs by hand-off, lest they sleep beside a full list (SHARED-1).
        for header in starved {
            machine.push_shared(header, false);
        }
    }

    /// For a worker about to sleep, under the lock: true if it could do something for the starving.
    pub(crate) fn may_feed(self, shared: &Shared) -> bool {
        self.serves(shared).is_some() || self.is_last_hope(shared)
    }

    /// A worker with nothing else to do helps the starving: with a stack of its own, with one that can be
    /// had by now (`retry`: a while has passed), or by failing a fiber that nobody can help.
    pub(crate) fn feed_starved(self, retry: bool) {
        let machine = self.machine();
        if !machine.is_starving() {
            return;
        }
        let mut shared = machine.shared.lock();
        let hopeless = self.is_last_hope(&shared);
        let at = match self.serves(&shared) {
            Some(at) => at,
            None if (retry || hopeless) && !shared.starved.is_empty() => 0,
            None => return,
        };
        let header = shared.starved.swap_remove(at);
        let why = shared.starved_why.clone();
        machine.set_starving(!shared.starved.is_empty());
        drop(shared);
        // SAFETY: taken out of the queue, so alive and ours.
        let fiber = unsafe { &*header };
        if self.has_stack(fiber.class) || self.refill(fiber.class).is_ok() {
            self.run(Pick::Fresh(header));
        } else if hopeless {
            // SAFETY: as above; it never started.
            unsafe { (fiber.vtable.fail)(header, why) };
            crate::machine::run::end_unstarted(self, header);
        } else {
            let mut shared = machine.shared.lock();
            shared.starved.push(header);
            machine.set_starving(true);
        }
    }

    /// The first starved fiber that a stack of ours fits.
    fn serves(self, shared: &Shared) -> Option<usize> {
        shared.starved.iter().position(|header| {
            // SAFETY: starved fibers are queued there only, and alive.
            self.has_stack(unsafe { &**header }.class)
        })
    }

    /// True if fibers starve, none is left whose end would free a stack, and everybody else has gone idle,
    /// which nobody does while it could help.
    fn is_last_hope(self, shared: &Shared) -> bool {
        !shared.starved.is_empty()
            && self.machine().live() == 0
            && shared.idle.len() + 1 >= self.machine().workers.len()
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

/// A fiber that failed before it started counts as ended by a panic.
pub(crate) const FAILED: Ending = Ending::Panicked;
