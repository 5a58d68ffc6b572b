//! What the tools suite has measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    /// Of servers and tools, by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// Lines about what was left out.
    pub(crate) notes: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
}

/// One way to load servers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// `wrk` or `redis-benchmark`.
    pub(crate) tool: String,
    pub(crate) title: String,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// Tool and title.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.tool, self.title)
    }
}

/// One server in one row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// A peer's name, or `redis`.
    pub(crate) server: String,
    /// By name: `requests_per_s`, `p50_us`, `p99_us`, `server_cpu_us`, `peak_bytes`, without latencies where the
    /// tool's are none. Empty if the server has failed.
    pub(crate) figures: BTreeMap<String, Figure>,
    pub(crate) error: Option<String>,
}

/// One figure of one server over all rounds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// One for each round.
    pub(crate) samples: Vec<f64>,
}
