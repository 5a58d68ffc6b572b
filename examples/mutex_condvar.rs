//! A bounded buffer from a Mutex and two Condvars, as it is written with `std::sync`: only the `use` line is ours.
//!
//! `cargo run --release --example mutex_condvar`

use std::collections::VecDeque;

use fibers::sync::{Condvar, Mutex};

/// At most so many wait in the buffer.
const ROOM: usize = 8;
const PRODUCERS: u64 = 100;
const EACH: u64 = 1000;

#[derive(Default)]
struct Buffer {
    items: Mutex<VecDeque<u64>>,
    not_empty: Condvar,
    not_full: Condvar,
}

impl Buffer {
    fn put(&self, item: u64) {
        let items = self.items.lock().unwrap();
        // The wait unlocks the mutex and locks it again. It blocks this fiber, not the worker under it.
        let mut items = self
            .not_full
            .wait_while(items, |items| items.len() == ROOM)
            .unwrap();
        items.push_back(item);
        // Unlocked first, so that who is woken need not wait for the mutex.
        drop(items);
        self.not_empty.notify_one();
    }

    fn take(&self) -> u64 {
        let items = self.items.lock().unwrap();
        let mut items = self
            .not_empty
            .wait_while(items, |items| items.is_empty())
            .unwrap();
        let item = items.pop_front().expect("it is not empty");
        drop(items);
        self.not_full.notify_one();
        item
    }
}

fn main() {
    let buffer = Buffer::default();
    let sum: u64 = fibers::scope(|scope| {
        for producer in 0..PRODUCERS {
            let buffer = &buffer;
            scope.spawn(move || (0..EACH).for_each(|number| buffer.put(producer * EACH + number)));
        }
        (0..PRODUCERS * EACH).map(|_| buffer.take()).sum()
    });
    assert_eq!(sum, (0..PRODUCERS * EACH).sum());
    println!(
        "{PRODUCERS} producers, room for {ROOM}: {} items add up to {sum}",
        PRODUCERS * EACH
    );
}
