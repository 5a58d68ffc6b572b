//! `spawn` and `Builder`: as in `std::thread`.

use std::io;
use std::marker::PhantomData;

use crate::fiber::header::{NewFiber, Origin};
use crate::fiber::priority::Priority;
use crate::handle::{JoinHandle, LocalJoinHandle};
use crate::machine::config::check_stack_bytes;
use crate::machine::core::Machine;
use crate::machine::park;
use crate::machine::worker::Own;
use crate::runtime::{Handle, default_machine};
use crate::spawn::scope::{Scope, ScopedJoinHandle};
use crate::spawn::{Refused, launch};

/// How a fiber is to be made: its name, stack size and priority. As [`std::thread::Builder`].
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let fiber = fibers::Builder::new()
///     .name("parser".to_owned())
///     .stack_size(64 * 1024)
///     .priority(fibers::Priority::HIGH)
///     .spawn(|| fibers::current().name().map(str::to_owned))?;
/// assert_eq!(fiber.join().unwrap().as_deref(), Some("parser"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<String>,
    stack_bytes: Option<usize>,
    priority: Priority,
}

impl Builder {
    /// No name, the machine's default stack size, [`Priority::NORMAL`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the fiber: for panic messages of your own, reports and the overflow message.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// The size of the fiber's stack in bytes, rounded up to a power of two; 1 byte to 8 MiB, at least
    /// 16 KiB are given. It is address space: memory is used as the stack grows into it. Up to an eighth of it
    /// (and the guard) is not for the fiber: stacks begin at different offsets, for the caches' sake.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_bytes = Some(bytes);
        self
    }

    /// The fiber's priority. Every priority other than the default goes through the machine's shared lists,
    /// which costs a lock per spawn.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    fn checked(self, machine: &Machine, origin: Origin) -> io::Result<NewFiber> {
        let class = match self.stack_bytes {
            None => machine.class,
            Some(bytes) => {
                let class = check_stack_bytes("stack_size", bytes as u64)?;
                machine.pool.check(class)?;
                class
            }
        };
        if self.name.as_ref().is_some_and(|name| name.contains('\0')) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "option name contains a NUL byte; leave it out",
            ));
        }
        Ok(NewFiber {
            name: self.name,
            priority: self.priority,
            class: class.index() as u8,
            origin,
            epoch: machine.epoch(),
        })
    }

    /// Spawns a fiber on the current machine, or the process-wide default one. Never blocks.
    ///
    /// # Errors
    /// The stack size is out of range, the name contains a NUL, `max_fibers` is reached, no stacks can be
    /// had, or the machine was shut down. The closure is dropped; see
    /// [`Handle::try_spawn`](crate::Handle::try_spawn) to have it back.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        with_machine(|machine| self.spawn_in(machine, f).map_err(|refused| refused.error))?
    }

    /// As [`spawn`](Self::spawn), on the machine behind `handle`.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_on<F, T>(self, handle: &Handle, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_in(handle.machine(), f)
            .map_err(|refused| refused.error)
    }

    pub(crate) fn spawn_in<F, T>(self, machine: &Machine, f: F) -> Result<JoinHandle<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.checked(machine, Origin::Spawned) {
            // SAFETY: everything is 'static and Send.
            Ok(new) => unsafe { launch(machine, new, std::ptr::null(), f) }.map(JoinHandle),
            Err(error) => Err(Refused { error, closure: f }),
        }
    }

    /// Spawns a fiber that stays on this worker; the closure and its result need not be `Send`.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn); and if the caller is not a fiber, or its machine is floating.
    pub fn spawn_local<F, T>(self, f: F) -> io::Result<LocalJoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let Some((me, _)) = park::running() else {
            return Err(io::Error::other(
                "spawn_local needs a fiber around it: a plain thread has no worker",
            ));
        };
        if me.machine().config.floating {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "spawn_local is not to be had on a floating machine, whose fibers change threads",
            ));
        }
        self.spawn_local_in(me, f)
    }

    /// On that worker, which is this thread's, of a pinned machine.
    pub(crate) fn spawn_local_in<F, T>(self, me: Own, f: F) -> io::Result<LocalJoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let new = self.checked(me.machine(), Origin::Local)?;
        // SAFETY: 'static; local, from a fiber of that pinned machine; the handle is not Send.
        let joiner = unsafe { launch(me.machine(), new, std::ptr::null(), f) };
        match joiner {
            Ok(joiner) => Ok(LocalJoinHandle {
                joiner,
                not_send: PhantomData,
            }),
            Err(refused) => Err(refused.error),
        }
    }

    /// Spawns a fiber in a scope: it may borrow what outlives the scope.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        with_machine(|machine| {
            let new = self.checked(machine, Origin::Spawned)?;
            scope.launch(machine, new, f)
        })?
    }
}

/// Calls `f` with the current machine, or the default one.
pub(crate) fn with_machine<R>(f: impl FnOnce(&Machine) -> R) -> io::Result<R> {
    match Own::current() {
        Some(me) => Ok(f(me.machine())),
        None => Ok(f(default_machine()?)),
    }
}

/// Spawns a fiber on the current machine, or the process-wide default one. As [`std::thread::spawn`].
///
/// The fiber starts on some worker, and stays there from its first run on. Dropping the handle detaches it.
/// Never blocks.
///
/// # Panics
/// If the fiber cannot be spawned, with the text of the error that [`Builder::spawn`] returns. A machine that
/// stops takes no new fibers: a destructor that may run then uses `Builder::spawn`, as a panic in a destructor
/// during an unwind ends the process.
#[inline]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // The straight way for the common case: from a fiber, with nothing to check.
    if let Some(me) = Own::current() {
        let new = NewFiber {
            class: me.machine().class.index() as u8,
            epoch: me.machine().epoch(),
            ..NewFiber::default()
        };
        // SAFETY: everything is 'static and Send.
        match unsafe { launch(me.machine(), new, std::ptr::null(), f) } {
            Ok(joiner) => return JoinHandle(joiner),
            Err(refused) => failed(&refused.error),
        }
    }
    Builder::new()
        .spawn(f)
        .unwrap_or_else(|error| failed(&error))
}

#[cold]
fn failed(error: &io::Error) -> ! {
    panic!("failed to spawn a fiber: {error}")
}

/// Spawns a fiber on the current worker; closure and result need not be `Send`.
///
/// # Panics
/// If the fiber cannot be spawned, with the text of the error that [`Builder::spawn_local`] returns.
pub fn spawn_local<F, T>(f: F) -> LocalJoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    Builder::new()
        .spawn_local(f)
        .unwrap_or_else(|error| panic!("failed to spawn a local fiber: {error}"))
}
