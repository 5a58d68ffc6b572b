//! Standard input.
//!
//! Descriptor 0 is shared with whoever started us, so its mode is not ours to change. It is asked whether there is
//! something (`poll`) before each read, which is one call, and waited for if not.
//!
//! STDIN-1: the buffer is where `INPUT` has it, or with the one lock that is out.

use std::fmt;
use std::io::{self, BufRead, BufReader, IsTerminal, Lines, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::fiber::alarm::NEVER;
use crate::io::source::Watched;
use crate::os::poll::is_ready;
use crate::os::stdio;
use crate::reactor::readiness::Direction;
use crate::wait::WaitQueue;

static INPUT: Input = Input {
    buffer: Mutex::new(Buffer::New),
    queue: WaitQueue::new(),
};

struct Input {
    buffer: Mutex<Buffer>,
    queue: WaitQueue,
}

enum Buffer {
    /// Nobody has asked for it yet.
    New,
    Here(BufReader<Raw>),
    /// With a lock.
    Out,
}

/// Standard input. As [`std::io::stdin`].
///
/// It has a buffer, one for the process, which is not the one of [`std::io::stdin`]: use one of them only, as what
/// one has read ahead the other does not see.
///
/// # How it waits
/// The mode of descriptor 0 is left as it was inherited (a shell and other programs share it): the fiber waits until
/// there is something, and then reads with one call, which does not block, for pipes, terminals and sockets, as long
/// as nobody else reads from the same at that moment. If somebody does, that call blocks the worker until there is
/// more. A file is read in place. On a plain thread the thread waits. A program that replaces descriptor 0 (`dup2`)
/// must do so before the first wait.
///
/// ```no_run
/// for line in fibers::io::stdin().lines() {
///     println!("{}", line?.to_uppercase());
/// }
/// # std::io::Result::Ok(())
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin(())
}

/// A handle of standard input: [`stdin`]. As [`std::io::Stdin`].
///
/// Each call takes the [`lock`](Self::lock) for itself.
pub struct Stdin(());

/// The right to read from standard input, until dropped. As [`std::io::StdinLock`].
///
/// Reads *block* the fiber until there is something, or the end. *Cancellation* and deadlines unwind; what has been
/// read stays in the buffer.
pub struct StdinLock<'a> {
    /// `None` only while it is dropped.
    reader: Option<BufReader<Raw>>,
    _of: std::marker::PhantomData<&'a ()>,
}

/// Descriptor 0, past the buffer.
struct Raw;

fn watched() -> &'static Watched<io::Stdin> {
    static WATCHED: OnceLock<Watched<io::Stdin>> = OnceLock::new();
    WATCHED.get_or_init(|| Watched::new(io::stdin()))
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        watched().run(Direction::Read, NEVER, |stdin| {
            if !is_ready(stdin.as_fd(), false)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            stdio::read(stdin, buffer)
        })
    }
}

impl Stdin {
    /// Waits until nobody else reads, and has others wait until the lock is dropped. As [`std::io::Stdin::lock`].
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind. Who holds it and asks
    /// again waits for itself.
    #[must_use]
    pub fn lock(&self) -> StdinLock<'static> {
        loop {
            let taken = {
                let mut buffer = INPUT.buffer.lock();
                std::mem::replace(&mut *buffer, Buffer::Out)
            };
            let reader = match taken {
                Buffer::New => BufReader::new(Raw),
                Buffer::Here(reader) => reader,
                Buffer::Out => {
                    INPUT
                        .queue
                        .wait_until(|| !matches!(*INPUT.buffer.lock(), Buffer::Out));
                    continue;
                }
            };
            return StdinLock {
                reader: Some(reader),
                _of: std::marker::PhantomData,
            };
        }
    }

    /// Reads a line, with its end, and appends it. 0: there is none left. As [`std::io::Stdin::read_line`].
    ///
    /// *Blocks* the fiber; on a plain thread the thread. *Cancellation* and deadlines unwind.
    ///
    /// # Errors
    /// read's. `InvalidData`: it is not UTF-8.
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        self.lock().read_line(line)
    }

    /// The lines one after the other, without their ends. As [`std::io::Stdin::lines`]; holds the lock.
    #[must_use]
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }

    /// Whether it is a terminal. As [`std::io::IsTerminal`].
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

impl StdinLock<'_> {
    fn reader(&mut self) -> &mut BufReader<Raw> {
        self.reader.as_mut().expect("there until it is dropped")
    }
}

impl Drop for StdinLock<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            *INPUT.buffer.lock() = Buffer::Here(reader);
            INPUT.queue.wake_one();
        }
    }
}

impl Read for StdinLock<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader().read(buffer)
    }
}

impl BufRead for StdinLock<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader().fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.reader().consume(bytes);
    }
}

macro_rules! read {
    ($($name:ty),*) => {$(
        /// Takes the lock for each call.
        impl Read for $name {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.lock().read(buffer)
            }

            fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
                self.lock().read_to_end(bytes)
            }

            fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
                self.lock().read_to_string(text)
            }

            fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
                self.lock().read_exact(buffer)
            }
        }
    )*};
}

read!(Stdin, &Stdin);

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stdin")
    }
}

impl fmt::Debug for StdinLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StdinLock")
    }
}

macro_rules! fd {
    ($($name:ty),*) => {$(
        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                watched().get().as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }
    )*};
}

fd!(Stdin, StdinLock<'_>);
