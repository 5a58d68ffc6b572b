//! Side-by-side benchmarks of fibers and its peers. See README.md beside this crate.
//!
//! This file is the command line only. `cpu`, `time`, `sync`, `io`, `growth` and `tools` run a suite, `all` runs every one of
//! them and `render` shows what it has saved. The others are hidden: what a runner starts in a child process. `one`
//! is one workload on one runtime; of a measurement of `io`, `serve` is the server and `load` its load; `attached` is
//! a foreign program. `one` and `load` print one line of JSON on stdout.

mod all;
mod bars;
mod chart;
mod child;
mod choice;
mod durations;
mod growth;
mod io;
mod latency;
mod machine;
mod page;
mod peers;
mod runner;
mod sample;
mod section;
mod table;
mod tools;
mod usage;
mod workloads;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::all::{AllArgs, RenderArgs};
use crate::growth::runner::GrowthArgs;
use crate::io::load::LoadArgs;
use crate::io::rows::Placement;
use crate::io::runner::IoArgs;
use crate::peers::Peer;
use crate::tools::ToolsArgs;
use crate::tools::attached::AttachedArgs;
use crate::workloads::{Job, Suite, Workload};

/// Side-by-side benchmarks of fibers, tokio, may, monoio, std threads, crossbeam, parking_lot,
/// rayon, raw epoll and Go.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Scheduling, spawning, waking, memory: work that touches no IO.
    Cpu(SuiteArgs),
    /// Timers: sleeps, timeouts, deadlines, intervals, and how late they are.
    Time(SuiteArgs),
    /// Channels, locks, select: what tasks wait for each other with.
    Sync(SuiteArgs),
    /// Servers on the loopback: throughput, latency, CPU time per request.
    Io(IoArgs),
    /// What one operation costs as there are more tasks, timers, connections, workers.
    Growth(GrowthArgs),
    /// wrk and redis-benchmark, against servers on the loopback.
    Tools(ToolsArgs),
    /// Every suite one after another; with charts and a page, if that is asked for.
    All(AllArgs),
    /// Charts, page and tables of a report that `all` has saved.
    Render(RenderArgs),
    /// Runs one workload on one runtime and prints its sample.
    #[command(hide = true)]
    One(OneArgs),
    /// Is one server of the io suite, and prints its port.
    #[command(hide = true)]
    Serve(ServeArgs),
    /// Loads a server of the io suite and prints what it found.
    #[command(hide = true)]
    Load(LoadArgs),
    /// Takes a core, and becomes a program that ends with its parent.
    #[command(hide = true)]
    Attached(AttachedArgs),
}

/// Options of every suite.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Interleaved rounds; each gives one sample per peer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these peers.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Print the whole report as JSON.
    #[arg(long)]
    json: bool,
    /// One round of small sizes: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
}

/// Options of the suites that touch no IO.
#[derive(Args)]
pub(crate) struct SuiteArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Worker threads of the rows that are not about a single worker.
    #[arg(long, default_value_t = 2, value_parser = workers)]
    workers: usize,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// Adds the rows that take long or need much memory.
    #[arg(long)]
    full: bool,
}

#[derive(Args)]
struct OneArgs {
    peer: Peer,
    workload: Workload,
    #[arg(long, value_parser = workers)]
    workers: usize,
    #[arg(long)]
    size: u64,
}

#[derive(Args)]
struct ServeArgs {
    peer: Peer,
    workload: io::rows::Workload,
    placement: Placement,
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1024) => Ok(count),
        _ => Err("expected a number from 1 to 1024".to_string()),
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Cpu(args) => suite(Suite::Cpu, &args),
        Command::Time(args) => suite(Suite::Time, &args),
        Command::Sync(args) => suite(Suite::Sync, &args),
        Command::Io(args) => print(args.json(), io::runner::run(&args), io::table::render),
        Command::Growth(args) => {
            print(args.json, growth::runner::run(&args), growth::table::render)
        }
        Command::Tools(args) => print(args.run.json, tools::run(&args), tools::table::render),
        Command::All(args) => all(&args),
        Command::Render(args) => print(false, all::render(&args), all::terminal),
        Command::One(args) => one(&args),
        Command::Serve(args) => {
            exit_on_panic();
            let why = io::server::serve(args.peer, args.workload, args.placement);
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Command::Load(args) => {
            exit_on_panic();
            answer(io::load::run(&args))
        }
        Command::Attached(args) => {
            let why = tools::attached::become_program(&args);
            eprintln!("{}: {why}", args.program());
            ExitCode::FAILURE
        }
    }
}

fn suite(suite: Suite, args: &SuiteArgs) -> ExitCode {
    print(args.run.json, runner::run(suite, args), table::render)
}

/// Fails if this library does: a smoke is to notice that.
fn all(args: &AllArgs) -> ExitCode {
    let report = all::run(args);
    let failed = report.as_ref().is_ok_and(all::ours_failed);
    let code = print(args.json(), report, all::terminal);
    if failed { ExitCode::FAILURE } else { code }
}

/// Prints a report, or why there is none.
fn print<R: Serialize>(
    json: bool,
    report: Result<R, String>,
    render: impl FnOnce(&R) -> String,
) -> ExitCode {
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("peers: {error}");
            return ExitCode::FAILURE;
        }
    };
    if json {
        println!(
            "{}",
            serde_json::to_string_pretty(&report).expect("a report has string keys")
        );
    } else {
        print!("{}", render(&report));
    }
    ExitCode::SUCCESS
}

fn one(args: &OneArgs) -> ExitCode {
    exit_on_panic();
    let job = Job {
        workload: args.workload,
        workers: args.workers,
        size: args.size,
    };
    let sample = peers::run(args.peer, &job);
    answer(sample.map(|sample| {
        let peak = machine::peak_bytes(std::process::id());
        sample.with(table::PEAK_BYTES, peak as f64)
    }))
}

/// A panic in a task must end the process at once: others may wait for that task for ever.
fn exit_on_panic() {
    let report_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report_panic(info);
        std::process::exit(101);
    }));
}

/// Prints what a child was asked for, or why it cannot tell.
fn answer(sample: std::io::Result<impl Serialize>) -> ExitCode {
    match sample {
        Ok(sample) => {
            println!(
                "{}",
                serde_json::to_string(&sample).expect("a sample has string keys")
            );
            // Not by return: a runtime that is left running must not delay the answer.
            std::process::exit(0)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
