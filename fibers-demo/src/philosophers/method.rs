//! Three ways to take two forks. Each one breaks the ring in which everybody holds a fork and waits for the next.

use std::time::Duration;

use clap::ValueEnum;
use fibers::sync::{MutexGuard, SemaphorePermit, TryLockError};

use crate::chance;
use crate::philosophers::table::{self, Fork, Table};

/// How long a greedy philosopher reaches for its second fork at first. After each try in vain twice as long: at a
/// large table a turn takes longer than any constant, and whoever gives up before it comes would starve.
const REACH: Duration = Duration::from_micros(200);
const DOUBLINGS_MAX: u32 = 12;
/// How long it then lets go of the first one at the most.
const REST_MAX: Duration = Duration::from_micros(400);

/// Which fork comes first, and what becomes of it if the second cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Forks of even numbers before those of odd ones
    Ordered,
    /// A waiter lets all but one to the table
    Waiter,
    /// The left fork first; put back if the right one cannot be had soon
    Greedy,
}

/// Two forks in hand, and with them the leave to hold them.
pub struct Forks<'a> {
    /// The first and the second one that was taken.
    pub both: [MutexGuard<'a, Fork>; 2],
    /// Given back after the forks.
    _leave: Option<SemaphorePermit<'a>>,
}

impl Method {
    /// All of them, in the order in which they run.
    pub const ALL: [Method; 3] = [Method::Ordered, Method::Waiter, Method::Greedy];

    /// As it is spelt in `--method`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Ordered => "ordered",
            Method::Waiter => "waiter",
            Method::Greedy => "greedy",
        }
    }

    /// What it does, and so why it does not get stuck.
    pub fn rule(self) -> &'static str {
        match self {
            Method::Ordered => {
                "even forks before odd ones; no ring can close, and chains stay short"
            }
            Method::Waiter => "a semaphore lets all but one reach for forks",
            Method::Greedy => "lock_timeout for the right fork; in vain, the left one goes back",
        }
    }

    /// Waits for the two forks of this place. Cancellation ends the wait.
    pub fn take(self, table: &Table, place: usize) -> Forks<'_> {
        let (left, right) = table.forks_of(place);
        match self {
            Method::Ordered => {
                // By the number alone no ring could close either, but all wait for their right neighbours then.
                let mut both = [left, right];
                both.sort_by_key(|fork| (fork % 2, *fork));
                Forks {
                    both: both.map(|fork| table.take(fork)),
                    _leave: None,
                }
            }
            Method::Waiter => {
                let leave = table.waiter.acquire().expect("nobody closes it");
                Forks {
                    both: [left, right].map(|fork| table.take(fork)),
                    _leave: Some(leave),
                }
            }
            Method::Greedy => greedy(table, place, left, right),
        }
    }
}

fn greedy(table: &Table, place: usize, left: usize, right: usize) -> Forks<'_> {
    let mut tries: u32 = 0;
    loop {
        let first = table.take(left);
        match table.forks[right].lock_timeout(REACH * (1 << tries.min(DOUBLINGS_MAX))) {
            Ok(second) => {
                return Forks {
                    both: [first, second],
                    _leave: None,
                };
            }
            Err(TryLockError::WouldBlock) => drop(first),
            Err(TryLockError::Poisoned(_)) => panic!("{}", table::POISONED),
        }
        table.seats[place].note_put_back();
        tries += 1;
        // For times that differ, lest all take their left forks together again.
        fibers::sleep(REST_MAX.mul_f64(chance::unit(place as u64, tries.into())));
    }
}
