//! Descriptors, pipes and the standard streams, as fibers wait for them; beside them all that [`std::io`] has.
//!
//! Change `use std::io` to `use fibers::io`: traits, errors and adapters are std's own. [`pipe`], [`stdin`],
//! [`stdout`] and [`stderr`] are this library's: there a fiber waits in place of its thread. [`Watch`] does the same
//! for any descriptor of yours: an eventfd, a timerfd, an inotify, the socket of a C library.
//!
//! ```
//! use fibers::io::{self, Read, Write};
//!
//! let (mut reader, mut writer) = io::pipe()?;
//! let greeting = fibers::spawn(move || {
//!     let mut text = String::new();
//!     reader.read_to_string(&mut text).map(|_| text)
//! });
//! writer.write_all(b"hello")?;
//! drop(writer);
//! assert_eq!(greeting.join().unwrap()?, "hello");
//! # io::Result::Ok(())
//! ```
//!
//! `print!`, `println!` and their like remain std's: they block the worker while nobody reads what they write.

mod pipe;
pub(crate) mod source;
mod stdin;
mod stdout;
mod watch;

#[doc(no_inline)]
pub use std::io::*;

pub use pipe::{PipeReader, PipeWriter, pipe};
pub use stdin::{Stdin, StdinLock, stdin};
pub use stdout::{Stderr, StderrLock, Stdout, StdoutLock, stderr, stdout};
pub use watch::Watch;
