//! Rounds and statistics of the io suite: turns its rows into a report.
//!
//! Rows run one after another; within a row, rounds are interleaved over the peers, the yardstick
//! first. A ratio is to the yardstick in the same round. A peer that fails is left out of the row's
//! later rounds.

use std::collections::BTreeMap;
use std::process::Stdio;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::load::Found;
use super::rows::{self, PEERS, Placement, Row, Workload, YARDSTICK};
use super::server::Server;
use crate::bars::{Contender, Verdict};
use crate::choice::{self, Choice};
use crate::peers::Peer;
use crate::runner::{chosen, median, prepare_go};
use crate::{RunArgs, child, machine};

/// Options of the suite.
#[derive(Debug, Args)]
pub(crate) struct IoArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// Only these placements.
    #[arg(long, value_delimiter = ',')]
    placements: Vec<Placement>,
    /// Only rows with so many connections.
    #[arg(long, value_delimiter = ',')]
    connections: Vec<usize>,
    /// How long each measurement takes, after a warm-up of a third of that.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u64).range(10..=20_000))]
    window_ms: u64,
}

impl IoArgs {
    /// Whether the report is to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.run.json
    }

    fn choices(&self) -> [Choice; 4] {
        let peers = self.run.peers.iter().map(|peer| peer.name().to_string());
        [
            Choice::new(
                "--only",
                self.only.iter().map(|workload| workload.name()),
                rows::rows().map(|row| row.workload.name()),
            ),
            Choice::new(
                "--placements",
                self.placements.iter().map(|placement| placement.name()),
                rows::rows().map(|row| row.placement.name()),
            ),
            Choice::new(
                "--connections",
                self.connections.iter().map(usize::to_string),
                rows::rows().map(|row| row.connections.to_string()),
            ),
            Choice::new("--peers", peers, PEERS.map(|peer| peer.name().to_string())),
        ]
    }

    fn wants(&self, row: &Row) -> bool {
        chosen(&self.only, &row.workload)
            && chosen(&self.placements, &row.placement)
            && chosen(&self.connections, &row.connections)
    }
}

/// The window of `--quick`.
const QUICK_WINDOW_MS: u64 = 80;

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) versions: BTreeMap<Peer, String>,
    /// Lines about what was left out.
    pub(crate) notes: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) window_ms: u64,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<RowReport>,
}

/// One row, measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RowReport {
    pub(crate) workload: String,
    pub(crate) connections: usize,
    pub(crate) placement: String,
    pub(crate) cells: Vec<Cell>,
    /// One for each bar of the row.
    pub(crate) verdicts: Vec<Verdict>,
}

/// One peer in one row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) peer: Peer,
    /// By the names of [`Found::figures`]; empty if the peer has failed.
    pub(crate) figures: BTreeMap<String, Figure>,
    pub(crate) error: Option<String>,
}

/// One figure of one peer over all rounds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// One for each round.
    pub(crate) samples: Vec<f64>,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The median over the rounds of the sample divided by the yardstick's in that round.
    pub(crate) ratio: Option<f64>,
}

impl Found {
    /// What the report shows, by name.
    fn figures(&self) -> [(&'static str, f64); 11] {
        let requests = self.requests.max(1) as f64;
        let window_ns = self.window_ns as f64;
        let server_cpu_ns = self.server_cpu_ns as f64;
        [
            ("requests_per_s", self.requests as f64 / window_ns * 1e9),
            ("p50_us", self.p50_ns as f64 / 1e3),
            ("p99_us", self.p99_ns as f64 / 1e3),
            ("p999_us", self.p999_ns as f64 / 1e3),
            ("server_cpu_us", server_cpu_ns / requests / 1e3),
            ("server_cores", server_cpu_ns / window_ns),
            ("server_threads", self.server_threads as f64),
            (
                "server_peak_mib",
                self.server_peak_bytes as f64 / f64::from(1 << 20),
            ),
            (
                "server_switches_per_request",
                self.server_switches as f64 / requests,
            ),
            ("load_cores", self.load_cores),
            ("other_cores", self.other_cores),
        ]
    }

    /// One of them.
    fn figure(&self, name: &str) -> f64 {
        let figures = self.figures();
        let found = figures.iter().find(|(known, _)| *known == name);
        found.expect("a figure of that name").1
    }
}

/// Measures every row that `args` asks for.
///
/// # Errors
///
/// A line for the user, if `args` leave nothing to do.
pub(crate) fn run(args: &IoArgs) -> Result<Report, String> {
    let choices = args.choices();
    choice::check("io", &choices)?;
    let mut notes: Vec<String> = [Placement::Split, Placement::Both]
        .into_iter()
        .filter(|placement| chosen(&args.placements, placement))
        .filter_map(Placement::obstacle)
        .collect();
    let rows: Vec<Row> = rows::rows()
        .filter(|row| args.wants(row) && row.placement.obstacle().is_none())
        .collect();
    let mut peers = Vec::from(PEERS);
    peers.retain(|peer| chosen(&args.run.peers, peer));
    let mut versions = BTreeMap::new();
    if !rows.is_empty() && peers.contains(&Peer::Go) {
        match prepare_go(&mut notes) {
            Some(version) => drop(versions.insert(Peer::Go, version)),
            None => peers.retain(|&peer| peer != Peer::Go),
        }
    }
    notes.iter().for_each(|note| eprintln!("{note}"));
    if rows.is_empty() || peers.is_empty() {
        return Err(choice::nothing("io", &choices));
    }
    for &peer in &peers {
        versions.entry(peer).or_insert_with(|| peer.version());
    }
    let quick = args.run.quick;
    let rounds = if quick { 1 } else { args.run.rounds };
    let window_ms = if quick {
        QUICK_WINDOW_MS
    } else {
        args.window_ms
    };
    Ok(Report {
        machine: machine::describe(),
        versions,
        notes,
        rounds,
        window_ms,
        quick,
        rows: rows
            .iter()
            .map(|row| measure_row(row, &peers, rounds, window_ms))
            .collect(),
    })
}

fn measure_row(row: &Row, peers: &[Peer], rounds: u32, window_ms: u64) -> RowReport {
    let mut cells: Vec<Cell> = peers.iter().map(|&peer| Cell::new(peer)).collect();
    for round in 1..=rounds {
        eprintln!("{row}: round {round}/{rounds}");
        for cell in cells.iter_mut().filter(|cell| cell.error.is_none()) {
            match measure(row, cell.peer, window_ms) {
                Ok(found) => cell.add(&found),
                Err(error) => cell.error = Some(error),
            }
        }
    }
    summarise(&mut cells);
    RowReport {
        workload: row.workload.name(),
        connections: row.connections,
        placement: row.placement.name(),
        verdicts: verdicts(row, &cells),
        cells,
    }
}

/// Holds our figures against the row's bars.
fn verdicts(row: &Row, cells: &[Cell]) -> Vec<Verdict> {
    let held = row.bars().into_iter().map(|bar| {
        let cells: Vec<_> = cells
            .iter()
            .map(|cell| cell.contender(bar.figure))
            .collect();
        let mut verdict = bar.bar.hold(bar.better, "", &cells);
        verdict.bar = format!("{} {}", bar.title, verdict.bar);
        verdict
    });
    held.collect()
}

impl RowReport {
    /// Workload, connections and placement.
    pub(crate) fn name(&self) -> String {
        format!("{} {} {}", self.workload, self.connections, self.placement)
    }

    /// The figure of that name of `peer`, if it has one.
    pub(crate) fn figure(&self, peer: Peer, name: &str) -> Option<&Figure> {
        let cell = self.cells.iter().find(|cell| cell.peer == peer)?;
        cell.figures.get(name)
    }

    /// What a figure is held against others by.
    pub(crate) fn contenders(&self, name: &str) -> Vec<Contender<'_>> {
        self.cells.iter().map(|cell| cell.contender(name)).collect()
    }
}

/// Echo on so many connections, the server on one core and the load on another: CPU time of the server per
/// request and p99 of the latency, both in us.
pub(crate) fn echo(peer: Peer, connections: usize, window_ms: u64) -> Result<[f64; 2], String> {
    let row = Row {
        workload: Workload::Echo,
        connections,
        placement: Placement::Split,
    };
    let found = measure(&row, peer, window_ms)?;
    Ok(["server_cpu_us", "p99_us"].map(|name| found.figure(name)))
}

/// One server, one load.
fn measure(row: &Row, peer: Peer, window_ms: u64) -> Result<Found, String> {
    let server = Server::start(peer, row)?;
    // Held until the load has ended: it lives no longer than this pipe.
    let found = child::answer(|load| {
        load.args(["load", &row.workload.name(), &row.placement.name()])
            .args(["--connections", &row.connections.to_string()])
            .args(["--port", &server.port.to_string()])
            .args(["--server-pid", &server.pid().to_string()])
            .args(["--warm-ms", &(window_ms / 3).to_string()])
            .args(["--window-ms", &window_ms.to_string()])
            .stdin(Stdio::piped())
    });
    found.map_err(|error: String| server.failure(&error))
}

impl Cell {
    fn new(peer: Peer) -> Cell {
        Cell {
            peer,
            figures: BTreeMap::new(),
            error: None,
        }
    }

    fn add(&mut self, found: &Found) {
        for (name, figure) in found.figures() {
            let figures = self.figures.entry(name.to_string());
            figures.or_default().samples.push(figure);
        }
    }

    fn contender(&self, name: &str) -> Contender<'_> {
        Contender {
            peer: self.peer,
            samples: self.figures.get(name).map_or(&[], |figure| &figure.samples),
        }
    }
}

/// A cell that failed in any round gets no figures: half a result would look like one.
fn summarise(cells: &mut [Cell]) {
    for cell in cells.iter_mut().filter(|cell| cell.error.is_some()) {
        cell.figures.clear();
    }
    let yardstick = cells.iter().find(|cell| cell.peer == YARDSTICK);
    let yardstick: BTreeMap<_, Vec<f64>> = yardstick
        .into_iter()
        .flat_map(|cell| &cell.figures)
        .map(|(name, figure)| (name.clone(), figure.samples.clone()))
        .collect();
    for cell in cells {
        for (name, figure) in &mut cell.figures {
            figure.summarise(yardstick.get(name).map_or(&[], Vec::as_slice));
        }
    }
}

impl Figure {
    fn summarise(&mut self, yardstick: &[f64]) {
        let samples = self.samples.iter().copied();
        self.median = median(&self.samples);
        self.min = samples.clone().fold(f64::INFINITY, f64::min);
        self.max = samples.clone().fold(f64::NEG_INFINITY, f64::max);
        let ratios: Vec<f64> = samples
            .zip(yardstick)
            .filter(|&(_, &yardstick)| yardstick > 0.0)
            .map(|(sample, yardstick)| sample / yardstick)
            .collect();
        self.ratio = (!ratios.is_empty()).then(|| median(&ratios));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(peer: Peer, cpu_us: &[f64]) -> Cell {
        let mut cell = Cell::new(peer);
        let figure = Figure {
            samples: cpu_us.to_vec(),
            ..Figure::default()
        };
        cell.figures.insert("server_cpu_us".to_string(), figure);
        cell
    }

    #[test]
    fn a_ratio_is_to_the_yardstick_in_the_same_round() {
        let mut cells = [
            cell(Peer::Epoll, &[1.0, 10.0, 2.0]),
            cell(Peer::Ours, &[2.0, 20.0, 6.0]),
        ];
        summarise(&mut cells);
        let ours = &cells[1].figures["server_cpu_us"];
        assert_eq!((ours.median, ours.min, ours.max), (6.0, 2.0, 20.0));
        assert_eq!(ours.ratio, Some(2.0));
        assert_eq!(cells[0].figures["server_cpu_us"].ratio, Some(1.0));
    }

    #[test]
    fn without_a_yardstick_there_is_no_ratio_and_a_failure_has_no_figures() {
        let mut failed = cell(Peer::Epoll, &[1.0]);
        failed.error = Some("server ended".to_string());
        let mut cells = [failed, cell(Peer::Ours, &[2.0, 4.0])];
        summarise(&mut cells);
        assert!(cells[0].figures.is_empty());
        let ours = &cells[1].figures["server_cpu_us"];
        assert_eq!((ours.median, ours.ratio), (3.0, None));
    }
}
