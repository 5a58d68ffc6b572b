//! Every fiber runs, once, whoever takes it, and the counters say so.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::common::{self, Latch, eventually, in_both_modes, scaled};

#[test]
fn a_deep_tree_of_fibers_runs_every_leaf_once() {
    fn tree(depth: u32, leaves: &Arc<AtomicU64>) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let children: Vec<_> = (0..4)
            .map(|_| {
                let leaves = Arc::clone(leaves);
                fibers::spawn(move || tree(depth - 1, &leaves))
            })
            .collect();
        for child in children {
            child.join().unwrap();
        }
    }
    in_both_modes(120, 4, |_, machine, _| {
        let depth = if common::stress() { 10 } else { 7 };
        let leaves = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&leaves);
        machine.run(move || tree(depth, &counted));
        assert_eq!(leaves.load(Ordering::Relaxed), 4u64.pow(depth));
    });
}

/// K28: unique numbers through thieves.
#[test]
fn every_fiber_runs_exactly_once_whoever_takes_it() {
    in_both_modes(120, 4, |_, machine, _| {
        let count = scaled(200_000, 20_000_000);
        let seen: Arc<Vec<AtomicU64>> =
            Arc::new((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect());
        let twice = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Latch::new(count));
        machine.run({
            let (seen, twice, done) = (Arc::clone(&seen), Arc::clone(&twice), Arc::clone(&done));
            move || {
                for n in 0..count {
                    let (seen, twice, done) =
                        (Arc::clone(&seen), Arc::clone(&twice), Arc::clone(&done));
                    drop(fibers::spawn(move || {
                        let bit = 1 << (n % 64);
                        if seen[n / 64].fetch_or(bit, Ordering::Relaxed) & bit != 0 {
                            twice.fetch_add(1, Ordering::Relaxed);
                        }
                        for _ in 0..n % 50 {
                            spin_loop();
                        }
                        done.arrive();
                    }));
                }
                done.wait();
            }
        });
        assert_eq!(twice.load(Ordering::Relaxed), 0);
        let ran: u32 = seen
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum();
        assert_eq!(ran as usize, count);
    });
}

#[test]
fn the_counters_add_up_when_all_is_done() {
    in_both_modes(60, 3, |_, machine, _| {
        machine.run(|| {
            fibers::scope(|s| {
                for n in 0..500 {
                    s.spawn(move || (0..n % 7).for_each(|_| fibers::yield_now()));
                }
            });
        });
        eventually(|| machine.metrics().finished == 501);
        let metrics = machine.metrics();
        assert_eq!(
            (metrics.spawned, metrics.started, metrics.panicked),
            (501, 501, 0)
        );
        assert_eq!((metrics.workers, metrics.parked), (3, 0));
        let stacks = metrics.stacks_in_use + metrics.stacks_pooled;
        assert!((1..600).contains(&stacks), "{metrics:?}");
    });
}
