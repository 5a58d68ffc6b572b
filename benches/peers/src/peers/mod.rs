//! The runtimes. Each file offers `run(&Job) -> Option<Sample>`: `None` if it cannot do the
//! workload. Those with sockets offer `serve(&Service)`, the server of the io suite.
//!
//! The files look alike on purpose: a reader should be able to lay two of them side by side.
//! A workload prepares and warms up its runtime first; only what comes after that is timed.

mod crossbeam;
mod epoll;
mod floor;
mod go;
mod may;
mod monoio;
mod ours;
mod parking_lot;
mod rayon;
mod threads;
mod tokio;
mod turn;

use std::io;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use self::go::Go as GoTool;
use crate::io::server::Service;
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
    /// std threads with the channels of crossbeam-channel.
    Crossbeam,
    /// std threads with the locks of parking_lot.
    #[value(name = "parking_lot")]
    #[serde(rename = "parking_lot")]
    ParkingLot,
    /// rayon's fork-join pool.
    Rayon,
    /// Go's goroutines.
    Go,
    /// epoll without a runtime; servers only.
    Epoll,
    /// monoio's thread per core; servers only.
    Monoio,
    /// What processor and kernel take, without a runtime: no peer, nobody is behind it.
    Floor,
}

impl Peer {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Ours => "ours",
            Peer::Tokio => "tokio",
            Peer::May => "may",
            Peer::Threads => "threads",
            Peer::Crossbeam => "crossbeam",
            Peer::ParkingLot => "parking_lot",
            Peer::Rayon => "rayon",
            Peer::Go => "go",
            Peer::Epoll => "epoll",
            Peer::Monoio => "monoio",
            Peer::Floor => "floor",
        }
    }

    /// Whether one can be ahead of it, or behind: not ourselves, and not what is no runtime.
    pub(crate) fn competes(self) -> bool {
        !matches!(self, Peer::Ours | Peer::Epoll | Peer::Floor)
    }

    /// The same of a server's name, which may be that of no peer: then one can.
    pub(crate) fn name_competes(name: &str) -> bool {
        let peer = Peer::value_variants()
            .iter()
            .find(|peer| peer.name() == name);
        peer.is_none_or(|peer| peer.competes())
    }

    /// What is measured under that name. Go's version comes from [`GoTool`].
    pub(crate) fn version(self) -> String {
        match self {
            Peer::Ours => format!("fibers {}", machine::locked_version("tiny-fibers")),
            Peer::Threads => "std threads".to_string(),
            Peer::Crossbeam => {
                let version = machine::locked_version("crossbeam-channel");
                format!("crossbeam-channel {version}")
            }
            Peer::Go => "Go".to_string(),
            Peer::Epoll => "raw epoll".to_string(),
            Peer::Monoio => {
                let version = machine::locked_version(self.name());
                format!("monoio {version} ({})", monoio::driver())
            }
            Peer::Floor => {
                let version = machine::locked_version("corosensei");
                format!("floor (corosensei {version}, bare)")
            }
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
        Peer::Crossbeam => crossbeam::run(job),
        Peer::ParkingLot => parking_lot::run(job),
        Peer::Rayon => rayon::run(job),
        Peer::Go => return Err(go::become_go(job)),
        Peer::Floor => floor::run(job),
        Peer::Epoll | Peer::Monoio => None,
    };
    sample.ok_or_else(|| unsupported(peer, &job.workload.name()))
}

/// Serves in this process, until something fails.
pub(crate) fn serve(peer: Peer, service: &Service) -> io::Result<()> {
    match peer {
        Peer::Epoll => epoll::serve(service),
        Peer::Ours => ours::io::serve(service),
        Peer::Tokio => tokio::io::serve(service),
        Peer::May => may::io::serve(service),
        Peer::Monoio => monoio::serve(service),
        Peer::Go => Err(go::become_server(service)),
        Peer::Threads | Peer::Crossbeam | Peer::ParkingLot | Peer::Rayon | Peer::Floor => {
            Err(unsupported(peer, "server"))
        }
    }
}

fn unsupported(peer: Peer, what: &str) -> io::Error {
    let why = format!("{} has no {what}", peer.name());
    io::Error::new(io::ErrorKind::Unsupported, why)
}
