//! The deque beside a model, and under real threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{BATCH_MAX, Owner, ROOM_MIN};

/// xorshift64*, by Marsaglia and Vigna.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

#[test]
fn newest_for_the_owner_oldest_for_thieves() {
    let owner = Owner::new();
    let thief = owner.thief();
    assert!(owner.is_empty() && thief.is_empty());
    assert_eq!(
        (owner.pop(), owner.pop_oldest(), thief.steal()),
        (None, None, None)
    );
    (0..4).for_each(|item| owner.push(item));
    assert_eq!((owner.len(), thief.len()), (4, 4));
    assert_eq!(owner.pop(), Some(3));
    assert_eq!(thief.steal(), Some(0));
    assert_eq!(owner.pop_oldest(), Some(1));
    assert_eq!(owner.pop(), Some(2));
    assert_eq!(
        (owner.pop(), owner.pop_oldest(), thief.steal()),
        (None, None, None)
    );
    owner.push(4);
    assert_eq!(owner.pop(), Some(4));
}

#[test]
fn a_thief_takes_half_and_keeps_the_order() {
    let owner = Owner::new();
    let own = Owner::new();
    (0..9).for_each(|item| owner.push(item));
    assert_eq!(owner.thief().steal_half(&own), Some(4));
    let kept: Vec<_> = std::iter::from_fn(|| own.pop()).collect();
    assert_eq!(kept, [3, 2, 1, 0]);
    (9..1000).for_each(|item| owner.push(item));
    let last = 4 + BATCH_MAX as i32;
    assert_eq!(owner.thief().steal_half(&own), Some(last));
    assert_eq!(own.len(), BATCH_MAX - 1);
}

#[test]
fn it_is_what_a_vec_deque_is() {
    let mut random = Random(0x5eed);
    let (owner, own) = (Owner::new(), Owner::new());
    let thief = owner.thief();
    let mut model = VecDeque::new();
    for item in 0..200_000_u64 {
        // Now it fills, now it empties.
        let fills = item / 5_000 % 2 == 0;
        match random.below(if fills { 20 } else { 8 }) {
            0 => assert_eq!(owner.pop_oldest(), model.pop_front()),
            1 => assert_eq!(thief.steal(), model.pop_front()),
            2 => {
                // Fewer, if the owner has left so few to the lock.
                let last = thief.steal_half(&own);
                let count = own.len() + usize::from(last.is_some());
                let most = model.len().div_ceil(2).min(BATCH_MAX);
                assert!(count <= most && (count > 0 || most == 0));
                let mut stolen: Vec<_> = model.drain(..count).collect();
                assert_eq!(last, stolen.pop());
                stolen.reverse();
                assert_eq!(std::iter::from_fn(|| own.pop()).collect::<Vec<_>>(), stolen);
            }
            3..=5 => assert_eq!(owner.pop(), model.pop_back()),
            _ => {
                owner.push(item);
                model.push_back(item);
            }
        }
        assert_eq!((owner.len(), thief.len()), (model.len(), model.len()));
    }
}

/// One owner and two thieves: each item is taken once, and the owner finds what is left.
fn stampede(items: usize, most: usize) {
    let owner = Owner::new();
    let taken: Vec<_> = (0..items).map(|_| AtomicUsize::new(0)).collect();
    let take = |item: usize| taken[item].fetch_add(1, Ordering::Relaxed);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for half in [false, true] {
            let (thief, over, take) = (owner.thief(), &over, &take);
            scope.spawn(move || {
                let own = Owner::new();
                while !over.load(Ordering::Acquire) {
                    let stolen = if half {
                        thief.steal_half(&own)
                    } else {
                        thief.steal()
                    };
                    for item in stolen.into_iter().chain(std::iter::from_fn(|| own.pop())) {
                        take(item);
                    }
                }
            });
        }
        let mut random = Random(7);
        let mut next = 0;
        while next < items {
            for _ in 0..random.below(most as u64) {
                if next < items {
                    owner.push(next);
                    next += 1;
                }
            }
            for _ in 0..random.below(most as u64) {
                match owner.pop() {
                    Some(item) => take(item),
                    None => break,
                };
            }
        }
        while let Some(item) = owner.pop() {
            take(item);
        }
        assert!(owner.is_empty());
        over.store(true, Ordering::Release);
    });
    let lost = taken
        .iter()
        .filter(|taken| taken.load(Ordering::Relaxed) != 1);
    assert_eq!(lost.count(), 0, "lost, or taken twice");
}

#[test]
fn few_items_are_taken_once() {
    stampede(200_000, 4);
}

#[test]
fn many_items_are_taken_once() {
    stampede(500_000, 3 * ROOM_MIN);
}
