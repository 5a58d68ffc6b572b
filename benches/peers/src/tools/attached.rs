//! Foreign programs know neither cores nor parents. So a child of ours takes its core, asks to be killed at its
//! parent's end, and then becomes the program.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::io::placement::Side;
use crate::io::rows::Placement;

/// The hidden subcommand.
#[derive(Debug, Args)]
pub(crate) struct AttachedArgs {
    side: Side,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

impl AttachedArgs {
    /// What to become.
    pub(crate) fn program(&self) -> &str {
        &self.command[0]
    }
}

/// A command that runs `program` on one side's core until it or its parent ends. The parent is the thread
/// that spawns it.
pub(super) fn command(side: Side, program: &str, arguments: &[String]) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["attached", side.name(), "--", program])
        .args(arguments);
    Ok(command)
}

/// Becomes the program. Returns only if that fails.
pub(crate) fn become_program(args: &AttachedArgs) -> io::Error {
    let attached = Placement::Split
        .pin(args.side)
        .and_then(|()| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    match attached {
        Ok(()) => Command::new(args.program()).args(&args.command[1..]).exec(),
        Err(error) => error,
    }
}
