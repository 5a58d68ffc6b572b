//! How many instructions do the hot paths take, and are they more than there were? See README.md beside this crate.
//!
//! This file is the command line only.

mod count;
mod limits;
mod paths;
mod setting;
mod verdict;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::count::CountError;
use crate::limits::Limits;
use crate::paths::Path;
use crate::setting::Setting;
use crate::verdict::Report;

/// Counts the instructions of the hot paths and compares them with what is recorded.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    compare: CompareArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one path, uncounted: what a count is made of, and what a profiler wants.
    Run { path: String, operations: u64 },
}

#[derive(Args)]
struct CompareArgs {
    /// Write what was counted into limits.txt.
    #[arg(long)]
    record: bool,
    /// Fail also where nothing can be compared: without valgrind, or with another compiler, C library or clock.
    #[arg(long)]
    strict: bool,
    /// Only these paths.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Run { path, operations }) => {
            paths::find(path).map(|path| path.run(*operations))
        }
        None => compare(&cli.compare),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and records or judges.
fn compare(args: &CompareArgs) -> Result<(), String> {
    if cfg!(debug_assertions) {
        return Err("unoptimised code is not what is recorded: use cargo run --release".to_owned());
    }
    let chosen = chosen(&args.only)?;
    let limits = Limits::load()?;
    let here = Setting::here();
    let counts = match count::all(&chosen) {
        Ok(counts) => counts,
        Err(CountError::NoValgrind) if !args.strict && !args.record => {
            println!(
                "skipped: no valgrind here; install the package of that name to check the paths"
            );
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    if args.record {
        let recorded = limits.record(here, &counts)?;
        recorded.save()?;
        print!("{}", Report::new(&recorded, &counts));
        return Ok(());
    }
    let report = Report::new(&limits, &counts);
    print!("{report}");
    if limits.setting != here && !args.strict {
        println!(
            "not judged: recorded with {}, counted with {here}. --strict judges all the same.",
            limits.setting
        );
        return Ok(());
    }
    report.judge()
}

fn chosen(only: &[String]) -> Result<Vec<&'static Path>, String> {
    if only.is_empty() {
        return Ok(paths::PATHS.iter().collect());
    }
    only.iter().map(|name| paths::find(name)).collect()
}
