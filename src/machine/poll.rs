//! Poll: the machine's dedicated thread.
//!
//! It stands in for the workers, who look into the shared reactor themselves (`outside.rs`), while all are busy and none
//! looks; and it gives memory of idle stacks back.
//! A sleeping worker comes up for its fibers' deadlines by itself, by its futex call's timeout or its own reactor's
//! timer; one that runs looks at the clock (`alarm.rs`). Only floating fibers' deadlines are the machine's (`dues.rs`):
//! the shared reactor's timer is set for the earliest of them, and whoever looks there serves them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::machine::baton::{DEEP, NAPS, Watch};
use crate::machine::config::Poller;
use crate::machine::core::Machine;
use crate::machine::tell::tell;
use crate::os::{self, futex};
use crate::primitive::light_fence;
use crate::reactor::readiness::Event;
use crate::reactor::table::Record;
use crate::reactor::{Events, Happened, MACHINE_BELL, Reactor};

/// How long between two rounds of giving stacks back to the kernel.
const UPKEEP_NS: u64 = 50_000_000;
/// How long nobody looks into the reactor before the dedicated thread does; longer where workers looked in every
/// nap before, as each nap costs some microseconds.
const NAP: Duration = Duration::from_micros(500);
const NAP_MAX: Duration = Duration::from_millis(2);
/// The longest that it blocks there before it looks whether the workers do so again.
const STAND_IN_NS: u64 = 100_000_000;

impl Machine {
    /// Starts the dedicated thread. It ends after `end_polling`.
    pub(crate) fn start_polling(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let machine = Arc::clone(self);
        let name = format!("{}-poll", self.config.name);
        os::thread::spawn_named(name, move || machine.poll_thread()).map_err(|error| {
            let text = format!("could not start the machine's polling thread: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    /// Waits until the dedicated thread runs: while it still sets itself up, in std, it would take the process
    /// down if memory ran out.
    pub(crate) fn await_polling(&self) {
        let mut gate = self.gate.lock();
        while !gate.polls {
            self.gate_moved.wait(&mut gate);
        }
    }

    /// Ends the dedicated thread. By the last worker that leaves, or by whoever could not start them all.
    pub(crate) fn end_polling(&self) {
        let Some(reactor) = &self.reactor else { return };
        self.polling_ends.store(true, Ordering::Release);
        light_fence();
        let _ = self.baton.rouse();
        futex::wake_one(self.baton.watch());
        // Nobody takes that back: whoever waits in the reactor from now on comes back at once.
        reactor.ring();
    }

    fn polling_ends(&self) -> bool {
        self.polling_ends.load(Ordering::Acquire)
    }

    fn poll_thread(&self) {
        self.gate.lock().polls = true;
        self.gate_moved.notify_all();
        let Some(reactor) = &self.reactor else { return };
        let mut events = Events::new();
        let mut upkeep_ns = None;
        let mut nap = NAP;
        while !self.polling_ends() {
            let before = self.baton.seen();
            let _ = futex::wait(self.baton.watch(), NAPS, Some(nap));
            self.keep_up(&mut upkeep_ns, &mut events);
            let watch = self.baton.judge(before, self.needs_poller());
            nap = if watch == Watch::Nap {
                (nap * 2).min(NAP_MAX)
            } else {
                NAP
            };
            match watch {
                Watch::Nap => {}
                Watch::Deep => {
                    if self.baton.lie_deep(before, || self.needs_poller()) {
                        if !self.polling_ends() && !self.wants_upkeep.load(Ordering::Acquire) {
                            let until = upkeep_ns;
                            let _ = futex::wait_until(self.baton.watch(), DEEP, until);
                        }
                        self.baton.rise();
                    }
                }
                Watch::Poll => {
                    self.stood_in.fetch_add(1, Ordering::Relaxed);
                    while self.baton.judge(before, self.needs_poller()) == Watch::Poll
                        && !self.polling_ends()
                    {
                        let left = upkeep_ns.map(|at_ns| at_ns.saturating_sub(self.clock.now_ns()));
                        let longest_ns = match self.config.poller {
                            Poller::Workers => Some(STAND_IN_NS),
                            // Nobody else will ever look.
                            Poller::Dedicated => None,
                        };
                        let timeout_ns = left.into_iter().chain(longest_ns).min();
                        reactor.wait(&mut events, timeout_ns);
                        match self.bring(&events).bell {
                            None => {}
                            Some(MACHINE_BELL) if self.polling_ends() => {}
                            Some(MACHINE_BELL) => reactor.silence(),
                            // For a worker that is on its way into the reactor: it is to find it there.
                            Some(_) => break,
                        }
                        self.keep_up(&mut upkeep_ns, &mut events);
                    }
                }
            }
        }
        // Fibers of other machines may wait for what was registered here: they register with their own.
        for record in Record::all() {
            let mut inner = record.inner.lock();
            let is_ours = |own| self.reactors().any(|ours| Arc::ptr_eq(own, ours));
            if inner.reactor.as_ref().is_some_and(is_ours) {
                inner.reactor = None;
                drop(inner);
                tell(record, record.readiness.generation(), Event::ALL);
            }
        }
    }

    /// True if some thread is to block in the reactor. Where nothing is registered, sleeping workers do without: a
    /// futex is cheaper to wait on, and more punctual.
    pub(crate) fn needs_poller(&self) -> bool {
        let has_sources = self.reactor.as_ref().is_some_and(|own| own.has_sources());
        has_sources || self.config.floating || self.config.poller == Poller::Dedicated
    }

    /// True if the dedicated thread must see to it that somebody looks into the reactor.
    pub(crate) fn wants_watch(&self) -> bool {
        let has_sources = self.reactor.as_ref().is_some_and(|own| own.has_sources());
        // Any worker may have to serve the deadlines of floating fibers, so none comes up for them by itself.
        has_sources || (self.config.floating && self.dues.next().is_some())
    }

    /// Gets the dedicated thread to look round, if it sleeps deeply.
    pub(crate) fn rouse_dedicated(&self) {
        if self.baton.rouse() {
            futex::wake_one(self.baton.watch());
        }
    }

    /// Stacks that nobody uses are given back in a while, by the dedicated thread: it is slow work, and a worker
    /// that did it could not be woken meanwhile.
    pub(crate) fn state_upkeep(&self) {
        if self.reactor.is_some()
            && self.pool.needs_upkeep()
            && !self.wants_upkeep.swap(true, Ordering::AcqRel)
        {
            light_fence();
            self.rouse_dedicated();
            if self.config.poller == Poller::Dedicated
                && let Some(reactor) = &self.reactor
            {
                reactor.ring();
            }
        }
    }

    /// By the dedicated thread: gives stacks back if it is time, and looks into the reactor now and then meanwhile.
    fn keep_up(&self, at_ns: &mut Option<u64>, events: &mut Events) {
        if self.wants_upkeep.swap(false, Ordering::AcqRel) && at_ns.is_none() {
            *at_ns = Some(self.clock.now_ns() + UPKEEP_NS);
        }
        let now_ns = self.clock.now_ns();
        if at_ns.is_none_or(|at_ns| now_ns < at_ns) {
            return;
        }
        let mut between = || {
            if let Some(reactor) = &self.reactor {
                reactor.wait(events, Some(0));
                self.bring(events);
            }
        };
        *at_ns = if self.pool.keep_up(now_ns, &mut between) {
            Some(now_ns + UPKEEP_NS)
        } else {
            None
        };
    }

    /// Tells everybody whom the events concern. By the dedicated thread.
    fn bring(&self, events: &Events) -> Happened {
        let happened = Happened::read(events, tell);
        self.stand_in_events
            .fetch_add(happened.sources as u64, Ordering::Relaxed);
        if happened.timer {
            self.ring();
        }
        happened
    }

    /// Floating: serves the heaps whose first deadlines have come.
    pub(crate) fn ring(&self) {
        let now_ns = self.clock.now_ns();
        let mut due = Vec::new();
        self.dues.ring(
            now_ns,
            |at_ns| self.set_timer(at_ns),
            |index| due.push(index),
        );
        for index in due {
            self.serve_floating(self.workers[index], now_ns);
        }
    }

    /// The shared one, and the workers' own.
    pub(crate) fn reactors(&self) -> impl Iterator<Item = &Arc<Reactor>> {
        self.reactor.iter().chain(&self.own_reactors)
    }

    pub(crate) fn set_timer(&self, at_ns: u64) {
        if let Some(reactor) = &self.reactor {
            reactor.set_timer(Some(at_ns));
        }
    }
}
