//! Floors of the sync suite: messages that are copied, words that are locked, coroutines that take turns.
//!
//! All of it on one thread. What is copied goes through memory, and each lock is an atomic
//! read-modify-write, as it would be were others there.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use corosensei::Coroutine;

use super::stack::Coloured;
use super::{Routine, take_turns};
use crate::sample::Sample;
use crate::section::{CAPACITY, Section, check_sum, steps};
use crate::workloads::{Job, Workload};

/// Runs a workload whose floor is here.
pub(super) fn run(job: &Job) -> Option<Sample> {
    let (workload, size) = (job.workload, job.size);
    let sample = match workload {
        Workload::Chan1 | Workload::Chan0 => Sample::warmed(size, ping_pong),
        Workload::Mpsc100 | Workload::Mpsc | Workload::Mpmc100 | Workload::Mpmc => {
            Sample::warmed(size, ring)
        }
        Workload::Mutex1
        | Workload::Mutex8
        | Workload::Mutex64
        | Workload::Mutex8Long
        | Workload::Mutex64Long
        | Workload::RwLock
        | Workload::Semaphore => {
            let steps = steps(workload);
            Sample::warmed(size, |size| lock(size, steps))
        }
        Workload::Condvar => Sample::warmed(size, hand_over),
        Workload::Oneshot => Sample::warmed(size, oneshot),
        Workload::Reply => Sample::warmed(size, reply),
        _ => return None,
    };
    Some(sample)
}

/// Runs two coroutines by turns, in so many rounds. What they are given is the number of the round.
fn pair(rounds: u64, first: impl FnMut(u64) + 'static, second: impl FnMut(u64) + 'static) {
    take_turns(
        &mut [party(0, rounds, first), party(1, rounds, second)],
        rounds,
    );
}

/// Does its part of each round, and suspends.
fn party(index: u64, rounds: u64, mut part: impl FnMut(u64) + 'static) -> Routine {
    Coroutine::with_stack(Coloured::new(index), move |yielder, ()| {
        for round in 0..rounds {
            part(round);
            yielder.suspend(());
        }
    })
}

/// A buffer of one message for each direction.
fn ping_pong(rounds: u64) {
    let ping = Rc::new(Cell::new(0));
    let pong = Rc::new(Cell::new(0));
    let (pinged, ponged) = (ping.clone(), pong.clone());
    let first = move |round: u64| {
        // What comes back now was sent in the round before.
        assert_eq!(ponged.get(), round.saturating_sub(1));
        ping.set(round);
    };
    let last = pong.clone();
    pair(rounds, first, move |_| pong.set(pinged.get()));
    assert_eq!(last.get(), rounds.saturating_sub(1));
}

/// Each message goes into a ring and out of it.
fn ring(count: u64) {
    let mut ring = [0; CAPACITY];
    let (mut at, mut sum) = (0, 0);
    for message in 0..count {
        black_box(&mut ring)[at] = message;
        sum += black_box(&mut ring)[at];
        at = if at + 1 == CAPACITY { 0 } else { at + 1 };
    }
    check_sum(sum, count);
}

/// A word that says whether it is locked. Nobody waits for it.
#[derive(Default)]
struct Word(AtomicU32);

impl Word {
    #[inline(always)]
    fn lock(&self) {
        let locked = self
            .0
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        assert!(locked.is_ok(), "nobody else locks");
    }

    #[inline(always)]
    fn unlock(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

fn lock(count: u64, steps: u64) {
    let (word, mut section) = (Word::default(), Section::new());
    for _ in 0..count {
        black_box(&word).lock();
        black_box(&mut section).enter(steps);
        black_box(&word).unlock();
    }
    section.check(count);
}

/// Each party finds its turn and gives it away, under the lock.
fn hand_over(rounds: u64) {
    let turn = Rc::new((Word::default(), Cell::new(false)));
    let pass = |mine: bool| {
        let turn = turn.clone();
        move |_| {
            turn.0.lock();
            assert_eq!(turn.1.replace(!mine), mine);
            turn.0.unlock();
        }
    };
    pair(rounds, pass(false), pass(true));
}

/// What must hold a message has to be allocated.
fn oneshot(count: u64) {
    let mut sum = 0;
    for message in 0..count {
        sum += *black_box(Box::new(message));
    }
    check_sum(sum, count);
}

/// The first party allocates, the second answers there, and the first frees.
fn reply(rounds: u64) {
    let request = Rc::new(Cell::new(None::<Box<u64>>));
    let (requested, last) = (request.clone(), request.clone());
    let sum = Rc::new(Cell::new(0));
    let total = sum.clone();
    let first = move |round| {
        if let Some(reply) = request.replace(Some(Box::new(round))) {
            sum.set(sum.get() + *reply);
        }
    };
    pair(rounds, first, move |round| {
        let mut place = requested.take().expect("the first party asks");
        *place = black_box(round);
        requested.set(Some(place));
    });
    check_sum(total.get() + last.take().map_or(0, |reply| *reply), rounds);
}
