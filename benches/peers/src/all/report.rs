//! What all suites together have measured, as it is saved beside the charts.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::about::About;
use crate::bars::Verdict;
use crate::growth::report::Growth;
use crate::{io, runner, tools};

/// A suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// Scheduling without IO or timers.
    Cpu,
    /// Timers.
    Time,
    /// Channels and locks.
    Sync,
    /// Servers on the loopback.
    Io,
    /// The cost of one operation, by how much there is.
    Growth,
    /// Load generators that others use.
    Tools,
}

impl Part {
    /// In the order of a run.
    pub(crate) const ALL: [Part; 6] = [
        Part::Cpu,
        Part::Time,
        Part::Sync,
        Part::Io,
        Part::Growth,
        Part::Tools,
    ];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Cpu => "cpu",
            Part::Time => "time",
            Part::Sync => "sync",
            Part::Io => "io",
            Part::Growth => "growth",
            Part::Tools => "tools",
        }
    }

    /// What it is about, for a heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Part::Cpu => "Scheduling",
            Part::Time => "Timers",
            Part::Sync => "Channels and locks",
            Part::Io => "Servers",
            Part::Growth => "Growth",
            Part::Tools => "Servers under other tools' load",
        }
    }
}

/// Everything.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// On what, of what, when.
    pub(crate) about: About,
    /// In the order of the run.
    pub(crate) parts: Vec<PartReport>,
    /// Later runs of some suites, whose results are shown in place of the first run's.
    #[serde(default)]
    pub(crate) later: Vec<Later>,
}

/// A later run of some suites.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Later {
    /// On what, of what, when.
    pub(crate) about: About,
    /// Which suites.
    pub(crate) parts: Vec<Part>,
}

impl Report {
    /// Puts the suites of a later run in the places of this one's.
    pub(crate) fn renew(&mut self, newer: Report) {
        let parts = newer.parts.iter().map(|part| part.part).collect();
        for part in newer.parts {
            match self.parts.iter_mut().find(|old| old.part == part.part) {
                Some(old) => *old = part,
                None => self.parts.push(part),
            }
        }
        self.later.push(Later {
            about: newer.about,
            parts,
        });
    }
}

/// One suite, measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartReport {
    /// Which one.
    pub(crate) part: Part,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What it found.
    pub(crate) results: Results,
}

/// What a suite found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Results {
    /// Of cpu, time and sync.
    Rows(runner::Report),
    /// Of io.
    Io(io::runner::Report),
    /// Of growth.
    Growth(Growth),
    /// Of tools.
    Tools(tools::report::Report),
    /// Why there is nothing.
    Skipped(String),
}

/// A peer that has failed in a row.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Who: a peer's name, or another server's.
    pub(crate) who: String,
    /// Where and why, on a line.
    pub(crate) says: String,
}

impl PartReport {
    /// Who took part, in which version.
    pub(crate) fn versions(&self) -> BTreeMap<&str, &String> {
        let versions = match &self.results {
            Results::Rows(report) => &report.versions,
            Results::Io(report) => &report.versions,
            Results::Growth(report) => &report.versions,
            Results::Tools(report) => {
                let versions = report.versions.iter();
                return versions
                    .map(|(name, version)| (name.as_str(), version))
                    .collect();
            }
            Results::Skipped(_) => return BTreeMap::new(),
        };
        versions
            .iter()
            .map(|(peer, version)| (peer.name(), version))
            .collect()
    }

    /// Lines about what was left out.
    pub(crate) fn notes(&self) -> Vec<String> {
        match &self.results {
            Results::Rows(report) => report.notes.clone(),
            Results::Io(report) => report.notes.clone(),
            Results::Growth(report) => report.notes.clone(),
            Results::Tools(report) => report.notes.clone(),
            Results::Skipped(why) => vec![why.clone()],
        }
    }

    /// How many rows or charts there are.
    pub(crate) fn rows(&self) -> usize {
        match &self.results {
            Results::Rows(report) => report.rows.len(),
            Results::Io(report) => report.rows.len(),
            Results::Growth(report) => report.charts.len(),
            Results::Tools(report) => report.rows.len(),
            Results::Skipped(_) => 0,
        }
    }

    /// One for each bar of each row.
    pub(crate) fn verdicts(&self) -> Vec<&Verdict> {
        match &self.results {
            Results::Rows(report) => report.rows.iter().flat_map(|row| &row.verdicts).collect(),
            Results::Io(report) => report.rows.iter().flat_map(|row| &row.verdicts).collect(),
            Results::Growth(_) | Results::Tools(_) | Results::Skipped(_) => Vec::new(),
        }
    }

    /// Who has failed where.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        let failure = |row: &str, who: &str, error: &Option<String>| {
            let error = error.as_deref()?;
            Some(Failure {
                who: who.to_string(),
                says: format!("{row}, {who}: {error}"),
            })
        };
        match &self.results {
            Results::Rows(report) => {
                let cells = report.rows.iter().flat_map(|row| {
                    let cells = row.cells.iter();
                    cells
                        .filter_map(move |cell| failure(&row.name(), cell.peer.name(), &cell.error))
                });
                cells.collect()
            }
            Results::Io(report) => {
                let cells = report.rows.iter().flat_map(|row| {
                    let cells = row.cells.iter();
                    cells
                        .filter_map(move |cell| failure(&row.name(), cell.peer.name(), &cell.error))
                });
                cells.collect()
            }
            Results::Growth(report) => {
                let lines = report.charts.iter().flat_map(|chart| {
                    let lines = chart.lines.iter();
                    lines
                        .filter_map(move |line| failure(&chart.name, line.peer.name(), &line.error))
                });
                lines.collect()
            }
            Results::Tools(report) => {
                let cells = report.rows.iter().flat_map(|row| {
                    let cells = row.cells.iter();
                    cells.filter_map(move |cell| failure(&row.name(), &cell.server, &cell.error))
                });
                cells.collect()
            }
            Results::Skipped(_) => Vec::new(),
        }
    }
}
