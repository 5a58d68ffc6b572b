//! Reap: one child process, and its end.
//!
//! REAP-1: std's `Child` is behind a lock, and asked without waiting: so its number is reaped once, and nobody sends
//! a signal to that number afterwards. What it has found out it knows from then on, for all who ask. REAP-2: a pidfd
//! is opened before anybody can have reaped the child, so it is this child's.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::io::source::Watched;
use crate::os::process::{pidfd, send_signal};
use crate::reactor::readiness::Direction;

/// Children that nobody knows any more, killed but perhaps not reaped yet.
static ABANDONED: Mutex<Vec<Arc<Process>>> = Mutex::new(Vec::new());

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    state: Mutex<State>,
    pidfd: OnceLock<Watched<OwnedFd>>,
}

#[derive(Debug)]
struct State {
    child: Child,
    /// Once it has been reaped.
    status: Option<ExitStatus>,
}

impl Process {
    /// Of a child that has just been started.
    pub(super) fn new(child: Child) -> Self {
        let this = Self {
            id: child.id(),
            state: Mutex::new(State {
                child,
                status: None,
            }),
            pidfd: OnceLock::new(),
        };
        // If there is no descriptor for it now, who waits tries again, and says so.
        let _ = this.watched();
        this
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    fn watched(&self) -> io::Result<&Watched<OwnedFd>> {
        if let Some(watched) = self.pidfd.get() {
            return Ok(watched);
        }
        // Under the lock that reaping takes (REAP-2).
        let state = self.state.lock();
        if state.status.is_none() {
            let watched = Watched::new(pidfd(self.id)?);
            // Of two the first stays.
            let _ = self.pidfd.set(watched);
        }
        drop(state);
        self.pidfd
            .get()
            .ok_or_else(|| io::Error::other("the child has just been reaped"))
    }

    /// Its status, if it has ended; reaps it.
    pub(super) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.state.lock();
        if state.status.is_none() {
            state.status = state.child.try_wait()?;
        }
        Ok(state.status)
    }

    /// Waits for its end, that long at the most: else `WouldBlock`.
    pub(super) fn wait(&self, timeout_ns: u64) -> io::Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        let watched = match self.watched() {
            Ok(watched) => watched,
            // Reaped by another in between.
            Err(error) => return self.try_wait()?.ok_or(error),
        };
        watched.run(Direction::Read, timeout_ns, |_| {
            self.try_wait()?
                .ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.status {
            Some(_) => Ok(()),
            None => state.child.kill(),
        }
    }

    pub(super) fn send_signal(&self, signal: i32) -> io::Result<()> {
        let state = self.state.lock();
        match state.status {
            Some(_) => Ok(()),
            None => send_signal(self.id, signal),
        }
    }
}

/// A child that nobody else knows: if its owner is unwound it is killed, and reaped sooner or later.
pub(super) struct Alone(pub Arc<Process>);

impl Drop for Alone {
    fn drop(&mut self) {
        let ended = |process: &Process| !matches!(process.try_wait(), Ok(None));
        if ended(&self.0) {
            return;
        }
        let _ = self.0.kill();
        if !ended(&self.0) {
            ABANDONED.lock().push(Arc::clone(&self.0));
        }
    }
}

/// Reaps what has ended of the abandoned ones. By whoever starts another: so there are never more of them than were
/// alive at once.
pub(super) fn reap_abandoned() {
    let mut abandoned = ABANDONED.lock();
    abandoned.retain(|process| matches!(process.try_wait(), Ok(None)));
}
