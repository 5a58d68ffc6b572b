//! Models of two workers, two or three reactors, and their bells (OUTSIDE-1). Included into each variant.
//!
//! States: a worker's `SleepWord`, its bell (rung or not), and who has the baton. Owners: the word is the worker's but
//! for the exchange of a notifier, who owes a ring to one that it took out of POLLING; the bell is that worker's to
//! silence, once it is back, and the holder's of the baton, who waits where other bells are heard.
//! The race: the ring comes before its worker waits, and somebody who only looks is shown it first; or it comes when
//! its worker has left, and is heard by whoever waits there next.
//! The proof: the library's own `outside.rs`, `baton.rs` and `idle.rs` run on two workers that go down as in `sleep.rs`,
//! in a kernel of the models' own (`kernel.rs`). A wake-up that is lost leaves a thread blocked, and loom says so; one
//! that nobody takes back keeps a thread in a loop, and that is too long for loom.

use super::reactor::Reactor;
use super::readiness::{Direction, Found};
use super::source::Source;
use super::table::Record;
use super::waiters::Waiter;
use super::worker::{Machine, Own, begin};
use crate::kernel::{arrive, descriptor};
use std::sync::Arc;

impl Machine {
    fn shared(&self) -> &Reactor {
        self.reactor.as_deref().unwrap()
    }
}

/// A worker is about to wait where another looks in passing, and is notified: it does not sleep on.
pub(crate) fn a_look_silences_nobody() {
    // Where fibers float all bells are in the one reactor.
    let machine = begin(true);
    let record = Record::take().unwrap();
    machine.shared().watch(descriptor(), record).unwrap();
    let sleeper = machine.on(0, Own::runs_dry);
    let looker = machine.on(1, Own::look_outside);
    machine.workers[0].send();
    sleeper.join().unwrap();
    let _ = looker.join().unwrap();
}

fn both_go_down(floating: bool) {
    let machine = begin(floating);
    let (pipe, record) = (descriptor(), Record::take().unwrap());
    machine.shared().watch(pipe, record).unwrap();
    arrive(pipe);
    let sleepers = [0, 1].map(|index| machine.on(index, Own::runs_dry));
    machine.workers[0].send();
    machine.workers[1].send();
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

/// Both are notified, wherever they wait: one at a time has the baton, and one that comes back for another reason just
/// then has left when its bell rings.
pub(crate) fn both_are_woken() {
    both_go_down(true);
}

/// The same where each hears its bell in its own reactor.
pub(crate) fn both_are_woken_where_fibers_stay() {
    both_go_down(false);
}

/// A ring that was meant for one which has left is heard by whoever waits there: that takes it back, and sleeps on.
pub(crate) fn a_late_ring_keeps_nobody_up() {
    let machine = begin(true);
    let sleeper = machine.on(1, Own::runs_dry);
    machine.workers[0].ring();
    machine.workers[1].send();
    sleeper.join().unwrap();
}

/// A fiber's event is taken by another worker's look, while its own goes down: it is sent for, into the reactor where
/// that waits.
pub(crate) fn an_event_that_a_look_takes_reaches_its_fiber() {
    let machine = begin(false);
    let (pipe, source) = (descriptor(), Arc::new(Source::new()));
    share(machine, &source, pipe);
    let reader = machine.on(0, {
        let source = source.clone();
        move |_| read(&source, pipe)
    });
    let looker = machine.on(1, Own::look_outside);
    arrive(pipe);
    reader.join().unwrap();
    let _ = looker.join().unwrap();
}

/// The same where fibers float: whoever took the event has the fiber in its queue, and is up.
pub(crate) fn an_event_that_a_look_takes_is_served() {
    let machine = begin(true);
    let (pipe, record) = (descriptor(), Record::take().unwrap());
    machine.shared().watch(pipe, record).unwrap();
    let look = record.readiness.look(Direction::Read).unwrap();
    record.readiness.clear(Direction::Read, look, Found::Blocks);
    assert!(record.readiness.announce(Direction::Read));
    let waiter = Waiter::new(machine.workers[0].fiber(), Direction::Read);
    // SAFETY: until it is taken out.
    unsafe { record.inner.lock().waiters.push_back(&raw const waiter) };
    let sleeper = machine.on(0, |me| {
        while !me.has_something() {
            me.goes_down();
        }
        me.local().ready.get()
    });
    let looker = machine.on(1, |me| {
        let _ = me.look_outside();
        me.local().ready.get()
    });
    arrive(pipe);
    let looker_has = looker.join().unwrap();
    if looker_has > 0 {
        // Or it would sleep on, and rightly.
        machine.workers[0].send();
    }
    let sleeper_has = sleeper.join().unwrap();
    assert_eq!(looker_has + sleeper_has, 1, "it runs twice, or never");
    assert!(waiter.owed.has_let_go());
}
