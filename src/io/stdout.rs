//! Standard output and standard error.
//!
//! As with standard input (`stdin.rs`) the mode of the descriptors is not ours to change: before each write the
//! descriptor is asked whether it takes something, and then gets no more than a pipe takes without blocking.
//!
//! STDOUT-1: a lock has one owner, a fiber or a thread, named by where its header lies, which it keeps while it
//! waits; the owner may take the lock again.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::fiber::alarm::NEVER;
use crate::io::source::Watched;
use crate::os::poll::is_ready;
use crate::os::stdio::{self, PIPE_BYTES};
use crate::reactor::readiness::Direction;
use crate::wait::WaitQueue;
use crate::wait::cancel::Me;

/// One of the two, for the whole process.
struct Output<T> {
    watched: OnceLock<Watched<T>>,
    holder: Mutex<Holder>,
    queue: WaitQueue,
}

/// Who has the lock, how often. Nobody: no times.
#[derive(Clone, Copy)]
struct Holder {
    owner: usize,
    times: usize,
}

impl<T: AsFd + Send + Sync> Output<T> {
    const fn new() -> Self {
        Self {
            watched: OnceLock::new(),
            holder: Mutex::new(Holder { owner: 0, times: 0 }),
            queue: WaitQueue::new(),
        }
    }

    fn acquire(&self) {
        let owner = std::ptr::from_ref(Me::get().header()) as usize;
        loop {
            {
                let mut holder = self.holder.lock();
                if holder.times == 0 || holder.owner == owner {
                    let times = holder.times + 1;
                    *holder = Holder { owner, times };
                    return;
                }
            }
            self.queue.wait_until(|| self.holder.lock().times == 0);
        }
    }

    fn release(&self) {
        let mut holder = self.holder.lock();
        holder.times -= 1;
        let free = holder.times == 0;
        drop(holder);
        if free {
            self.queue.wake_one();
        }
    }

    fn watched(&self, std: fn() -> T) -> &Watched<T> {
        self.watched.get_or_init(|| Watched::new(std()))
    }

    fn write(&self, std: fn() -> T, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(PIPE_BYTES)];
        self.watched(std).run(Direction::Write, NEVER, |output| {
            if !is_ready(output.as_fd(), true)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            stdio::write(output, part)
        })
    }
}

macro_rules! output {
    ($(#[$doc:meta])* $function:ident, $name:ident, $lock:ident, $std:literal, $std_lock:literal, $output:ident) => {
        static $output: Output<io::$name> = Output::new();

        $(#[$doc])*
        #[must_use]
        pub fn $function() -> $name {
            $name(())
        }

        #[doc = concat!("A handle: [`", stringify!($function), "`]. As [`", $std, "`].")]
        ///
        /// Each call takes the [`lock`](Self::lock) for itself, `write_all` and `write!` once.
        pub struct $name(());

        #[doc = concat!("The right to write, until dropped. As [`", $std_lock, "`].")]
        ///
        /// Writes *block* the fiber while nobody takes what is written. *Cancellation* and deadlines unwind, in
        /// the midst of a `write_all` too.
        pub struct $lock<'a> {
            // It belongs to who has taken it.
            _of: PhantomData<(&'a (), *mut ())>,
        }

        impl $name {
            #[doc = concat!("As [`", $std, "::lock`]: waits until nobody else writes, and has others wait until the lock is")]
            /// dropped. Who holds it may take it again.
            ///
            /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind.
            #[must_use]
            pub fn lock(&self) -> $lock<'static> {
                $output.acquire();
                $lock { _of: PhantomData }
            }

            /// Whether it is a terminal. As [`std::io::IsTerminal`].
            #[must_use]
            pub fn is_terminal(&self) -> bool {
                io::$function().is_terminal()
            }
        }

        impl Drop for $lock<'_> {
            fn drop(&mut self) {
                $output.release();
            }
        }

        impl Write for $lock<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                $output.write(io::$function, bytes)
            }

            fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
                // In one piece: each piece of its own would be a call.
                match text.as_str() {
                    Some(text) => self.write_all(text.as_bytes()),
                    None => self.write_all(text.to_string().as_bytes()),
                }
            }

            /// Does nothing: nothing is kept back.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        output!(write $name, $name);
        output!(write $name, &$name);
        output!(fd $function $output, $name);
        output!(fd $function $output, $lock<'_>);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl fmt::Debug for $lock<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($lock))
            }
        }
    };
    (write $name:ident, $type:ty) => {
        /// Takes the lock for each call.
        impl Write for $type {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.lock().write(bytes)
            }

            fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                self.lock().write_all(bytes)
            }

            fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
                self.lock().write_fmt(text)
            }

            /// Does nothing: nothing is kept back.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
    (fd $function:ident $output:ident, $type:ty) => {
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                $output.watched(io::$function).get().as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }
    };
}

output!(
    /// Standard output. As [`std::io::stdout`], without a buffer: what is written is out when the call returns.
    ///
    /// So nothing is lost at the end of the program, and it may be mixed with `println!`. For many small pieces put a
    /// [`BufWriter`](std::io::BufWriter) around it, or around its lock, and flush that.
    ///
    /// # How it waits
    /// The mode of descriptor 1 is left as it was inherited: the fiber waits until something can be written, and then
    /// writes up to 4096 bytes, which a pipe takes without blocking. If another process has filled the pipe in
    /// between, or a terminal is slow, that call blocks the worker until there is room. A file is written in place.
    /// On a plain thread the thread waits.
    ///
    /// ```
    /// use fibers::io::Write;
    ///
    /// let mut out = fibers::io::stdout().lock();
    /// writeln!(out, "{} lines in one piece", 1)?;
    /// # std::io::Result::Ok(())
    /// ```
    stdout, Stdout, StdoutLock, "std::io::Stdout", "std::io::StdoutLock", STDOUT
);
output!(
    /// Standard error. As [`std::io::stderr`]; it waits as [`stdout`] does.
    stderr, Stderr, StderrLock, "std::io::Stderr", "std::io::StderrLock", STDERR
);
