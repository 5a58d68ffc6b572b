//! The rows of the time suite, their bars and their sizes.

use super::{FIBERS, Row, Unit, Workload};
use crate::bars::Bar;
use crate::peers::Peer::{self, Go, Ours, Tokio};

/// may sleeps and has nothing else of the kind, and its stacks are too many mappings for `sleepers`.
const TIMEKEEPERS: &[Peer] = &[Ours, Tokio, Go];

/// A timeout is cheap in itself, and cheap beside what others charge.
const TIMEOUT: &[Bar] = &[Bar::Absolute(50.0), Bar::BestOf(0.1, &[Tokio, Go])];
const AS_TOKIO: &[Bar] = &[Bar::BestOf(1.0, &[Tokio])];
const THIRD_OF_TOKIO: &[Bar] = &[Bar::BestOf(1.0 / 3.0, &[Tokio])];
const AHEAD: &[Bar] = &[Bar::BestPeer(1.0)];

/// All rows.
pub(super) fn rows(workers: usize) -> Vec<Row> {
    let row = |workload, workers, peers, unit, bars| Row {
        workload,
        workers,
        peers,
        unit,
        bars,
        size: None,
    };
    let kept = |workload, unit, bars| row(workload, workers, TIMEKEEPERS, unit, bars);
    vec![
        row(Workload::Timeout, 1, TIMEKEEPERS, Unit::NsPerOp, TIMEOUT),
        kept(Workload::Sleepers, Unit::CpuSeconds, AS_TOKIO),
        kept(Workload::SleepersAgain, Unit::CpuSeconds, AS_TOKIO),
        kept(Workload::Intervals, Unit::CpuSeconds, THIRD_OF_TOKIO),
        kept(Workload::Deadlines, Unit::CpuNsPerOp, THIRD_OF_TOKIO),
        row(Workload::Late, workers, FIBERS, Unit::Us, AHEAD),
        row(Workload::Sleep50us, 1, FIBERS, Unit::Us, AHEAD),
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
