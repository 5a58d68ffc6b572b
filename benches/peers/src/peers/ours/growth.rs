//! The growth suite by this library. Everything is measured inside a fiber.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fibers::channel::{Receiver, Sender, bounded};
use fibers::{Fiber, Priority};

use super::{join, spawn_many, time};
use crate::durations::FAR;
use crate::growth::work::{self, MIXED, PAIRS, RollCall, TIMEOUTS, YIELDERS, YIELDS_EACH};
use crate::sample::Sample;
use crate::workloads::Workload;

/// Runs a workload, if it is of this suite.
pub(super) fn run(workload: Workload, size: u64) -> Option<Sample> {
    match workload {
        Workload::GrowSpawn => Some(spawns(size)),
        Workload::GrowWake => Some(wakes(size)),
        Workload::GrowTimers => Some(timers(size)),
        Workload::GrowWorkers => Some(Sample::warmed(size, mixed)),
        Workload::GrowPriorities => Some(priorities(size)),
        _ => None,
    }
}

fn spawns(tasks: u64) -> Sample {
    spawn_many(tasks);
    let rounds = work::rounds(tasks);
    Sample::timed(rounds * tasks, || {
        (0..rounds).for_each(|_| spawn_many(tasks));
    })
}

/// Answers every call of `roll`.
fn attend(roll: &RollCall, rounds: u64, caller: &Fiber) {
    for round in 1..=rounds {
        while !roll.has_begun(round) {
            fibers::park();
        }
        if roll.report() {
            caller.unpark();
        }
    }
}

fn wakes(tasks: u64) -> Sample {
    let rounds = work::rounds(tasks);
    let roll = Arc::new(RollCall::default());
    let complete = || {
        while !roll.is_complete() {
            fibers::park();
        }
    };
    // All have started when they have answered the first call; the second one is the warm-up.
    roll.begin(tasks);
    let parked: Vec<_> = (0..tasks)
        .map(|_| {
            let (roll, caller) = (roll.clone(), fibers::current());
            fibers::spawn(move || attend(&roll, rounds + 2, &caller))
        })
        .collect();
    complete();
    let call = || {
        roll.begin(tasks);
        parked.iter().for_each(|handle| handle.fiber().unpark());
        complete();
    };
    call();
    Sample::timed(rounds * tasks, || (0..rounds).for_each(|_| call()))
}

fn timers(pending: u64) -> Sample {
    let waiting = Arc::new(AtomicU64::new(0));
    for _ in 0..pending {
        let waiting = waiting.clone();
        fibers::spawn(move || {
            let waited = fibers::timeout(FAR, || {
                waiting.fetch_add(1, Ordering::Relaxed); // a count, nothing is published
                fibers::park();
            });
            waited.expect("nothing here takes a minute");
        });
    }
    while waiting.load(Ordering::Relaxed) < pending {
        fibers::yield_now();
    }
    time::timeouts(TIMEOUTS)
}

fn mixed(operations: u64) {
    let rounds = operations / (PAIRS * MIXED);
    let pair = |_| {
        let (ping, pinged) = bounded(1);
        let (pong, ponged) = bounded(1);
        [
            fibers::spawn(move || ask(&ping, &ponged, rounds)),
            fibers::spawn(move || answer(pinged, pong)),
        ]
    };
    let handles: Vec<_> = (0..PAIRS).flat_map(pair).collect();
    handles.into_iter().for_each(join);
}

fn ask(ping: &Sender<u64>, ponged: &Receiver<u64>, rounds: u64) {
    for round in 0..rounds {
        fibers::yield_now();
        let spawned = join(fibers::spawn(move || round));
        ping.send(spawned).expect("the other fiber listens");
        assert_eq!(ponged.recv(), Ok(round));
    }
}

fn answer(pinged: Receiver<u64>, pong: Sender<u64>) {
    for value in pinged {
        fibers::yield_now();
        pong.send(value).expect("the first fiber listens");
    }
}

/// Levels as they come into use: the default, then those around it.
const LEVELS: [Priority; 8] = [
    Priority::NORMAL,
    Priority::ABOVE,
    Priority::BELOW,
    Priority::HIGH,
    Priority::LOW,
    Priority::REALTIME,
    Priority::LOWEST,
    Priority::IDLE,
];

fn priorities(levels: u64) -> Sample {
    let ran: Arc<Vec<AtomicU64>> = Arc::new((0..levels).map(|_| AtomicU64::new(0)).collect());
    let yielder = |level: usize| {
        let ran = ran.clone();
        let fiber = move || {
            fibers::yield_now();
            ran[level].fetch_add(1, Ordering::Relaxed); // a count, nothing is published
            (1..YIELDS_EACH).for_each(|_| fibers::yield_now());
            // Whoever is done first must not have kept a whole level waiting all the time.
            let starved = ran.iter().position(|ran| ran.load(Ordering::Relaxed) == 0);
            assert_eq!(starved, None, "a level got no turn");
        };
        let builder = fibers::Builder::new().priority(LEVELS[level]);
        builder.spawn(fiber).expect("a fiber is spawned")
    };
    Sample::timed(YIELDERS * YIELDS_EACH, || {
        let handles: Vec<_> = (0..YIELDERS)
            .map(|index| yielder((index % levels) as usize))
            .collect();
        handles.into_iter().for_each(join);
    })
}
