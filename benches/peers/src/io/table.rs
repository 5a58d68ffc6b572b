//! The io report as text for a terminal: for each peer of a row, one line of medians with their ratios
//! to the yardstick, and one of spreads.

use super::rows::YARDSTICK;
use super::runner::{Cell, Report};
use crate::peers::Peer;
use crate::table::{Grid, number, ratio};

/// The figures shown, and their heads.
const COLUMNS: [(&str, &str); 6] = [
    ("requests_per_s", "requests/s"),
    ("p50_us", "p50 us"),
    ("p99_us", "p99 us"),
    ("p999_us", "p99.9 us"),
    ("server_cpu_us", "CPU us"),
    ("server_peak_mib", "peak MiB"),
];

/// Cores that others may use without a warning: the kernel itself has some work.
const OTHERS_MAX: f64 = 0.2;

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
        "rounds: {} of {} ms; median, below it lowest - highest; x: times {} in the same round{kind}\n\n",
        report.rounds,
        report.window_ms,
        YARDSTICK.name(),
    ));
    let mut out = lines.join("\n");
    grid(report).print(2, &mut out);
    out.push('\n');
    verdicts(report).print(2, &mut out);
    if let Some(warning) = warning(report) {
        out.push_str(&format!("\n{warning}\n"));
    }
    for row in &report.rows {
        for cell in &row.cells {
            if let Some(error) = &cell.error {
                let (row, peer) = (row.name(), cell.peer.name());
                out.push_str(&format!("\n{row}, {peer}: failed: {error}"));
            }
        }
    }
    out.push('\n');
    out
}

/// What is promised for each row, whom the ratio is against, and whether it is kept.
fn verdicts(report: &Report) -> Grid {
    let head = ["workload", "bar", "ours", "of", "verdict"];
    let mut grid = Grid::default();
    grid.push(head.map(str::to_string).into());
    for row in &report.rows {
        for verdict in &row.verdicts {
            let against = verdict.against.map_or("-", Peer::name);
            grid.push(vec![
                row.name(),
                verdict.bar.clone(),
                ratio(verdict.value),
                against.to_string(),
                verdict.word(),
            ]);
        }
    }
    grid
}

/// A line if others than server and load used so many cores, in the worst cell's median, that it spoils the figures.
pub(crate) fn warning(report: &Report) -> Option<String> {
    let cells = report.rows.iter().flat_map(|row| &row.cells);
    let others = cells.filter_map(|cell| Some(cell.figures.get("other_cores")?.median));
    others
        .max_by(f64::total_cmp)
        .filter(|&others| others > OTHERS_MAX && !report.quick)
        .map(|others| {
            format!(
                "Others used up to {others:.1} cores: of requests/s and latencies, believe nothing."
            )
        })
}

fn grid(report: &Report) -> Grid {
    let mut head = vec!["workload".to_string(), "server".to_string()];
    for (_, title) in COLUMNS {
        head.extend([title.to_string(), "x".to_string()]);
    }
    let mut grid = Grid::default();
    grid.push(head);
    for row in &report.rows {
        let mut names = [
            format!("{} {}", row.workload, row.connections),
            format!("  {}", row.placement),
        ]
        .into_iter();
        for cell in &row.cells {
            let mut name = || names.next().unwrap_or_default();
            let mut medians = vec![name(), cell.peer.name().to_string()];
            let mut spreads = vec![name(), String::new()];
            for (figure, _) in COLUMNS {
                let [median, ratio, spread] = figures(cell, figure);
                medians.extend([median, ratio]);
                spreads.extend([spread, String::new()]);
            }
            grid.push(medians);
            grid.push(spreads);
        }
    }
    grid
}

/// The median, the ratio and the spread of one figure of a cell.
fn figures(cell: &Cell, name: &str) -> [String; 3] {
    match cell.figures.get(name) {
        Some(figure) => [
            number(figure.median),
            ratio(figure.ratio),
            format!("{} - {}", number(figure.min), number(figure.max)),
        ],
        None => ["failed".to_string(), String::new(), String::new()],
    }
}
