//! The demo of the `fibers` library: a tour of thirteen parts, or one part by its subcommand.
//!
//! Every part lives in the file or folder of its name, uses the public API only, starts a machine of its own,
//! checks its own result and ends the process with status 1 when the result is wrong. Progress
//! bars go to stderr (see `screen`), the story and the closing table to stdout (see `report`).
//! This file reads the command line and decides what runs; it knows nothing of fibers.

mod bench;
mod calls;
mod chance;
mod cpu;
mod deadlines;
mod fib;
mod histogram;
mod lateness;
mod memory;
mod options;
mod overflow;
mod parked;
mod philosophers;
mod pipeline;
mod priorities;
mod report;
mod ring;
mod screen;
mod serve;
mod skynet;
mod sleepers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::options::Common;
use crate::report::{Report, tell};
use crate::screen::Screen;

/// Shows what the fibers library does. Without a subcommand: a tour of all parts.
#[derive(Debug, Parser)]
#[command(name = "fibers-demo", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Park and wake a crowd of fibers; count the bytes each one holds
    Parked(parked::Args),
    /// Sum the leaves of a tree in which every node is a fiber with ten children
    Skynet(skynet::Args),
    /// Pass a token around a ring of fibers by park and unpark
    Ring(ring::Args),
    /// Fork and join a Fibonacci tree, by spawn and by fibers::join
    Fib(fib::Args),
    /// Let fibers of all eight priorities race for one worker
    Priorities(priorities::Args),
    /// Let two fibers run closures on each other's stacks
    Calls(calls::Args),
    /// Let a crowd of fibers sleep at once, and see how late each one wakes
    Sleepers(sleepers::Args),
    /// Serve clients under deadlines, cancel some of them, and count what is given back
    Deadlines(deadlines::Args),
    /// Let philosophers share forks, by three methods, and see how fair that is
    Philosophers(philosophers::Args),
    /// Send messages through stages of fibers by channels, and check that none is lost
    Pipeline(pipeline::Args),
    /// Serve HTTP, an echo, or keys and values for Redis clients; or check all three
    Serve(serve::Args),
    /// Load a server and measure it
    Bench(bench::Args),
    /// Overflow a fiber's stack in a child process and show the report
    Overflow(overflow::Args),
}

impl Part {
    /// The whole tour. `parked` comes first: it counts resident bytes, and a fresh heap is honest.
    fn tour() -> Vec<Part> {
        vec![
            Part::Parked(parked::Args::default()),
            Part::Skynet(skynet::Args::default()),
            Part::Ring(ring::Args::default()),
            Part::Fib(fib::Args::default()),
            Part::Priorities(priorities::Args::default()),
            Part::Calls(calls::Args::default()),
            Part::Sleepers(sleepers::Args::tour()),
            Part::Deadlines(deadlines::Args::default()),
            Part::Philosophers(philosophers::Args::default()),
            Part::Pipeline(pipeline::Args::default()),
            Part::Serve(serve::Args::tour()),
            Part::Bench(bench::Args::tour()),
            Part::Overflow(overflow::Args::default()),
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Part::Parked(_) => "parked",
            Part::Skynet(_) => "skynet",
            Part::Ring(_) => "ring",
            Part::Fib(_) => "fib",
            Part::Priorities(_) => "priorities",
            Part::Calls(_) => "calls",
            Part::Sleepers(_) => "sleepers",
            Part::Deadlines(_) => "deadlines",
            Part::Philosophers(_) => "philosophers",
            Part::Pipeline(_) => "pipeline",
            Part::Serve(args) => args.name(),
            Part::Bench(args) => args.name(),
            Part::Overflow(_) => "overflow",
        }
    }

    fn run(&self, common: &Common, screen: &Screen) -> Result<Report, String> {
        match self {
            Part::Parked(args) => parked::run(args, common, screen),
            Part::Skynet(args) => skynet::run(args, common, screen),
            Part::Ring(args) => ring::run(args, common, screen),
            Part::Fib(args) => fib::run(args, common, screen),
            Part::Priorities(args) => priorities::run(args, common, screen),
            Part::Calls(args) => calls::run(args, common, screen),
            Part::Sleepers(args) => sleepers::run(args, common, screen),
            Part::Deadlines(args) => deadlines::run(args, common, screen),
            Part::Philosophers(args) => philosophers::run(args, common, screen),
            Part::Pipeline(args) => pipeline::run(args, common, screen),
            Part::Serve(args) => serve::run(args, common, screen),
            Part::Bench(args) => bench::run(args, common, screen),
            Part::Overflow(args) => overflow::run(args, common, screen),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Part::Overflow(args)) = &cli.part
        && args.is_child()
    {
        return overflow::child(args, &cli.common);
    }
    let screen = Screen::new(cli.common.json);
    let parts = cli.part.map_or_else(Part::tour, |part| vec![part]);
    let mut reports = Vec::new();
    let mut failures = 0;
    for part in &parts {
        match guarded(part, &cli.common, &screen) {
            Ok(report) => {
                if cli.common.json {
                    tell!("{}", report.to_json());
                }
                reports.push(report);
            }
            Err(why) => {
                failures += 1;
                if cli.common.json {
                    tell!("{}", report::failure_json(part.name(), &why));
                }
                eprintln!("fibers-demo: {}: {why}", part.name());
            }
        }
    }
    if !cli.common.json && !reports.is_empty() {
        tell!("\n{}", report::table(&reports).trim_end());
    }
    if failures > 0 {
        if parts.len() > 1 {
            eprintln!("fibers-demo: {failures} of {} parts failed", parts.len());
        }
        return ExitCode::FAILURE;
    }
    if !cli.common.json && parts.len() > 1 {
        tell!("\nEvery part checked its own result. Options: PART --help.");
    }
    ExitCode::SUCCESS
}

/// Runs one part; a panic in it is one more way to fail, and the tour goes on.
fn guarded(part: &Part, common: &Common, screen: &Screen) -> Result<Report, String> {
    catch_unwind(AssertUnwindSafe(|| part.run(common, screen))).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(format!("it panicked: {text}"))
    })
}
