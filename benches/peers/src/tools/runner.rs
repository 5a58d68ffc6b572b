//! Rounds and statistics of the tools suite: turns its rows into a report.
//!
//! Rows run one after another; within a row, rounds are interleaved over the servers. A server that fails is
//! left out of the row's later rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;

use super::report::{Cell, Figure, Report, Row as RowReport};
use super::rows::{self, Request, Row, Server, Tool};
use super::{attached, redis_benchmark, servers, wrk};
use crate::choice::{self, Choice};
use crate::io::placement::Side;
use crate::io::rows::Placement;
use crate::io::server::Server as Running;
use crate::peers::Peer;
use crate::runner::{chosen, median};
use crate::usage::ProcessClock;
use crate::{RunArgs, child, machine};

/// Options of the suite.
#[derive(Debug, Args)]
pub(crate) struct ToolsArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Only these tools.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Tool>,
}

/// What a tool has told about one run.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) requests: u64,
    pub(super) requests_per_s: f64,
    /// Half of the answers took no longer, and 99 of 100; absent where the tool's figures are none.
    pub(super) latencies: Option<Latencies>,
}

/// How long answers took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latencies {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// How long wrk runs: it takes whole seconds only.
const SECONDS: u64 = 3;
const QUICK_SECONDS: u64 = 1;

/// How many requests redis-benchmark sends: some two seconds' worth.
const REQUESTS: u64 = 200_000;
/// As many times more where several are sent at once.
const PIPELINED_TIMES: u64 = 8;
/// As many times fewer in a quick run.
const QUICK_TIMES: u64 = 20;
/// Sent before that, so that the key is there, and the memory is warm.
const WARM_REQUESTS: u64 = 10_000;

/// Measures every row that `args` asks for and that this machine can do.
///
/// # Errors
///
/// A line for the user, if `args` leave nothing to do.
pub(crate) fn run(args: &ToolsArgs) -> Result<Report, String> {
    let choices = choices(args);
    choice::check("tools", &choices)?;
    let rows = rows::rows().filter(|row| chosen(&args.only, &row.tool));
    let mut rows: Vec<_> = rows.map(|row| (row, servers_of(&row, args))).collect();
    rows.retain(|(_, servers)| !servers.is_empty());
    if rows.is_empty() {
        return Err(choice::nothing("tools", &choices));
    }
    let (mut versions, mut notes) = (BTreeMap::new(), Vec::new());
    if let Some(obstacle) = Placement::Split.obstacle() {
        notes.push(obstacle);
        rows.clear();
    }
    leave_out(&mut rows, &mut versions, &mut notes);
    notes.iter().for_each(|note| eprintln!("{note}"));
    let quick = args.run.quick;
    let rounds = if quick { 1 } else { args.run.rounds };
    Ok(Report {
        machine: machine::describe(),
        versions,
        notes,
        rounds,
        quick,
        rows: rows
            .iter()
            .map(|(row, servers)| measure_row(row, servers, rounds, quick))
            .collect(),
    })
}

/// Redis is no peer: it takes part where no peers are chosen.
fn choices(args: &ToolsArgs) -> [Choice; 2] {
    let servers = rows::rows().flat_map(|row| row.servers);
    let peers = servers.filter(|server| **server != Server::Redis);
    [
        Choice::new(
            "--only",
            args.only.iter().map(|tool| tool.name().to_string()),
            rows::rows().map(|row| row.tool.name().to_string()),
        ),
        Choice::new(
            "--peers",
            args.run.peers.iter().map(|peer| peer.name().to_string()),
            peers.map(|server| server.name().to_string()),
        ),
    ]
}

fn servers_of(row: &Row, args: &ToolsArgs) -> Vec<Server> {
    let peers = &args.run.peers;
    let wanted = |server: &&Server| match server {
        Server::Http(peer) => chosen(peers, peer),
        Server::Kv => chosen(peers, &Peer::Ours),
        Server::Redis => peers.is_empty(),
    };
    row.servers.iter().filter(wanted).copied().collect()
}

/// Takes out what cannot run here, each with a note, and collects the versions of the rest.
fn leave_out(
    rows: &mut Vec<(Row, Vec<Server>)>,
    versions: &mut BTreeMap<String, String>,
    notes: &mut Vec<String>,
) {
    for tool in [Tool::Wrk, Tool::RedisBenchmark] {
        if rows.iter().any(|(row, _)| row.tool == tool) {
            match servers::prepare_tool(tool) {
                Ok(version) => drop(versions.insert(tool.name().to_string(), version)),
                Err(why) => {
                    notes.push(why);
                    rows.retain(|(row, _)| row.tool != tool);
                }
            }
        }
    }
    let mut asked = Vec::new();
    for server in rows
        .iter()
        .flat_map(|(_, servers)| servers.clone())
        .collect::<Vec<_>>()
    {
        if asked.contains(&server) {
            continue;
        }
        asked.push(server);
        match servers::prepare(server) {
            Ok(version) => drop(versions.insert(server.name().to_string(), version)),
            Err(why) => {
                notes.push(why);
                rows.iter_mut()
                    .for_each(|(_, servers)| servers.retain(|&other| other != server));
            }
        }
    }
    rows.retain(|(_, servers)| !servers.is_empty());
}

fn measure_row(row: &Row, servers: &[Server], rounds: u32, quick: bool) -> RowReport {
    let mut cells: Vec<_> = servers
        .iter()
        .map(|&server| (server, Cell::new(server)))
        .collect();
    for round in 1..=rounds {
        eprintln!(
            "{}, {}: round {round}/{rounds}",
            row.tool.name(),
            row.title()
        );
        for (server, cell) in cells.iter_mut().filter(|(_, cell)| cell.error.is_none()) {
            match measure(row, *server, quick) {
                Ok(figures) => cell.add(figures),
                Err(error) => cell.error = Some(error),
            }
        }
    }
    RowReport {
        tool: row.tool.name().to_string(),
        title: row.title(),
        cells: cells
            .into_iter()
            .map(|(_, cell)| cell.summarised())
            .collect(),
    }
}

type Figures = Vec<(&'static str, f64)>;

/// One server, one load.
fn measure(row: &Row, server: Server, quick: bool) -> Result<Figures, String> {
    let running = servers::start(server)?;
    load(row, &running, quick).map_err(|error| running.failure(&error))
}

fn load(row: &Row, server: &Running, quick: bool) -> Result<Figures, String> {
    let clock = ProcessClock::of(server.pid()).map_err(|error| error.to_string())?;
    let cpu = || clock.read().map_err(|error| error.to_string());
    if row.tool == Tool::RedisBenchmark {
        let key = redis_benchmark::arguments(server.port, Request::Set, row.depth, WARM_REQUESTS);
        tool(row.tool, &key)?;
    }
    let before = cpu()?;
    let told = match row.tool {
        Tool::Wrk => {
            let seconds = if quick { QUICK_SECONDS } else { SECONDS };
            let arguments = wrk::arguments(server.port, row.depth, seconds);
            wrk::parse(&tool(row.tool, &arguments)?, row.depth)?
        }
        Tool::RedisBenchmark => {
            let requests = requests(row.depth, quick);
            let arguments =
                redis_benchmark::arguments(server.port, row.request, row.depth, requests);
            redis_benchmark::parse(&tool(row.tool, &arguments)?, requests)?
        }
    };
    let cpu = cpu()?.saturating_sub(before);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let mut figures = vec![
        ("requests_per_s", told.requests_per_s),
        ("server_cpu_us", us(cpu) / told.requests.max(1) as f64),
        ("peak_bytes", machine::peak_bytes(server.pid()) as f64),
    ];
    if let Some(Latencies { p50, p99 }) = told.latencies {
        figures.extend([("p50_us", us(p50)), ("p99_us", us(p99))]);
    }
    Ok(figures)
}

fn requests(depth: u64, quick: bool) -> u64 {
    let times = if depth > 1 { PIPELINED_TIMES } else { 1 };
    REQUESTS * times / if quick { QUICK_TIMES } else { 1 }
}

/// Runs a tool on the second core. Returns what it prints.
fn tool(tool: Tool, arguments: &[String]) -> Result<String, String> {
    let command = attached::command(Side::Load, tool.name(), arguments);
    child::output(&mut command.map_err(|error| error.to_string())?)
}

impl Cell {
    fn new(server: Server) -> Cell {
        Cell {
            server: server.name().to_string(),
            figures: BTreeMap::new(),
            error: None,
        }
    }

    fn add(&mut self, figures: Figures) {
        for (name, figure) in figures {
            let known = self.figures.entry(name.to_string()).or_default();
            known.samples.push(figure);
        }
    }

    /// A cell that failed in any round gets no figures: half a result would look like one.
    fn summarised(mut self) -> Cell {
        if self.error.is_some() {
            self.figures.clear();
        }
        self.figures.values_mut().for_each(Figure::summarise);
        self
    }
}

impl Figure {
    fn summarise(&mut self) {
        let samples = self.samples.iter().copied();
        self.median = median(&self.samples);
        self.min = samples.clone().fold(f64::INFINITY, f64::min);
        self.max = samples.fold(f64::NEG_INFINITY, f64::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cpu_us: &[f64]) -> Cell {
        let mut cell = Cell::new(Server::Redis);
        let name = "server_cpu_us";
        cpu_us.iter().for_each(|&us| cell.add(vec![(name, us)]));
        cell
    }

    #[test]
    fn the_median_stands_between_lowest_and_highest() {
        let mut cell = cell(&[9.0, 1.0, 4.0]).summarised();
        let figure = cell.figures.remove("server_cpu_us").expect("it was added");
        assert_eq!((figure.min, figure.median, figure.max), (1.0, 4.0, 9.0));
    }

    #[test]
    fn a_failure_has_no_figures() {
        let mut cell = cell(&[1.0]);
        cell.error = Some("server ended".to_string());
        assert!(cell.summarised().figures.is_empty());
    }

    #[test]
    fn who_chooses_peers_gets_only_these() {
        let args = |peers: &[Peer]| ToolsArgs {
            run: RunArgs {
                rounds: 1,
                peers: peers.to_vec(),
                json: false,
                quick: true,
            },
            only: Vec::new(),
        };
        for row in rows::rows() {
            assert_eq!(servers_of(&row, &args(&[])), row.servers);
            let ours = servers_of(&row, &args(&[Peer::Ours]));
            assert_eq!(ours.len(), 1, "{row:?}");
            assert_eq!(ours[0].name(), "ours");
        }
    }
}
