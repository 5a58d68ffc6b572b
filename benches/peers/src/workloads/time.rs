//! The rows of the time suite and their sizes.

use super::{Bar, FIBERS, Row, Unit, Workload};
use crate::peers::Peer::{self, Go, Ours, Tokio};

/// may sleeps and has nothing else of the kind, and its stacks are too many mappings for `sleepers`.
const TIMEKEEPERS: &[Peer] = &[Ours, Tokio, Go];

/// All rows.
pub(super) fn rows(workers: usize) -> Vec<Row> {
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

/// The usual size of a workload of this suite.
pub(super) fn size(workload: Workload, peer: Peer, quick: bool) -> Option<u64> {
    let size = match (workload, peer) {
        (Workload::Timeout, Ours) => 5_000_000,
        (Workload::Timeout, _) => 500_000,
        (Workload::Sleepers | Workload::SleepersAgain, _) => 1_000_000,
        (Workload::Intervals | Workload::Deadlines, _) => 1_000_000,
        (Workload::Late, _) => 10_000,
        (Workload::Sleep50us, _) => 2_000,
        _ => return None,
    };
    Some(match workload {
        _ if !quick => size,
        Workload::Sleepers | Workload::SleepersAgain => size / 100,
        Workload::Intervals => size / 500,
        _ => size / 20,
    })
}
