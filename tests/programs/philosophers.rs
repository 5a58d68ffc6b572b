//! Dining philosophers: once with forks in a fixed order, once with a waiter who knows who eats.

use super::sync::{Condvar, Mutex, Once, RwLock};
use super::thread;

const SEATS: usize = 5;
const MEALS: usize = 60;

/// Everybody takes the fork with the lower number first.
fn forks_in_order() -> usize {
    let forks: [Mutex<usize>; SEATS] = [const { Mutex::new(0) }; SEATS];
    let log = RwLock::new(Vec::new());
    let laid = Once::new();
    thread::scope(|s| {
        for seat in 0..SEATS {
            let (forks, log, laid) = (&forks, &log, &laid);
            s.spawn(move || {
                laid.call_once(|| log.write().unwrap().reserve(SEATS));
                let (left, right) = (seat, (seat + 1) % SEATS);
                for meal in 0..MEALS {
                    let mut first = forks[left.min(right)].lock().unwrap();
                    if meal % 8 == 0 {
                        thread::yield_now();
                    }
                    let mut second = forks[left.max(right)].lock().unwrap();
                    *first += 1;
                    *second += 1;
                }
                log.write().unwrap().push(seat);
            });
        }
    });
    assert!(laid.is_completed());
    let mut done = log.into_inner().unwrap();
    done.sort_unstable();
    assert_eq!(done, (0..SEATS).collect::<Vec<_>>());
    forks.map(|fork| fork.into_inner().unwrap()).iter().sum()
}

struct Table {
    eating: Mutex<[bool; SEATS]>,
    changed: [Condvar; SEATS],
}

impl Table {
    fn sit(&self, seat: usize) {
        let (left, right) = ((seat + SEATS - 1) % SEATS, (seat + 1) % SEATS);
        let eating = self.eating.lock().unwrap();
        let mut eating = self.changed[seat]
            .wait_while(eating, |eating| eating[left] || eating[right])
            .unwrap();
        eating[seat] = true;
    }

    fn rise(&self, seat: usize) {
        self.eating.lock().unwrap()[seat] = false;
        self.changed[(seat + SEATS - 1) % SEATS].notify_one();
        self.changed[(seat + 1) % SEATS].notify_one();
    }
}

fn a_waiter() -> usize {
    let table = Table {
        eating: Mutex::new([false; SEATS]),
        changed: [const { Condvar::new() }; SEATS],
    };
    let forks: [Mutex<usize>; SEATS] = [const { Mutex::new(0) }; SEATS];
    thread::scope(|s| {
        for seat in 0..SEATS {
            let (table, forks) = (&table, &forks);
            s.spawn(move || {
                for _ in 0..MEALS {
                    table.sit(seat);
                    // Nobody else has them, or the waiter has failed.
                    *forks[seat].try_lock().unwrap() += 1;
                    *forks[(seat + 1) % SEATS].try_lock().unwrap() += 1;
                    thread::yield_now();
                    table.rise(seat);
                }
            });
        }
    });
    forks.map(|fork| fork.into_inner().unwrap()).iter().sum()
}

pub fn run() -> String {
    format!("{} and {}", forks_in_order(), a_waiter())
}
