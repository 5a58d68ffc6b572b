//! Workloads, their sizes, the rows of a suite and the bar of each row. Data, no measuring.

use clap::ValueEnum;

use crate::peers::Peer::{self, Go, May, Ours, Rayon, Threads, Tokio};

/// A family of rows; one subcommand each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Scheduling without IO or timers.
    Cpu,
    /// Timers.
    Time,
}

/// What is measured. The names are those of the command line and of `go/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// 200 tasks yield on one worker.
    #[value(name = "yield1")]
    Yield1,
    /// 2 tasks yield on one worker.
    #[value(name = "yield1-2")]
    Yield1Two,
    /// 200 tasks yield on several workers.
    #[value(name = "yield2")]
    Yield2,
    /// Spawn and join, one at a time, from inside a task.
    #[value(name = "spawn_join")]
    SpawnJoin,
    /// Spawn many from inside, then wait for all.
    #[value(name = "spawn_many")]
    SpawnMany,
    /// A tree of tasks, ten children a node; the leaves' numbers are summed.
    #[value(name = "skynet")]
    Skynet,
    /// Fibonacci: spawn one branch, run the other inline, join.
    #[value(name = "fib")]
    Fib,
    /// Fibonacci by `join(a, b)`.
    #[value(name = "fork_join")]
    ForkJoin,
    /// Two tasks hand one turn back and forth.
    #[value(name = "pingpong")]
    PingPong,
    /// The same, our second fiber started by `spawn_local`.
    #[value(name = "pingpong-local")]
    PingPongLocal,
    /// The same, our fibers forced onto different workers.
    #[value(name = "pingpong-apart")]
    PingPongApart,
    /// An OS thread wakes a parked task and blocks until it answers.
    #[value(name = "foreign_wake")]
    ForeignWake,
    /// Resident bytes of a parked task.
    #[value(name = "parked_memory")]
    ParkedMemory,
    /// One task yields under a timeout: what the timeout adds to a yield.
    #[value(name = "timeout")]
    Timeout,
    /// Many tasks sleep once each; CPU time, spawning included.
    #[value(name = "sleepers")]
    Sleepers,
    /// The same for a second time in the same process; CPU time of the second.
    #[value(name = "sleepers-again")]
    SleepersAgain,
    /// Few tasks tick at an interval; CPU time.
    #[value(name = "intervals")]
    Intervals,
    /// Few tasks yield under one deadline after the other; CPU time.
    #[value(name = "deadlines")]
    Deadlines,
    /// 100 tasks sleep for random times: how late they wake.
    #[value(name = "late")]
    Late,
    /// One task sleeps 50 us: how long that takes.
    #[value(name = "sleep-50us")]
    Sleep50us,
}

impl Workload {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("no workload is skipped");
        value.get_name().to_string()
    }

    /// How many tasks share the operations of a workload whose size does not count tasks.
    pub(crate) fn tasks(self, size: u64) -> u64 {
        match self {
            Workload::Yield1 | Workload::Yield2 => 200,
            Workload::Yield1Two => 2,
            Workload::Late => 100,
            // A quick run has fewer, so that each still ticks some times.
            Workload::Intervals => {
                if size < 100_000 {
                    100
                } else {
                    1_000
                }
            }
            Workload::Deadlines => 8,
            _ => 1,
        }
    }

    /// What the size counts, for the table.
    pub(crate) fn title(self, size: u64) -> String {
        match self {
            Workload::Yield1 | Workload::Yield1Two | Workload::Yield2 => {
                format!("{} tasks", self.tasks(size))
            }
            Workload::SpawnMany
            | Workload::ParkedMemory
            | Workload::Sleepers
            | Workload::SleepersAgain => format!("{} tasks", short(size)),
            Workload::Intervals | Workload::Deadlines => {
                format!("{} by {} tasks", short(size), short(self.tasks(size)))
            }
            Workload::Late => format!("p99, {} tasks", self.tasks(size)),
            Workload::Sleep50us => "median".to_string(),
            Workload::Skynet => format!("{} leaves", short(size)),
            Workload::Fib | Workload::ForkJoin => format!("n = {size}"),
            _ => String::new(),
        }
    }

    /// Repetitions of the workloads whose single run is one figure.
    pub(crate) fn reps(self) -> u64 {
        match self {
            Workload::Skynet => 3,
            Workload::Fib => 5,
            Workload::ForkJoin => 15,
            Workload::SpawnMany => 4,
            _ => 1,
        }
    }
}

/// One run in one child process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// What to run.
    pub(crate) workload: Workload,
    /// Worker threads of the runtime.
    pub(crate) workers: usize,
    /// Yields, spawns, leaves, round trips, tasks, ticks, sleeps, or the argument of fib.
    pub(crate) size: u64,
}

/// What a row's figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds per operation.
    NsPerOp,
    /// Nanoseconds of CPU time per operation, all threads together.
    CpuNsPerOp,
    /// Microseconds.
    Us,
    /// Milliseconds per repetition.
    Ms,
    /// Seconds of CPU time, all threads together.
    CpuSeconds,
    /// Bytes per task.
    Bytes,
}

impl Unit {
    /// The unit as the table prints it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::NsPerOp => "ns",
            Unit::CpuNsPerOp => "CPU ns",
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::CpuSeconds => "CPU s",
            Unit::Bytes => "bytes",
        }
    }
}

/// What this library promises for a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// At most this share of the best peer in the row.
    BestPeer(f64),
    /// At most this share of the best of these.
    BestOf(f64, &'static [Peer]),
    /// At most this much.
    Absolute(f64),
    /// For information only.
    None,
}

/// One line of the report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// What is measured.
    pub(crate) workload: Workload,
    /// Worker threads of every runtime in the row.
    pub(crate) workers: usize,
    /// Who can do it, in the order of a round.
    pub(crate) peers: &'static [Peer],
    /// What the figures are.
    pub(crate) unit: Unit,
    /// What is promised.
    pub(crate) bar: Bar,
    /// Replaces the workload's usual size.
    pub(crate) size: Option<u64>,
}

const FIBERS: &[Peer] = &[Ours, Tokio, May, Go];
const FIBERS_AND_THREADS: &[Peer] = &[Ours, Tokio, May, Threads, Go];
const TOKIO_AND_GO: &[Peer] = &[Tokio, Go];
/// may sleeps and has nothing else of the kind, and its stacks are too many mappings for `sleepers`.
const TIMEKEEPERS: &[Peer] = &[Ours, Tokio, Go];

/// The parts of `timeout`, with and without by turns.
pub(crate) const TURNS: u64 = 10;

/// Our promise for a parked fiber: one page of stack and what surrounds it, 4.8 KiB.
const PARKED_BYTES_MAX: f64 = 4.8 * 1024.0;

/// The rows of a suite. `full` adds those that take long or need much memory.
pub(crate) fn rows(suite: Suite, workers: usize, full: bool) -> Vec<Row> {
    match suite {
        Suite::Cpu => cpu_rows(workers, full),
        Suite::Time => time_rows(workers),
    }
}

fn cpu_rows(workers: usize, full: bool) -> Vec<Row> {
    let row = |workload, workers, peers, unit, bar| Row {
        workload,
        workers,
        peers,
        unit,
        bar,
        size: None,
    };
    let half = Bar::BestPeer(0.5);
    let quarter = Bar::BestOf(0.25, TOKIO_AND_GO);
    let ns = Unit::NsPerOp;
    let mut rows = vec![
        row(Workload::Yield1, 1, FIBERS, ns, half),
        row(Workload::Yield1Two, 1, FIBERS, ns, half),
        // Ahead is what is promised here: fibers that start together stay where they started.
        row(Workload::Yield2, workers, FIBERS, ns, Bar::BestPeer(1.0)),
        row(Workload::SpawnJoin, 1, FIBERS, ns, half),
        row(Workload::SpawnJoin, workers, FIBERS_AND_THREADS, ns, half),
        row(Workload::SpawnMany, 1, FIBERS, ns, half),
        row(Workload::SpawnMany, workers, FIBERS_AND_THREADS, ns, half),
        row(
            Workload::Skynet,
            workers,
            FIBERS,
            Unit::Ms,
            Bar::BestPeer(1.0 / 6.0),
        ),
        row(
            Workload::Fib,
            workers,
            FIBERS,
            Unit::Ms,
            Bar::BestPeer(1.0 / 3.0),
        ),
        row(
            Workload::ForkJoin,
            workers,
            &[Ours, Rayon],
            Unit::Ms,
            Bar::BestPeer(1.2),
        ),
        row(Workload::PingPong, 1, FIBERS, ns, quarter),
        row(Workload::PingPong, workers, FIBERS_AND_THREADS, ns, quarter),
        row(Workload::PingPongLocal, workers, &[Ours], ns, Bar::None),
        row(
            Workload::ForeignWake,
            workers,
            &[Ours, Tokio, May, Threads],
            ns,
            Bar::BestOf(1.0, &[Tokio]),
        ),
        row(
            Workload::ParkedMemory,
            workers,
            FIBERS,
            Unit::Bytes,
            Bar::Absolute(PARKED_BYTES_MAX),
        ),
    ];
    if workers > 1 {
        let at = rows.len() - 2;
        rows.insert(
            at,
            row(Workload::PingPongApart, workers, &[Ours], ns, Bar::None),
        );
    }
    if full {
        let mut million = rows[rows.len() - 1];
        million.size = Some(1_000_000);
        million.peers = &[Ours, Tokio, Go];
        rows.push(million);
    }
    rows
}

fn time_rows(workers: usize) -> Vec<Row> {
    let row = |workload, workers, peers, unit| Row {
        workload,
        workers,
        peers,
        unit,
        bar: Bar::None,
        size: None,
    };
    vec![
        row(Workload::Timeout, 1, TIMEKEEPERS, Unit::NsPerOp),
        row(Workload::Sleepers, workers, TIMEKEEPERS, Unit::CpuSeconds),
        row(
            Workload::SleepersAgain,
            workers,
            TIMEKEEPERS,
            Unit::CpuSeconds,
        ),
        row(Workload::Intervals, workers, TIMEKEEPERS, Unit::CpuSeconds),
        row(Workload::Deadlines, workers, TIMEKEEPERS, Unit::CpuNsPerOp),
        row(Workload::Late, workers, FIBERS, Unit::Us),
        row(Workload::Sleep50us, 1, FIBERS, Unit::Us),
    ]
}

/// The usual size, chosen so that a child runs for 0.2 to 1 s where it need not wait for time to
/// pass.
///
/// Where the size changes what is measured, it is the same for all; [`reduced`] tells who gets
/// less.
pub(crate) fn size(workload: Workload, peer: Peer, quick: bool) -> u64 {
    let size = match (workload, peer) {
        (Workload::Yield1 | Workload::Yield2, Ours | May) => 20_000_000,
        (Workload::Yield1 | Workload::Yield2, _) => 5_000_000,
        (Workload::Yield1Two, Ours | May) => 20_000_000,
        (Workload::Yield1Two, _) => 2_000_000,
        (Workload::SpawnJoin, Ours) => 4_000_000,
        (Workload::SpawnJoin, May | Threads) => 20_000,
        (Workload::SpawnJoin, _) => 1_000_000,
        (Workload::SpawnMany, Threads) => 2_000,
        (Workload::SpawnMany, _) => 200_000,
        (Workload::Skynet, _) => 1_000_000,
        (Workload::Fib, _) => 27,
        (Workload::ForkJoin, _) => 32,
        (Workload::PingPong, Threads) => 10_000,
        (Workload::PingPong | Workload::PingPongLocal, Ours | May) => 5_000_000,
        (Workload::PingPong | Workload::PingPongLocal, _) => 2_000_000,
        (Workload::PingPongApart | Workload::ForeignWake, _) => 20_000,
        (Workload::ParkedMemory, May) => 20_000,
        (Workload::ParkedMemory, _) => 100_000,
        (Workload::Timeout, Ours) => 5_000_000,
        (Workload::Timeout, _) => 500_000,
        (Workload::Sleepers | Workload::SleepersAgain, _) => 1_000_000,
        (Workload::Intervals | Workload::Deadlines, _) => 1_000_000,
        (Workload::Late, _) => 10_000,
        (Workload::Sleep50us, _) => 2_000,
    };
    match workload {
        _ if !quick => size,
        Workload::Sleepers | Workload::SleepersAgain => size / 100,
        Workload::Intervals => size / 500,
        Workload::Fib => 20,
        Workload::ForkJoin => 25,
        Workload::Skynet => size / 100,
        _ => size / 20,
    }
}

/// Whether `peer` gets a smaller size in a row whose figure depends on the size: it cannot do more.
pub(crate) fn reduced(workload: Workload, peer: Peer) -> bool {
    matches!(
        (workload, peer),
        (Workload::SpawnMany, Threads) | (Workload::ParkedMemory, May)
    )
}

/// `200k`, `1M`, or the number itself.
pub(crate) fn short(count: u64) -> String {
    match count {
        0 => "0".to_string(),
        _ if count.is_multiple_of(1_000_000) => format!("{}M", count / 1_000_000),
        _ if count.is_multiple_of(1_000) => format!("{}k", count / 1_000),
        _ => count.to_string(),
    }
}
