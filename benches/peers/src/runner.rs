//! Rounds and statistics: turns the rows of a suite into a report.
//!
//! Rows run one after another; within a row, rounds are interleaved over the peers. A peer that
//! fails is left out of the row's later rounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bars::{self, Better, Contender, Verdict};
use crate::choice::{self, Choice};
use crate::peers::{GoTool, Peer};
use crate::sample::Sample;
use crate::workloads::{self, Job, Row, Suite, Unit};
use crate::{SuiteArgs, child, machine};

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RowReport {
    pub(crate) workload: String,
    pub(crate) title: String,
    pub(crate) workers: usize,
    pub(crate) unit: String,
    pub(crate) cells: Vec<Cell>,
    /// The peer with the best median.
    pub(crate) best_peer: Option<Peer>,
    /// Our sample divided by the best peer's in the same round: the median of the rounds.
    pub(crate) ratio: Option<f64>,
    /// Our median divided by the best peer's.
    pub(crate) ratio_of_medians: Option<f64>,
    /// Our sample divided by what processor and kernel take alone in the same round: the median of the rounds.
    pub(crate) floor_ratio: Option<f64>,
    /// One for each bar of the row.
    pub(crate) verdicts: Vec<Verdict>,
}

/// One peer in one row.
#[derive(Debug, Serialize, Deserialize)]
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
    let choices = choices(&rows, args);
    choice::check(suite.name(), &choices)?;
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
        return Err(choice::nothing(suite.name(), &choices));
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

/// What `args` choose of `rows`.
fn choices(rows: &[Row], args: &SuiteArgs) -> [Choice; 2] {
    let peers = args.run.peers.iter().map(|peer| peer.name().to_string());
    let taking_part = rows.iter().flat_map(able);
    [
        Choice::new(
            "--only",
            args.only.iter().map(|workload| workload.name()),
            rows.iter().map(|row| row.workload.name()),
        ),
        Choice::new(
            "--peers",
            peers,
            taking_part.map(|peer| peer.name().to_string()),
        ),
    ]
}

/// Who can do a row.
fn able(row: &Row) -> impl Iterator<Item = Peer> {
    let floor = row.workload.has_floor().then_some(Peer::Floor);
    row.peers.iter().copied().chain(floor)
}

fn peers_of(row: &Row, args: &SuiteArgs) -> Vec<Peer> {
    able(row)
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

    /// What is held against the bars: nothing of a cell that failed, in whatever round.
    pub(crate) fn contender(&self) -> Contender<'_> {
        Contender {
            peer: self.peer,
            samples: self.median.map_or(&[], |_| &self.samples),
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

/// Holds our cell against the others and the bars.
fn judge(row: &Row, cells: Vec<Cell>) -> RowReport {
    let contenders: Vec<_> = cells.iter().map(Cell::contender).collect();
    let unit = row.unit.name();
    let verdicts = row.bars.iter();
    let verdicts = verdicts
        .map(|bar| bar.hold(Better::Less, unit, &contenders))
        .collect();
    let others = contenders.iter().copied();
    let best = Better::Less.best(others.filter(|other| other.peer.competes()));
    let ours = contenders.iter().find(|cell| cell.peer == Peer::Ours);
    let against = |other: Option<Contender<'_>>| {
        let (ours, other) = ours.zip(other)?;
        bars::ratio(ours.samples, other.samples)
    };
    let ratio = against(best);
    let of_medians =
        |(ours, best): (&Contender<'_>, Contender<'_>)| median(ours.samples) / median(best.samples);
    let ratio_of_medians = ratio.and(ours.zip(best)).map(of_medians);
    let mut others = contenders.iter().copied();
    let floor_ratio = against(others.find(|other| other.peer == Peer::Floor));
    let size = cells.iter().map(|cell| cell.size).max().unwrap_or(0);
    RowReport {
        workload: row.workload.name(),
        title: row.workload.title(size),
        workers: row.workers,
        unit: unit.to_string(),
        best_peer: best.map(|best| best.peer),
        ratio,
        ratio_of_medians,
        floor_ratio,
        verdicts,
        cells,
    }
}

impl RowReport {
    /// Workload and workers.
    pub(crate) fn name(&self) -> String {
        format!("{} on {}", self.workload, self.workers)
    }

    /// The cell of `peer`, if it takes part.
    pub(crate) fn cell(&self, peer: Peer) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.peer == peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::Bar;
    use crate::workloads::Workload;

    fn row(bars: &'static [Bar]) -> Row {
        let (workload, unit) = (Workload::Yield1, Unit::NsPerOp);
        Row {
            workload,
            workers: 1,
            peers: &[Peer::Ours, Peer::Tokio, Peer::May],
            unit,
            bars,
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
        let row = row(&[]);
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
    fn a_row_is_held_against_all_its_bars_and_its_ratio_is_to_the_best_of_all() {
        let row = row(&[Bar::Absolute(20.0), Bar::BestOf(0.5, &[Peer::Tokio])]);
        let cells = vec![
            cell(&row, Peer::Ours, &[10, 20, 30]),
            cell(&row, Peer::Tokio, &[40, 40, 50]),
            cell(&row, Peer::May, &[20, 10, 20]),
        ];
        let report = judge(&row, cells);
        assert_eq!(report.best_peer, Some(Peer::May));
        assert_eq!(
            (report.ratio, report.ratio_of_medians),
            (Some(1.5), Some(1.0))
        );
        let hits: Vec<_> = report.verdicts.iter().map(|bar| bar.hit).collect();
        assert_eq!(hits, [Some(true), Some(true)]);
        assert_eq!(report.verdicts[1].against, Some(Peer::Tokio));
    }

    #[test]
    fn the_floor_is_no_peer() {
        let row = row(&[Bar::BestPeer(0.5)]);
        let figures = [(Peer::Ours, 10), (Peer::Floor, 2), (Peer::May, 25)];
        let cells = figures.map(|(peer, ns)| cell(&row, peer, &[ns]));
        let report = judge(&row, cells.into());
        assert_eq!(report.best_peer, Some(Peer::May));
        assert_eq!((report.ratio, report.floor_ratio), (Some(0.4), Some(5.0)));
        assert_eq!(report.verdicts[0].hit, Some(true));
    }

    #[test]
    fn a_cell_that_failed_after_a_good_round_counts_for_nothing() {
        let row = row(&[Bar::BestPeer(1.0)]);
        let mut failed = cell(&row, Peer::May, &[1]);
        (failed.error, failed.median) = (Some("out of memory".to_string()), None);
        let cells = vec![
            cell(&row, Peer::Ours, &[10]),
            failed,
            cell(&row, Peer::Tokio, &[20]),
        ];
        let report = judge(&row, cells);
        assert_eq!(
            (report.best_peer, report.ratio),
            (Some(Peer::Tokio), Some(0.5))
        );
    }
}
