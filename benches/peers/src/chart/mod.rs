//! Charts as SVG, one or more for each suite. Nothing is measured here.
//!
//! | file | holds |
//! |---|---|
//! | `figures` | which of a report's figures are drawn |
//! | `bars` | bars in groups, relative to ours |
//! | `lines` | cost by size, both logarithmic |
//! | `scale` | axes: from figures to places |
//! | `svg` | the writer, colours, widths of texts |

mod bars;
mod figures;
mod lines;
mod scale;
mod svg;

use crate::all::report::{PartReport, Results};

/// One chart.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// Its file, in the directory of the charts.
    pub(crate) file: String,
    /// What it shows, for whom it is not shown.
    pub(crate) alt: String,
    /// The file's content.
    pub(crate) svg: String,
}

/// All charts of a suite, in order. Of growth, one for each chart of its report.
pub(crate) fn draw(part: &PartReport) -> Vec<Drawing> {
    let name = part.part.name();
    match &part.results {
        Results::Rows(report) => vec![bars::draw(name, &figures::rows(part.part, report))],
        Results::Io(report) => figures::io(report)
            .iter()
            .map(|(figure, panel)| bars::draw(&format!("{name}-{figure}"), panel))
            .collect(),
        Results::Tools(report) => figures::tools(report)
            .iter()
            .map(|(figure, panel)| bars::draw(&format!("{name}-{figure}"), panel))
            .collect(),
        Results::Growth(report) => report
            .charts
            .iter()
            .map(|chart| lines::draw(&format!("{name}-{}", chart.name), chart))
            .collect(),
        Results::Skipped(_) => Vec::new(),
    }
}
