//! What is to be started, and how.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};

use crate::blocking::blocking;
use crate::os::listen;
use crate::process::child::Child;
use crate::process::reap::reap_abandoned;

/// A program to start, with its arguments, environment and so on. As [`std::process::Command`].
///
/// ```
/// use fibers::process::Command;
///
/// let output = Command::new("echo").arg("hello").output()?;
/// assert_eq!(output.stdout, b"hello\n");
/// # std::io::Result::Ok(())
/// ```
pub struct Command {
    std: process::Command,
    /// Which of the three streams the user has chosen.
    chosen: [bool; 3],
    /// The child opens what `signal::block` has blocked.
    unblocks: bool,
}

impl Command {
    /// The program, found by `PATH` if it has no slash. As [`std::process::Command::new`].
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self {
            std: process::Command::new(program),
            chosen: [false; 3],
            unblocks: false,
        }
    }

    /// One more argument. As [`std::process::Command::arg`].
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// More arguments. As [`std::process::Command::args`].
    pub fn args<I, S>(&mut self, args: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(args);
        self
    }

    /// Sets a variable of its environment. As [`std::process::Command::env`].
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, value: V) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets variables of its environment. As [`std::process::Command::envs`].
    pub fn envs<I, K, V>(&mut self, variables: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(variables);
        self
    }

    /// Takes a variable out of its environment. As [`std::process::Command::env_remove`].
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Gives it nothing of our environment. As [`std::process::Command::env_clear`].
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Where it starts. As [`std::process::Command::current_dir`].
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Self {
        self.std.current_dir(dir);
        self
    }

    /// Its standard input. As [`std::process::Command::stdin`].
    pub fn stdin<T: Into<Stdio>>(&mut self, stdin: T) -> &mut Self {
        self.chosen[0] = true;
        self.std.stdin(stdin);
        self
    }

    /// Its standard output. As [`std::process::Command::stdout`].
    pub fn stdout<T: Into<Stdio>>(&mut self, stdout: T) -> &mut Self {
        self.chosen[1] = true;
        self.std.stdout(stdout);
        self
    }

    /// Its standard error. As [`std::process::Command::stderr`].
    pub fn stderr<T: Into<Stdio>>(&mut self, stderr: T) -> &mut Self {
        self.chosen[2] = true;
        self.std.stderr(stderr);
        self
    }

    /// Starts it; the three streams are inherited unless chosen otherwise. As [`std::process::Command::spawn`].
    ///
    /// *Blocks* the fiber until the program runs, or cannot; on a plain thread the thread. *Cancellation* and
    /// deadlines are looked at before: what has begun is done, so there is never a child that nobody knows.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`: there is no such program, or it is none. No more processes or descriptors.
    /// `InvalidInput`: a zero byte in a name or an argument.
    pub fn spawn(&mut self) -> io::Result<Child> {
        reap_abandoned();
        self.unblock();
        blocking(|| self.std.spawn()).map(Child::new)
    }

    /// Starts it and waits for its end; the three streams are inherited unless chosen otherwise. As
    /// [`std::process::Command::status`].
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind: then the child is
    /// killed, as nobody could wait for it any more.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.spawn()?;
        let _alone = child.alone();
        child.wait()
    }

    /// Starts it, reads what it writes, and waits for its end. Unless chosen otherwise, standard output and standard
    /// error are read, and standard input is empty. As [`std::process::Command::output`].
    ///
    /// *Blocks* and is *cancelled* as [`status`](Self::status).
    ///
    /// # Errors
    /// As there.
    pub fn output(&mut self) -> io::Result<Output> {
        self.default_streams([Stdio::null(), Stdio::piped(), Stdio::piped()]);
        let spawned = {
            let inherits = Inherits(self);
            inherits.0.spawn()
        };
        let child = spawned?;
        let _alone = child.alone();
        child.wait_with_output()
    }

    /// What the streams are that the user has not chosen.
    fn default_streams(&mut self, [stdin, stdout, stderr]: [Stdio; 3]) {
        if !self.chosen[0] {
            self.std.stdin(stdin);
        }
        if !self.chosen[1] {
            self.std.stdout(stdout);
        }
        if !self.chosen[2] {
            self.std.stderr(stderr);
        }
    }

    /// A child does not inherit what this library has blocked. Only if there is something: what is to be run between
    /// `fork` and `exec` makes starting a program slower.
    fn unblock(&mut self) {
        if self.unblocks || listen::blocked().is_empty() {
            return;
        }
        self.unblocks = true;
        // SAFETY: it only calls what is async-signal-safe, and allocates nothing.
        unsafe { self.std.pre_exec(|| listen::unblock(listen::blocked())) };
    }

    /// The program. As [`std::process::Command::get_program`].
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        self.std.get_program()
    }

    /// The arguments. As [`std::process::Command::get_args`].
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.std.get_args()
    }

    /// What is changed in its environment. As [`std::process::Command::get_envs`].
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.std.get_envs()
    }

    /// Where it starts, if that was chosen. As [`std::process::Command::get_current_dir`].
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.std.get_current_dir()
    }
}

/// `std::os::unix::process::CommandExt`.
impl Command {
    /// Its user. As [`CommandExt::uid`].
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Its group. As [`CommandExt::gid`].
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// The name that it finds as its argument 0. As [`CommandExt::arg0`].
    pub fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Its process group; 0: a new one. As [`CommandExt::process_group`].
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.std.process_group(group);
        self
    }

    /// Has it run `f` before it becomes the program. As [`CommandExt::pre_exec`].
    ///
    /// # Safety
    /// As there: `f` runs in a copy of this process with one thread, where locks may be held for ever. It must not
    /// allocate, nor use anything of this library.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: by contract.
        unsafe { self.std.pre_exec(f) };
        self
    }

    /// Becomes that program: all fibers, workers and machines are gone. Returns only if it cannot. As
    /// [`CommandExt::exec`].
    pub fn exec(&mut self) -> io::Error {
        self.unblock();
        self.std.exec()
    }
}

/// Afterwards, or if the fiber is unwound before anything was started, the streams are inherited again.
struct Inherits<'a>(&'a mut Command);

impl Drop for Inherits<'_> {
    fn drop(&mut self) {
        let inherit = [Stdio::inherit(), Stdio::inherit(), Stdio::inherit()];
        self.0.default_streams(inherit);
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}
