//! Which of a report's figures are drawn, as groups of bars.

use super::bars::{Bar, Group, Panel, Role, Spread};
use crate::all::report::Part;
use crate::peers::Peer;
use crate::{io, runner, tools};

/// What every bar's chart says of itself.
const SAYS: &str = "Times ours; thin lines: lowest to highest round; dashed: no runtime.";

/// The chart of a suite whose rows have one figure each, less being better.
pub(super) fn rows(part: Part, report: &runner::Report) -> Panel {
    let groups = report.rows.iter().map(|row| Group {
        name: row.name(),
        what: joined([&row.title, &row.unit]),
        unit: row.unit.trim_start_matches("CPU ").to_string(),
        bars: row.cells.iter().map(cell).collect(),
    });
    Panel {
        title: format!("{} ({})", part.title(), part.name()),
        says: format!("Shorter is better. {SAYS}"),
        groups: groups.collect(),
    }
}

fn joined(texts: [&String; 2]) -> String {
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    texts.cloned().collect::<Vec<_>>().join(", ")
}

fn cell(cell: &runner::Cell) -> Bar {
    let figure = || {
        Some(Spread {
            median: cell.median?,
            min: cell.min?,
            max: cell.max?,
        })
    };
    bar(cell.peer.name(), figure())
}

fn bar(name: &str, figure: Option<Spread>) -> Bar {
    let role = if name == Peer::Ours.name() {
        Role::Ours
    } else if Peer::name_competes(name) {
        Role::Peer
    } else {
        Role::Yardstick
    };
    Bar {
        name: name.to_string(),
        role,
        figure,
    }
}

/// A figure of servers that is drawn.
#[derive(Debug)]
struct Drawn {
    /// Its name in the report.
    figure: &'static str,
    /// Its name in a file's.
    file: &'static str,
    unit: &'static str,
    title: &'static str,
    better: &'static str,
}

const CPU: Drawn = Drawn {
    figure: "server_cpu_us",
    file: "cpu",
    unit: "us",
    title: "CPU time per request",
    better: "Shorter is better.",
};

const REQUESTS: Drawn = Drawn {
    figure: "requests_per_s",
    file: "requests",
    unit: "/s",
    title: "requests per second",
    better: "Longer is better.",
};

const P99: Drawn = Drawn {
    figure: "p99_us",
    file: "p99",
    unit: "us",
    title: "99th percentile of the latency",
    better: "Shorter is better.",
};

impl Drawn {
    fn panel(&self, part: Part, groups: Vec<Group>) -> Panel {
        Panel {
            title: format!("{} ({}): {}", part.title(), part.name(), self.title),
            says: format!("{} {SAYS}", self.better),
            groups,
        }
    }
}

/// The charts of the io suite, by what they show.
pub(super) fn io(report: &io::runner::Report) -> Vec<(&'static str, Panel)> {
    let bars = |row: &io::runner::RowReport, name| {
        let cells = row.cells.iter();
        let bars = cells.map(|cell| {
            let figure = cell.figures.get(name);
            let figure = figure.map(|figure| Spread {
                median: figure.median,
                min: figure.min,
                max: figure.max,
            });
            bar(cell.peer.name(), figure)
        });
        bars.collect()
    };
    let drawn = [CPU, REQUESTS, P99].into_iter();
    drawn
        .map(|drawn| {
            let groups = report.rows.iter().map(|row| Group {
                name: row.name(),
                what: String::new(),
                unit: drawn.unit.to_string(),
                bars: bars(row, drawn.figure),
            });
            (drawn.file, drawn.panel(Part::Io, groups.collect()))
        })
        .collect()
}

/// The charts of the tools suite, by what they show.
pub(super) fn tools(report: &tools::report::Report) -> Vec<(&'static str, Panel)> {
    let bars = |row: &tools::report::Row, name| {
        let cells = row.cells.iter();
        let bars = cells.map(|cell| {
            let figure = cell.figures.get(name);
            let figure = figure.map(|figure| Spread {
                median: figure.median,
                min: figure.min,
                max: figure.max,
            });
            bar(&cell.server, figure)
        });
        bars.collect()
    };
    let drawn = [CPU, REQUESTS].into_iter();
    drawn
        .map(|drawn| {
            let groups = report.rows.iter().map(|row| Group {
                name: row.tool.clone(),
                what: row.title.clone(),
                unit: drawn.unit.to_string(),
                bars: bars(row, drawn.figure),
            });
            (drawn.file, drawn.panel(Part::Tools, groups.collect()))
        })
        .collect()
}
