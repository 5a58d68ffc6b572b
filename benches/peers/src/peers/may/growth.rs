//! The part of the growth suite that may can do: all but timeouts. Its channels are unbounded; with one message
//! under way at a time that makes no difference.

use std::sync::Arc;

use may::coroutine::{self, Coroutine};
use may::sync::mpsc::{self, Receiver, Sender};

use super::{join, spawn, spawn_many};
use crate::growth::work::{self, MIXED, PAIRS, RollCall};
use crate::sample::Sample;
use crate::workloads::Workload;

/// Runs a workload, if it is of this suite and may has the like.
pub(super) fn run(workload: Workload, size: u64) -> Option<Sample> {
    match workload {
        Workload::GrowSpawn => Some(spawns(size)),
        Workload::GrowWake => Some(wakes(size)),
        Workload::GrowWorkers => Some(Sample::warmed(size, mixed)),
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
fn attend(roll: &RollCall, rounds: u64, caller: &Coroutine) {
    for round in 1..=rounds {
        while !roll.has_begun(round) {
            coroutine::park();
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
            coroutine::park();
        }
    };
    // All have started when they have answered the first call; the second one is the warm-up.
    roll.begin(tasks);
    let parked: Vec<_> = (0..tasks)
        .map(|_| {
            let (roll, caller) = (roll.clone(), coroutine::current());
            spawn(move || attend(&roll, rounds + 2, &caller))
        })
        .collect();
    complete();
    let call = || {
        roll.begin(tasks);
        parked.iter().for_each(|handle| handle.coroutine().unpark());
        complete();
    };
    call();
    Sample::timed(rounds * tasks, || (0..rounds).for_each(|_| call()))
}

fn mixed(operations: u64) {
    let rounds = operations / (PAIRS * MIXED);
    let pair = |_| {
        let (ping, pinged) = mpsc::channel();
        let (pong, ponged) = mpsc::channel();
        [
            spawn(move || ask(&ping, &ponged, rounds)),
            spawn(move || answer(&pinged, &pong)),
        ]
    };
    let handles: Vec<_> = (0..PAIRS).flat_map(pair).collect();
    handles.into_iter().for_each(join);
}

fn ask(ping: &Sender<u64>, ponged: &Receiver<u64>, rounds: u64) {
    for round in 0..rounds {
        coroutine::yield_now();
        let spawned = join(spawn(move || round));
        ping.send(spawned).expect("the other coroutine listens");
        assert_eq!(ponged.recv(), Ok(round));
    }
}

fn answer(pinged: &Receiver<u64>, pong: &Sender<u64>) {
    for value in pinged.iter() {
        coroutine::yield_now();
        pong.send(value).expect("the first coroutine listens");
    }
}
