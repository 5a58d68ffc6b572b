//! The rows of the sync suite, their bars and their sizes.

use super::{Row, Unit, Workload};
use crate::bars::Bar;
use crate::peers::Peer::{self, Crossbeam, Floor, Go, May, Ours, ParkingLot, Threads, Tokio};

/// Channels that hold one message. may has only unbounded ones; with one message under way they
/// are as good.
const CHANNELS: &[Peer] = &[Ours, Tokio, May, Threads, Crossbeam, Go];
const LOCKS: &[Peer] = &[Ours, Tokio, May, Threads, ParkingLot, Go];

/// All rows.
pub(super) fn rows(workers: usize) -> Vec<Row> {
    let row = |workload, workers, peers| Row {
        workload,
        workers,
        peers,
        unit: Unit::NsPerOp,
        bars: bars(workload, workers),
        size: None,
    };
    // Threads are on as many cores as they please: no part for them where one worker is asked for.
    let mut rows = vec![
        row(Workload::Chan1, 1, &[Ours, Tokio, May, Go]),
        row(Workload::Chan1, workers, CHANNELS),
        row(Workload::Chan0, 1, &[Ours, Go]),
        row(Workload::Chan0, workers, &[Ours, Threads, Crossbeam, Go]),
        row(
            Workload::Mpsc100,
            workers,
            &[Ours, Tokio, Threads, Crossbeam, Go],
        ),
        row(
            Workload::Mpsc,
            workers,
            &[Ours, Tokio, May, Threads, Crossbeam],
        ),
        row(Workload::Mpmc100, workers, &[Ours, Crossbeam, Go]),
        row(Workload::Mpmc, workers, &[Ours, May, Crossbeam]),
        row(Workload::Mutex1, workers, LOCKS),
        row(Workload::Mutex8, workers, LOCKS),
        row(Workload::Mutex64, workers, LOCKS),
        row(Workload::Mutex8Long, workers, LOCKS),
        row(Workload::Mutex64Long, workers, LOCKS),
        row(Workload::RwLock, workers, LOCKS),
        row(Workload::Condvar, workers, LOCKS),
        row(Workload::Semaphore, workers, &[Ours, Tokio, May, Go]),
        row(Workload::SemaphoreYield, workers, &[Ours, Tokio, May, Go]),
        row(
            Workload::Select8Send,
            workers,
            &[Ours, Tokio, Crossbeam, Go],
        ),
        row(Workload::Oneshot, workers, CHANNELS),
        row(Workload::Reply, workers, CHANNELS),
    ];
    if workers > 1 {
        rows.insert(2, row(Workload::Chan1Apart, workers, &[Ours]));
    }
    rows
}

/// No peer is ahead, and some rows promise more.
fn bars(workload: Workload, workers: usize) -> &'static [Bar] {
    match workload {
        Workload::Chan1 if workers == 1 => &[Bar::BestPeer(1.0 / 3.0)],
        Workload::Mutex1 => &[Bar::BestOf(1.0, &[ParkingLot])],
        Workload::Select8Send => &[Bar::BestPeer(0.5)],
        // Ours alone, for information.
        Workload::Chan1Apart => &[],
        _ => &[Bar::BestPeer(1.0)],
    }
}

/// What the tasks of a workload do, for the table.
pub(super) fn title(workload: Workload) -> &'static str {
    match workload {
        Workload::Chan1 | Workload::Chan0 => "a round trip",
        Workload::Chan1Apart => "a round trip, forced apart",
        Workload::Mpsc100 => "bounded, 4 to 1",
        Workload::Mpsc => "unbounded, 4 to 1",
        Workload::Mpmc100 => "bounded, 4 to 4",
        Workload::Mpmc => "unbounded, 4 to 4",
        Workload::Mutex1 => "1 task, uncontended",
        Workload::Mutex8 => "8 tasks increment",
        Workload::Mutex64 => "64 tasks increment",
        Workload::Mutex8Long => "8 tasks, some 1 us each",
        Workload::Mutex64Long => "64 tasks, some 1 us each",
        Workload::RwLock => "8 tasks, 1 % writes",
        Workload::Condvar => "a round trip",
        Workload::Semaphore => "8 tasks, 2 permits",
        Workload::SemaphoreYield => "the same, held over a yield",
        Workload::Select8Send => "1 of 8 ready, and a send",
        Workload::Oneshot => "make, send, receive, drop",
        Workload::Reply => "request, fresh channel, reply",
        _ => "",
    }
}

/// The usual size of a workload of this suite.
///
/// All are multiples of 12,800, or quick and warm-up sizes would not be shared evenly by the tasks.
pub(super) fn size(workload: Workload, peer: Peer, quick: bool) -> Option<u64> {
    let size = match (workload, peer) {
        // crossbeam spins before it blocks: by what else runs, a round trip takes 0.2 us or 20.
        (Workload::Chan1 | Workload::Chan0 | Workload::Reply, Crossbeam) => 128_000,
        (Workload::Chan1 | Workload::Chan0 | Workload::Reply, Threads) => 12_800,
        (Workload::Chan1 | Workload::Chan0, Ours | Floor) => 1_280_000,
        (Workload::Chan1 | Workload::Chan0, _) => 384_000,
        (Workload::Chan1Apart, _) => 128_000,
        (Workload::Mpsc100, Threads) => 512_000,
        (Workload::Mpsc100 | Workload::Mpsc | Workload::Mpmc100 | Workload::Mpmc, Floor) => {
            19_200_000
        }
        (Workload::Mpsc100 | Workload::Mpsc | Workload::Mpmc100 | Workload::Mpmc, _) => 1_920_000,
        (Workload::Mutex1, Tokio | May) => 1_280_000,
        (Workload::Mutex1, _) => 10_240_000,
        (Workload::Mutex8 | Workload::Mutex64, Tokio | May) => 640_000,
        (Workload::Mutex8 | Workload::Mutex64, _) => 5_120_000,
        (Workload::Mutex8Long | Workload::Mutex64Long, _) => 128_000,
        (Workload::RwLock, May) => 64_000,
        (Workload::RwLock, _) => 3_200_000,
        (Workload::Condvar, Threads | ParkingLot) => 12_800,
        (Workload::Condvar, Ours | Floor) => 1_280_000,
        (Workload::Condvar, _) => 320_000,
        (Workload::Semaphore, Tokio) => 1_280_000,
        (Workload::Semaphore, _) => 5_120_000,
        (Workload::SemaphoreYield, Ours) => 3_200_000,
        (Workload::SemaphoreYield, _) => 192_000,
        (Workload::Select8Send, Ours | Crossbeam) => 1_280_000,
        (Workload::Select8Send, _) => 512_000,
        (Workload::Oneshot, May) => 128_000,
        (Workload::Oneshot, Threads) => 640_000,
        (Workload::Oneshot, _) => 1_280_000,
        (Workload::Reply, Ours | Floor) => 640_000,
        (Workload::Reply, _) => 256_000,
        _ => return None,
    };
    Some(if quick { size / 20 } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::PRODUCERS;

    #[test]
    fn the_tasks_of_a_row_share_its_size_evenly_and_the_producers_also_the_warm_up() {
        for row in rows(2) {
            for (&peer, quick) in row.peers.iter().flat_map(|p| [(p, false), (p, true)]) {
                let size = super::size(row.workload, peer, quick).expect("a size for each row");
                let name = row.workload.name();
                assert_eq!(size % row.workload.tasks(size), 0, "{name}: {size}");
                assert_eq!(size / 10 % PRODUCERS, 0, "{name}: {size}");
            }
        }
    }
}
