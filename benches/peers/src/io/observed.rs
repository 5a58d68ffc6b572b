//! What a server has used, seen from another process: that asks nothing of the server and is the same for
//! all peers, Go included.

use std::fs;
use std::io;
use std::time::Duration;

use crate::machine;
use crate::usage::ProcessClock;

/// A server's usage since it started, or between two moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observed {
    /// User and system time of all threads, ended ones included.
    pub(super) cpu: Duration,
    /// How often a thread gave up its core to wait. Ended threads are missing.
    pub(super) switches: u64,
    /// Threads at the end.
    pub(super) threads: u64,
    /// The most memory that was resident at a time, up to the end.
    pub(super) peak_bytes: u64,
}

impl Observed {
    /// Reads what the process `pid` has used so far.
    pub(super) fn read(pid: u32) -> io::Result<Observed> {
        let cpu = ProcessClock::of(pid)?.read()?;
        let (mut switches, mut threads) = (0, 0);
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread that ends just now has nothing to tell.
            let status = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
            let field = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = field.and_then(|count| count.trim().parse::<u64>().ok());
            switches += count.unwrap_or(0);
            threads += 1;
        }
        Ok(Observed {
            cpu,
            switches,
            threads,
            peak_bytes: machine::peak_bytes(pid),
        })
    }

    /// What was used between `before` and this.
    pub(super) fn since(self, before: Observed) -> Observed {
        Observed {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
            threads: self.threads,
            peak_bytes: self.peak_bytes,
        }
    }
}
