//! The report as text for a terminal: one line of medians and one of spreads for each row.

use std::fmt::Write;

use crate::peers::Peer;
use crate::runner::{Cell, Report};
use crate::workloads::short;

/// A table of strings whose columns are as wide as their widest cell.
#[derive(Debug, Default)]
pub(crate) struct Grid(Vec<Vec<String>>);

impl Grid {
    /// Adds a line.
    pub(crate) fn push(&mut self, line: Vec<String>) {
        self.0.push(line);
    }

    /// The first `left` columns are aligned to the left, the others to the right.
    pub(crate) fn print(&self, left: usize, out: &mut String) {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.0
                .iter()
                .filter_map(|line| line.get(column))
                .map(String::len)
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for line in &self.0 {
            let mut text = String::new();
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                let gap = " ".repeat(width - cell.len());
                let (before, after) = if column < left {
                    ("", &*gap)
                } else {
                    (&*gap, "")
                };
                text.extend([before, cell, after, "  "]);
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }
}

/// Renders the whole report.
pub(crate) fn render(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(report.machine.clone());
    let versions: Vec<_> = report.versions.values().map(String::as_str).collect();
    line(versions.join(", "));
    for note in &report.notes {
        line(note.clone());
    }
    let kind = if report.quick {
        "; quick: sizes too small for conclusions"
    } else {
        ""
    };
    line(format!(
        "rounds: {}; median, below it lowest - highest; ours/best: within a round, the median of \
         the rounds{kind}\n",
        report.rounds
    ));
    grid(report).print(3, &mut out);
    out.push_str("\npeak resident memory of the whole process, MiB\n\n");
    memory(report).print(2, &mut out);
    footnotes(report, &mut out);
    out
}

fn grid(report: &Report) -> Grid {
    let peers: Vec<Peer> = report.versions.keys().copied().collect();
    let mut head: Vec<String> = ["workload", "workers", "unit"].map(str::to_string).into();
    head.extend(peers.iter().map(|peer| peer.name().to_string()));
    head.extend(["ours/best", "ours/floor", "bar", "verdict"].map(str::to_string));
    let mut grid = Grid(vec![head]);
    for row in &report.rows {
        let mut medians = vec![
            row.workload.clone(),
            row.workers.to_string(),
            row.unit.to_string(),
        ];
        let mut spreads = vec![format!("  {}", row.title), String::new(), String::new()];
        for &peer in &peers {
            let (median, spread) = row
                .cell(peer)
                .map_or(("-".to_string(), String::new()), figures);
            medians.push(median);
            spreads.push(spread);
        }
        medians.extend([row.ratio, row.floor_ratio].map(ratio));
        spreads.push(
            row.best_peer
                .map_or(String::new(), |peer| format!("({})", peer.name())),
        );
        spreads.push(String::new());
        // The second of two bars stands where spreads do.
        let bar = |index: usize| match row.verdicts.get(index) {
            Some(verdict) => [verdict.bar_beside(row.best_peer), verdict.word()],
            None => [String::new(), String::new()],
        };
        medians.extend(bar(0));
        spreads.extend(bar(1));
        grid.0.extend([medians, spreads]);
    }
    grid
}

/// The name of a cell's further figure for the most memory that was resident at a time.
pub(crate) const PEAK_BYTES: &str = "peak_bytes";

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: f64) -> String {
    number(bytes / f64::from(1 << 20))
}

fn memory(report: &Report) -> Grid {
    let peers: Vec<Peer> = report.versions.keys().copied().collect();
    let mut head: Vec<String> = ["workload", "workers"].map(str::to_string).into();
    head.extend(peers.iter().map(|peer| peer.name().to_string()));
    let mut grid = Grid(vec![head]);
    for row in &report.rows {
        let mut line = vec![row.workload.clone(), row.workers.to_string()];
        line.extend(peers.iter().map(|&peer| {
            let peak = row.cell(peer).and_then(|cell| cell.extra.get(PEAK_BYTES));
            peak.map_or("-".to_string(), |&bytes| mebibytes(bytes))
        }));
        grid.push(line);
    }
    grid
}

/// The median and the spread of a cell.
fn figures(cell: &Cell) -> (String, String) {
    match (cell.median, cell.min, cell.max) {
        (Some(median), Some(min), Some(max)) => {
            let mark = if cell.reduced { "*" } else { "" };
            (
                number(median) + mark,
                format!("{} - {}", number(min), number(max)),
            )
        }
        _ => ("failed".to_string(), String::new()),
    }
}

/// A ratio, or that there is none.
pub(crate) fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_string(), |ratio| format!("{ratio:.2}"))
}

/// Three significant digits, or all of a large number's.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Further figures that are worth a line below the table: name, label, divisor, unit.
const ASIDES: &[(&str, &str, f64, &str)] = &[
    ("plain_ns", "a yield", 1.0, " ns"),
    ("armed_ns", "with its timeout", 1.0, " ns"),
    ("user_ns", "user", 1e9, " s"),
    ("system_ns", "system", 1e9, " s"),
    ("first_user_ns", "the first time: user", 1e9, " s"),
    ("first_system_ns", "system", 1e9, " s"),
    ("p50_ns", "p50", 1e3, " us"),
    ("p99_ns", "p99", 1e3, " us"),
    ("p999_ns", "p99.9", 1e3, " us"),
    ("context_ns", "by context", 1.0, " ns"),
    ("timer_ns", "by timer", 1.0, " ns"),
];

/// The further figures of a cell as one line, if it has any.
fn asides(cell: &Cell) -> Option<String> {
    let said: Vec<_> = ASIDES
        .iter()
        .filter_map(|&(name, label, divisor, unit)| {
            let figure = number(cell.extra.get(name)? / divisor);
            Some(format!("{label} {figure}{unit}"))
        })
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// What does not fit in a cell: smaller sizes, mappings, further figures, errors.
fn footnotes(report: &Report, out: &mut String) {
    for row in &report.rows {
        for cell in &row.cells {
            let mut say = |text: String| {
                let (workload, workers) = (&row.workload, row.workers);
                let peer = cell.peer.name();
                let _ = write!(out, "\n{workload} on {workers}, {peer}: {text}");
            };
            if cell.reduced {
                say(format!(
                    "* only {} tasks, it cannot do more",
                    short(cell.size)
                ));
            }
            if let Some(mappings) = cell.extra.get("mappings") {
                say(format!("{mappings} mappings more"));
            }
            if let Some(further) = asides(cell) {
                say(further);
            }
            if let Some(error) = &cell.error {
                say(format!("failed: {error}"));
            }
        }
    }
    out.push('\n');
}
