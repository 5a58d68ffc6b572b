//! Socket: what the six types of this room have in common.
//!
//! A descriptor that fibers wait for, as std's type for it, and beside it what belongs to the open socket: time-outs,
//! the mode, whose turn it is to write. Clones of a socket have descriptors of their own, each watched for itself,
//! and share the rest, as std's do (there the kernel keeps it).
//!
//! The descriptor is in non-blocking mode, whatever mode the user has chosen: who is to wait, waits here.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net as unix;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::instant::Instant;
use crate::io::source::{Watched, give_turns};
use crate::machine::clock::current_ns;
use crate::net::turn::{InTurn, Turn};
use crate::os::socket;
use crate::reactor::readiness::Direction;

/// How long a listener rests after it has found that there are no descriptors, or no memory, for a connection.
const REST_NS: u64 = 30_000_000;
/// How long a full socket is waited for before it is tried again, where it does not tell that it was shut down.
const SLICE_NS: u64 = 100_000_000;
/// The first and the longest pause between two tries of what the kernel does not tell the moment for.
const PAUSE_MIN: Duration = Duration::from_micros(100);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// See the head of the file. `T` is std's type.
pub(super) struct Socket<T> {
    watched: Watched<T>,
    open: Arc<Open>,
}

/// What all clones share. Relaxed throughout: settings, which order nothing else. In this order, as each read and each
/// write looks at the first few: they are in one cache line.
#[derive(Debug)]
#[repr(C, align(64))]
struct Open {
    /// `NEVER`: none.
    read_ns: AtomicU64,
    write_ns: AtomicU64,
    nonblocking: AtomicBool,
    // Begins with its word.
    turn: Turn,
    /// Until when accepting rests; 0: it does not.
    rest_until_ns: AtomicU64,
}

/// What std's six types can do.
pub(super) trait Io: AsFd + From<OwnedFd> + Into<OwnedFd> {
    /// A full one does not tell who waits for room that it was shut down.
    const HIDES_SHUTDOWN: bool = false;
}

impl Io for net::TcpListener {}
impl Io for net::TcpStream {}
impl Io for net::UdpSocket {}
impl Io for unix::UnixListener {}
impl Io for unix::UnixDatagram {}
impl Io for unix::UnixStream {
    const HIDES_SHUTDOWN: bool = true;
}

impl<T: Io> Socket<T> {
    /// Of a descriptor in non-blocking mode that nobody has used yet.
    pub(super) fn new(io: T) -> Self {
        Self::with(io, [None, None])
    }

    /// Of a descriptor in whatever state: its time-outs count on, its mode does not.
    pub(super) fn adopt(io: T) -> Self {
        // What these calls say against a descriptor (that is none, or no socket) every use of it will say again.
        let _ = socket::set_nonblocking(&io, true);
        let timeouts = socket::timeouts(&io).unwrap_or_default();
        Self::with(io, timeouts)
    }

    fn with(io: T, timeouts: [Option<Duration>; 2]) -> Self {
        let [read_ns, write_ns] = timeouts.map(|timeout| AtomicU64::new(in_ns(timeout)));
        let open = Arc::new(Open {
            read_ns,
            write_ns,
            nonblocking: AtomicBool::new(false),
            turn: Turn::default(),
            rest_until_ns: AtomicU64::new(0),
        });
        Self::of(io, open)
    }

    fn of(io: T, open: Arc<Open>) -> Self {
        let watched = Watched::new(io);
        watched.looks_at(Arc::as_ptr(&open).cast());
        Self { watched, open }
    }

    /// Gives the descriptor to somebody who waits in system calls.
    pub(super) fn release(self) -> T {
        let Self { watched, open } = self;
        let io = watched.into_inner();
        let timeouts = [&open.read_ns, &open.write_ns].map(to_duration);
        // As in `adopt`.
        let _ = socket::set_timeouts(&io, timeouts);
        if !open.nonblocking.load(Ordering::Relaxed) {
            let _ = socket::set_nonblocking(&io, false);
        }
        io
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let fd = self.fd().try_clone_to_owned()?;
        Ok(Self::of(T::from(fd), Arc::clone(&self.open)))
    }

    /// std's type, for what it can do without waiting.
    pub(super) fn std(&self) -> &T {
        self.watched.get()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.watched.get().as_fd()
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) {
        self.open.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    pub(super) fn timeout(&self, direction: Direction) -> Option<Duration> {
        to_duration(self.open.timeout(direction))
    }

    pub(super) fn set_timeout(
        &self,
        direction: Direction,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(zero_timeout());
        }
        let setting = self.open.timeout(direction);
        setting.store(in_ns(timeout), Ordering::Relaxed);
        Ok(())
    }

    /// For how long a call may wait: not at all in non-blocking mode.
    #[inline]
    fn patience_ns(&self, direction: Direction) -> u64 {
        if self.open.nonblocking.load(Ordering::Relaxed) {
            0
        } else {
            self.open.timeout(direction).load(Ordering::Relaxed)
        }
    }

    /// A call that does all or nothing.
    #[inline]
    pub(super) fn run<R>(
        &self,
        direction: Direction,
        call: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.watched
            .run(direction, self.patience_ns(direction), call)
    }

    /// A call that takes something and, unless it blocks, does not tell that the socket was shut down: then what `end`
    /// says, if nothing is left.
    pub(super) fn or_end<R>(
        &self,
        io: &T,
        mut call: impl FnMut(&T) -> io::Result<R>,
        end: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        match call(io) {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && self.patience_ns(Direction::Read) != 0
                    && socket::is_shut_down(io) =>
            {
                // Something may have come just before.
                call(io).or_else(|_| end())
            }
            other => other,
        }
    }

    /// As [`run`](Self::run), for a call that the kernel refuses for lack of room and does not tell when there is
    /// some: tried again, with pauses.
    pub(super) fn insist<R>(&self, mut call: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        let patience_ns = self.patience_ns(Direction::Write);
        if patience_ns != 0 {
            // The calls below are not waited for, and give none.
            give_turns();
        }
        let mut pause = PAUSE_MIN;
        let mut until_ns = None;
        loop {
            match self.watched.run(Direction::Write, 0, &mut call) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience_ns != 0 => {
                    let now_ns = current_ns();
                    let until_ns =
                        *until_ns.get_or_insert_with(|| now_ns.saturating_add(patience_ns));
                    if now_ns >= until_ns {
                        return Err(error);
                    }
                    crate::time::sleep(pause.min(Duration::from_nanos(until_ns - now_ns)));
                    pause = PAUSE_MAX.min(pause * 2);
                }
                other => return other,
            }
        }
    }

    /// A call that accepts. If it finds that there are no descriptors or no memory, its caller is told, and the next
    /// one waits a little first: a loop that just tries again must not keep the processor busy.
    pub(super) fn accept<R>(&self, call: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        let patience_ns = self.patience_ns(Direction::Read);
        let rest = &self.open.rest_until_ns;
        let until_ns = rest.load(Ordering::Relaxed);
        if until_ns != 0 && patience_ns != 0 {
            crate::time::sleep_until(Instant(until_ns));
            // Unless another has found out the same since.
            let _ = rest.compare_exchange(until_ns, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        let accepted = self.watched.run(Direction::Read, patience_ns, call);
        if let Err(error) = &accepted
            && socket::is_exhausted(error)
        {
            rest.store(current_ns() + REST_NS, Ordering::Relaxed);
        }
        accepted
    }

    /// Reads from a stream of bytes whose short reads tell that nothing more is there.
    #[inline]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let patience_ns = self.patience_ns(Direction::Read);
        let len = buffer.len();
        self.watched
            .transfer(Direction::Read, patience_ns, len, |io| {
                socket::receive(io, buffer, false)
            })
    }

    /// As [`read`](Self::read).
    pub(super) fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.run(Direction::Read, |io| socket::receive_vectored(io, buffers))
    }

    /// Receives a datagram, or what a stream has whose short reads tell nothing.
    pub(super) fn receive(&self, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
        self.run(Direction::Read, |io| socket::receive(io, buffer, peek))
    }

    /// Writes to a stream of bytes, in one turn, until all is written or an error comes: as a blocking call of the
    /// kernel does.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        let result = self
            .begin_write()
            .and_then(|turn| self.push(bytes, &turn, &mut done));
        or_part(result, done)
    }

    /// As [`write`](Self::write), but an error counts even if part is written.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let turn = self.begin_write()?;
        self.push(bytes, &turn, &mut 0)
    }

    /// As [`write`](Self::write).
    pub(super) fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let turn = self.begin_write()?;
        let len = socket::vectored_len(pieces);
        let send = |io: &T| socket::send_vectored(io, pieces);
        let sent = self.send_some(turn.patience_ns, len, send)?;
        let (mut done, mut skip) = (sent, sent);
        for piece in pieces {
            if done == len {
                break;
            }
            let rest = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            let mut part = 0;
            let result = self.push(rest, &turn, &mut part);
            done += part;
            if result.is_err() {
                break;
            }
        }
        Ok(done)
    }

    /// Waits for the turn to write. In non-blocking mode there are no turns: there a write is one call.
    #[inline]
    fn begin_write(&self) -> io::Result<Writing<'_>> {
        let patience_ns = self.patience_ns(Direction::Write);
        let turn = if patience_ns == 0 {
            None
        } else {
            let taken = self.open.turn.take(patience_ns);
            Some(taken.ok_or_else(socket::would_block)?)
        };
        Ok(Writing {
            patience_ns,
            _turn: turn,
        })
    }

    /// Sends some of that, at once or when there is room.
    #[inline]
    fn send_some(
        &self,
        patience_ns: u64,
        len: usize,
        mut send: impl FnMut(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut left_ns = patience_ns;
        loop {
            let slice_ns = if T::HIDES_SHUTDOWN {
                left_ns.min(SLICE_NS)
            } else {
                left_ns
            };
            let sent = self
                .watched
                .transfer(Direction::Write, slice_ns, len, &mut send);
            match sent {
                Err(error) if error.kind() == ErrorKind::WouldBlock && slice_ns < left_ns => {}
                sent => return sent,
            }
            // Nobody may have told us: tried anyway.
            match self.watched.transfer(Direction::Write, 0, len, &mut send) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => return sent,
            }
            if left_ns != NEVER {
                left_ns -= slice_ns;
            }
        }
    }

    /// Writes all of that, and counts what is written.
    #[inline]
    fn push(&self, bytes: &[u8], turn: &Writing<'_>, done: &mut usize) -> io::Result<()> {
        loop {
            let rest = &bytes[*done..];
            let len = rest.len();
            let sent = self.send_some(turn.patience_ns, len, |io| socket::send(io, rest))?;
            *done += sent;
            if *done == bytes.len() {
                return Ok(());
            }
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
    }
}

/// A write in progress.
struct Writing<'a> {
    patience_ns: u64,
    _turn: Option<InTurn<'a>>,
}

impl Open {
    fn timeout(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Read => &self.read_ns,
            Direction::Write => &self.write_ns,
        }
    }
}

impl<T: Io + fmt::Debug> fmt::Debug for Socket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watched.get().fmt(f)
    }
}

// As std's: a panic between two calls leaves nothing half done that is not visible to the other side anyway.
impl<T> UnwindSafe for Socket<T> {}
impl<T> RefUnwindSafe for Socket<T> {}

/// What was written counts, if anything was; the error comes again with the next call.
fn or_part(result: io::Result<()>, done: usize) -> io::Result<usize> {
    match result {
        Err(error) if done == 0 => Err(error),
        _ => Ok(done),
    }
}

fn in_ns(timeout: Option<Duration>) -> u64 {
    timeout.map_or(NEVER, |timeout| {
        u64::try_from(timeout.as_nanos()).unwrap_or(NEVER)
    })
}

fn to_duration(timeout: &AtomicU64) -> Option<Duration> {
    let ns = timeout.load(Ordering::Relaxed);
    (ns != NEVER).then(|| Duration::from_nanos(ns))
}

pub(super) fn zero_timeout() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "cannot set a 0 duration timeout",
    )
}
