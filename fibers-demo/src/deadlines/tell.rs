//! What the deadlines part shows: bars while it runs, then a table, and the same figures as JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::deadlines::cost::Cost;
use crate::deadlines::visit::{Service, Tally};
use crate::lateness::Lateness;
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::Gauge;

/// Everything that was found out.
pub struct Findings<'a> {
    /// With the counters.
    pub service: &'a Service,
    /// Clients.
    pub count: u64,
    /// Clients that were to be cancelled.
    pub asked: u64,
    /// From the first client's arrival to the last one's end.
    pub time: Duration,
    /// The most that was resident.
    pub peak_bytes: u64,
    /// How late tries were ended.
    pub inner: Lateness,
    /// How late visits were ended.
    pub outer: Lateness,
    /// What a deadline costs.
    pub cost: Cost,
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Bars for the ways in which visits end, and what is going on inside.
pub fn gauges(service: &Arc<Service>, count: u64) -> Vec<Gauge> {
    let of_tally = |label: &str, total, pick: fn(&Tally) -> &AtomicU64| {
        let service = service.clone();
        Gauge::new(label, total, move || read(pick(&service.tally)))
    };
    let in_use = service.clone();
    let connections = service.backends.iter().map(|backend| backend.pool.size);
    vec![
        of_tally("at once", count, |tally| &tally.at_once),
        of_tally("after retry", count, |tally| &tally.after_retry),
        of_tally("gave up", count, |tally| &tally.gave_up),
        of_tally("over budget", count, |tally| &tally.over_budget),
        of_tally("cancelled", count, |tally| &tally.cancelled),
        Gauge::new("connections", connections.sum(), move || in_use.in_use())
            .with_note(|| "in use".to_string()),
    ]
}

/// One line, where there are no bars.
pub fn line(service: &Service) -> String {
    let tally = &service.tally;
    format!(
        "{} answered, {} gave up, {} over budget, {} cancelled, {} connections in use",
        grouped(read(&tally.at_once) + read(&tally.after_retry)),
        grouped(read(&tally.gave_up)),
        grouped(read(&tally.over_budget)),
        grouped(read(&tally.cancelled)),
        grouped(service.in_use())
    )
}

impl Findings<'_> {
    /// The closing table of this part.
    pub fn table(&self) -> Vec<String> {
        let tally = &self.service.tally;
        let line = |what: &str, count: u64, note: String| {
            format!("{what:<24}{:>10}  {note}", grouped(count))
                .trim_end()
                .to_string()
        };
        let late = |lateness: &Lateness| match lateness.count() {
            0 => String::new(),
            _ => format!(
                "late by {} (p50), {} (p99)",
                lateness.text(0.5),
                lateness.text(0.99)
            ),
        };
        let mut lines: Vec<String> = (tally.ends().iter())
            .map(|(what, counter)| {
                let note = match *what {
                    "cancelled" => format!("of {} asked to", grouped(self.asked)),
                    _ => String::new(),
                };
                line(what, read(counter), note)
            })
            .collect();
        lines.extend([
            line("clients", self.count, "all accounted for".into()),
            String::new(),
            line("retries", read(&tally.retries), String::new()),
            line(
                "tries out of patience",
                self.inner.count(),
                late(&self.inner),
            ),
            line(
                "visits out of budget",
                self.outer.count(),
                late(&self.outer),
            ),
            line(
                "connections taken",
                self.service.taken(),
                "all given back".into(),
            ),
            line(
                "commits begun",
                read(&tally.begun),
                format!(
                    "all finished, {} with time up or cancelled",
                    read(&tally.shielded)
                ),
            ),
            format!(
                "timeout(60 s, yield_now) takes {:.1} ns more than yield_now: {:.1} to {:.1}",
                self.cost.extra_ns(),
                self.cost.timeout_ns(),
                self.cost.yield_ns()
            ),
        ]);
        lines
    }

    /// The report of the part.
    pub fn report(self, workers: u64) -> Report {
        let tally = &self.service.tally;
        let turns = |what: &str, unit, time| Row {
            what: what.to_string(),
            operations: self.cost.count,
            unit,
            time,
            memory: Memory::None,
        };
        let ends: Map<String, Value> = (tally.ends().iter())
            .map(|(what, counter)| (what.replace(' ', "_"), read(counter).into()))
            .collect();
        Report {
            part: "deadlines",
            size: self.count,
            workers,
            rows: vec![
                Row {
                    what: format!("{} visits", grouped(self.count)),
                    operations: self.count,
                    unit: "visits",
                    time: self.time,
                    memory: Memory::PeakBytes(self.peak_bytes),
                },
                turns("yield, timeout", "timeouts", self.cost.timeout),
                turns("yield", "yields", self.cost.plain),
            ],
            facts: vec![
                ("ends", ends.into()),
                ("asked_to_cancel", self.asked.into()),
                ("retries", read(&tally.retries).into()),
                ("inner_timeouts", self.inner.to_json()),
                ("outer_timeouts", self.outer.to_json()),
                ("connections_taken", self.service.taken().into()),
                ("connections_given_back", self.service.given_back().into()),
                ("commits_begun", read(&tally.begun).into()),
                ("commits_finished", read(&tally.committed).into()),
                ("commits_shielded", read(&tally.shielded).into()),
                ("timeout_extra_ns", self.cost.extra_ns().into()),
            ],
        }
    }
}
