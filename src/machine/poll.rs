//! Poll: the thread that waits for what happens outside the machine, and what becomes of it.
//!
//! One dedicated thread per machine blocks in the reactor. Today it gives memory of idle stacks back, and brings
//! sleeping workers their deadlines:
//! a worker that goes to sleep states when it must be up again (`dues.rs`), and the one timer is set for the
//! earliest of them. Workers that run look at the clock themselves (`alarm.rs`).

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::machine::core::Machine;
use crate::machine::wake::notify;
use crate::os;
use crate::reactor::Events;

/// How long between two rounds of giving stacks back to the kernel.
const UPKEEP_NS: u64 = 50_000_000;

impl Machine {
    /// Waits until the dedicated thread runs: while it still sets itself up, in std, it would take the process
    /// down if memory ran out.
    pub(crate) fn await_polling(&self) {
        let mut gate = self.gate.lock();
        while !gate.polls {
            self.gate_moved.wait(&mut gate);
        }
    }

    /// Starts the dedicated thread. It ends after `end_polling`.
    pub(crate) fn start_polling(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let machine = Arc::clone(self);
        let name = format!("{}-poll", self.config.name);
        os::thread::spawn_named(name, move || machine.poll_thread()).map_err(|error| {
            let text = format!("could not start the machine's polling thread: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    fn poll_thread(&self) {
        self.gate.lock().polls = true;
        self.gate_moved.notify_all();
        let Some(reactor) = &self.reactor else { return };
        let mut events = Events::new();
        loop {
            let happened = reactor.wait(&mut events);
            if happened.timer {
                self.ring();
            }
            if happened.interrupted {
                return;
            }
        }
    }

    /// Stacks that nobody uses are given back in a while, by the dedicated thread: it is slow work, and a worker
    /// that did it could not be woken meanwhile.
    pub(crate) fn state_upkeep(&self) {
        if self.pool.needs_upkeep() {
            self.plan_upkeep(self.clock.now_ns());
        }
    }

    fn keep_up(&self, now_ns: u64) {
        let mut between = || {
            if self.dues.is_due(self.clock.now_ns()) {
                self.ring();
            }
        };
        if self.pool.keep_up(now_ns, &mut between) {
            self.plan_upkeep(now_ns);
        }
    }

    fn plan_upkeep(&self, now_ns: u64) {
        let at_ns = now_ns + UPKEEP_NS;
        self.dues
            .want(self.workers.len(), at_ns, |at_ns| self.set_timer(at_ns));
    }

    /// Ends the dedicated thread. By the last worker that leaves, or by whoever could not start them all.
    pub(crate) fn end_polling(&self) {
        if let Some(reactor) = &self.reactor {
            reactor.interrupt();
        }
    }

    /// Wakes the workers whose deadlines have come.
    pub(crate) fn ring(&self) {
        let now_ns = self.clock.now_ns();
        let mut due = Vec::new();
        self.dues.ring(
            now_ns,
            |at_ns| self.set_timer(at_ns),
            |index| due.push(index),
        );
        for index in due {
            match self.workers.get(index) {
                Some(worker) if self.config.floating => self.serve_floating(worker, now_ns),
                Some(worker) => notify(worker),
                None => self.keep_up(now_ns),
            }
        }
    }

    pub(crate) fn set_timer(&self, at_ns: u64) {
        if let Some(reactor) = &self.reactor {
            reactor.set_timer(Some(at_ns));
        }
    }
}
