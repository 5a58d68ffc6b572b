//! Who runs on which core: a process pins itself before it starts a thread, its threads inherit that.

use std::io;

use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::rows::Placement;

/// The two sides of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// The peer.
    Server,
    /// The load.
    Load,
}

impl Side {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Server => "server",
            Side::Load => "load",
        }
    }
}

/// The first two cores that this process may use, or the only one.
fn cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    Ok(cores.take(2).collect())
}

impl Placement {
    /// Why this machine cannot do it, if so.
    pub(crate) fn obstacle(self) -> Option<String> {
        let cores = cores().map_or(0, |cores| cores.len());
        (self == Placement::Split && cores < 2)
            .then(|| "split is left out: it needs two cores".to_string())
    }

    /// Pins this process.
    pub(crate) fn pin(self, side: Side) -> io::Result<()> {
        let cores = cores()?;
        let chosen = match (self, side) {
            (Placement::Both, _) => &cores[..],
            (Placement::Split, Side::Server) => &cores[..1],
            (Placement::Split, Side::Load) => &cores[1..],
        };
        let mut set = CpuSet::new();
        chosen.iter().for_each(|&core| set.set(core));
        Ok(sched_setaffinity(None, &set)?)
    }
}
