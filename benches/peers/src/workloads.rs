//! Workloads, and what a row consists of. Data, no measuring.
//!
//! The rows of each suite, their bars and their sizes are in a file of their own.

mod cpu;
mod sync;
mod time;

use clap::ValueEnum;

use crate::bars::Bar;
use crate::latency::NEVER;
use crate::peers::Peer::{self, Go, May, Ours, Threads, Tokio};

/// A family of rows; one subcommand each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Scheduling without IO or timers.
    Cpu,
    /// Timers.
    Time,
    /// Channels, locks, and what else tasks wait for each other with.
    Sync,
}

impl Suite {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::Cpu => "cpu",
            Suite::Time => "time",
            Suite::Sync => "sync",
        }
    }
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
    /// Two tasks send one message to and fro over two channels of capacity one.
    #[value(name = "chan1")]
    Chan1,
    /// The same, our fibers forced onto different workers.
    #[value(name = "chan1-apart")]
    Chan1Apart,
    /// The same over channels without capacity: sender and receiver meet.
    #[value(name = "chan0")]
    Chan0,
    /// Producers send to one consumer, at most 100 messages ahead.
    #[value(name = "mpsc100")]
    Mpsc100,
    /// Producers send to one consumer.
    #[value(name = "mpsc")]
    Mpsc,
    /// Producers send to several consumers, at most 100 messages ahead.
    #[value(name = "mpmc100")]
    Mpmc100,
    /// Producers send to several consumers.
    #[value(name = "mpmc")]
    Mpmc,
    /// One task locks and unlocks: nobody else wants the lock.
    #[value(name = "mutex1")]
    Mutex1,
    /// 8 tasks increment a number under one lock.
    #[value(name = "mutex8")]
    Mutex8,
    /// 64 tasks do.
    #[value(name = "mutex64")]
    Mutex64,
    /// 8 tasks compute for some microsecond under one lock.
    #[value(name = "mutex8-long")]
    Mutex8Long,
    /// 64 tasks do.
    #[value(name = "mutex64-long")]
    Mutex64Long,
    /// 8 tasks read what is locked, and now and then one of them writes it.
    #[value(name = "rwlock")]
    RwLock,
    /// Two tasks hand a turn to and fro, under a mutex and by a condition variable.
    #[value(name = "condvar")]
    Condvar,
    /// 8 tasks share two permits, each for an increment.
    #[value(name = "semaphore")]
    Semaphore,
    /// The same, each for a yield: so that the others are really kept waiting.
    #[value(name = "semaphore-yield")]
    SemaphoreYield,
    /// One task selects one of 8 receives, all ready, and sends what it got back.
    #[value(name = "select8+send")]
    Select8Send,
    /// One task makes a channel, sends one value through it to itself, and drops it.
    #[value(name = "oneshot")]
    Oneshot,
    /// One task sends requests to another, each with a fresh channel for the reply.
    #[value(name = "reply")]
    Reply,
    /// So many tasks are spawned and joined.
    #[value(name = "grow-spawn")]
    GrowSpawn,
    /// So many tasks are woken, and report.
    #[value(name = "grow-wake")]
    GrowWake,
    /// One task yields under a timeout while so many timeouts are pending.
    #[value(name = "grow-timers")]
    GrowTimers,
    /// Yields, messages, spawns and joins, on so many workers.
    #[value(name = "grow-workers")]
    GrowWorkers,
    /// 200 tasks yield, spread over so many priorities.
    #[value(name = "grow-priorities")]
    GrowPriorities,
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
            Workload::Mutex64 | Workload::Mutex64Long => 64,
            Workload::Mutex8
            | Workload::Mutex8Long
            | Workload::RwLock
            | Workload::Semaphore
            | Workload::SemaphoreYield => 8,
            _ => 1,
        }
    }

    /// Whether processor and kernel alone can do it, as `peers/floor.rs` has them do it.
    pub(crate) fn has_floor(self) -> bool {
        !matches!(
            self,
            // Nothing is left of these without a runtime but a function call.
            Workload::SpawnMany | Workload::Skynet | Workload::Fib | Workload::ForkJoin
            // Who keeps so many deadlines, and how, is the runtime.
            | Workload::Timeout | Workload::Sleepers | Workload::SleepersAgain
            | Workload::Intervals | Workload::Deadlines
            // What one thread does in place of several that wait for each other is no floor.
            | Workload::SemaphoreYield | Workload::Select8Send
        )
    }

    /// One operation in so many is timed by itself: seldom enough to cost less than 2 % of the row.
    ///
    /// What is timed takes 50 to 500 ns longer, as the clock drains the processor and disturbs its predictions.
    /// Primes: runtimes do something special every 61st, 64th or 128th time.
    pub(crate) fn sampling(self, size: u64) -> u64 {
        match self {
            Workload::Mutex8 | Workload::Mutex64 => 521,
            Workload::Mutex8Long | Workload::Mutex64Long => 67,
            Workload::PingPongApart | Workload::Chan1Apart => 131,
            Workload::ForeignWake => 17,
            // So few only of those that take microseconds.
            Workload::Condvar | Workload::Reply if size < 50_000 => 17,
            Workload::Condvar | Workload::Reply | Workload::SemaphoreYield => 257,
            _ => NEVER,
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
            _ => sync::title(self).to_string(),
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
    /// Yields, spawns, leaves, round trips, tasks, ticks, sleeps, levels, or the argument of fib.
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
    /// What is promised, all of it.
    pub(crate) bars: &'static [Bar],
    /// Replaces the workload's usual size.
    pub(crate) size: Option<u64>,
}

const FIBERS: &[Peer] = &[Ours, Tokio, May, Go];

/// The parts of `timeout`, with and without by turns.
pub(crate) const TURNS: u64 = 10;

/// The rows of a suite. `full` adds those that take long or need much memory.
pub(crate) fn rows(suite: Suite, workers: usize, full: bool) -> Vec<Row> {
    match suite {
        Suite::Cpu => cpu::rows(workers, full),
        Suite::Time => time::rows(workers),
        Suite::Sync => sync::rows(workers),
    }
}

/// The usual size, chosen so that a child runs for 0.2 to 1 s (in the sync suite 0.05 to 0.3 s)
/// where it need not wait for time to pass.
///
/// Where the size changes what is measured, it is the same for all; [`reduced`] tells who gets
/// less.
pub(crate) fn size(workload: Workload, peer: Peer, quick: bool) -> u64 {
    let sizes = [cpu::size, time::size, sync::size];
    sizes
        .iter()
        .find_map(|size| size(workload, peer, quick))
        .expect("every workload is of a suite")
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
