//! The tables of the suites: a line for each row, ours beside the best peer's.

use super::markdown::{escape, stacked, table};
use crate::bars::{Better, Verdict};
use crate::growth::report::Chart;
use crate::peers::Peer;
use crate::runner::{Cell, Report, RowReport};
use crate::table::{PEAK_BYTES, mebibytes, number, ratio};
use crate::{io, tools};

/// Of cpu, time and sync: one figure a row.
pub(super) fn single(report: &Report) -> String {
    let head = [
        "row",
        "ours",
        "best peer",
        "ratio",
        "bar",
        "verdict",
        "of the floor",
        "p99",
        "memory",
    ];
    let mut lines = vec![head.map(str::to_string).to_vec()];
    for row in &report.rows {
        let best = row.best_peer.and_then(|peer| row.cell(peer));
        let ours = row.cell(Peer::Ours);
        let says = |cell: &Cell| figure(cell, &row.unit);
        let bars = row.verdicts.iter();
        let bars = bars.map(|verdict| escape(&verdict.bar_beside(row.best_peer)));
        lines.push(vec![
            format!("`{}` {}", row.name(), escape(&row.title))
                .trim_end()
                .to_string(),
            ours.map_or("-".to_string(), says),
            best.map_or("-".to_string(), |cell| {
                format!("{} {}", escape(cell.peer.name()), says(cell))
            }),
            ratio(row.ratio),
            stacked(bars),
            stacked(row.verdicts.iter().map(word)),
            row.floor_ratio.map_or(String::new(), number),
            beside(row, |cell| cell.extra.get("p99_ns").map(|&ns| time(ns))),
            beside(row, |cell| {
                let bytes = cell.extra.get(PEAK_BYTES)?;
                Some(format!("{} MiB", mebibytes(*bytes)))
            }),
        ]);
    }
    let note = "Ratio: ours divided by the best peer's, so below 1 ours is less; of the floor: ours divided by the \
                floor's. In brackets: lowest and highest round; at p99 and memory, the best peer's.";
    format!("{}\n\n{note}", table(&lines))
}

/// The median with its unit, in brackets the spread.
fn figure(cell: &Cell, unit: &str) -> String {
    match (cell.median, cell.min, cell.max) {
        (Some(median), Some(min), Some(max)) => {
            let (median, min, max) = (number(median), number(min), number(max));
            format!("{median} {unit} ({min} – {max})")
        }
        _ => "failed".to_string(),
    }
}

/// A further figure of ours, in brackets that of the best peer.
fn beside(row: &RowReport, figure: impl Fn(&Cell) -> Option<String>) -> String {
    let of = |peer: Option<Peer>| peer.and_then(|peer| row.cell(peer)).and_then(&figure);
    match (of(Some(Peer::Ours)), of(row.best_peer)) {
        (Some(ours), Some(best)) => format!("{ours} ({best})"),
        (Some(ours), None) => ours,
        (None, Some(best)) => format!("- ({best})"),
        (None, None) => String::new(),
    }
}

/// A verdict that strikes the eye where it is bad.
fn word(verdict: &Verdict) -> String {
    let word = verdict.word();
    if verdict.hit == Some(false) {
        format!("**{word}**")
    } else {
        word
    }
}

fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{} ns", number(ns)),
        ns if ns < 1e6 => format!("{} us", number(ns / 1e3)),
        ns => format!("{} ms", number(ns / 1e6)),
    }
}

/// Of io: several figures a row, and several bars.
pub(super) fn io(report: &io::runner::Report) -> String {
    let head = [
        "row",
        "CPU us",
        "best runtime",
        "of epoll's",
        "requests/s",
        "best runtime",
        "p50 us",
        "p99 us",
        "memory",
        "bars",
    ];
    let mut lines = vec![head.map(str::to_string).to_vec()];
    for row in &report.rows {
        let best = |name: &str, better: Better| {
            let contenders = row.contenders(name);
            let others = contenders.iter().filter(|other| other.peer.competes());
            let best = better.best(others.copied());
            best.map_or("-".to_string(), |best| {
                format!(
                    "{} {}",
                    escape(best.peer.name()),
                    median(row, best.peer, name)
                )
            })
        };
        let beside_epoll = |name: &str| {
            let [ours, epoll] = [Peer::Ours, Peer::Epoll].map(|peer| median(row, peer, name));
            format!("{ours} ({epoll})")
        };
        let cpu = row.figure(Peer::Ours, "server_cpu_us");
        let bars = row.verdicts.iter().map(|verdict| {
            let (bar, value) = (escape(&verdict.bar), ratio(verdict.value));
            format!("{bar}: {value} {}", word(verdict))
        });
        lines.push(vec![
            format!("`{}`", row.name()),
            cpu.map_or("failed".to_string(), |cpu| {
                let [median, min, max] = [cpu.median, cpu.min, cpu.max].map(number);
                format!("{median} ({min} – {max})")
            }),
            best("server_cpu_us", Better::Less),
            ratio(cpu.and_then(|cpu| cpu.ratio)),
            median(row, Peer::Ours, "requests_per_s"),
            best("requests_per_s", Better::More),
            beside_epoll("p50_us"),
            beside_epoll("p99_us"),
            format!("{} MiB", beside_epoll("server_peak_mib")),
            stacked(bars),
        ]);
    }
    let mut parts = vec![table(&lines)];
    parts.push(
        "In brackets: the spread of CPU us, and raw epoll's p50, p99 and memory. The figure after a bar is ours divided \
         by the best runtime's, or by the best of those that the bar names."
            .to_string(),
    );
    parts.extend(io::table::warning(report));
    parts.join("\n\n")
}

fn median(row: &io::runner::RowReport, peer: Peer, name: &str) -> String {
    let figure = row.figure(peer, name);
    figure.map_or("-".to_string(), |figure| number(figure.median))
}

/// Of tools: a line for each server of a row.
pub(super) fn tools(report: &tools::report::Report) -> String {
    if report.rows.is_empty() {
        return "Nothing could run: the end of this page says why.".to_string();
    }
    let head = [
        "load",
        "server",
        "requests/s",
        "p50 us",
        "p99 us",
        "CPU us",
        "memory",
    ];
    let mut lines = vec![head.map(str::to_string).to_vec()];
    for row in &report.rows {
        for cell in &row.cells {
            let figure = |name: &str| cell.figures.get(name);
            let median = |name| figure(name).map_or("-".to_string(), |one| number(one.median));
            let requests = figure("requests_per_s").map_or("failed".to_string(), |figure| {
                let [median, min, max] = [figure.median, figure.min, figure.max].map(number);
                format!("{median} ({min} – {max})")
            });
            let peak = figure("peak_bytes");
            lines.push(vec![
                escape(&row.name()),
                escape(&cell.server),
                requests,
                median("p50_us"),
                median("p99_us"),
                median("server_cpu_us"),
                peak.map_or("-".to_string(), |peak| {
                    format!("{} MiB", mebibytes(peak.median))
                }),
            ]);
        }
    }
    table(&lines)
}

/// Of one chart of growth: a column for each size.
pub(super) fn growth(chart: &Chart) -> String {
    let points = chart.lines.iter().flat_map(|line| &line.points);
    let mut sizes: Vec<f64> = points.map(|point| point.x).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let mut head = vec![escape(&chart.x)];
    head.extend(sizes.iter().map(f64::to_string));
    let mut lines = vec![head];
    for line in &chart.lines {
        let mut cells = vec![escape(line.peer.name())];
        cells.extend(sizes.iter().map(|size| {
            let point = line.points.iter().find(|point| point.x == *size);
            point.map_or("-".to_string(), |point| number(point.median))
        }));
        lines.push(cells);
    }
    table(&lines)
}
