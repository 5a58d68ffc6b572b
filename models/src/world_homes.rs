//! Models of a descriptor that moves between the reactors of two workers (TABLE-3, SOURCE-1). Included into each variant.
//!
//! States: the source is registered nowhere, with one worker's own reactor, or with the shared one. Owners: where it is
//! registered, and who waits, is the record's lock's; what is known of it, its word's; the record itself, its source's.
//! The race: events are taken out of the old reactor, and told late, while the source is registered with the new one,
//! while a fiber lies down, and while the source is closed and its record used again.
//! The proof: the library's own `source.rs`, `table.rs`, `readiness.rs`, `tell.rs` and `reactor/mod.rs`, below fibers that
//! wait on two workers (`world_bell.rs` says how). An event that is lost leaves its fiber asleep for ever; the
//! models' kernel knows where a descriptor is registered; and a waiter that is touched when it is gone loom notices.

use super::reactor::{Events, Happened};
use super::source::Did;
use super::tell::tell;
use crate::fiber::alarm::NEVER;
use crate::kernel::{read_one, watches};
use std::io;
use std::os::fd::BorrowedFd;

/// Until it has read one byte. How often it tried.
fn read(source: &Source, pipe: BorrowedFd<'_>) -> u32 {
    let mut tries = 0;
    let call = || {
        tries += 1;
        Ok((read_one(pipe)?, Did::All))
    };
    source.run(pipe, Direction::Read, NEVER, call).unwrap();
    tries
}

/// A wait that is over at once: whoever looks at the word finds it ready.
fn wait_in_vain(source: &Source, pipe: BorrowedFd<'_>) {
    let _ = source.wait(pipe, Direction::Read, NEVER).unwrap();
}

/// A read that is given up, unless there is something already.
fn read_for_a_while(source: &Source, pipe: BorrowedFd<'_>) -> bool {
    let call = || Ok((read_one(pipe)?, Did::All));
    match source.run(pipe, Direction::Read, 1, call) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            false
        }
    }
}

/// Has it registered with the shared reactor: it goes to and fro.
fn share(machine: &'static Machine, source: &Source, pipe: BorrowedFd<'_>) {
    for worker in [0, 1, 0] {
        machine.i_am(worker);
        wait_in_vain(source, pipe);
    }
    assert_eq!(sources(machine), [1, 0, 0]);
}

/// How many the shared reactor has, and each worker's own.
fn sources(machine: &Machine) -> [u64; 3] {
    let own = &machine.own_reactors;
    [
        machine.shared().sources(),
        own[0].sources(),
        own[1].sources(),
    ]
}

/// It is registered once; and nowhere, and holds nothing, when it is gone.
fn ends(machine: &Machine, source: Arc<Source>, pipe: BorrowedFd<'_>) {
    assert_eq!(watches(pipe), 1);
    assert_eq!(sources(machine).iter().sum::<u64>(), 1);
    drop(Arc::into_inner(source).expect("nobody else has it"));
    assert_eq!(watches(pipe), 0);
    assert_eq!(sources(machine), [0; 3]);
    for reactor in &machine.own_reactors {
        assert_eq!(Arc::strong_count(reactor), 1);
    }
    let [one, other] = [(); 2].map(|()| Record::take().expect("both are given back"));
    assert!(!std::ptr::eq(one, other), "given back twice");
}

/// A descriptor is used on one worker, and then on another, while its event comes and the first looks for the last time.
pub(crate) fn a_source_moves_beside_its_event() {
    let machine = begin(false);
    let (pipe, source) = (descriptor(), Arc::new(Source::new()));
    machine.i_am(0);
    wait_in_vain(&source, pipe);
    assert_eq!(sources(machine), [0, 1, 0]);
    let first = machine.on(0, Own::look_outside);
    let second = machine.on(1, {
        let source = source.clone();
        move |_| read(&source, pipe)
    });
    arrive(pipe);
    let _ = first.join().unwrap();
    second.join().unwrap();
    ends(machine, source, pipe);
}

/// One look of the dedicated thread's.
fn stand_in(machine: &Machine) {
    let mut events = Events::new();
    machine.shared().wait(&mut events, Some(0));
    let _ = Happened::read(&events, tell);
}

/// Fibers of both workers read from one descriptor, a byte each, and are busy elsewhere from then on.
pub(crate) fn two_workers_wait_for_one_source() {
    let machine = begin(false);
    let (pipe, source) = (descriptor(), Arc::new(Source::new()));
    let readers = [0, 1].map(|worker| {
        let source = source.clone();
        machine.on(worker, move |_| read(&source, pipe))
    });
    arrive(pipe);
    arrive(pipe);
    // What comes after that is a registration, whose owner looks for itself.
    stand_in(machine);
    for reader in readers {
        reader.join().unwrap();
    }
    if watches(pipe) == 1 {
        ends(machine, source, pipe);
    }
}

/// A fiber waits; one of another worker moves the source, gives up, and is busy elsewhere from then on.
pub(crate) fn who_waits_is_told_wherever_the_source_is() {
    let machine = begin(false);
    let (pipe, source) = (descriptor(), Arc::new(Source::new()));
    let patient = machine.on(0, {
        let source = source.clone();
        move |_| read(&source, pipe)
    });
    let hasty = machine.on(1, {
        let source = source.clone();
        move |_| read_for_a_while(&source, pipe)
    });
    arrive(pipe);
    if hasty.join().unwrap() {
        arrive(pipe);
    }
    stand_in(machine);
    patient.join().unwrap();
    if watches(pipe) == 1 {
        ends(machine, source, pipe);
    }
}

/// A source is closed, and its record used again on another worker, while the first looks into its reactor, where the old
/// one's event is. How often the next owner's fiber is woken for its one byte.
fn wakes_of_the_next_owner(first_waits: bool) -> u32 {
    let machine = begin(false);
    let (old, pipe) = (descriptor(), descriptor());
    let source = Source::new();
    machine.i_am(0);
    if first_waits {
        // Its announcement is left.
        assert!(!read_for_a_while(&source, old));
    } else {
        wait_in_vain(&source, old);
    }
    arrive(old);
    let poller = machine.on(0, Own::look_outside);
    let reader = machine.on(1, move |me| {
        drop(source);
        let source = Arc::new(Source::new());
        assert!(read(&source, pipe) <= 2, "tried for nothing");
        (source, me.local().wakes.get())
    });
    let _ = poller.join().unwrap();
    arrive(pipe);
    let (source, wakes) = reader.join().unwrap();
    if watches(pipe) == 1 {
        ends(machine, source, pipe);
    }
    wakes
}

/// Its next owner hears nothing of an event of the old one.
pub(crate) fn a_closed_source_wakes_nobody() {
    assert!(wakes_of_the_next_owner(false) <= 1, "woken for nothing");
}

/// Where somebody had waited, and gave up, an event that is being told may wake the next owner, once, who then knows
/// better.
pub(crate) fn a_closed_source_wakes_nobody_twice() {
    assert!(wakes_of_the_next_owner(true) <= 2, "woken for nothing");
}

pub(crate) fn never_woken_for_nothing() {
    assert!(wakes_of_the_next_owner(true) <= 1, "it is, once");
}

/// A fiber gives up waiting while another worker's look takes its event: that has let go of it by then, and the byte is
/// there.
pub(crate) fn a_reader_gives_up_beside_its_event() {
    let machine = begin(false);
    let (pipe, source) = (descriptor(), Arc::new(Source::new()));
    share(machine, &source, pipe);
    let poller = machine.on(0, Own::look_outside);
    let reader = machine.on(1, {
        let source = source.clone();
        move |_| {
            if !read_for_a_while(&source, pipe) {
                read(&source, pipe);
            }
        }
    });
    arrive(pipe);
    let _ = poller.join().unwrap();
    reader.join().unwrap();
    ends(machine, source, pipe);
}
