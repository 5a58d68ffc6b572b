//! Floor 1: the reactor, all that a machine waits for outside itself. Today one timer; sockets, signals and children
//! will be registered here too.
//!
//! One epoll instance; exactly one thread polls it. It knows nothing of fibers or workers: the poller decides
//! what becomes of the events (`machine/poll.rs`).

use std::io;

use crate::os::poll::{Bell, Event, Poll, Timer};

const TIMER: u64 = 0;
const BELL: u64 = 1;
/// How many events are taken at a time.
const EVENTS: usize = 64;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Poll,
    timer: Timer,
    bell: Bell,
}

/// What the poller brings along: room for events.
pub(crate) struct Events(Vec<Event>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS))
    }
}

/// What has happened since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened {
    /// The timer went off.
    pub timer: bool,
    /// The poller was interrupted.
    pub interrupted: bool,
}

impl Reactor {
    /// # Errors
    /// No more descriptors (it needs three), no memory, or no room for another watch; the text names the call.
    pub(crate) fn new() -> io::Result<Self> {
        let named = |what: &'static str| {
            move |error: io::Error| {
                let text = format!("the machine's reactor: {what}: {error}");
                io::Error::new(error.kind(), text)
            }
        };
        let poll = Poll::new().map_err(named("epoll_create"))?;
        let timer = Timer::new().map_err(named("timerfd_create"))?;
        let bell = Bell::new().map_err(named("eventfd"))?;
        poll.add(&timer, TIMER).map_err(named("epoll_ctl"))?;
        poll.add(&bell, BELL).map_err(named("epoll_ctl"))?;
        Ok(Self { poll, timer, bell })
    }

    /// Blocks the calling thread until something has happened. By the poller.
    pub(crate) fn wait(&self, events: &mut Events) -> Happened {
        let mut happened = Happened::default();
        self.poll.wait(&mut events.0, |token| match token {
            TIMER => happened.timer = true,
            _ => happened.interrupted = true,
        });
        happened
    }

    /// Sets the timer to that moment; `None`: to none. Any thread.
    pub(crate) fn set_timer(&self, at_ns: Option<u64>) {
        self.timer.set(at_ns);
    }

    /// Gets the poller out of `wait`. Any thread.
    pub(crate) fn interrupt(&self) {
        self.bell.ring();
    }
}
