//! The growth report as text for a terminal: a grid for each chart; for each size one line of medians and
//! one of spreads.

use super::report::{Chart, Growth, Line};
use crate::table::{Grid, number};
use crate::workloads::short;

/// Renders the whole report.
pub(crate) fn render(report: &Growth) -> String {
    let versions: Vec<_> = report.versions.values().map(String::as_str).collect();
    let mut lines = vec![report.machine.clone(), versions.join(", ")];
    lines.extend_from_slice(&report.notes);
    let kind = if report.quick {
        "; quick: sizes too small for conclusions"
    } else {
        ""
    };
    lines.push(format!(
        "rounds: {}; median, below it lowest - highest{kind}\n",
        report.rounds
    ));
    let mut out = lines.join("\n");
    for chart in &report.charts {
        out.push_str(&format!("\n{}: {}, {}\n", chart.name, chart.title, chart.y));
        out.push_str(&format!("{}\n\n", chart.says));
        grid(chart).print(1, &mut out);
        for line in &chart.lines {
            if let Some(error) = &line.error {
                out.push_str(&format!("{}: failed at {error}\n", line.peer.name()));
            }
        }
    }
    out
}

fn grid(chart: &Chart) -> Grid {
    let mut head = vec![chart.x.clone()];
    head.extend(chart.lines.iter().map(|line| line.peer.name().to_string()));
    let mut grid = Grid::default();
    grid.push(head);
    for size in sizes(chart) {
        let (mut medians, mut spreads) = (vec![short(size as u64)], vec![String::new()]);
        for line in &chart.lines {
            let [median, spread] = figures(line, size);
            medians.push(median);
            spreads.push(spread);
        }
        grid.push(medians);
        grid.push(spreads);
    }
    grid
}

/// Every size that any line has.
fn sizes(chart: &Chart) -> Vec<f64> {
    let points = chart.lines.iter().flat_map(|line| &line.points);
    let mut sizes: Vec<f64> = points.map(|point| point.x).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    sizes
}

/// The median and the spread of a line at one size.
fn figures(line: &Line, size: f64) -> [String; 2] {
    match line.points.iter().find(|point| point.x == size) {
        Some(point) => [
            number(point.median),
            format!("{} - {}", number(point.min), number(point.max)),
        ],
        None => ["-".to_string(), String::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::report::Point;
    use crate::peers::Peer;

    fn line(peer: Peer, sizes: &[f64], error: Option<&str>) -> Line {
        let point = |&x: &f64| Point {
            x,
            median: x / 10.0,
            min: x / 20.0,
            max: x,
        };
        Line {
            peer,
            points: sizes.iter().map(point).collect(),
            error: error.map(str::to_string),
        }
    }

    #[test]
    fn a_line_that_ends_early_leaves_a_gap_and_says_why() {
        let chart = Chart {
            name: "wake".to_string(),
            title: "Wake all".to_string(),
            x: "tasks".to_string(),
            y: "ns per wake".to_string(),
            says: "One wakes all.".to_string(),
            lines: vec![
                line(Peer::Ours, &[100.0, 2_000.0], None),
                line(Peer::May, &[100.0], Some("2000: no memory")),
            ],
        };
        let report = Growth {
            machine: "a machine".to_string(),
            versions: [(Peer::Ours, "fibers 1".to_string())].into(),
            notes: vec!["a note".to_string()],
            rounds: 3,
            quick: false,
            charts: vec![chart],
        };
        let text = render(&report);
        let expected = "\
wake: Wake all, ns per wake
One wakes all.

tasks        ours         may
100          10.0        10.0
       5.00 - 100  5.00 - 100
2k            200           -
       100 - 2000
may: failed at 2000: no memory
";
        assert!(text.ends_with(expected), "{text}");
        assert!(
            text.starts_with("a machine\nfibers 1\na note\nrounds: 3"),
            "{text}"
        );
    }
}
