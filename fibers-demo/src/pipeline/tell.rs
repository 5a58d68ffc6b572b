//! What is seen of the pipeline: bars and a line while it runs, then a table, and the same figures as JSON.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::pipeline::meter::{Meter, Meters};
use crate::pipeline::{Flowed, Plan};
use crate::report::{Memory, Report, Row, grouped, short_number};
use crate::screen::Gauge;

/// `1 lane`, `2 lanes`.
pub fn plural(count: u64, what: &str) -> String {
    match count {
        1 => what.to_string(),
        _ => format!("{what}s"),
    }
}

/// A bar for each stage: how much has gone through, how fast, and how many wait before it.
pub fn gauges(meters: &Arc<Meters>, plan: &Plan) -> Vec<Gauge> {
    let gauge = |(stage, name): (usize, &String)| {
        let (done, note, total) = (meters.clone(), meters.clone(), plan.messages);
        Gauge::new(name, plan.messages, move || done.all()[stage].done()).with_note(move || {
            let meter = &note.all()[stage];
            let rate = match meter.rate() {
                0 => String::new(), // not measured yet
                rate => format!("{:>7}/s", short_number(rate as f64)),
            };
            match meter.done() {
                done if stage > 0 && done < total => {
                    format!("{rate:>9} {:>4} wait", meter.queued())
                }
                _ => rate,
            }
        })
    };
    meters.names().iter().enumerate().map(gauge).collect()
}

/// One line, where there are no bars.
pub fn line(meters: &Meters) -> String {
    let stages: Vec<String> = (meters.names().iter().zip(meters.all()))
        .map(|(name, meter)| format!("{name} {}", grouped(meter.done())))
        .collect();
    format!(
        "{}; {}/s",
        stages.join(", "),
        short_number(meters.sink().rate() as f64)
    )
}

/// How many fibers each stage has.
fn fibers(plan: &Plan) -> Vec<u64> {
    let work = (0..plan.stages).map(|_| plan.lanes as u64);
    ([plan.sources, 1].into_iter())
        .chain(work)
        .chain([1, 1])
        .collect()
}

/// The closing table of this part.
pub fn table(plan: &Plan, meters: &Meters, flowed: &Flowed) -> Vec<String> {
    let line = |cells: [&str; 5]| {
        let [stage, fibers, messages, mean, most] = cells;
        format!("{stage:<10} {fibers:>6} {messages:>13} {mean:>18} {most:>10}")
            .trim_end()
            .to_string()
    };
    let mut lines = vec![line([
        "",
        "fibers",
        "messages",
        "waiting before it",
        "at most",
    ])];
    for ((name, fibers), meter) in meters.names().iter().zip(fibers(plan)).zip(meters.all()) {
        let [mean, most] = match name.as_str() {
            "sources" => [String::new(), String::new()],
            _ => [
                format!("{:.1}", meter.queued_mean()),
                grouped(meter.queued_max()),
            ],
        };
        let messages = grouped(meter.done());
        lines.push(line([name, &grouped(fibers), &messages, &mean, &most]));
    }
    lines.push(format!(
        "the merge held back up to {}; all in order, and the sum is right",
        grouped(flowed.merged.held_max)
    ));
    let stocks: Vec<String> = (flowed.stocks.iter().take(3))
        .map(|stock| grouped(stock.sent.messages))
        .collect();
    if !stocks.is_empty() {
        lines.push(format!(
            "stock taken {} {}: sent and received so far: {}{}",
            grouped(plan.stocktakings),
            plural(plan.stocktakings, "time"),
            stocks.join(", "),
            if flowed.stocks.len() > stocks.len() {
                " ..."
            } else {
                ""
            }
        ));
    }
    lines
}

/// The report of the part.
pub fn report(
    plan: &Plan,
    meters: &Meters,
    flowed: &Flowed,
    workers: u64,
    peak_bytes: u64,
) -> Report {
    let stage = |((name, fibers), meter): ((&String, u64), &Meter)| {
        json!({
            "stage": name,
            "fibers": fibers,
            "messages": meter.done(),
            "waiting_mean": meter.queued_mean(),
            "waiting_max": meter.queued_max(),
        })
    };
    let names = meters.names();
    let stages = names.iter().zip(fibers(plan)).zip(meters.all()).map(stage);
    let stocks = (flowed.stocks.iter()).map(|stock| {
        json!({
            "sent": stock.sent.messages,
            "received": stock.received.messages,
            "sources_stopped": stock.stopped,
        })
    });
    Report {
        part: "pipeline",
        size: plan.messages,
        workers,
        rows: vec![Row {
            what: format!(
                "{} {}",
                grouped(plan.messages),
                plural(plan.messages, "message")
            ),
            operations: plan.messages,
            unit: "messages",
            time: flowed.time,
            memory: Memory::PeakBytes(peak_bytes),
        }],
        facts: vec![
            ("stages", stages.collect::<Value>()),
            ("sum", flowed.received.sum.into()),
            ("overtaken", flowed.received.overtaken.into()),
            ("held_back_max", flowed.merged.held_max.into()),
            ("stocktakings", stocks.collect::<Value>()),
        ],
    }
}
