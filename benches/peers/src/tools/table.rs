//! The report of the tools suite as text for a terminal: for each server of a row, one line of medians and one
//! of spreads.

use super::report::{Cell, Report};
use crate::table::{Grid, number};

/// The figures shown, their heads, and what they are divided by.
const COLUMNS: [(&str, &str, f64); 5] = [
    ("requests_per_s", "requests/s", 1.0),
    ("p50_us", "p50 us", 1.0),
    ("p99_us", "p99 us", 1.0),
    ("server_cpu_us", "CPU us", 1.0),
    ("peak_bytes", "peak MiB", 1024.0 * 1024.0),
];

/// Renders the whole report.
pub(crate) fn render(report: &Report) -> String {
    let versions: Vec<_> = report.versions.values().map(String::as_str).collect();
    let mut lines = vec![report.machine.clone(), versions.join(", ")];
    lines.extend_from_slice(&report.notes);
    let kind = if report.quick {
        "; quick: too short for conclusions"
    } else {
        ""
    };
    lines.push(format!(
        "rounds: {}; median, below it lowest - highest{kind}\n\n",
        report.rounds
    ));
    let mut out = lines.join("\n");
    grid(report).print(2, &mut out);
    for row in &report.rows {
        for cell in &row.cells {
            if let Some(error) = &cell.error {
                let (tool, title, server) = (&row.tool, &row.title, &cell.server);
                out.push_str(&format!("\n{tool}, {title}, {server}: failed: {error}"));
            }
        }
    }
    out.push('\n');
    out
}

fn grid(report: &Report) -> Grid {
    let mut head = vec!["load".to_string(), "server".to_string()];
    head.extend(COLUMNS.map(|(_, title, _)| title.to_string()));
    let mut grid = Grid::default();
    grid.push(head);
    for row in &report.rows {
        let mut names = [row.tool.clone(), format!("  {}", row.title)].into_iter();
        for cell in &row.cells {
            let mut name = || names.next().unwrap_or_default();
            let mut medians = vec![name(), cell.server.clone()];
            let mut spreads = vec![name(), String::new()];
            for (figure, _, divisor) in COLUMNS {
                let (median, spread) = figures(cell, figure, divisor);
                medians.push(median);
                spreads.push(spread);
            }
            grid.push(medians);
            grid.push(spreads);
        }
    }
    grid
}

/// The median and the spread of one figure of a cell.
fn figures(cell: &Cell, name: &str, divisor: f64) -> (String, String) {
    let show = |value: f64| number(value / divisor);
    match cell.figures.get(name) {
        Some(figure) => (
            show(figure.median),
            format!("{} - {}", show(figure.min), show(figure.max)),
        ),
        None if cell.error.is_some() => ("failed".to_string(), String::new()),
        None => ("-".to_string(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tools::report::{Figure, Row};

    #[test]
    fn figures_failures_and_notes_are_all_there() {
        let figure = Figure {
            median: 3.0 * 1024.0 * 1024.0,
            ..Figure::default()
        };
        let cell = |server: &str, error: Option<&str>| Cell {
            server: server.to_string(),
            figures: BTreeMap::new(),
            error: error.map(str::to_string),
        };
        let mut good = cell("ours", None);
        good.figures.insert("peak_bytes".to_string(), figure);
        let row = Row {
            tool: "wrk".to_string(),
            title: "GET".to_string(),
            cells: vec![good, cell("go", Some("server ended"))],
        };
        let report = Report {
            machine: "a machine".to_string(),
            versions: BTreeMap::new(),
            notes: vec!["no redis here".to_string()],
            rounds: 1,
            quick: false,
            rows: vec![row],
        };
        let text = render(&report);
        let wanted = [
            "no redis here",
            "3.00",
            "wrk, GET, go: failed: server ended",
        ];
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        // What a tool does not tell is no failure.
        let ours = text.lines().find(|line| line.contains("ours"));
        let ours = ours.expect("a line of ours");
        assert!(ours.contains(" - ") && !ours.contains("failed"), "{ours}");
    }
}
