//! The runtimes. Each file offers `run(&Job) -> Option<Sample>`: `None` if it cannot do the
//! workload.
//!
//! The files look alike on purpose: a reader should be able to lay two of them side by side.
//! A workload prepares and warms up its runtime first; only what comes after that is timed.

mod go;
mod may;
mod ours;
mod rayon;
mod threads;
mod tokio;
mod turn;

use std::io;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use self::go::Go as GoTool;
use crate::machine;
use crate::sample::Sample;
use crate::workloads::Job;

/// A runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// This library.
    Ours,
    /// tokio's multi-thread runtime.
    Tokio,
    /// may's stackful coroutines.
    May,
    /// std threads.
    Threads,
    /// rayon's fork-join pool.
    Rayon,
    /// Go's goroutines.
    Go,
}

impl Peer {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Ours => "ours",
            Peer::Tokio => "tokio",
            Peer::May => "may",
            Peer::Threads => "threads",
            Peer::Rayon => "rayon",
            Peer::Go => "go",
        }
    }

    /// What is measured under that name. Go's version comes from [`GoTool`].
    pub(crate) fn version(self) -> String {
        match self {
            Peer::Ours => format!("fibers {}", machine::locked_version("tiny-fibers")),
            Peer::Threads => "std threads".to_string(),
            Peer::Go => "Go".to_string(),
            _ => format!("{} {}", self.name(), machine::locked_version(self.name())),
        }
    }
}

/// Runs a job in this process.
pub(crate) fn run(peer: Peer, job: &Job) -> io::Result<Sample> {
    let sample = match peer {
        Peer::Ours => ours::run(job),
        Peer::Tokio => tokio::run(job),
        Peer::May => may::run(job),
        Peer::Threads => threads::run(job),
        Peer::Rayon => rayon::run(job),
        Peer::Go => return Err(go::become_go(job)),
    };
    sample.ok_or_else(|| {
        let what = job.workload.name();
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{} has no {what}", peer.name()),
        )
    })
}
