//! Rounds and statistics of the growth suite: turns its subjects into charts.
//!
//! Subjects are measured one after another; within one, each round goes through all sizes, and at each
//! size through all peers. A peer that fails at a size is not tried with more: its line ends there.

use std::collections::BTreeMap;

use clap::Args;

use super::report::{Chart, Growth, Line, Point};
use super::subject::{SUBJECTS, Subject};
use crate::choice::{self, Choice};
use crate::io::rows::Placement;
use crate::peers::Peer;
use crate::runner::{chosen, median, prepare_go};
use crate::workloads::Workload;
use crate::{child, io, machine};

/// Options of the suite.
#[derive(Debug, Args)]
pub(crate) struct GrowthArgs {
    /// Interleaved rounds; each gives one sample per point.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only these peers.
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<Peer>,
    /// Only what grows by these.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Subject>,
    /// Print the whole report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// One round of few small sizes: shows that it runs, not how it grows.
    #[arg(long)]
    pub(crate) quick: bool,
}

impl GrowthArgs {
    fn choices(&self) -> [Choice; 2] {
        let peers = SUBJECTS.into_iter().flat_map(Subject::peers);
        [
            Choice::new(
                "--only",
                self.only.iter().map(|subject| subject.name()),
                SUBJECTS.map(Subject::name),
            ),
            Choice::new(
                "--peers",
                self.peers.iter().map(|peer| peer.name().to_string()),
                peers.map(|peer| peer.name().to_string()),
            ),
        ]
    }
}

/// The shortest window of a load, and that of `--quick`.
const WINDOW_MS: u64 = 600;
const QUICK_WINDOW_MS: u64 = 80;

/// So many connections get a millisecond more: each is to be answered several times.
const CONNECTIONS_PER_MS: u64 = 10;

/// Measures every subject that `args` asks for.
///
/// # Errors
///
/// A line for the user, if `args` leave nothing to do.
pub(crate) fn run(args: &GrowthArgs) -> Result<Growth, String> {
    let choices = args.choices();
    choice::check("growth", &choices)?;
    let mut notes = Vec::new();
    let mut versions = BTreeMap::new();
    let mut plans: Vec<Plan> = SUBJECTS
        .into_iter()
        .filter(|subject| chosen(&args.only, subject))
        .map(|subject| Plan::new(subject, args, &mut notes))
        .collect();
    if plans.iter().any(|plan| plan.peers.contains(&Peer::Go)) {
        match prepare_go(&mut notes) {
            Some(version) => drop(versions.insert(Peer::Go, version)),
            None => plans
                .iter_mut()
                .for_each(|plan| plan.peers.retain(|&peer| peer != Peer::Go)),
        }
    }
    plans.retain(|plan| !plan.peers.is_empty() && !plan.sizes.is_empty());
    notes.iter().for_each(|note| eprintln!("{note}"));
    if plans.is_empty() {
        return Err(choice::nothing("growth", &choices));
    }
    for &peer in plans.iter().flat_map(|plan| &plan.peers) {
        versions.entry(peer).or_insert_with(|| peer.version());
    }
    let machine = machine::describe();
    let rounds = if args.quick { 1 } else { args.rounds };
    let charts = plans.iter().flat_map(|plan| plan.measure(rounds)).collect();
    Ok(Growth {
        machine,
        versions,
        notes,
        rounds,
        quick: args.quick,
        charts,
    })
}

/// What is to be measured of one subject.
struct Plan {
    subject: Subject,
    peers: Vec<Peer>,
    sizes: Vec<u64>,
    quick: bool,
}

impl Plan {
    fn new(subject: Subject, args: &GrowthArgs, notes: &mut Vec<String>) -> Plan {
        let mut sizes = subject.sizes(args.quick).to_vec();
        if subject == Subject::Sockets {
            match Placement::Split.obstacle() {
                Some(_) => {
                    notes.push("sockets are left out: they need two cores".to_string());
                    sizes.clear();
                }
                None => sizes = io::capacity::fitting(&sizes, notes),
            }
        }
        let mut peers = subject.peers().to_vec();
        peers.retain(|peer| chosen(&args.peers, peer));
        Plan {
            subject,
            peers,
            sizes,
            quick: args.quick,
        }
    }

    fn measure(&self, rounds: u32) -> Vec<Chart> {
        let charts = self.subject.charts();
        let mut series: Vec<Series> = self
            .peers
            .iter()
            .map(|&peer| Series::new(peer, charts.len(), self.sizes.len()))
            .collect();
        for round in 1..=rounds {
            eprintln!("{}: round {round}/{rounds}", self.subject.name());
            for (at, &size) in self.sizes.iter().enumerate() {
                for series in series.iter_mut().filter(|series| series.reaches(at)) {
                    match self.figures(series.peer, size) {
                        Ok(figures) => series.add(at, &figures),
                        Err(error) => series.end(at, format!("{size}: {error}")),
                    }
                }
            }
        }
        let chart = |(index, words): (usize, &super::subject::Words)| Chart {
            name: words.name.to_string(),
            title: words.title.to_string(),
            x: words.x.to_string(),
            y: words.y.to_string(),
            says: words.says.to_string(),
            lines: series
                .iter()
                .map(|series| series.line(index, &self.sizes))
                .collect(),
        };
        charts.iter().enumerate().map(chart).collect()
    }

    /// One measurement: a figure for each chart.
    fn figures(&self, peer: Peer, size: u64) -> Result<Vec<f64>, String> {
        let Some(job) = self.subject.job(size, self.quick) else {
            let window_ms = if self.quick {
                QUICK_WINDOW_MS
            } else {
                WINDOW_MS.max(size / CONNECTIONS_PER_MS)
            };
            return io::runner::echo(peer, size as usize, window_ms).map(Vec::from);
        };
        let sample = child::measure(peer, &job)?;
        let total = match job.workload {
            Workload::ParkedMemory => sample.extra.get("bytes").copied().unwrap_or(0.0),
            _ => sample.ns as f64,
        };
        Ok(vec![total / sample.ops.max(1) as f64])
    }
}

/// What one peer's measurements have given so far.
#[derive(Debug)]
struct Series {
    peer: Peer,
    /// By chart, then by size: one sample for each round.
    samples: Vec<Vec<Vec<f64>>>,
    /// The index of the first size that failed, and why.
    end: Option<(usize, String)>,
}

impl Series {
    fn new(peer: Peer, charts: usize, sizes: usize) -> Series {
        Series {
            peer,
            samples: vec![vec![Vec::new(); sizes]; charts],
            end: None,
        }
    }

    /// Whether this size is still to be tried.
    fn reaches(&self, at: usize) -> bool {
        self.end.as_ref().is_none_or(|&(end, _)| at < end)
    }

    fn add(&mut self, at: usize, figures: &[f64]) {
        for (samples, &figure) in self.samples.iter_mut().zip(figures) {
            samples[at].push(figure);
        }
    }

    /// Larger sizes are not tried any more, and what was measured of them does not count: half a
    /// result would look like one.
    fn end(&mut self, at: usize, error: String) {
        self.end = Some((at, error));
    }

    fn line(&self, chart: usize, sizes: &[u64]) -> Line {
        let points = sizes
            .iter()
            .zip(&self.samples[chart])
            .enumerate()
            .filter(|&(at, _)| self.reaches(at))
            .map(|(_, (&size, samples))| Point {
                x: size as f64,
                median: median(samples),
                min: samples.iter().copied().fold(f64::INFINITY, f64::min),
                max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            });
        Line {
            peer: self.peer,
            points: points.collect(),
            error: self.end.as_ref().map(|(_, error)| error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u64; 3] = [100, 1_000, 10_000];

    /// Three rounds; `fails` tells which index fails in which round.
    fn series(fails: &[(u32, usize)]) -> (Series, u32) {
        let mut series = Series::new(Peer::May, 1, SIZES.len());
        let mut tried = 0;
        for round in 0..3 {
            for (at, size) in SIZES.into_iter().enumerate() {
                if !series.reaches(at) {
                    continue;
                }
                tried += 1;
                if fails.contains(&(round, at)) {
                    series.end(at, format!("{size}: no memory"));
                } else {
                    series.add(at, &[f64::from(round) + size as f64]);
                }
            }
        }
        (series, tried)
    }

    #[test]
    fn a_point_is_the_median_of_the_rounds_between_lowest_and_highest() {
        let (series, tried) = series(&[]);
        let line = series.line(0, &SIZES);
        assert_eq!((tried, line.points.len()), (9, 3));
        let first = Point {
            x: 100.0,
            median: 101.0,
            min: 100.0,
            max: 102.0,
        };
        assert_eq!((line.points[0], line.error), (first, None));
    }

    #[test]
    fn a_line_goes_on_up_to_the_first_size_that_fails_in_any_round() {
        let (late, tried) = series(&[(0, 2)]);
        let line = late.line(0, &SIZES);
        assert_eq!((tried, line.points.len()), (7, 2));
        assert_eq!(line.error.as_deref(), Some("10000: no memory"));
        let (early, _) = series(&[(0, 2), (1, 1)]);
        let line = early.line(0, &SIZES);
        assert_eq!(line.points.len(), 1);
        assert_eq!(line.error.as_deref(), Some("1000: no memory"));
    }
}
