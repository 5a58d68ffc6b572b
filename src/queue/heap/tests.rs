//! The heap beside a model: a `BTreeMap` from time and node to nothing.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::{Heap, Placed, ROOT, first_child, parent};

struct Node {
    number: usize,
    row: Cell<u32>,
}

// SAFETY: one cell, for the heap only.
unsafe impl Placed for Node {
    fn row(&self) -> &Cell<u32> {
        &self.row
    }

    fn fetch(_: *const Self) {}
    fn fetch_near(&self) {}
}

fn nodes(count: usize) -> Vec<Node> {
    (0..count)
        .map(|number| Node {
            number,
            row: Cell::new(0),
        })
        .collect()
}

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
fn children_of_a_node_share_an_aligned_group_and_know_their_parent() {
    for place in ROOT..10_000 {
        let first = first_child(place);
        assert_eq!(first % 4, 0);
        for child in first..first + 4 {
            assert_eq!(parent(child), place);
        }
    }
    // No place is skipped: the children of the root begin right after it.
    assert_eq!(first_child(ROOT), ROOT + 1);
}

/// Every operation, at random, beside the model; few distinct times, so that equal ones are common.
fn fuzz(seed: u64, steps: usize, population: usize, times: u64) {
    let nodes = nodes(population);
    let mut random = Random(seed);
    let mut heap = Heap::new();
    let mut model: BTreeMap<(u64, usize), ()> = BTreeMap::new();
    let mut at: Vec<Option<u64>> = vec![None; population];
    for step in 0..steps {
        let node = &nodes[random.below(population as u64) as usize];
        let time = random.below(times);
        match (at[node.number], random.below(4)) {
            (None, 0..=2) => {
                // SAFETY: in no heap, and alive to the end of this function.
                unsafe { heap.push(time, node) };
                model.insert((time, node.number), ());
                at[node.number] = Some(time);
            }
            (Some(before), 0) => {
                heap.remove(node.row.get());
                model.remove(&(before, node.number));
                at[node.number] = None;
            }
            (Some(before), 1 | 2) => {
                heap.move_to(node.row.get(), time);
                model.remove(&(before, node.number));
                model.insert((time, node.number), ());
                at[node.number] = Some(time);
            }
            _ => {
                if let Some((time, first)) = heap.first() {
                    // SAFETY: alive.
                    let first = unsafe { &*first };
                    assert_eq!(at[first.number], Some(time), "seed {seed} step {step}");
                    heap.remove(first.row.get());
                    assert!(model.remove(&(time, first.number)).is_some());
                    at[first.number] = None;
                }
            }
        }
        assert_eq!(heap.len(), model.len(), "seed {seed} step {step}");
        let earliest = model.keys().next().map(|(time, _)| *time);
        assert_eq!(
            heap.first().map(|(time, _)| time),
            earliest,
            "seed {seed} step {step}"
        );
        for node in &nodes {
            let row = node.row.get();
            assert_eq!(row == 0, at[node.number].is_none());
            if let Some(time) = at[node.number] {
                assert_eq!(heap.at_ns(row), time, "seed {seed} step {step}");
            }
        }
    }
    while let Some((time, first)) = heap.first() {
        assert_eq!(model.keys().next().map(|(time, _)| *time), Some(time));
        // SAFETY: alive.
        let first = unsafe { &*first };
        heap.remove(first.row.get());
        model.remove(&(time, first.number));
    }
    assert!(model.is_empty());
}

#[test]
fn it_does_what_a_btreemap_does() {
    for seed in 1..=200 {
        fuzz(seed, 400, 40, 1 + seed % 60);
    }
    fuzz(77, 20_000, 300, u64::MAX);
}

#[test]
fn a_hundred_thousand_come_out_in_order_and_the_memory_goes_back() {
    let nodes = nodes(100_000);
    let mut random = Random(7);
    let mut heap = Heap::new();
    for node in &nodes {
        // SAFETY: in no heap, and alive to the end of this function.
        unsafe { heap.push(random.below(1 << 40), node) };
    }
    let full = heap.capacity();
    let mut last = 0;
    while let Some((time, first)) = heap.first() {
        assert!(last <= time);
        last = time;
        // SAFETY: alive.
        heap.remove(unsafe { &*first }.row.get());
    }
    assert!(nodes.iter().all(|node| node.row.get() == 0));
    assert!(full >= 100_000 && heap.capacity() <= 512);
}
