//! The page about a whole run, as Markdown. Nothing is measured here.
//!
//! | file | holds |
//! |---|---|
//! | `markdown` | tables, and texts that mean nothing to Markdown |
//! | `rows` | the tables of the suites |
//! | `behind` | where a bar is missed or a peer ahead |
//! | `why` | what is known about that |
//! | `intro.md`, `method.md` | what is the same for every run |

mod behind;
mod markdown;
mod rows;
mod why;

use std::collections::BTreeMap;

use self::behind::Behind;
use self::markdown::{escape, table};
use crate::all::report::{Part, PartReport, Report, Results};
use crate::chart;
use crate::growth::report::Growth;

/// Writes the page. `charts` is how to link to their directory, if they are drawn.
pub(crate) fn write(report: &Report, charts: Option<&str>) -> String {
    let mut sections = vec![
        "# Benchmarks".to_string(),
        include_str!("intro.md").trim().to_string(),
        repeat(report),
        machine(report),
        summary(report),
    ];
    for part in &report.parts {
        let (title, name) = (part.part.title(), part.part.name());
        sections.push(format!("## {title} (`{name}`)"));
        let drawings = chart::draw(part);
        let images: Vec<String> = drawings
            .iter()
            .map(|drawing| image(&drawing.alt, &drawing.file, charts))
            .collect();
        match &part.results {
            Results::Rows(report) => {
                sections.extend(images.into_iter().filter(|image| !image.is_empty()));
                sections.push(rows::single(report));
            }
            Results::Io(report) => {
                sections.extend(images.into_iter().filter(|image| !image.is_empty()));
                sections.push(rows::io(report));
            }
            Results::Tools(report) => {
                sections.extend(images.into_iter().filter(|image| !image.is_empty()));
                sections.push(rows::tools(report));
            }
            Results::Growth(report) => sections.push(growth(report, &images)),
            Results::Skipped(why) => sections.push(format!("Left out: {}", escape(why))),
        }
    }
    sections.push(behind::section(&behind(report)));
    sections.push(include_str!("method.md").trim().to_string());
    sections.push(failures(report));
    sections.join("\n\n") + "\n"
}

fn image(alt: &str, file: &str, charts: Option<&str>) -> String {
    charts.map_or(String::new(), |charts| {
        format!("![{}]({charts}/{file})", escape(alt))
    })
}

fn repeat(report: &Report) -> String {
    let about = &report.about;
    let warning = if about.quick {
        "\n\n**A quick run: sizes are too small for conclusions.**"
    } else {
        ""
    };
    format!("```console\n$ {}\n```{warning}", about.command)
}

fn machine(report: &Report) -> String {
    let about = &report.about;
    let gib = about.memory_bytes as f64 / f64::from(1 << 30);
    let unknown = || "unknown".to_string();
    let mut lines = vec![
        ["processor", "cores", "memory", "kernel"]
            .map(str::to_string)
            .to_vec(),
    ];
    lines.push(vec![
        escape(&about.processor),
        about.cores.to_string(),
        format!("{gib:.1} GiB"),
        escape(&about.kernel),
    ]);
    let machine = table(&lines);
    let versions: BTreeMap<&str, &String> =
        report.parts.iter().flat_map(PartReport::versions).collect();
    let versions: Vec<_> = versions.values().map(|version| escape(version)).collect();
    let later: String = report
        .later
        .iter()
        .map(|later| {
            let names: Vec<_> = later.parts.iter().map(|part| part.name()).collect();
            format!(
                "\n- {} measured again: commit {}, {} UTC, `{}`",
                names.join(", "),
                escape(&later.about.commit.clone().unwrap_or_else(unknown)),
                escape(&later.about.date),
                later.about.command,
            )
        })
        .collect();
    format!(
        "## Machine and versions\n\n{machine}\n\n- {}; {}\n- commit {}, {} UTC\n- load {} before, {} after \
         (threads that want a core, our own measurements included){later}",
        versions.join(", "),
        escape(&about.rustc),
        escape(&about.commit.clone().unwrap_or_else(unknown)),
        escape(&about.date),
        escape(&about.load_before),
        escape(&about.load_after.clone().unwrap_or_else(unknown)),
    )
}

/// A line for each suite: how many bars are met.
fn summary(report: &Report) -> String {
    let head = [
        "suite",
        "rows",
        "bars met",
        "bars missed",
        "rows with a peer ahead",
        "took",
    ];
    let mut lines = vec![head.map(str::to_string).to_vec()];
    for part in &report.parts {
        let verdicts = part.verdicts();
        let count = |hit| {
            verdicts
                .iter()
                .filter(|verdict| verdict.hit == Some(hit))
                .count()
        };
        let behind = behind::of(part);
        let ahead = behind
            .iter()
            .filter(|behind| !behind.ahead.is_empty())
            .count();
        let mut line = vec![format!("`{}`", part.part.name())];
        line.extend(match part.results {
            Results::Rows(_) | Results::Io(_) => [
                part.rows().to_string(),
                count(true).to_string(),
                count(false).to_string(),
                ahead.to_string(),
            ],
            Results::Growth(_) | Results::Tools(_) => [
                part.rows().to_string(),
                String::new(),
                String::new(),
                ahead.to_string(),
            ],
            Results::Skipped(_) => [
                "left out".to_string(),
                String::new(),
                String::new(),
                String::new(),
            ],
        });
        line.push(took(part.seconds));
        lines.push(line);
    }
    let total: f64 = report.parts.iter().map(|part| part.seconds).sum();
    format!(
        "## Summary\n\n{}\n\nAltogether {}. A row may have several bars, or none.",
        table(&lines),
        took(total)
    )
}

fn took(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

/// A chart after the other, with what one operation is; what the terminal's tables show is in the report.
fn growth(report: &Growth, images: &[String]) -> String {
    let charts = report.charts.iter().zip(images).map(|(chart, image)| {
        let mut parts = vec![format!("### {}", escape(&chart.title))];
        let says = [escape(&chart.y), escape(&chart.x), escape(&chart.says)];
        let [y, x, says] = says;
        parts.push(format!("{y}, by {x}. {says}"));
        parts.push(image.clone());
        parts.push(rows::growth(chart));
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    });
    charts.collect::<Vec<_>>().join("\n\n")
}

fn behind(report: &Report) -> Vec<Behind> {
    report.parts.iter().flat_map(behind::of).collect()
}

/// What could not run, and what went wrong.
fn failures(report: &Report) -> String {
    let mut lines = Vec::new();
    for part in &report.parts {
        let name = part.part.name();
        let failed = part.failures().into_iter().map(|failure| failure.says);
        for said in part.notes().into_iter().chain(failed) {
            let line = format!("- `{name}`: {}", escape(&said));
            // Some peer is missing in every suite.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    // Who reads of five suites is to know that there are six.
    let there = |part: &Part| report.parts.iter().any(|there| there.part == *part);
    for part in Part::ALL.iter().filter(|part| !there(part)) {
        lines.push(format!("- `{}`: not measured in this run", part.name()));
    }
    if lines.is_empty() {
        lines.push("None: everything ran.".to_string());
    }
    format!("## Failed or left out\n\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests;
