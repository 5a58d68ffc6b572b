//! Source: a descriptor that fibers wait for.
//!
//! The system call is tried first, unless it is known that it would block; who waits lies in the list of the
//! source's record (`reactor/table.rs`), and a poller that sees the event wakes it (`machine/tell.rs`). The
//! descriptor is registered with the reactor of the machine whose fiber is the first to wait for it, once.
//! Threads that are no fiber, and fibers that must not switch, block in `poll`.
//!
//! SOURCE-1: a waiter looks at the readiness and lies down under the record's lock, where it also finds out with
//! which reactor the source is registered; an event is noted in the word first, and its waiters are taken out under
//! the lock. So by READY-1 either the waiter sees the event or the event's teller finds the waiter.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::fiber::alarm::NEVER;
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::fiber::waiters::Waiter;
use crate::machine::alarm::ring_if_due;
use crate::machine::clock::current_ns;
use crate::machine::park;
use crate::machine::wake::settle;
use crate::machine::worker::Own;
use crate::os::poll::block_on;
use crate::os::socket::would_block;
use crate::primitive::light_fence;
use crate::reactor::Reactor;
use crate::reactor::readiness::{Direction, Found};
use crate::reactor::table::{Inner, Record};
use crate::wait::cancel::{self, Me};

/// After so many calls on descriptors that found them ready, the others get their turn.
const CALLS_MAX: u32 = 64;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Source {
    /// `None`: the table was full. Then every call is tried, and no fiber can wait.
    record: Option<&'static Record>,
    /// What is registered, while something is.
    fd: AtomicI32,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Waited {
    /// The call is to be tried (again).
    Try,
    /// The time is up.
    TimedOut,
}

/// What a call has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Did {
    /// As much as it was asked to, as far as is known.
    All,
    /// Less: the next would block, or find the end. For streams of bytes.
    Less,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self {
            record: Record::take(),
            fd: AtomicI32::new(-1),
        }
    }

    /// Calls `call`, again and again while it would block, and waits in between; for `timeout_ns` at the longest,
    /// counted from the first wait (`NEVER`: for ever). A call that is interrupted is repeated. Without any time (0)
    /// the call is tried once, whatever is known: nobody may be watching the descriptor.
    ///
    /// *Cancellation* and deadlines unwind out of the waits.
    ///
    /// # Errors
    /// `call`'s. `WouldBlock`: the time is up, or there was none (0).
    pub(crate) fn run<R>(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        timeout_ns: u64,
        mut call: impl FnMut() -> io::Result<(R, Did)>,
    ) -> io::Result<R> {
        let mut until_ns = None;
        if timeout_ns == 0 {
            // No turn for others either: the caller may hold a lock of std's, as it is not to wait.
            return once(call);
        }
        give_turns();
        let Some(record) = self.record else {
            return match once(call) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(no_record()),
                other => other,
            };
        };
        loop {
            if let Some(look) = record.readiness.look(direction) {
                match call() {
                    Ok((done, did)) => {
                        if did == Did::Less {
                            record.readiness.clear(direction, look, Found::Short);
                        }
                        return Ok(done);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        record.readiness.clear(direction, look, Found::Blocks);
                        if until_ns.is_some()
                            && let Some(me) = Own::current()
                        {
                            me.counters().io_spurious.add(1);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            let until_ns = *until_ns.get_or_insert_with(|| match timeout_ns {
                NEVER => NEVER,
                _ => current_ns().saturating_add(timeout_ns),
            });
            if self.wait(fd, direction, until_ns)? == Waited::TimedOut {
                return Err(would_block());
            }
        }
    }

    /// Waits until the descriptor is ready in that direction, as far as is known, or that moment has come.
    ///
    /// *Blocks* the fiber, or the thread. *Cancellation* and deadlines unwind.
    ///
    /// # Errors
    /// The descriptor cannot be polled, or no more descriptors can be watched.
    pub(crate) fn wait(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        until_ns: u64,
    ) -> io::Result<Waited> {
        let record = self.record.ok_or_else(no_record)?;
        let me = Me::get();
        let Some(worker) = me.worker() else {
            return Ok(block(record, fd, direction, until_ns));
        };
        // Whoever watches it: what comes from outside would come at another moment in each run.
        let reactor = worker.machine().reactor.as_ref().ok_or_else(driven)?;
        if park::must_block(worker) {
            return Ok(block(record, fd, direction, until_ns));
        }
        worker.local().io_calls.set(0);
        let header: *const Header = me.header();
        let waiter = Waiter::new(header, direction);
        {
            let mut inner = record.inner.lock();
            if let Some(reactor) = place(&inner, worker, reactor) {
                if reactor.watch(fd, record)? {
                    if reactor.is_shared() {
                        light_fence();
                        worker.machine().rouse_dedicated();
                    } else {
                        worker.look_soon();
                    }
                }
                self.fd.store(fd.as_raw_fd(), Ordering::Relaxed);
                // Only now: those who wait already would be told nothing if the new one refused.
                if let Some(old) = inner.reactor.replace(Arc::clone(reactor)) {
                    inner.has_moved |= !old.is_left_behind();
                    old.forget(fd);
                }
            }
            if !record.readiness.announce(direction) {
                return Ok(Waited::Try);
            }
            record.set_near(&raw const waiter);
            // SAFETY: new, and in this frame until it is out again.
            unsafe { inner.waiters.push_back(&raw const waiter) };
        }
        let reason = match direction {
            Direction::Read => Reasons::READABLE.0,
            Direction::Write => Reasons::WRITABLE.0,
        };
        loop {
            let slept = if until_ns == NEVER {
                cancel::sleep_serving(reason).map(Some)
            } else {
                cancel::sleep_serving_until(reason, until_ns)
            };
            if slept.is_ok() && waiter.owed.has_let_go() {
                return Ok(Waited::Try);
            }
            // Taken back, if it is not owed a wake already.
            let mut inner = record.inner.lock();
            let waits_on = waiter.is_queued();
            match (slept, waits_on) {
                // Not for us: an old bit, or a call.
                (Ok(Some(_)), true) => continue,
                // SAFETY: it is queued.
                (_, true) => unsafe { inner.waiters.remove(&raw const waiter) },
                (_, false) => {}
            }
            drop(inner);
            if !waits_on {
                // All that wait in one direction are woken, so nobody else needs the wake that we got.
                settle(&waiter.owed);
            }
            return match slept {
                Err(unwind) => unwind.unwind(),
                Ok(None) if waits_on => Ok(Waited::TimedOut),
                Ok(_) => Ok(Waited::Try),
            };
        }
    }
}

/// Where a descriptor is to be registered before a fiber of that worker waits for it; `None`: it is well where it is
/// (TABLE-3).
fn place(
    inner: &Inner,
    worker: Own,
    shared: &'static Arc<Reactor>,
) -> Option<&'static Arc<Reactor>> {
    let own = worker.machine().own_reactors.get(worker.index());
    let moves = match &inner.reactor {
        Some(at) if at.is_left_behind() => false,
        Some(at) if at.is_shared() || own.is_some_and(|own| Arc::ptr_eq(own, at)) => return None,
        Some(_) => true,
        None => false,
    };
    // A connection that is accepted, or made, here, and used there from then on, moves once; what is used by turns is
    // shared.
    let settles = !moves || (inner.waiters.len() == 0 && !inner.has_moved);
    own.filter(|_| settles).or(Some(shared))
}

/// A call that is not waited for.
fn once<R>(mut call: impl FnMut() -> io::Result<(R, Did)>) -> io::Result<R> {
    loop {
        match call() {
            Ok((done, _)) => return Ok(done),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cold]
fn driven() -> io::Error {
    let text = "a deterministic run waits for nothing outside itself: sockets, pipes and children are not for it";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cold]
fn no_record() -> io::Error {
    io::Error::other("too many descriptors that fibers wait for")
}

/// Waits with the whole thread.
#[cold]
fn block(record: &Record, fd: BorrowedFd<'_>, direction: Direction, until_ns: u64) -> Waited {
    let write = direction == Direction::Write;
    let enclosing_ns = cancel::enclosing_ns();
    let at_ns = until_ns.min(enclosing_ns);
    let until = (at_ns != NEVER).then_some(at_ns);
    let ready = block_on(fd, write, until);
    if ready {
        // The word does not know: nobody has told it.
        record.readiness.assume(direction);
        return Waited::Try;
    }
    if enclosing_ns < until_ns {
        if let Some((me, fiber)) = park::running() {
            // Nobody else has looked at the clock meanwhile.
            // SAFETY: the running fiber is alive.
            ring_if_due(me, unsafe { &*fiber });
        }
        cancel::checkpoint();
    }
    Waited::TimedOut
}

impl Drop for Source {
    fn drop(&mut self) {
        let Some(record) = self.record else { return };
        let mut inner = record.inner.lock();
        debug_assert_eq!(inner.waiters.len(), 0, "who waits borrows the source");
        inner.has_moved = false;
        if let Some(reactor) = inner.reactor.take() {
            let fd: RawFd = self.fd.load(Ordering::Relaxed);
            // SAFETY: its owner closes it after this (`Watched`). If it did not keep it open, against the rules of
            // `AsFd`, another descriptor of that number is at worst waited for no more.
            reactor.forget(unsafe { BorrowedFd::borrow_raw(fd) });
        }
        drop(inner);
        record.give();
    }
}

/// A fiber whose calls always find something ready never waits: after some of them it lets the others run, and finds
/// out whether it is to end. Before the call, so that what that brings is not lost.
#[inline]
pub(crate) fn give_turns() {
    if let Some(me) = Own::current() {
        let calls = me.local().io_calls.get() + 1;
        me.local().io_calls.set(calls);
        if calls >= CALLS_MAX {
            me.local().io_calls.set(0);
            if park::yield_now() != 0 {
                cancel::checkpoint();
            }
        }
    }
}

/// Something with a descriptor, and what waits for it.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    // Before `io`, which closes the descriptor.
    source: Source,
    io: T,
}

impl<T: AsFd> Watched<T> {
    /// The descriptor is in non-blocking mode, or is used only by calls that do not block whatever its mode.
    pub(crate) fn new(io: T) -> Self {
        Self {
            source: Source::new(),
            io,
        }
    }

    /// What its owner looks at in each call: fetched ahead when an event has come. Any address; it is not followed.
    pub(crate) fn looks_at(&self, near: *const u8) {
        if let Some(record) = self.source.record {
            record.set_owner_near(near);
        }
    }

    pub(crate) fn get(&self) -> &T {
        &self.io
    }

    /// Without what waits for it.
    pub(crate) fn into_inner(self) -> T {
        drop(self.source);
        self.io
    }

    /// As [`Source::run`], for calls that do all or nothing.
    #[inline]
    pub(crate) fn run<R>(
        &self,
        direction: Direction,
        timeout_ns: u64,
        mut call: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.source.run(self.io.as_fd(), direction, timeout_ns, || {
            Ok((call(&self.io)?, Did::All))
        })
    }

    /// As [`Source::run`], for a stream of bytes of which `call` transfers up to `len`.
    #[inline]
    pub(crate) fn transfer(
        &self,
        direction: Direction,
        timeout_ns: u64,
        len: usize,
        mut call: impl FnMut(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.source.run(self.io.as_fd(), direction, timeout_ns, || {
            let done = call(&self.io)?;
            let less = done != 0 && done < len;
            Ok((done, if less { Did::Less } else { Did::All }))
        })
    }

    /// As [`Source::wait`].
    #[allow(dead_code, reason = "for those who make their calls themselves")]
    pub(crate) fn wait(&self, direction: Direction, until_ns: u64) -> io::Result<Waited> {
        self.source.wait(self.io.as_fd(), direction, until_ns)
    }
}
