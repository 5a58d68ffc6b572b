//! Waiting for many things at once: an epoll instance, and the two descriptors that this library makes for it,
//! a timer (timerfd) and a bell (eventfd).
//!
//! Knows nothing of who waits. Everything is registered once, edge-triggered; nothing needs to be read to be
//! reported again: a timer that is set anew, and a bell that is rung again, are new events by themselves.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
pub(crate) use rustix::event::epoll::Event;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, write};
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

    /// Registers a descriptor, once and for good: its edges are reported with `token`.
    ///
    /// # Errors
    /// The descriptor cannot be polled, or the user's limit of watches is reached.
    pub(crate) fn add(&self, fd: &impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(&self.0, fd, EventData::new_u64(token), flags)?)
    }

    /// Blocks the calling thread until something has happened; calls `f` with each token.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, mut f: impl FnMut(u64)) {
        events.clear();
        match epoll::wait(&self.0, spare_capacity(events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            // The descriptor is ours and the memory is there: the kernel has no other error to give.
            Err(errno) => debug_assert!(false, "epoll_wait: {errno}"),
        }
        for event in events.iter() {
            f(event.data.u64());
        }
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
            let at_ns = at_ns.clamp(1, i64::MAX as u64);
            Timespec {
                tv_sec: (at_ns / 1_000_000_000) as i64,
                tv_nsec: (at_ns % 1_000_000_000) as i64,
            }
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
}

impl AsFd for Bell {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
