//! Waiting for many things at once: an epoll instance, and the two descriptors that this library makes for it,
//! a timer (timerfd) and a bell (eventfd).
//!
//! Knows nothing of who waits. Everything is registered once, and edge-triggered but for the bell: that is reported
//! until somebody has silenced it, whoever looks first. A timer that is set anew is a new event by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
pub(crate) use rustix::event::epoll::Event;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, read, write};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::memory::fail;

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Poll(OwnedFd);

impl Poll {
    /// # Errors
    /// The process or the system has no more descriptors, or no memory.
    pub(crate) fn new() -> io::Result<Self> {
        fail::check(fail::Call::Epoll)?;
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Registers a descriptor, once and for good: all its edges are reported with `token`, and at once what it is
    /// ready for already.
    ///
    /// # Errors
    /// The descriptor cannot be polled (EPERM: a file, a folder), or the user's limit of watches is reached.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let flags =
            EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET;
        match epoll::add(&self.0, fd, EventData::new_u64(token), flags) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => {
                let text = "a descriptor that cannot be waited for: of a file or a folder, which are always ready";
                Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes a descriptor out again. Not by itself when it is closed: a duplicate may keep what is behind it alive.
    pub(crate) fn forget(&self, fd: BorrowedFd<'_>) {
        // Its owner may have closed it, against the rules; then there is nothing to take out.
        let _ = epoll::delete(&self.0, fd);
    }

    /// # Errors
    /// As [`watch`](Self::watch).
    pub(crate) fn watch_timer(&self, timer: &Timer, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(
            &self.0,
            timer,
            EventData::new_u64(token),
            flags,
        )?)
    }

    /// # Errors
    /// As [`watch`](Self::watch).
    pub(crate) fn watch_bell(&self, bell: &Bell, token: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.0,
            bell,
            EventData::new_u64(token),
            EventFlags::IN,
        )?)
    }

    /// Blocks the calling thread until something has happened in one of them, or that long (`None`: for ever): says in
    /// which. A signal may end it early. `None`: the kernel refuses, as it does (EINVAL) where the limit of descriptors is
    /// less than two by now, though these were made before.
    pub(crate) fn which(polls: [&Self; 2], timeout_ns: Option<u64>) -> Option<[bool; 2]> {
        let mut fds = polls.map(|one| PollFd::new(&one.0, PollFlags::IN));
        let timeout = timeout_ns.map(timespec);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Some(fds.map(|fd| !fd.revents().is_empty())),
            Err(Errno::INTR) => Some([false; 2]),
            Err(_) => None,
        }
    }

    /// Blocks the calling thread until something has happened, or that long (`None`: for ever); what has happened
    /// is in `events` then. A signal may end it early.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, timeout_ns: Option<u64>) {
        events.clear();
        let timeout = timeout_ns.map(timespec);
        match epoll::wait(&self.0, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // The descriptor is ours and the memory is there: the kernel has no other error to give.
            Err(errno) => debug_assert!(false, "epoll_wait: {errno}"),
        }
    }
}

/// What an event says of its descriptor. An error counts as ready both ways: the next call brings it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Edge {
    pub readable: bool,
    pub writable: bool,
    /// The other side has stopped sending.
    pub read_closed: bool,
    /// The other side has stopped receiving.
    pub write_closed: bool,
    /// Urgent data has come.
    pub urgent: bool,
}

/// The token of an event, and what happened.
pub(crate) fn edge(event: &Event) -> (u64, Edge) {
    let flags = event.flags;
    let has = |flag| flags.contains(flag);
    let (error, hangup) = (has(EventFlags::ERR), has(EventFlags::HUP));
    let edge = Edge {
        readable: has(EventFlags::IN) || error,
        writable: has(EventFlags::OUT) || error,
        read_closed: hangup || has(EventFlags::RDHUP),
        write_closed: hangup,
        urgent: has(EventFlags::PRI),
    };
    (event.data.u64(), edge)
}

/// Blocks the calling thread until that descriptor can be read from or written to, or that moment of the monotonic
/// clock has come: then false. For whoever has no epoll instance at hand.
pub(crate) fn block_on(fd: BorrowedFd<'_>, write: bool, until_ns: Option<u64>) -> bool {
    let flags = if write { PollFlags::OUT } else { PollFlags::IN };
    loop {
        let left_ns = until_ns.map(|at_ns| at_ns.saturating_sub(super::clock::now_ns()));
        let timeout = left_ns.map(timespec);
        match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], timeout.as_ref()) {
            Ok(0) if until_ns.is_none_or(|at_ns| super::clock::now_ns() >= at_ns) => return false,
            Ok(0) | Err(Errno::INTR) => {}
            // An error of poll itself: the next call on the descriptor will tell.
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Whether that descriptor can be read from, or written to, right now: whether a call would return at once. What
/// cannot be polled (a file, a folder) always can.
///
/// # Errors
/// None, but for a lack of memory.
pub(crate) fn is_ready(fd: BorrowedFd<'_>, write: bool) -> io::Result<bool> {
    let flags = if write { PollFlags::OUT } else { PollFlags::IN };
    let now = timespec(0);
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&now)) {
            Ok(ready) => return Ok(ready != 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Blocks the calling thread until one of them can be read from; or for less long, so look whether it can.
pub(crate) fn block_on_any<const N: usize>(fds: [BorrowedFd<'_>; N]) {
    let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    // A signal, or an error of poll itself: the next call on the descriptors will tell.
    let _ = poll(&mut fds, None);
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    }
}

/// Several descriptors as one: readable while one of them is. An epoll instance that is itself watched.
#[derive(Debug)]
pub(crate) struct Several(OwnedFd);

impl Several {
    /// # Errors
    /// As [`Poll::new`].
    pub(crate) fn new() -> io::Result<Self> {
        fail::check(fail::Call::Epoll)?;
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Adds one, until it is closed, or removed.
    ///
    /// # Errors
    /// As [`Poll::watch`].
    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(
            &self.0,
            fd,
            EventData::new_u64(0),
            EventFlags::IN,
        )?)
    }

    /// Takes one out again: or else one at its end would be readable for ever.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // It was added, so it is there.
        let _ = epoll::delete(&self.0, fd);
    }
}

impl AsFd for Several {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A timer on the monotonic clock (timerfd).
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    /// # Errors
    /// No more descriptors, or no memory.
    pub(crate) fn new() -> io::Result<Self> {
        fail::check(fail::Call::Timerfd)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Sets it to go off at that moment, at once if it has passed; takes back what it was set to before.
    /// `None`: never. Points in time that the kernel cannot represent are the last one that it can.
    pub(crate) fn set(&self, at_ns: Option<u64>) {
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = at_ns.map_or(zero, |at_ns| {
            // Zero would mean "never".
            timespec(at_ns.clamp(1, i64::MAX as u64))
        });
        let setting = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        let set = timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &setting);
        // A timer of ours and a well-formed time: the kernel has no error to give.
        debug_assert!(set.is_ok(), "timerfd_settime: {set:?}");
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What another thread rings to get a thread out of [`Poll::wait`] (eventfd).
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// # Errors
    /// No more descriptors, or no memory.
    pub(crate) fn new() -> io::Result<Self> {
        fail::check(fail::Call::Eventfd)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Rings. Never blocks.
    pub(crate) fn ring(&self) {
        // Full after 2^64 - 1 rings; and then it has been heard.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Takes back all rings so far.
    pub(crate) fn silence(&self) {
        // Would block: somebody else has.
        let _ = read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
