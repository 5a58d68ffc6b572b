//! Other programs: `std::process` for fibers. Write `use fibers::process` where a program says `use std::process`.
//!
//! Signatures, results and errors are std's; [`Stdio`], [`ExitStatus`] and [`Output`] are its types.
//!
//! ```
//! use fibers::io::{Read, Write};
//! use fibers::process::{Command, Stdio};
//!
//! let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//! let mut stdin = child.stdin.take().unwrap();
//! let mut stdout = child.stdout.take().unwrap();
//! fibers::spawn(move || stdin.write_all(b"meow"));
//! let mut text = String::new();
//! stdout.read_to_string(&mut text)?;
//! assert_eq!(text, "meow");
//! assert!(child.wait()?.success());
//! # std::io::Result::Ok(())
//! ```
//!
//! **What waits** is the fiber. A child is waited for by its pidfd, which is watched by the machine like a socket;
//! its pipes are non-blocking on this side, and ordinary ones on the child's. Starting a program takes the kernel a
//! millisecond, or more in a large process: that is done on an offload thread ([`blocking`](crate::blocking)).
//!
//! **How a wait ends early:** by a [`timeout`](crate::timeout) around it or a [cancellation](crate::Fiber::cancel);
//! both unwind, and leave the child alone: it can be waited for again. In [`Command::status`] and
//! [`Command::output`], where nobody else knows the child, it is killed, and reaped, in time, without anybody
//! waiting.
//!
//! **What differs from std:**
//! - [`Child::wait_timeout`], [`Child::send_signal`], and [`Child::handle`]: for those who want to wait for, or kill,
//!   a child that another fiber waits for.
//! - What [`signal::block`](crate::signal::block) has blocked here is open in the child.
//! - A child that asks for a signal at its parent's death (`PR_SET_PDEATHSIG`) gets it when the *thread* ends that
//!   started it. Offload threads end when they have had nothing to do for a while: start such children from a plain
//!   thread.
//! - The methods of `std::os::unix::process::CommandExt` are methods of [`Command`].
//!
//! **What does not:** a [`Child`] that is dropped is neither killed nor waited for, and remains a zombie when it
//! ends, until this process does. Nothing is inherited but the descriptors 0 to 2, and what the program itself makes
//! inheritable.

mod child;
mod command;
mod pipes;
mod reap;

#[doc(no_inline)]
pub use std::process::{
    CommandArgs, CommandEnvs, ExitCode, ExitStatus, Output, Stdio, Termination, abort, exit, id,
};

pub use child::{Child, ChildHandle};
pub use command::Command;
pub use pipes::{ChildStderr, ChildStdin, ChildStdout};
