//! All suites one after another, reported together: `peers all`. And `peers render`, which shows a saved report
//! again without measuring.
//!
//! | file | holds |
//! |---|---|
//! | `report` | what all suites together have measured |
//! | `about` | on what, of what, when |
//! | `output` | where the page, its charts and the report are written |

mod about;
pub(crate) mod output;
pub(crate) mod report;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Parser};

use self::about::About;
use self::output::{Output, OutputArgs};
use self::report::{Part, PartReport, Report, Results};
use crate::peers::Peer;
use crate::runner::chosen;
use crate::workloads::Suite;
use crate::{SuiteArgs, growth, io, runner, table, tools};

/// Options of `all`.
#[derive(Debug, Args)]
pub(crate) struct AllArgs {
    /// Interleaved rounds of every suite, instead of each one's usual number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// One short round of everything: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Print the whole report as JSON.
    #[arg(long)]
    json: bool,
    /// Only these suites.
    #[arg(long, value_delimiter = ',')]
    only_suites: Vec<Part>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Options of `render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// What an earlier run has saved; and what later runs of some suites have: theirs are shown in its place.
    #[arg(required = true)]
    reports: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

impl AllArgs {
    /// Whether the report is to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }
}

/// Runs the suites that `args` ask for, and writes what they ask for.
///
/// # Errors
///
/// A line for the user, if something cannot be written.
pub(crate) fn run(args: &AllArgs) -> Result<Report, String> {
    let output = Output::prepare(&args.output)?;
    let mut report = Report {
        about: About::now(args.quick),
        parts: Vec::new(),
        later: Vec::new(),
    };
    let parts = Part::ALL
        .into_iter()
        .filter(|part| chosen(&args.only_suites, part));
    for part in parts {
        eprintln!("== {}", part.name());
        let start = Instant::now();
        let results = measure(part, args).unwrap_or_else(Results::Skipped);
        report.parts.push(PartReport {
            part,
            seconds: start.elapsed().as_secs_f64(),
            results,
        });
        // A run takes half an hour: what there is must outlive whatever ends it early.
        output.save(&report)?;
    }
    report.about.ended();
    output.save(&report)?;
    output.draw(&report)?;
    Ok(report)
}

/// Reads a saved report, and writes what `args` ask for.
///
/// # Errors
///
/// A line for the user, if something cannot be read or written.
pub(crate) fn render(args: &RenderArgs) -> Result<Report, String> {
    let mut reports = args.reports.iter().map(|path| {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    });
    let mut report = reports.next().ok_or("no report")??;
    for newer in reports {
        report.renew(newer?);
    }
    let output = Output::prepare(&args.output)?;
    if args.reports.len() > 1 {
        output.save(&report)?;
    }
    output.draw(&report)?;
    Ok(report)
}

/// A saved report.
fn parse(text: &str) -> Result<Report, String> {
    serde_json::from_str(text).map_err(|error| {
        format!(
            "not a whole report of `peers all`, which saves one as report.json in the directory of --svg, or beside \
             the page of --markdown: {error}"
        )
    })
}

/// Whether this library itself has failed anywhere: then a smoke must not pass.
pub(crate) fn ours_failed(report: &Report) -> bool {
    let mut failures = report.parts.iter().flat_map(PartReport::failures);
    failures.any(|failure| failure.who == Peer::Ours.name())
}

/// One suite.
fn measure(part: Part, args: &AllArgs) -> Result<Results, String> {
    let suite = |suite| runner::run(suite, &options::<SuiteArgs>(args)).map(Results::Rows);
    match part {
        Part::Cpu => suite(Suite::Cpu),
        Part::Time => suite(Suite::Time),
        Part::Sync => suite(Suite::Sync),
        Part::Io => io::runner::run(&options(args)).map(Results::Io),
        Part::Growth => growth::runner::run(&options(args)).map(Results::Growth),
        Part::Tools => tools::run(&options(args)).map(Results::Tools),
    }
}

/// What a suite would get on a command line of its own.
fn options<A: Args>(args: &AllArgs) -> A {
    /// The options, as a command.
    #[derive(Parser)]
    struct Alone<A: Args> {
        #[command(flatten)]
        args: A,
    }
    let mut line = vec!["peers".to_string()];
    if let Some(rounds) = args.rounds {
        line.extend(["--rounds".to_string(), rounds.to_string()]);
    }
    if args.quick {
        line.push("--quick".to_string());
    }
    Alone::parse_from(line).args
}

/// The report for a terminal: each suite's own.
pub(crate) fn terminal(report: &Report) -> String {
    let mut out = report.about.lines().join("\n");
    out.push('\n');
    for part in &report.parts {
        let (name, seconds) = (part.part.name(), part.seconds);
        out.push_str(&format!("\n== {name} ({seconds:.0} s)\n\n"));
        out.push_str(&match &part.results {
            Results::Rows(report) => table::render(report),
            Results::Io(report) => io::table::render(report),
            Results::Growth(report) => growth::table::render(report),
            Results::Tools(report) => tools::table::render(report),
            Results::Skipped(why) => format!("left out: {why}\n"),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::runner::IoArgs;

    #[test]
    fn only_our_own_failure_is_one_of_the_run() {
        let text = include_str!("../page/test_report.json");
        let mut report: Report = serde_json::from_str(text).expect("a saved report is one");
        assert!(!ours_failed(&report), "others have failed there");
        let Results::Rows(rows) = &mut report.parts[0].results else {
            panic!("the first suite has rows");
        };
        rows.rows[0].cells[0].error = Some("overflow".to_string());
        assert!(ours_failed(&report));
    }

    #[test]
    fn what_is_no_report_is_refused_with_where_to_get_one() {
        let whole = include_str!("../page/test_report.json");
        for text in ["", "{\"about\": 3}", &whole[..whole.len() / 2]] {
            let error = parse(text).expect_err("it is none");
            for wanted in ["peers all", "report.json", "line"] {
                assert!(error.contains(wanted), "{wanted}: {error}");
            }
        }
    }

    #[test]
    fn a_later_run_of_a_suite_takes_the_earlier_ones_place() {
        let read = || -> Report {
            let text = include_str!("../page/test_report.json");
            serde_json::from_str(text).expect("a saved report is one")
        };
        let (mut report, mut newer) = (read(), read());
        newer.parts.truncate(1);
        newer.parts[0].seconds = 7.25;
        newer.about.commit = Some("def5678".to_string());
        let part = newer.parts[0].part;
        let before = report.parts.len();
        report.renew(newer);
        assert_eq!(report.parts.len(), before);
        assert_eq!(report.parts[0].seconds, 7.25);
        assert_eq!(report.later[0].parts, [part]);
        let page = crate::page::write(&report, None);
        assert!(page.contains("measured again: commit def5678"));
    }

    #[test]
    fn every_suite_gets_the_rounds_and_the_haste_of_all() {
        let args = |rounds, quick| AllArgs {
            rounds,
            quick,
            json: false,
            only_suites: Vec::new(),
            output: OutputArgs::default(),
        };
        let suite: SuiteArgs = options(&args(Some(3), true));
        assert_eq!((suite.run.rounds, suite.run.quick), (3, true));
        let suite: SuiteArgs = options(&args(None, false));
        assert_eq!((suite.run.rounds, suite.run.quick), (5, false));
        let io: IoArgs = options(&args(Some(7), true));
        assert!(!io.json());
    }
}
