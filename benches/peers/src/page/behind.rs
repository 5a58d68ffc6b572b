//! Where a bar is missed, or the median of any peer is ahead of ours.

use super::markdown::escape;
use super::why;
use crate::all::report::{Part, PartReport, Results};
use crate::bars::{Better, Verdict};
use crate::growth::report::{Chart, Point};
use crate::peers::Peer;
use crate::table::number;

/// A row that is not as it should be.
#[derive(Debug)]
pub(super) struct Behind {
    pub(super) part: Part,
    /// The row, as its table calls it.
    pub(super) name: String,
    /// Bars that are missed.
    pub(super) missed: Vec<String>,
    /// Peers whose medians are better, and by how much.
    pub(super) ahead: Vec<String>,
}

/// Figures of the io and the tools suite in which a runtime can be ahead.
const SERVERS: [(&str, &str, Better); 2] = [
    ("server_cpu_us", "CPU us", Better::Less),
    ("requests_per_s", "requests/s", Better::More),
];

/// All such rows of a suite, in order.
pub(super) fn of(part: &PartReport) -> Vec<Behind> {
    let found: Vec<Behind> = match &part.results {
        Results::Rows(report) => {
            let rows = report.rows.iter();
            rows.map(|row| {
                let medians = row.cells.iter();
                let medians: Vec<_> = medians
                    .filter_map(|cell| Some((cell.peer.name(), cell.median?)))
                    .collect();
                Behind {
                    part: part.part,
                    name: row.name(),
                    missed: missed(&row.verdicts),
                    ahead: ahead(&medians, Better::Less, &row.unit),
                }
            })
            .collect()
        }
        Results::Io(report) => {
            let rows = report.rows.iter();
            rows.map(|row| Behind {
                part: part.part,
                name: row.name(),
                missed: missed(&row.verdicts),
                ahead: servers(|figure| {
                    let cells = row.cells.iter();
                    cells
                        .filter_map(|cell| {
                            Some((cell.peer.name(), cell.figures.get(figure)?.median))
                        })
                        .collect()
                }),
            })
            .collect()
        }
        Results::Tools(report) => {
            let rows = report.rows.iter();
            rows.map(|row| Behind {
                part: part.part,
                name: row.name(),
                missed: Vec::new(),
                ahead: servers(|figure| {
                    let cells = row.cells.iter();
                    cells
                        .filter_map(|cell| Some((&*cell.server, cell.figures.get(figure)?.median)))
                        .collect()
                }),
            })
            .collect()
        }
        Results::Growth(report) => {
            let charts = report.charts.iter();
            charts
                .map(|chart| Behind {
                    part: part.part,
                    name: chart.name.clone(),
                    missed: Vec::new(),
                    ahead: ahead_at(chart),
                })
                .collect()
        }
        Results::Skipped(_) => Vec::new(),
    };
    let behind = found.into_iter();
    behind
        .filter(|row| !(row.missed.is_empty() && row.ahead.is_empty()))
        .collect()
}

fn missed(verdicts: &[Verdict]) -> Vec<String> {
    let missed = verdicts.iter().filter(|verdict| verdict.hit == Some(false));
    missed
        .map(|verdict| {
            let against = verdict.against.map_or("", Peer::name);
            let value = verdict.value.map_or("failed".to_string(), |value| {
                let value = format!("{} {against}", number(value));
                value.trim_end().to_string()
            });
            format!("{}: {value}, {}", verdict.bar, verdict.word())
        })
        .collect()
}

/// Who is ahead of ours in any of [`SERVERS`], by the medians of a figure.
fn servers<'a>(medians: impl Fn(&str) -> Vec<(&'a str, f64)>) -> Vec<String> {
    let figures = SERVERS.iter();
    figures
        .flat_map(|&(figure, unit, better)| ahead(&medians(figure), better, unit))
        .collect()
}

/// Who is ahead of ours.
fn ahead(medians: &[(&str, f64)], better: Better, unit: &str) -> Vec<String> {
    let ours = medians.iter().find(|(name, _)| *name == Peer::Ours.name());
    let Some(&(_, ours)) = ours else {
        return Vec::new();
    };
    let others = medians.iter().filter(|(name, _)| Peer::name_competes(name));
    others
        .filter(|(_, theirs)| better.is_ahead(*theirs, ours))
        .map(|(name, theirs)| {
            let [theirs, ours] = [*theirs, ours].map(number);
            format!("{name} {theirs} {unit}, ours {ours}")
        })
        .collect()
}

/// Who is ahead of ours at which sizes of a chart, with the figures where that is most.
fn ahead_at(chart: &Chart) -> Vec<String> {
    let ours = chart.lines.iter().find(|line| line.peer == Peer::Ours);
    let ours = ours.map_or(&[][..], |line| &line.points);
    let others = chart.lines.iter().filter(|line| line.peer.competes());
    let others = others.filter_map(|line| {
        let pairs = line.points.iter().filter_map(|theirs| {
            let ours = ours.iter().find(|ours| ours.x == theirs.x)?;
            let ahead = Better::Less.is_ahead(theirs.median, ours.median);
            ahead.then_some((theirs, ours))
        });
        let pairs: Vec<_> = pairs.collect();
        let by = |&(theirs, ours): &(&Point, &Point)| ours.median / theirs.median;
        let most = pairs.iter().max_by(|a, b| by(a).total_cmp(&by(b)))?;
        let sizes: Vec<_> = pairs
            .iter()
            .map(|(theirs, _)| theirs.x.to_string())
            .collect();
        let [theirs, ours] = [most.0, most.1].map(|point| number(point.median));
        let (name, sizes, y, x) = (line.peer.name(), sizes.join(", "), &chart.y, &chart.x);
        let at = if pairs.len() > 1 {
            format!(" at {}", most.0.x)
        } else {
            String::new()
        };
        Some(format!(
            "{name} at {sizes} {x}: {theirs} {y}, ours {ours}{at}"
        ))
    });
    others.collect()
}

/// The section, with what is known about each row.
pub(super) fn section(rows: &[Behind]) -> String {
    let mut out = vec!["## Where we are behind, and why".to_string()];
    if rows.is_empty() {
        out.push("Nowhere: no bar is missed, and no peer is ahead.".to_string());
    }
    for row in rows {
        let mut said: Vec<String> = row.missed.iter().map(|bar| format!("bar {bar}")).collect();
        said.extend(row.ahead.iter().map(|peer| format!("ahead: {peer}")));
        let said: Vec<_> = said.iter().map(|text| escape(text)).collect();
        let (part, name) = (row.part.name(), &row.name);
        let why = why::why(row.part, name).unwrap_or(why::NONE);
        out.push(format!(
            "**`{part}`: `{name}`** ({})\n\n{why}",
            said.join("; ")
        ));
    }
    out.join("\n\n")
}
