//! What the growth suite has measured: a chart for each question, a line for each peer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::peers::Peer;

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// Processor, cores, kernel, load.
    pub(crate) machine: String,
    /// Of every peer that takes part.
    pub(crate) versions: BTreeMap<Peer, String>,
    /// Lines about what was left out, or made smaller.
    pub(crate) notes: Vec<String>,
    /// Measurements of each point.
    pub(crate) rounds: u32,
    /// Sizes are too small for conclusions.
    pub(crate) quick: bool,
    /// In the order of the suite.
    pub(crate) charts: Vec<Chart>,
}

/// What one operation costs, by how much there is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chart {
    /// Short and unique, as `spawn`.
    pub(crate) name: String,
    /// As `Spawn and join`.
    pub(crate) title: String,
    /// What grows, as `fibers`.
    pub(crate) x: String,
    /// What is measured, as `ns per fiber`.
    pub(crate) y: String,
    /// One or two sentences: what one operation is.
    pub(crate) says: String,
    /// One for each peer.
    pub(crate) lines: Vec<Line>,
}

/// One peer in one chart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Whose line it is.
    pub(crate) peer: Peer,
    /// From the smallest size on; as far as the peer got.
    pub(crate) points: Vec<Point>,
    /// Why the line ends early, beginning with the size at which it does.
    pub(crate) error: Option<String>,
}

/// One size of one peer, over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The size.
    pub(crate) x: f64,
    /// The middle figure of the rounds. A difference of times may be below zero.
    pub(crate) median: f64,
    /// The lowest one.
    pub(crate) min: f64,
    /// The highest one.
    pub(crate) max: f64,
}
