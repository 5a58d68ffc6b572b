//! The reader-writer lock's protocol, walked through at random, one call at a time, with its invariants checked after
//! each. (What lies between the exchanges of one call is for a model.) And a crowd that is let go while others come.

use std::collections::VecDeque;
use std::ptr;

use crate::sync::batch::Batch;
use crate::sync::contend::Claim;
use crate::sync::crowd::{self, Crowd, Place};
use crate::sync::raw_rwlock::{RawRwLock, Record, Want, Wish};

const ACTORS: usize = 7;

/// What one of those who use the lock does now.
enum Actor {
    Idle,
    InLine(Box<Record>, Want, bool),
    Woken(Want),
    Holds(Want),
}

struct Walk {
    lock: RawRwLock,
    actors: Vec<Actor>,
    line: VecDeque<usize>,
    /// So many are on their way to `next`.
    nexts: usize,
    random: u64,
}

impl Walk {
    fn new(seed: u64) -> Self {
        Self {
            lock: RawRwLock::new(),
            actors: (0..ACTORS).map(|_| Actor::Idle).collect(),
            line: VecDeque::new(),
            nexts: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) as usize % n
    }

    fn holders(&self, of: Want) -> usize {
        let holds = |actor: &&Actor| matches!(actor, Actor::Holds(want) if *want == of);
        self.actors.iter().filter(holds).count()
    }

    fn is_woken(&self) -> bool {
        self.actors
            .iter()
            .any(|actor| matches!(actor, Actor::Woken(_)))
    }

    fn is_starved(&self) -> bool {
        self.actors
            .iter()
            .any(|actor| matches!(actor, Actor::InLine(_, _, true)))
    }

    fn is_idle(&self) -> bool {
        self.nexts == 0 && self.actors.iter().all(|actor| matches!(actor, Actor::Idle))
    }

    fn enter(&mut self, me: usize, want: Want, woken: bool) {
        let starved = self.is_starved();
        let got_in = self.lock.try_as(want, woken);
        assert!(!(got_in && starved && !woken), "past one that is starved");
        let record = Box::new(Record::new(ptr::null(), Wish::new(want)));
        // SAFETY: in its box until it is out again.
        if got_in || unsafe { self.lock.enter(&record, woken) } == Claim::Locked {
            self.actors[me] = Actor::Holds(want);
            self.nexts += usize::from(woken && want == Want::Read);
            return;
        }
        self.actors[me] = Actor::InLine(record, want, false);
        if woken {
            self.line.push_front(me);
        } else {
            self.line.push_back(me);
        }
    }

    fn leave(&mut self, me: usize, becomes: Actor) {
        self.line.retain(|other| *other != me);
        self.actors[me] = becomes;
    }

    fn call_next(&mut self) {
        let mut batch = Batch::new();
        if !self.lock.next(&mut batch) {
            self.nexts -= 1;
        }
        for record in batch.into_records() {
            let first = *self.line.front().expect("somebody was in line");
            let Actor::InLine(own, want, _) = &self.actors[first] else {
                unreachable!("in line");
            };
            assert!(ptr::eq(record, &**own), "not the first in line");
            let (want, granted) = (*want, own.what.is_granted());
            self.leave(
                first,
                if granted {
                    Actor::Holds(want)
                } else {
                    Actor::Woken(want)
                },
            );
        }
    }

    fn step(&mut self) {
        if self.nexts > 0 && self.below(3) == 0 {
            return self.call_next();
        }
        let (me, choice) = (self.below(ACTORS), self.below(4));
        match &self.actors[me] {
            Actor::Idle => {
                let want = [Want::Read, Want::Write][choice % 2];
                self.enter(me, want, false);
            }
            Actor::Woken(want) => {
                let want = *want;
                if choice > 0 {
                    self.enter(me, want, true);
                } else {
                    self.actors[me] = match self.lock.give_up(want) {
                        true => Actor::Holds(want),
                        false => Actor::Idle,
                    };
                    self.nexts += 1;
                }
            }
            Actor::Holds(Want::Read) => {
                self.nexts += usize::from(self.lock.unlock_read());
                self.actors[me] = Actor::Idle;
            }
            Actor::Holds(Want::Write) if choice == 0 => {
                self.nexts += usize::from(self.lock.downgrade());
                self.actors[me] = Actor::Holds(Want::Read);
            }
            Actor::Holds(Want::Write) => {
                self.nexts += usize::from(self.lock.unlock_write());
                self.actors[me] = Actor::Idle;
            }
            Actor::InLine(record, ..) if choice == 0 => {
                assert!(self.lock.in_line(record, true));
                self.leave(me, Actor::Idle);
                self.nexts += 1;
            }
            Actor::InLine(record, want, false) if choice == 1 => {
                let want = *want;
                match self.lock.starve(record) {
                    Claim::Locked => self.leave(me, Actor::Holds(want)),
                    Claim::Taken => panic!("nobody has taken it out"),
                    Claim::Waits => {
                        if let Actor::InLine(_, _, starved) = &mut self.actors[me] {
                            *starved = true;
                        }
                    }
                }
            }
            Actor::InLine(..) => {}
        }
    }

    fn check(&self) {
        let (readers, writers) = (self.holders(Want::Read), self.holders(Want::Write));
        assert!(writers <= 1 && (writers == 0 || readers == 0), "together");
        let Some(first) = self.line.front() else {
            return;
        };
        if self.nexts > 0 || self.is_woken() {
            return;
        }
        assert!(readers + writers > 0, "RWLOCK-1: all wait for nobody");
        if readers > 0 {
            let writes = matches!(&self.actors[*first], Actor::InLine(_, Want::Write, _));
            assert!(writes, "RWLOCK-2: a reader waits for readers only");
        }
    }
}

#[test]
fn every_walk_keeps_the_invariants_and_comes_to_an_end() {
    for seed in 0..if cfg!(debug_assertions) {
        2_000
    } else {
        50_000
    } {
        let mut walk = Walk::new(seed);
        for _ in 0..200 {
            walk.step();
            walk.check();
        }
        // Nobody comes any more: all get in, and out.
        for _ in 0..2_000 {
            if walk.is_idle() {
                break;
            }
            while walk.nexts > 0 {
                walk.call_next();
                walk.check();
            }
            let me = walk.below(ACTORS);
            match &walk.actors[me] {
                Actor::Holds(Want::Read) => {
                    walk.nexts += usize::from(walk.lock.unlock_read());
                    walk.actors[me] = Actor::Idle;
                }
                Actor::Holds(Want::Write) => {
                    walk.nexts += usize::from(walk.lock.unlock_write());
                    walk.actors[me] = Actor::Idle;
                }
                Actor::Woken(want) => {
                    let want = *want;
                    walk.enter(me, want, true);
                }
                Actor::Idle | Actor::InLine(..) => {}
            }
            walk.check();
        }
        assert!(
            walk.is_idle() && walk.lock.try_write_fast(),
            "a bit is left"
        );
    }
}

/// CROWD-1.
#[test]
fn who_comes_while_all_are_let_go_stays() {
    let make = || Box::new(crowd::Record::new(ptr::null(), Place::default()));
    let old: Vec<_> = (0..40).map(|_| make()).collect();
    let late: Vec<_> = (0..3).map(|_| make()).collect();
    let mut crowd = Crowd::new();
    for record in &old {
        // SAFETY: in its box until it is out again.
        unsafe { crowd.push(record) };
    }
    let last = crowd.last();
    assert!(crowd.holds(&old[20], true) && !crowd.holds(&old[20], false));
    let mut taken = Vec::new();
    for record in &late {
        let mut batch = Batch::new();
        let more = crowd.take(last, &mut batch);
        taken.extend(batch.into_records());
        assert_eq!(more, taken.len() < 39);
        // SAFETY: as above.
        unsafe { crowd.push(record) };
    }
    let left = old.iter().enumerate().filter(|(n, _)| *n != 20);
    assert!(left.map(|(_, record)| &raw const **record).eq(taken));
    assert_eq!(crowd.len(), 3);
    for record in &late {
        let first = crowd.take_first().expect("one of those that came late");
        assert!(ptr::eq(first, &**record));
    }
}
