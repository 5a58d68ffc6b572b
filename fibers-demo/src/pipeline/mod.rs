//! A pipeline of fibers with channels between them: sources, a parser, stages of work side by side, a merge, a sink.
//!
//! ```text
//!  source ─┐ lines         records  ┌─ lane ─┐     ┌─ lane ─┐ one channel each          ordered
//!  source ─┼───────▶ parse ───────▶ ┼─ lane ─┼───▶ ┼─ lane ─┼────────────────▶ merge ──────────▶ sink
//!  source ─┘                        └─ lane ─┘     └─ lane ─┘
//! ```
//!
//! All channels are bounded, so the slowest stage sets the pace and nothing piles up. Lanes overtake each other; the
//! merge puts each source's messages back in order. Nobody says when it is over: each stage ends when all who send to
//! it have gone. Meanwhile the foreman (see `foreman`) stops the sources now and then and takes stock.

mod foreman;
mod merge;
mod meter;
mod sink;
mod stages;
mod tell;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fibers::channel;

use crate::options::{self, Common};
use crate::pipeline::foreman::{Foreman, Stock};
use crate::pipeline::merge::Merged;
use crate::pipeline::meter::Meters;
use crate::pipeline::sink::{Received, Sink};
use crate::pipeline::stages::Source;
use crate::report::{Report, grouped};
use crate::screen::Screen;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Messages from all sources, 1 to 100000000 [default: 500000; 20000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 100_000_000))]
    size: Option<u64>,
    /// Fibers that send messages, 1 to 1000 [default: 3]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 1_000))]
    sources: Option<u64>,
    /// Stages of work, one after another, 1 to 12 [default: 2]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 12))]
    stages: Option<u64>,
    /// Fibers side by side in each stage of work, 1 to 256 [default: 4]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 256))]
    lanes: Option<u64>,
    /// Messages each channel has room for, 0 to 1000000; 0: each one is handed over [default: 64]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 0, 1_000_000))]
    capacity: Option<u64>,
    /// Times that the sources are stopped to take stock, 0 to 1000 [default: 3]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 0, 1_000))]
    stocktakings: Option<u64>,
}

/// What runs, all options decided.
#[derive(Clone, Copy, Debug)]
struct Plan {
    messages: u64,
    sources: u64,
    stages: usize,
    lanes: usize,
    capacity: usize,
    stocktakings: u64,
}

/// What the fibers of a pipeline say at the end.
#[derive(Debug)]
struct Flowed {
    merged: Merged,
    received: Received,
    stocks: Vec<Stock>,
    time: Duration,
}

/// Runs the part and checks that each message came through once, in its place and with the right result.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let plan = Plan {
        messages: common.size(args.size, 500_000, 20_000),
        sources: args.sources.unwrap_or(3),
        stages: args.stages.unwrap_or(2) as usize,
        lanes: args.lanes.unwrap_or(4) as usize,
        capacity: args.capacity.unwrap_or(64) as usize,
        stocktakings: args.stocktakings.unwrap_or(3),
    };
    screen.heading(
        &format!(
            "pipeline: {} {} from {} {} through {} {} of {} {}",
            grouped(plan.messages),
            tell::plural(plan.messages, "message"),
            grouped(plan.sources),
            tell::plural(plan.sources, "source"),
            plan.stages,
            tell::plural(plan.stages as u64, "stage"),
            grouped(plan.lanes as u64),
            tell::plural(plan.lanes as u64, "lane"),
        ),
        &[
            &match plan.capacity {
                0 => "Channels without room: each message is handed over.".to_string(),
                room => format!(
                    "Bounded channels with room for {}: the slowest stage sets the pace.",
                    grouped(room as u64)
                ),
            },
            "Lanes overtake each other; the merge selects over them and restores order.",
        ],
    );
    let machine = common.machine("pipeline", None)?;
    let meters = Arc::new(Meters::new(plan.stages));
    let told = meters.clone();
    let watch = screen.watch_telling(tell::gauges(&meters, &plan), move || tell::line(&told));
    let in_fiber = meters.clone();
    let flowed = machine.run(move || flow(&plan, &in_fiber));
    let peak_bytes = watch.finish();
    let workers = options::stop(machine)?.workers;
    check(&plan, &meters, &flowed)?;
    tell::table(&plan, &meters, &flowed)
        .iter()
        .for_each(|line| screen.say(line));
    Ok(tell::report(&plan, &meters, &flowed, workers, peak_bytes))
}

/// The first fiber: lays the channels, starts all, and waits until the last message has come through.
fn flow(plan: &Plan, meters: &Meters) -> Flowed {
    let room = plan.capacity;
    let start = Instant::now();
    let (merged, received, stocks) = fibers::scope(|scope| {
        let (lines, lines_out) = channel::bounded(room);
        let (records, records_out) = channel::bounded(room);
        let (ordered, ordered_out) = channel::bounded(room);
        let (stock_orders, stock_taken) = channel::bounded(0);
        let (milestones, milestones_out) = channel::unbounded();
        let mut stops = Vec::new();
        for number in 0..plan.sources {
            let (stop, stopped) = channel::bounded(0);
            let source = Source {
                number,
                count: plan.share(number),
                lines: lines.clone(),
                stopped,
            };
            scope.spawn(move || source.run(meters));
            stops.push(stop);
        }
        scope.spawn(move || stages::parse(&lines_out, &records, meters.parse()));
        let mut from = records_out;
        for stage in 1..plan.stages {
            let (done, done_out) = channel::bounded(room);
            for _ in 0..plan.lanes {
                let (from, done) = (from.clone(), done.clone());
                scope.spawn(move || stages::work(&from, &done, meters.stage(stage)));
            }
            from = done_out;
        }
        let mut lanes = Vec::new();
        for _ in 0..plan.lanes {
            let (done, done_out) = channel::bounded(room);
            let from = from.clone();
            scope.spawn(move || stages::work(&from, &done, meters.stage(plan.stages)));
            lanes.push(done_out);
        }
        let merged =
            scope.spawn(move || merge::merge(&lanes, &ordered, plan.sources, meters.merge()));
        let sink = Sink::new(*plan, ordered_out, stock_taken, milestones);
        let received = scope.spawn(move || sink.run(meters.sink()));
        // A handle that is left here would keep its channel open for ever.
        drop((lines, from));

        let stocks = Foreman {
            stops,
            stock_orders,
            milestones: milestones_out,
            meters,
        }
        .run();
        (joined(merged.join()), joined(received.join()), stocks)
    });
    Flowed {
        merged,
        received,
        stocks,
        time: start.elapsed(),
    }
}

/// A fiber's result; its panic goes on here.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|why| resume_unwind(why))
}

/// Nothing was lost, doubled, overtaken or spoilt, neither at the end nor whenever stock was taken.
fn check(plan: &Plan, meters: &Meters, flowed: &Flowed) -> Result<(), String> {
    let received = &flowed.received;
    for (name, done) in meters.names().iter().zip(meters.done()) {
        if done != plan.messages {
            return Err(format!(
                "{done} messages went through {name}, expected {}",
                plan.messages
            ));
        }
    }
    for (source, count) in (0..).zip(&received.counts) {
        if *count != plan.share(source) {
            return Err(format!(
                "{count} messages came from source {source}, expected {}",
                plan.share(source)
            ));
        }
    }
    if received.overtaken > 0 {
        return Err(format!(
            "{} messages came out of their source's order",
            received.overtaken
        ));
    }
    if received.sum != plan.sum() {
        return Err(format!(
            "the results add up to {}, expected {}",
            received.sum,
            plan.sum()
        ));
    }
    if flowed.merged.left > 0 {
        return Err(format!(
            "{} messages are left in the merge",
            flowed.merged.left
        ));
    }
    let stocks = &flowed.stocks;
    if stocks.len() as u64 != plan.stocktakings {
        return Err(format!(
            "stock was taken {} times, expected {}",
            stocks.len(),
            plan.stocktakings
        ));
    }
    if let Some(wrong) = stocks.iter().find(|stock| !stock.is_right()) {
        return Err(format!("while the sources stood still: {wrong}"));
    }
    Ok(())
}

impl Plan {
    /// How many messages this source sends.
    fn share(&self, source: u64) -> u64 {
        self.messages * (source + 1) / self.sources - self.messages * source / self.sources
    }

    /// What the results add up to: the same work, done by one loop without any channel.
    fn sum(&self) -> u64 {
        (0..self.sources)
            .flat_map(|source| (0..self.share(source)).map(move |place| (source, place)))
            .map(|(source, place)| {
                (0..self.stages).fold(stages::value(source, place), |value, _| {
                    stages::worked(value)
                })
            })
            .fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        messages: 500,
        sources: 3,
        stages: 2,
        lanes: 3,
        capacity: 4,
        stocktakings: 2,
    };

    fn flowed() -> (Arc<Meters>, Flowed) {
        let meters = Arc::new(Meters::new(PLAN.stages));
        let machine = fibers::Runtime::builder().workers(2).build().unwrap();
        let in_fiber = meters.clone();
        let flowed = machine.run(move || flow(&PLAN, &in_fiber));
        (meters, flowed)
    }

    /// The whole of it, and then with one thing spoilt.
    fn spoilt(spoil: impl Fn(&Meters, &mut Flowed)) -> String {
        let (meters, mut flowed) = flowed();
        assert_eq!(check(&PLAN, &meters, &flowed), Ok(()));
        spoil(&meters, &mut flowed);
        check(&PLAN, &meters, &flowed).unwrap_err()
    }

    #[test]
    fn whatever_is_lost_doubled_overtaken_or_spoilt_is_noticed() {
        let lost = spoilt(|meters, _| meters.merge().count());
        assert!(lost.contains("501 messages went through merge"), "{lost}");
        let other = spoilt(|_, flowed| flowed.received.counts.swap(0, 1));
        assert!(other.contains("from source 0"), "{other}");
        let overtaken = spoilt(|_, flowed| flowed.received.overtaken = 1);
        assert!(overtaken.contains("order"), "{overtaken}");
        let sum = spoilt(|_, flowed| flowed.received.sum ^= 1);
        assert!(sum.contains("add up"), "{sum}");
        let left = spoilt(|_, flowed| flowed.merged.left = 2);
        assert!(left.contains("left in the merge"), "{left}");
        let missed = spoilt(|_, flowed| drop(flowed.stocks.pop()));
        assert!(missed.contains("taken 1 times, expected 2"), "{missed}");
        let stock = spoilt(|_, flowed| flowed.stocks[0].received.messages += 1);
        assert!(stock.contains("stood still"), "{stock}");
    }
}
