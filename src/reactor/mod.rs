//! Floor 2: the reactor, all that a machine waits for outside itself: descriptors, its timer, and the bell by which
//! its other threads reach the one that polls.
//!
//! One epoll instance, and a timer. A machine has one that its workers share; where fibers stay on their workers each
//! worker has one of its own besides, for what only its fibers wait for. A reactor knows nothing of workers: the
//! pollers decide what becomes of the events (`machine/tell.rs`, `machine/outside.rs`), and who blocks in it
//! (`machine/baton.rs`). `readiness` is what is known of a descriptor, `table` where that is kept.

pub(crate) mod readiness;
pub(crate) mod table;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::os;
use crate::os::poll::{self, Bell, Poll, Timer};
use crate::reactor::readiness::Event;
use crate::reactor::table::Record;

// The lower halves of tokens, beyond the table's indices.
const TIMER: u32 = 0x7fff_ffff;
/// The bell of worker 0; those of the others follow.
const BELLS: u32 = 0x8000_0000;
/// In a worker's place: the machine's own bell, which is for the dedicated thread.
pub(crate) const MACHINE_BELL: usize = 0x7000_0000;
/// How many events are taken at a time.
const EVENTS: usize = 32;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Poll,
    timer: Timer,
    /// The machine's, for the dedicated thread. None in a worker's own.
    bell: Option<Bell>,
    /// How many descriptors are registered.
    sources: AtomicUsize,
    process: u32,
}

/// What a poller brings along: room for events.
pub(crate) struct Events(Vec<poll::Event>);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }
}

/// In which of two something has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Which {
    pub own: bool,
    pub shared: bool,
}

/// What has happened since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened {
    /// The timer went off.
    pub timer: bool,
    /// A bell rings: of that worker, or `MACHINE_BELL`.
    pub bell: Option<usize>,
    /// Descriptors have changed: so many.
    pub sources: usize,
}

impl Happened {
    /// Reads what `wait` has brought, and shows each descriptor's event to `f`.
    pub(crate) fn read(events: &Events, mut f: impl FnMut(&'static Record, u32, Event)) -> Self {
        let mut happened = Self::default();
        // Of many that have events at once most were quiet for long, and are in no cache. Fetched one after the other,
        // as each is told of its event, they cost several times as much.
        for event in &events.0 {
            Record::prefetch(poll::edge(event).0 as u32);
        }
        for event in &events.0 {
            Record::prefetch_near(poll::edge(event).0 as u32);
        }
        for event in &events.0 {
            let (token, edge) = poll::edge(event);
            match token as u32 {
                TIMER => happened.timer = true,
                bell @ BELLS.. => happened.bell = Some((bell - BELLS) as usize),
                _ => {
                    happened.sources += 1;
                    let event = Event {
                        readable: edge.readable,
                        writable: edge.writable,
                        read_closed: edge.read_closed,
                        write_closed: edge.write_closed,
                        urgent: edge.urgent,
                    };
                    if let Some(record) = Record::at(token as u32) {
                        f(record, (token >> 32) as u32, event);
                    }
                }
            }
        }
        happened
    }
}

fn named(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        let text = format!("the machine's reactor: {what}: {error}");
        io::Error::new(error.kind(), text)
    }
}

impl Reactor {
    /// A machine's.
    ///
    /// # Errors
    /// No more descriptors (it needs three), no memory, or no room for another watch; the text names the call.
    pub(crate) fn new() -> io::Result<Self> {
        let mut reactor = Self::without_bell()?;
        let bell = Bell::new().map_err(named("eventfd"))?;
        reactor
            .watch_bell(&bell, MACHINE_BELL)
            .map_err(named("epoll_ctl"))?;
        reactor.bell = Some(bell);
        Ok(reactor)
    }

    /// A worker's own, beside the one that it shares.
    ///
    /// # Errors
    /// As `new`; it needs two.
    pub(crate) fn of_worker() -> io::Result<Self> {
        Self::without_bell()
    }

    fn without_bell() -> io::Result<Self> {
        let poll = Poll::new().map_err(named("epoll_create"))?;
        let timer = Timer::new().map_err(named("timerfd_create"))?;
        poll.watch_timer(&timer, TIMER.into())
            .map_err(named("epoll_ctl"))?;
        Ok(Self {
            poll,
            timer,
            bell: None,
            sources: AtomicUsize::new(0),
            process: os::fork::generation(),
        })
    }

    /// True if it is a machine's: any of its threads may look there.
    pub(crate) fn is_shared(&self) -> bool {
        self.bell.is_some()
    }

    /// Has that worker's bell heard here. At most once each.
    ///
    /// # Errors
    /// As [`Poll::watch`].
    pub(crate) fn watch_bell(&self, bell: &Bell, worker: usize) -> io::Result<()> {
        self.poll.watch_bell(bell, u64::from(BELLS) + worker as u64)
    }

    /// Blocks the calling thread until something has happened, that long at the most (`None`: for ever). Shared: any
    /// thread, and several at a time: an edge is shown to one of them, a ring to all until it is silenced.
    pub(crate) fn wait(&self, events: &mut Events, timeout_ns: Option<u64>) {
        if events.0.capacity() == 0 {
            events.0.reserve_exact(EVENTS);
        }
        self.poll.wait(&mut events.0, timeout_ns);
    }

    /// Of a worker's own: blocks the calling thread until something has happened in it or in the shared one, that long at
    /// the most. Takes no events: `wait` does then. `None`: the kernel refuses to.
    pub(crate) fn wait_beside(&self, shared: &Self, timeout_ns: Option<u64>) -> Option<Which> {
        let [own, shared] = Poll::which([&self.poll, &shared.poll], timeout_ns)?;
        Some(Which { own, shared })
    }

    /// Registers that record's descriptor. Under the record's lock. True if it is the first: from now on somebody must
    /// look into the reactor even while all workers are busy.
    ///
    /// # Errors
    /// As [`Poll::watch`].
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, record: &Record) -> io::Result<bool> {
        self.poll.watch(fd, record.token())?;
        // Relaxed: a hint for those who poll now and then; who lets go of the baton is met by a fence (BATON-1).
        Ok(self.sources.fetch_add(1, Ordering::Relaxed) == 0)
    }

    /// True if it is that of a parent that this process was forked from: nobody here ever looks into it.
    pub(crate) fn is_left_behind(&self) -> bool {
        self.process != os::fork::generation()
    }

    /// Takes a descriptor out again. Under its record's lock.
    pub(crate) fn forget(&self, fd: BorrowedFd<'_>) {
        if self.is_left_behind() {
            // The parent's epoll instance too: it goes on waiting for its own.
            return;
        }
        self.poll.forget(fd);
        self.sources.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many descriptors are registered.
    pub(crate) fn sources(&self) -> u64 {
        self.sources.load(Ordering::Relaxed) as u64
    }

    /// True if any descriptor is registered.
    pub(crate) fn has_sources(&self) -> bool {
        self.sources.load(Ordering::Relaxed) != 0
    }

    /// Sets the timer to that moment; `None`: to none. Any thread.
    pub(crate) fn set_timer(&self, at_ns: Option<u64>) {
        self.timer.set(at_ns);
    }

    /// Gets the dedicated thread out of `wait`. Any thread.
    pub(crate) fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    /// By the dedicated thread: until then nobody blocks in `wait`.
    pub(crate) fn silence(&self) {
        if let Some(bell) = &self.bell {
            bell.silence();
        }
    }
}
