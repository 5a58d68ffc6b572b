//! Outside: how a worker learns what has happened outside its machine.
//!
//! What only its own fibers wait for is registered with its own reactor, in which nobody else looks: they can run nowhere
//! else. What fibers of several workers wait for is registered with the shared one, and so is everything where fibers
//! float, or only the dedicated thread polls. A worker looks in passing: when it runs dry, and every now and then while it
//! does not. One that has nothing to do blocks in its own reactor, if anything is registered there; if it takes the baton
//! (`baton.rs`), in both at once. (By `poll`, not by registering one with the others: that the kernel allows 500 times at
//! the most, 100 times if a program's own epoll instance is waited for, and each event would pass them all.)
//!
//! OUTSIDE-1: a worker whose word is `POLLING` is in a `wait` that its own bell ends: in its own reactor, or, where there
//! are none, in the shared one, as the holder of the baton.
//! OUTSIDE-2: what its fibers wait for is registered with its own reactor by itself. So while it sleeps elsewhere nothing
//! comes there.

use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::machine::config::Poller;
use crate::machine::tell::tell;
use crate::machine::worker::Own;
use crate::reactor::{Events, Happened, Reactor, Which};

/// How often a busy worker looks, at fair picks,
const LOOK_EVERY_NS: u64 = 50_000;
/// and for how long it does not look, at others: where fibers run for long. Not sooner: what a look brings is fetched into
/// the caches, and should have run before the next look brings more.
const LOOK_LATE_NS: u64 = 500_000;
/// How often who has the baton looks into the shared reactor where the kernel refuses to wait for two at once.
const REFUSED_NS: u64 = 1_000_000;

/// How a worker that is down may wait outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outside {
    /// In its own reactor.
    Own,
    /// In the shared one, too: it has taken the baton.
    Shared,
}

impl Own {
    fn own_reactor(self) -> Option<&'static Reactor> {
        let own = self.machine().own_reactors.get(self.index())?;
        Some(own)
    }

    /// The one that it shares, if anything is registered there, and workers look.
    fn shared_reactor(self) -> Option<&'static Reactor> {
        let machine = self.machine();
        let shared = machine.reactor.as_deref();
        shared.filter(|shared| shared.has_sources() && machine.config.poller == Poller::Workers)
    }

    /// True if something is registered where nobody else looks.
    #[inline]
    pub(crate) fn has_own_sources(self) -> bool {
        self.own_reactor().is_some_and(Reactor::has_sources)
    }

    /// True if there is something to look for outside.
    pub(crate) fn has_sources(self) -> bool {
        self.has_own_sources() || self.shared_reactor().is_some()
    }

    /// How this worker, about to sleep, is to wait; `None`: on its futex.
    pub(crate) fn goes_outside(self) -> Option<Outside> {
        let machine = self.machine();
        if machine.config.poller == Poller::Workers
            && machine.needs_poller()
            && machine.baton.take(self.index())
        {
            return Some(Outside::Shared);
        }
        self.has_own_sources().then_some(Outside::Own)
    }

    /// True if a busy worker should look outside again.
    #[inline]
    pub(crate) fn should_look_outside(self, fair: bool) -> bool {
        let since_ns = if fair { LOOK_EVERY_NS } else { LOOK_LATE_NS };
        self.has_sources() && self.soon_ns().wrapping_sub(self.local().polled_ns.get()) >= since_ns
    }

    /// Looks without waiting. True if descriptors have changed.
    pub(crate) fn look_outside(self) -> bool {
        self.local().polled_ns.set(self.soon_ns());
        let own = self.own_reactor().filter(|own| own.has_sources());
        let mut sources = 0;
        self.local().events.with(|events| {
            if let Some(own) = own {
                own.wait(events, Some(0));
                sources += self.tell_all(events).sources;
            }
            if let Some(shared) = self.shared_reactor() {
                self.machine().baton.looked();
                shared.wait(events, Some(0));
                sources += self.tell_all(events).sources;
            }
        });
        sources != 0
    }

    /// By a worker that is down: waits until notified, or until its due, or for that long. True if it is to rise, as
    /// one of its fibers may go on.
    pub(crate) fn wait_outside(self, whither: Outside, timeout: Option<Duration>) -> bool {
        let machine = self.machine();
        let word = &self.worker().sleep;
        let Some(shared) = machine.reactor.as_deref() else {
            return false;
        };
        if !word.begin_polling() {
            return true;
        }
        if whither == Outside::Shared {
            machine.baton.looked();
        }
        let own = self.own_reactor();
        let timeout_ns = timeout.map(|timeout| timeout.as_nanos() as u64);
        if let Some(own) = own {
            self.set_due_timer(own);
        }
        let both = own.filter(|_| whither == Outside::Shared);
        let notified = self.local().events.with(|events| {
            let beside = both.and_then(|own| own.wait_beside(shared, timeout_ns));
            if beside.is_none() {
                // Its bell, its timer, and its own sources end that at once.
                let longest_ns = both.map(|_| REFUSED_NS);
                let timeout_ns = timeout_ns.into_iter().chain(longest_ns).min();
                own.unwrap_or(shared).wait(events, timeout_ns);
            }
            // From here on a notifier, ourselves among them, need not ring.
            let notified = !word.end_polling();
            let mut bell = None;
            if beside.is_none() {
                bell = self.tell_all(events).bell;
            }
            let ready = beside.unwrap_or(Which {
                own: false,
                shared: both.is_some(),
            });
            for (one, is_ready) in [(own, ready.own), (Some(shared), ready.shared)] {
                if let Some(one) = one.filter(|_| is_ready) {
                    one.wait(events, Some(0));
                    bell = bell.or(self.tell_all(events).bell);
                }
            }
            if notified {
                self.worker().silence();
            }
            if let Some(worker) = bell.and_then(|index| machine.workers.get(index))
                && !(notified && bell == Some(self.index()))
            {
                // Rung for one that had just come back for another reason: where several share a reactor one of them at
                // a time waits there, and now that is us. Who only looks in passing must leave it alone: it may be for
                // one that is on its way in or out, and hears it nowhere else.
                worker.silence();
            }
            notified
        });
        notified || self.has_something()
    }

    /// Tells everybody whom the events of one look concern.
    fn tell_all(self, events: &Events) -> Happened {
        let machine = self.machine();
        let happened = Happened::read(events, tell);
        if happened.timer && machine.config.floating {
            machine.ring();
        }
        self.counters().polls.add(1);
        self.counters().io_events.add(happened.sources as u64);
        happened
    }

    /// Sets its own reactor's timer for its due, unless it will go off before. (The timeout of a call of epoll is in
    /// milliseconds.)
    fn set_due_timer(self, own: &Reactor) {
        let local = self.local();
        let due_ns = local.due_ns.get();
        if due_ns != NEVER && !(self.now_ns()..=due_ns).contains(&local.timer_ns.get()) {
            local.timer_ns.set(due_ns);
            own.set_timer(Some(due_ns));
        }
    }
}
