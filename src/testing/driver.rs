//! Driver: one thread that is all workers of a machine in turn, one step at a time.
//!
//! A step is what a worker does between two moments at which the others' doings matter to it: pick; run one
//! fiber until it switches out; one search; go idle; the last look before the sleep; rise. So whatever can happen
//! between a worker's decision to sleep and its sleep does happen, for some seed. What cannot: anything
//! within a step, such as two workers in the same read-modify-write; that is the models' field.
//!
//! | phase | the worker | next |
//! |---|---|---|
//! | Awake | has a pick, or looks for one at hand, or heeds the control bits | Awake, Seeking, Left |
//! | Seeking | ran dry, and searches once | Awake, GoingIdle |
//! | GoingIdle | registers as idle | LastLook, Rising |
//! | LastLook | is registered, and looks once more | Down, Rising |
//! | Down | sleeps: stepped when notified (for a deadline by `timer.rs`), or when a nap of it ends | Rising, Awake, Down |
//! | Rising | leaves the idle list, and takes what was handed over | Awake |
//! | Left | has left the machine, which stops | |

use std::sync::Arc;

use crate::fiber::header::{FiberRef, Home};
use crate::fiber::reasons::Reasons;
use crate::machine::core::{Looked, Machine};
use crate::machine::sleep::{Down, NapOver};
use crate::machine::wake::wake;
use crate::machine::worker::{Local, Own, Pick, Worker};
use crate::testing::chance::Chance;
use crate::testing::timer::Idle;

/// Where a worker is. See the head of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Awake,
    Seeking,
    GoingIdle,
    LastLook(Down),
    Down(Down),
    Rising,
    Left,
}

/// What the driver remembers of a worker; in a real machine these are locals of its thread.
#[derive(Debug)]
struct Seat {
    phase: Phase,
    next: Option<Pick>,
    seen: Vec<u32>,
    /// It ran a fiber and counted as a searcher all the while.
    searched_busy: bool,
    /// For how many more steps it is passed over.
    stalled: u64,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Driver {
    machine: Arc<Machine>,
    seats: Vec<Seat>,
    pub(super) chance: Chance,
    pub(super) seed: u64,
    pub(super) steps: u64,
    steps_max: u64,
    /// Naps since somebody last had something to do.
    pub(super) naps_in_vain: u32,
}

const STUCK: &str =
    "nothing can go on: a deadlock, a lost wake-up, or a wait for something outside the run";

/// While it lives, the thread is that worker.
struct Turn {
    me: Own,
    before: *const Home,
}

impl Turn {
    fn of(worker: &'static Worker) -> Self {
        // SAFETY: the driver stays on the thread that made it, and is alone in being this machine's workers
        // (no worker thread was started); it holds the machine. So every fiber that started on this worker
        // started on this thread.
        let (me, before) = unsafe { Own::enter(worker) };
        Self { me, before }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        Own::leave(self.before);
    }
}

impl Driver {
    pub(super) fn new(machine: &Arc<Machine>, chance: Chance, seed: u64, steps_max: u64) -> Self {
        let seat = || Seat {
            phase: Phase::Awake,
            next: None,
            seen: Vec::new(),
            searched_busy: false,
            stalled: 0,
        };
        Self {
            machine: Arc::clone(machine),
            seats: machine.workers.iter().map(|_| seat()).collect(),
            chance,
            seed,
            steps: 0,
            steps_max,
            naps_in_vain: 0,
        }
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn searched_busy(&self) -> bool {
        self.seats.iter().any(|seat| seat.searched_busy)
    }

    pub(super) fn phase(&self, index: usize) -> Phase {
        self.seats[index].phase
    }

    /// True if the worker holds a fiber that it has picked and not run yet.
    pub(super) fn holds_pick(&self, index: usize) -> bool {
        self.seats[index].next.is_some()
    }

    /// What belongs to that worker's thread, between two steps.
    pub(super) fn local(&self, index: usize) -> &Local {
        // SAFETY: as in `Turn::of`.
        unsafe { self.machine.workers[index].at_rest() }
    }

    /// How many entries its heap of deadlines has, and when the first comes up.
    pub(super) fn entries(&self, index: usize) -> (u64, u64) {
        // SAFETY: as in `Turn::of`.
        unsafe { self.machine.workers[index].entries(self.machine.config.floating) }
    }

    /// Calls `f` as that worker.
    pub(super) fn as_worker<R>(&self, index: usize, f: impl FnOnce(Own) -> R) -> R {
        f(Turn::of(self.machine.workers[index]).me)
    }

    /// Steps until `done`, or until all workers have left.
    pub(super) fn run_until(&mut self, done: &mut dyn FnMut() -> bool) {
        while !done() {
            if self.seats.iter().all(|seat| seat.phase == Phase::Left) {
                return;
            }
            self.steps += 1;
            if self.steps > self.steps_max {
                self.fail("the run does not end");
            }
            // Of all workers: one that stalls now will go on.
            let able = if (0..self.seats.len()).any(|index| self.is_wanted(index)) {
                self.naps_in_vain = 0;
                self.disturb();
                self.able()
            } else {
                match self.idle() {
                    Idle::Rang => continue,
                    Idle::Nap(nappers) => nappers,
                    Idle::Stuck => {
                        // Perhaps because a deadline is lost, and then that is the news.
                        self.look_at_all_alarms();
                        self.fail(STUCK)
                    }
                }
            };
            let index = self.chance.pick(&able);
            self.tick(self.seats[index].phase == Phase::Seeking);
            self.step(index);
            self.look_for_contradictions();
        }
    }

    /// The workers that may do the next step.
    fn able(&mut self) -> Vec<usize> {
        let mut able: Vec<usize> = (0..self.seats.len())
            .filter(|&index| self.may_step(index))
            .collect();
        // If all stall, that many steps pass at once.
        let seats = &mut self.seats;
        let shortest = able.iter().map(|&index| seats[index].stalled).min();
        able.retain(|&index| {
            let stalled = &mut seats[index].stalled;
            *stalled -= shortest.unwrap_or(0);
            let goes = *stalled == 0;
            *stalled = stalled.saturating_sub(1);
            goes
        });
        // A nap is long beside a step: mostly somebody else goes first.
        if able.iter().any(|&index| self.is_wanted(index)) && !self.chance.nap_ends() {
            able.retain(|&index| self.is_wanted(index));
        }
        able
    }

    fn may_step(&self, index: usize) -> bool {
        self.naps(index) || self.is_wanted(index)
    }

    /// True if the worker is down for a while only.
    pub(super) fn naps(&self, index: usize) -> bool {
        match self.seats[index].phase {
            // While fibers starve, whoever is down gets up now and then to try again for them.
            Phase::Down(down) => down == Down::Sentinel || self.machine.is_starving(),
            _ => false,
        }
    }

    /// True if the worker has something to do; false if all it can do is to end its nap.
    pub(super) fn is_wanted(&self, index: usize) -> bool {
        match self.seats[index].phase {
            Phase::Left => false,
            Phase::Down(_) => self.machine.workers[index].sleep.is_notified(),
            _ => true,
        }
    }

    /// True if the worker is on its way to sleep or back, and looks at the others' caches before it sleeps.
    pub(super) fn will_look(&self, index: usize) -> bool {
        match self.seats[index].phase {
            Phase::Seeking | Phase::GoingIdle | Phase::LastLook(_) | Phase::Rising => true,
            Phase::Down(_) => self.is_wanted(index),
            _ => false,
        }
    }

    fn step(&mut self, index: usize) {
        let turn = Turn::of(self.machine.workers[index]);
        let seat = &mut self.seats[index];
        seat.step(turn.me);
        seat.stalled += turn.me.local().stalled.take();
    }

    /// What may happen at any time: threads that get no CPU, wake-ups for nothing.
    fn disturb(&mut self) {
        let workers = &self.machine.workers;
        if let Some(steps) = self.chance.stall() {
            let stalled = &mut self.seats[self.chance.below(workers.len())].stalled;
            *stalled = steps.max(*stalled);
        }
        if !self.chance.spurious() {
            return;
        }
        let index = self.chance.below(workers.len());
        if self.chance.below(2) == 0 {
            // As a waker of an earlier machine would, that comes late.
            if let Phase::Down(_) = self.seats[index].phase {
                let _ = workers[index].sleep.notify();
            }
            return;
        }
        let Some(fiber) = self.any_fiber(index) else {
            return;
        };
        // Both are hints, that may come for nothing.
        let hint = [Reasons::UNPARK, Reasons::TIMEOUT][self.chance.below(2)];
        // From a worker between two fibers (its home perhaps), or from a foreign thread. Not from one that
        // is on its way to sleep: no fiber runs there.
        let from = self.chance.below(workers.len());
        let awake = self.seats[from].phase == Phase::Awake;
        let turn = awake.then(|| Turn::of(workers[from]));
        // SAFETY: we hold a reference.
        unsafe { wake(fiber.as_ptr(), hint.0) };
        drop(turn);
    }

    /// One of the started fibers at home there.
    fn any_fiber(&self, index: usize) -> Option<FiberRef> {
        let mut fibers = Vec::new();
        self.as_worker(index, |me| {
            me.for_each_fiber(&mut |header| {
                // SAFETY: alive while `for_each_fiber` shows it.
                fibers.push(unsafe { FiberRef::retain(header) });
            });
        });
        if fibers.is_empty() {
            return None;
        }
        let chosen = self.chance.below(fibers.len());
        Some(fibers.swap_remove(chosen))
    }
}

impl Seat {
    /// One step, by the thread that is this worker now. The same calls as in `Own::work_until` and
    /// `Own::sleep`, in the same order.
    fn step(&mut self, me: Own) {
        self.phase = match self.phase {
            Phase::Awake => {
                if let Some(pick) = self.next.take() {
                    me.run(pick);
                    self.searched_busy |= me.local().searching.get();
                    return;
                }
                self.next = me.pick(true);
                if self.next.is_some() {
                    return;
                }
                if me.heed() {
                    me.end_search();
                    Phase::Left
                } else {
                    self.next = me.pick(false);
                    match self.next {
                        Some(_) => Phase::Awake,
                        None => Phase::Seeking,
                    }
                }
            }
            Phase::Seeking => match me.look_elsewhere() {
                Looked::Back(found) => {
                    self.next = found;
                    Phase::Awake
                }
                Looked::Dry => Phase::GoingIdle,
            },
            Phase::GoingIdle => match me.go_idle() {
                Down::Up => Phase::Rising,
                down => Phase::LastLook(down),
            },
            Phase::LastLook(_) if me.sees_news() => Phase::Rising,
            Phase::LastLook(down) => {
                self.seen.clear();
                Phase::Down(down)
            }
            Phase::Down(_) if me.worker().sleep.is_notified() => Phase::Rising,
            Phase::Down(_) if me.machine().is_starving() => {
                me.try_again_for_starved();
                Phase::Rising
            }
            Phase::Down(_) => match me.nap_over(&mut self.seen) {
                NapOver::Rose(robbed) => {
                    self.next = me.come_back(robbed);
                    Phase::Awake
                }
                NapOver::Lies(down) => Phase::Down(down),
            },
            Phase::Rising => {
                let handed = me.rise();
                self.next = me.come_back(handed);
                Phase::Awake
            }
            Phase::Left => Phase::Left,
        };
    }
}
