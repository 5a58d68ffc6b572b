//! Side-by-side benchmarks of fibers and its peers. See README.md beside this crate.
//!
//! This file is the command line only. `cpu` and `time` run a suite; the hidden `one` is what the
//! runner starts in a child process: one workload on one runtime, one line of JSON on stdout.

mod child;
mod durations;
mod machine;
mod peers;
mod runner;
mod sample;
mod table;
mod usage;
mod workloads;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::peers::Peer;
use crate::workloads::{Job, Suite, Workload};

/// Side-by-side benchmarks of fibers, tokio, may, std threads, rayon and Go.
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
    /// Runs one workload on one runtime and prints its sample.
    #[command(hide = true)]
    One(OneArgs),
}

/// Options of every suite.
#[derive(Args)]
pub(crate) struct SuiteArgs {
    /// Interleaved rounds; each gives one sample per peer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Worker threads of the rows that are not about a single worker.
    #[arg(long, default_value_t = 2, value_parser = workers)]
    workers: usize,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// Only these peers.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Print the whole report as JSON.
    #[arg(long)]
    json: bool,
    /// One round of small sizes: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
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
        Command::One(args) => one(&args),
    }
}

fn suite(suite: Suite, args: &SuiteArgs) -> ExitCode {
    let report = match runner::run(suite, args) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("peers: {error}");
            return ExitCode::FAILURE;
        }
    };
    if args.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&report).expect("a report has string keys")
        );
    } else {
        print!("{}", table::render(&report));
    }
    ExitCode::SUCCESS
}

fn one(args: &OneArgs) -> ExitCode {
    // A panic in a task must end the process at once: others may wait for that task for ever.
    let report_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report_panic(info);
        std::process::exit(101);
    }));
    let job = Job {
        workload: args.workload,
        workers: args.workers,
        size: args.size,
    };
    match peers::run(args.peer, &job) {
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
