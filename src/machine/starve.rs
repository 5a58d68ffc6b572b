//! Starve: what becomes of a fiber that cannot have a stack.
//!
//! Address space, page tables or `vm.max_map_count` may run out long after `spawn` has returned, because a
//! fiber gets its stack at its first run. Such a fiber is put aside, and started when another one ends and
//! leaves its stack. If no started fiber is left that could end, it fails instead: its handle's `join`
//! returns the error's text as a panic payload. While fibers starve, `Builder::spawn` refuses new ones.

use std::io;

use crate::fiber::header::{Ending, Header};
use crate::machine::core::Machine;
use crate::machine::shared::Shared;
use crate::machine::worker::{Own, Pick};

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
        !shared.starved.is_empty() && (self.has_stacks() || self.machine().live() == 0)
    }

    /// A worker with nothing else to do helps the starving: with a stack of its own, or by failing one that
    /// nobody can help.
    pub(crate) fn feed_starved(self) {
        let machine = self.machine();
        if !machine.is_starving() {
            return;
        }
        let mut shared = machine.shared.lock();
        if !self.may_feed(&shared) {
            return;
        }
        let hopeless = !self.has_stacks();
        let Some(header) = shared.starved.pop() else {
            return;
        };
        let why = shared.starved_why.clone();
        machine.set_starving(!shared.starved.is_empty());
        drop(shared);
        if hopeless {
            // SAFETY: taken out of the queue, so ours; it never started.
            unsafe { ((*header).vtable.fail)(header, why) };
            crate::machine::run::end_unstarted(self, header);
        } else {
            self.run(Pick::Fresh(header));
        }
    }

    fn has_stacks(self) -> bool {
        self.local()
            .stacks
            .with(|stacks| stacks.iter().any(|magazine| !magazine.is_empty()))
    }
}

/// A fiber that failed before it started counts as ended by a panic.
pub(crate) const FAILED: Ending = Ending::Panicked;
