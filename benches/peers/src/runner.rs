//! Rounds and statistics: turns the rows of a suite into a report.
//!
//! Rows run one after another; within a row, rounds are interleaved over the peers. A peer that
//! fails is left out of the row's later rounds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::peers::{GoTool, Peer};
use crate::sample::Sample;
use crate::workloads::{self, Bar, Job, Row, Suite, Unit};
use crate::{SuiteArgs, child, machine};

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) versions: BTreeMap<Peer, String>,
    /// Lines about what was left out.
    pub(crate) notes: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<RowReport>,
}

/// One row, measured.
#[derive(Debug, Serialize)]
pub(crate) struct RowReport {
    pub(crate) workload: String,
    pub(crate) title: String,
    pub(crate) workers: usize,
    pub(crate) unit: &'static str,
    pub(crate) cells: Vec<Cell>,
    /// Our median divided by the best peer's.
    pub(crate) ratio: Option<f64>,
    /// Our median divided by what processor and kernel take alone.
    pub(crate) floor_ratio: Option<f64>,
    /// The peer that the ratio is against.
    pub(crate) best_peer: Option<Peer>,
    /// The ratio allowed.
    pub(crate) bar: Option<f64>,
    /// Or the figure allowed.
    pub(crate) bar_absolute: Option<f64>,
    /// Whether the bar was met; absent if there is no bar, or nothing to hold against it.
    pub(crate) hit: Option<bool>,
}

/// One peer in one row.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) peer: Peer,
    pub(crate) size: u64,
    /// The peer gets a smaller size, as it cannot do more.
    pub(crate) reduced: bool,
    /// In the row's unit, one for each round.
    pub(crate) samples: Vec<f64>,
    pub(crate) median: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    /// Further figures by name: the medians of the rounds.
    pub(crate) extra: BTreeMap<String, f64>,
    /// The same, one for each round.
    #[serde(skip)]
    extras: BTreeMap<String, Vec<f64>>,
    pub(crate) error: Option<String>,
}

/// Measures every row of `suite` that `args` asks for.
///
/// # Errors
///
/// A line for the user, if `args` leave nothing to do.
pub(crate) fn run(suite: Suite, args: &SuiteArgs) -> Result<Report, String> {
    let mut notes = Vec::new();
    let mut versions = BTreeMap::new();
    let rows = workloads::rows(suite, args.workers, args.full);
    let rows = rows
        .into_iter()
        .filter(|row| chosen(&args.only, &row.workload));
    let mut rows: Vec<_> = rows.map(|row| (row, peers_of(&row, args))).collect();
    rows.retain(|(_, peers)| !peers.is_empty());
    if rows.iter().any(|(_, peers)| peers.contains(&Peer::Go)) {
        match prepare_go(&mut notes) {
            Some(version) => drop(versions.insert(Peer::Go, version)),
            None => {
                rows.iter_mut()
                    .for_each(|(_, peers)| peers.retain(|&peer| peer != Peer::Go));
                rows.retain(|(_, peers)| !peers.is_empty());
            }
        }
    }
    notes.iter().for_each(|note| eprintln!("{note}"));
    if rows.is_empty() {
        return Err("no row has these workloads and peers".to_string());
    }
    for &peer in rows.iter().flat_map(|(_, peers)| peers) {
        versions.entry(peer).or_insert_with(|| peer.version());
    }
    let machine = machine::describe();
    let rounds = if args.run.quick { 1 } else { args.run.rounds };
    let rows = rows
        .iter()
        .map(|(row, peers)| measure_row(row, peers, rounds, args.run.quick));
    let rows = rows.collect();
    Ok(Report {
        machine,
        versions,
        notes,
        rounds,
        quick: args.run.quick,
        rows,
    })
}

/// Go's version, once its part is built, or else a note.
pub(crate) fn prepare_go(notes: &mut Vec<String>) -> Option<String> {
    GoTool::prepare()
        .map(|go| go.version)
        .map_err(|why| notes.push(why))
        .ok()
}

/// An empty choice means all.
pub(crate) fn chosen<T: PartialEq>(choice: &[T], candidate: &T) -> bool {
    choice.is_empty() || choice.contains(candidate)
}

fn peers_of(row: &Row, args: &SuiteArgs) -> Vec<Peer> {
    let floor = row.workload.has_floor().then_some(Peer::Floor);
    row.peers
        .iter()
        .copied()
        .chain(floor)
        .filter(|peer| chosen(&args.run.peers, peer))
        .collect()
}

fn measure_row(row: &Row, peers: &[Peer], rounds: u32, quick: bool) -> RowReport {
    let mut cells: Vec<Cell> = peers
        .iter()
        .map(|&peer| Cell::new(row, peer, quick))
        .collect();
    for round in 1..=rounds {
        eprintln!(
            "{} on {}: round {round}/{rounds}",
            row.workload.name(),
            row.workers
        );
        for cell in cells.iter_mut().filter(|cell| cell.error.is_none()) {
            let job = Job {
                workload: row.workload,
                workers: row.workers,
                size: cell.size,
            };
            match child::measure(cell.peer, &job) {
                Ok(sample) => cell.add(row.unit, sample),
                Err(error) => cell.error = Some(error),
            }
        }
    }
    cells.iter_mut().for_each(Cell::summarise);
    judge(row, cells)
}

impl Cell {
    fn new(row: &Row, peer: Peer, quick: bool) -> Cell {
        let usual = workloads::size(row.workload, peer, quick);
        Cell {
            peer,
            size: if quick {
                usual
            } else {
                row.size.unwrap_or(usual)
            },
            reduced: workloads::reduced(row.workload, peer),
            samples: Vec::new(),
            median: None,
            min: None,
            max: None,
            extra: BTreeMap::new(),
            extras: BTreeMap::new(),
            error: None,
        }
    }

    fn add(&mut self, unit: Unit, sample: Sample) {
        let ns = sample.ns as f64;
        let total = match unit {
            Unit::NsPerOp | Unit::CpuNsPerOp => ns,
            Unit::Us => ns / 1e3,
            Unit::Ms => ns / 1e6,
            Unit::CpuSeconds => ns / 1e9,
            Unit::Bytes => sample.extra.get("bytes").copied().unwrap_or(0.0),
        };
        self.samples.push(total / sample.ops.max(1) as f64);
        for (name, figure) in sample.extra {
            self.extras.entry(name).or_default().push(figure);
        }
    }

    /// A cell that failed in any round gets no figures: half a result would look like one.
    fn summarise(&mut self) {
        if self.error.is_some() || self.samples.is_empty() {
            return;
        }
        self.median = Some(median(&self.samples));
        self.min = self.samples.iter().copied().min_by(f64::total_cmp);
        self.max = self.samples.iter().copied().max_by(f64::total_cmp);
        let extras = self.extras.iter();
        self.extra = extras
            .map(|(name, figures)| (name.clone(), median(figures)))
            .collect();
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    (below + above) / 2.0
}

/// Holds our cell against the others and the bar.
fn judge(row: &Row, cells: Vec<Cell>) -> RowReport {
    let ours = cells.iter().find(|cell| cell.peer == Peer::Ours);
    let ours_median = ours.and_then(|cell| cell.median);
    let competes = |cell: &&Cell| match row.bar {
        Bar::BestOf(_, peers) => peers.contains(&cell.peer),
        _ => cell.peer.competes(),
    };
    let best = cells
        .iter()
        .filter(competes)
        .filter_map(|cell| Some((cell.median?, cell.peer)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    // Nothing is a share of nothing, or of less than nothing, as a difference of times may be.
    let against = |other: Option<f64>| {
        let pair = ours_median.zip(other).filter(|(_, other)| *other > 0.0);
        pair.map(|(ours, other)| ours / other)
    };
    let ratio = against(best.map(|(best, _)| best));
    let floor = cells.iter().find(|cell| cell.peer == Peer::Floor);
    let floor_ratio = against(floor.and_then(|cell| cell.median));
    let (bar, bar_absolute) = match row.bar {
        Bar::BestPeer(limit) | Bar::BestOf(limit, _) => (Some(limit), None),
        Bar::Absolute(limit) => (None, Some(limit)),
        Bar::None => (None, None),
    };
    let hit = match ours {
        // Our own failure misses every bar.
        Some(cell) if cell.error.is_some() => bar.or(bar_absolute).map(|_| false),
        _ => match row.bar {
            Bar::Absolute(limit) => ours_median.map(|ours| ours <= limit),
            _ => ratio.zip(bar).map(|(ratio, limit)| ratio <= limit),
        },
    };
    let size = cells.iter().map(|cell| cell.size).max().unwrap_or(0);
    RowReport {
        workload: row.workload.name(),
        title: row.workload.title(size),
        workers: row.workers,
        unit: row.unit.name(),
        ratio,
        floor_ratio,
        best_peer: best.map(|(_, peer)| peer),
        bar,
        bar_absolute,
        hit,
        cells,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::Workload;

    const PEERS: &[Peer] = &[Peer::Ours, Peer::Tokio, Peer::May];

    fn row(bar: Bar) -> Row {
        let (workload, unit) = (Workload::Yield1, Unit::NsPerOp);
        Row {
            workload,
            workers: 1,
            peers: PEERS,
            unit,
            bar,
            size: None,
        }
    }

    fn cell(row: &Row, peer: Peer, samples: &[i64]) -> Cell {
        let mut cell = Cell::new(row, peer, true);
        for &ns in samples {
            cell.add(
                row.unit,
                Sample {
                    ns,
                    ops: 1,
                    extra: [("twice".to_string(), 2.0 * ns as f64)].into(),
                },
            );
        }
        cell.summarise();
        cell
    }

    #[test]
    fn the_median_stands_between_lowest_and_highest() {
        let row = row(Bar::None);
        let odd = cell(&row, Peer::Ours, &[9, 1, 4]);
        assert_eq!(
            (odd.min, odd.median, odd.max),
            (Some(1.0), Some(4.0), Some(9.0))
        );
        let even = cell(&row, Peer::Ours, &[9, 1, 4, 6]);
        assert_eq!(even.median, Some(5.0));
        assert_eq!(even.extra["twice"], 10.0);
    }

    #[test]
    fn a_bar_is_held_against_the_best_of_the_peers_it_names() {
        let judged = |bar| {
            let row = row(bar);
            let figures = [(Peer::Ours, 10), (Peer::Tokio, 30), (Peer::May, 15)];
            let cells = figures.map(|(peer, ns)| cell(&row, peer, &[ns]));
            judge(&row, cells.into())
        };
        assert_eq!(judged(Bar::BestPeer(0.5)).best_peer, Some(Peer::May));
        assert_eq!(judged(Bar::BestPeer(0.5)).hit, Some(false));
        assert_eq!(judged(Bar::BestOf(0.5, &[Peer::Tokio])).hit, Some(true));
        assert_eq!(judged(Bar::Absolute(10.0)).hit, Some(true));
        assert_eq!(judged(Bar::Absolute(9.0)).hit, Some(false));
        assert_eq!(judged(Bar::None).hit, None);
    }

    #[test]
    fn the_floor_is_no_peer() {
        let row = row(Bar::BestPeer(0.5));
        let figures = [(Peer::Ours, 10), (Peer::Floor, 2), (Peer::May, 25)];
        let cells = figures.map(|(peer, ns)| cell(&row, peer, &[ns]));
        let report = judge(&row, cells.into());
        assert_eq!(report.best_peer, Some(Peer::May));
        assert_eq!((report.ratio, report.hit), (Some(0.4), Some(true)));
        assert_eq!(report.floor_ratio, Some(5.0));
    }

    #[test]
    fn our_own_failure_misses_the_bar_and_a_peers_failure_is_no_figure() {
        let row = row(Bar::BestPeer(0.5));
        let fail = |peer| {
            let mut cell = cell(&row, peer, &[]);
            cell.error = Some("out of memory".to_string());
            cell
        };
        let report = judge(&row, vec![fail(Peer::Ours), cell(&row, Peer::May, &[15])]);
        assert_eq!((report.ratio, report.hit), (None, Some(false)));
        let report = judge(&row, vec![cell(&row, Peer::Ours, &[10]), fail(Peer::May)]);
        assert_eq!((report.ratio, report.hit), (None, None));
    }

    #[test]
    fn there_is_no_ratio_to_a_peer_that_costs_nothing() {
        let row = row(Bar::None);
        let against = |ns| {
            let cells = vec![cell(&row, Peer::Ours, &[10]), cell(&row, Peer::May, &[ns])];
            judge(&row, cells).ratio
        };
        assert_eq!((against(-3), against(0)), (None, None));
        assert_eq!(against(5), Some(2.0));
    }
}
