//! A child.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::{self, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use crate::fiber::alarm::NEVER;
use crate::io::PipeReader;
use crate::io::source::Watched;
use crate::os::poll::Several;
use crate::process::pipes::{ChildStderr, ChildStdin, ChildStdout};
use crate::process::reap::{Alone, Process};
use crate::reactor::readiness::Direction;
use crate::signal::Signal;
use crate::wait::deadline::after;

/// How much is read from a child at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// A program that was started. As [`std::process::Child`].
///
/// Dropped, it is neither killed nor waited for, as std's.
pub struct Child {
    /// What it reads as standard input, if that was to be a pipe.
    pub stdin: Option<ChildStdin>,
    /// What it writes to standard output, if that was to be a pipe.
    pub stdout: Option<ChildStdout>,
    /// What it writes to standard error, if that was to be a pipe.
    pub stderr: Option<ChildStderr>,
    process: Arc<Process>,
}

/// A child for those who wait for it, or kill it, while another has the [`Child`]: [`Child::handle`].
///
/// Copies are of the same child. All may be used at once; the status is found out once, and told to all.
#[derive(Clone)]
pub struct ChildHandle(Arc<Process>);

impl Child {
    pub(super) fn new(mut child: process::Child) -> Self {
        Self {
            stdin: child.stdin.take().map(Into::into),
            stdout: child.stdout.take().map(Into::into),
            stderr: child.stderr.take().map(Into::into),
            process: Arc::new(Process::new(child)),
        }
    }

    /// Has it killed if it is not waited for to the end.
    pub(super) fn alone(&self) -> Alone {
        Alone(Arc::clone(&self.process))
    }

    /// The number of the process. As [`std::process::Child::id`].
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// To wait for it, or kill it, from somewhere else.
    ///
    /// ```
    /// use fibers::process::Command;
    ///
    /// let mut child = Command::new("sleep").arg("3600").spawn()?;
    /// let handle = child.handle();
    /// let waiter = fibers::spawn(move || child.wait());
    /// handle.kill()?;
    /// assert!(!waiter.join().unwrap()?.success());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn handle(&self) -> ChildHandle {
        ChildHandle(Arc::clone(&self.process))
    }

    /// Closes [`stdin`](Self::stdin), and waits until the child has ended. As [`std::process::Child::wait`]; may be
    /// called again.
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind, and leave the child
    /// alone.
    ///
    /// # Errors
    /// No more descriptors. `Unsupported`: the kernel knows no pidfds, or this is a deterministic run. Somebody else
    /// has reaped it (`waitpid` for all children, or SIGCHLD is ignored).
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.process.wait(NEVER)
    }

    /// As [`wait`](Self::wait), for that long at the most: then `None`. Leaves [`stdin`](Self::stdin) open.
    ///
    /// # Errors
    /// As there.
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        self.handle().wait_timeout(timeout)
    }

    /// The status, if it has ended. Never blocks. As [`std::process::Child::try_wait`].
    ///
    /// # Errors
    /// Somebody else has reaped it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Ends it by SIGKILL. Never blocks. As [`std::process::Child::kill`]: one that was waited for already is left
    /// alone, and so is whoever has its number now.
    ///
    /// # Errors
    /// It belongs to another user by now.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Sends it a signal. Never blocks. One that was waited for already is left alone.
    ///
    /// # Errors
    /// As [`kill`](Self::kill). `InvalidInput`: there is no such signal.
    pub fn send_signal(&self, signal: impl Into<Signal>) -> io::Result<()> {
        self.process.send_signal(signal.into().as_raw())
    }

    /// Closes [`stdin`](Self::stdin), reads what the child writes, and waits for its end. As
    /// [`std::process::Child::wait_with_output`].
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind: what was read is lost,
    /// and the child is dropped.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        match (self.stdout.take(), self.stderr.take()) {
            (None, None) => {}
            (Some(mut out), None) => drop(out.read_to_end(&mut stdout)?),
            (None, Some(mut err)) => drop(err.read_to_end(&mut stderr)?),
            (Some(out), Some(err)) => {
                read_both([(out.pipe(), &mut stdout), (err.pipe(), &mut stderr)])?;
            }
        }
        Ok(Output {
            status: self.process.wait(NEVER)?,
            stdout,
            stderr,
        })
    }
}

/// Reads both to their ends, each as it comes: a child that fills one pipe writes no more to the other.
fn read_both(mut pipes: [(&PipeReader, &mut Vec<u8>); 2]) -> io::Result<()> {
    let any = Watched::new(Several::new()?);
    for (pipe, _) in &pipes {
        any.get().add(pipe.as_fd())?;
    }
    let mut open = [true; 2];
    let mut chunk = vec![0; CHUNK_BYTES];
    while open != [false; 2] {
        any.run(Direction::Read, NEVER, |any| {
            let mut done = Err(io::ErrorKind::WouldBlock.into());
            for ((pipe, bytes), open) in pipes.iter_mut().zip(&mut open) {
                if !*open {
                    continue;
                }
                match pipe.try_read(&mut chunk) {
                    Ok(0) => {
                        *open = false;
                        any.remove(pipe.as_fd());
                    }
                    Ok(read) => bytes.extend_from_slice(&chunk[..read]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error),
                }
                done = Ok(());
            }
            done
        })?;
    }
    Ok(())
}

impl ChildHandle {
    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// As [`Child::wait`]; leaves the child's input open.
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        self.0.wait(NEVER)
    }

    /// As [`Child::wait_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        match self.0.wait(after(0, timeout)) {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Child::try_wait`].
    ///
    /// # Errors
    /// As there.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// As [`Child::kill`].
    ///
    /// # Errors
    /// As there.
    pub fn kill(&self) -> io::Result<()> {
        self.0.kill()
    }

    /// As [`Child::send_signal`].
    ///
    /// # Errors
    /// As there.
    pub fn send_signal(&self, signal: impl Into<Signal>) -> io::Result<()> {
        self.0.send_signal(signal.into().as_raw())
    }
}

// As std's: what it knows is whole after each call.
impl UnwindSafe for Child {}
impl RefUnwindSafe for Child {}
impl UnwindSafe for ChildHandle {}
impl RefUnwindSafe for ChildHandle {}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChildHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
