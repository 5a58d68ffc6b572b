//! The rows of the cpu suite, their bars and their sizes.

use super::{FIBERS, Row, Unit, Workload};
use crate::bars::Bar;
use crate::peers::Peer::{self, Floor, Go, May, Ours, Rayon, Threads, Tokio};

const FIBERS_AND_THREADS: &[Peer] = &[Ours, Tokio, May, Threads, Go];
const TOKIO_AND_GO: &[Peer] = &[Tokio, Go];

/// Our promise for a parked fiber: one page of stack and what surrounds it, 4.8 KiB.
const PARKED_BYTES_MAX: f64 = 4.8 * 1024.0;

/// All rows. `full` adds those that take long or need much memory.
pub(super) fn rows(workers: usize, full: bool) -> Vec<Row> {
    let row = |workload, workers, peers, unit, bars| Row {
        workload,
        workers,
        peers,
        unit,
        bars,
        size: None,
    };
    let half: &[Bar] = &[Bar::BestPeer(0.5)];
    let quarter: &[Bar] = &[Bar::BestOf(0.25, TOKIO_AND_GO)];
    let ns = Unit::NsPerOp;
    let mut rows = vec![
        row(Workload::Yield1, 1, FIBERS, ns, half),
        row(Workload::Yield1Two, 1, FIBERS, ns, half),
        // Ahead is what is promised here: fibers that start together stay where they started.
        row(Workload::Yield2, workers, FIBERS, ns, &[Bar::BestPeer(1.0)]),
        row(Workload::SpawnJoin, 1, FIBERS, ns, half),
        row(Workload::SpawnJoin, workers, FIBERS_AND_THREADS, ns, half),
        row(Workload::SpawnMany, 1, FIBERS, ns, half),
        row(Workload::SpawnMany, workers, FIBERS_AND_THREADS, ns, half),
        row(
            Workload::Skynet,
            workers,
            FIBERS,
            Unit::Ms,
            &[Bar::BestPeer(1.0 / 6.0)],
        ),
        row(
            Workload::Fib,
            workers,
            FIBERS,
            Unit::Ms,
            &[Bar::BestPeer(1.0 / 3.0)],
        ),
        row(
            Workload::ForkJoin,
            workers,
            &[Ours, Rayon],
            Unit::Ms,
            &[Bar::BestPeer(1.2)],
        ),
        row(Workload::PingPong, 1, FIBERS, ns, quarter),
        row(Workload::PingPong, workers, FIBERS_AND_THREADS, ns, quarter),
        row(Workload::PingPongLocal, workers, &[Ours], ns, &[]),
        row(
            Workload::ForeignWake,
            workers,
            &[Ours, Tokio, May, Threads],
            ns,
            &[Bar::BestOf(1.0, &[Tokio])],
        ),
        row(
            Workload::ParkedMemory,
            workers,
            FIBERS,
            Unit::Bytes,
            &[Bar::Absolute(PARKED_BYTES_MAX)],
        ),
    ];
    if workers > 1 {
        let at = rows.len() - 2;
        rows.insert(at, row(Workload::PingPongApart, workers, &[Ours], ns, &[]));
    }
    if full {
        let mut million = rows[rows.len() - 1];
        million.size = Some(1_000_000);
        million.peers = &[Ours, Tokio, Go];
        rows.push(million);
    }
    rows
}

/// The usual size of a workload of this suite.
pub(super) fn size(workload: Workload, peer: Peer, quick: bool) -> Option<u64> {
    let size = match (workload, peer) {
        (Workload::Yield1 | Workload::Yield2, Ours | May | Floor) => 20_000_000,
        (Workload::Yield1 | Workload::Yield2, _) => 5_000_000,
        (Workload::Yield1Two, Ours | May | Floor) => 20_000_000,
        (Workload::Yield1Two, _) => 2_000_000,
        (Workload::SpawnJoin, Ours | Floor) => 4_000_000,
        (Workload::SpawnJoin, May | Threads) => 20_000,
        (Workload::SpawnJoin, _) => 1_000_000,
        (Workload::SpawnMany, Threads) => 2_000,
        (Workload::SpawnMany, _) => 200_000,
        (Workload::Skynet, _) => 1_000_000,
        (Workload::Fib, _) => 27,
        (Workload::ForkJoin, _) => 32,
        (Workload::PingPong, Threads) => 10_000,
        (Workload::PingPong | Workload::PingPongLocal, Ours | May | Floor) => 5_000_000,
        (Workload::PingPong | Workload::PingPongLocal, _) => 2_000_000,
        (Workload::PingPongApart, _) => 40_000,
        (Workload::ForeignWake, _) => 20_000,
        (Workload::ParkedMemory, May) => 20_000,
        (Workload::ParkedMemory, _) => 100_000,
        _ => return None,
    };
    Some(match workload {
        _ if !quick => size,
        Workload::Fib => 20,
        Workload::ForkJoin => 25,
        Workload::Skynet => size / 100,
        _ => size / 20,
    })
}
