//! The merge: selects over the lanes, as many as there are, and puts each source's messages back in order.
//!
//! A message that is early is held until all before it have come. They are on their way in other lanes, which the
//! merge never keeps waiting, so they will.

use std::collections::BTreeMap;

use fibers::channel::{Receiver, Select, Sender};

use crate::pipeline::meter::Meter;
use crate::pipeline::stages::Record;

/// What the merge saw.
#[derive(Debug)]
pub struct Merged {
    /// The most that were held at once.
    pub held_max: u64,
    /// What was still held at the end: whose turn never came.
    pub left: u64,
}

/// One source's messages.
#[derive(Debug, Default)]
struct Order {
    next: u64,
    early: BTreeMap<u64, Record>,
}

/// Passes messages on in order, until no lane is left.
pub fn merge(
    lanes: &[Receiver<Record>],
    ordered: &Sender<Record>,
    sources: u64,
    meter: &Meter,
) -> Merged {
    let mut orders: Vec<Order> = (0..sources).map(|_| Order::default()).collect();
    let (mut held, mut held_max) = (0, 0);
    let mut select = Select::new();
    for lane in lanes {
        select.recv(lane);
    }
    let mut open = lanes.len();
    while open > 0 {
        let chosen = select.select();
        let lane = chosen.index();
        let Ok(record) = chosen.recv(&lanes[lane]) else {
            select.remove(lane);
            open -= 1;
            continue;
        };
        meter.count_and_look(|| lanes.iter().map(Receiver::len).sum());
        let order = &mut orders[record.source as usize];
        order.early.insert(record.place, record);
        held += 1;
        while let Some(next) = order.early.remove(&order.next) {
            order.next += 1;
            held -= 1;
            if ordered.send(next).is_err() {
                return Merged {
                    held_max,
                    left: held,
                };
            }
        }
        held_max = held_max.max(held);
    }
    Merged {
        held_max,
        left: held,
    }
}

#[cfg(test)]
mod tests {
    use fibers::channel;

    use super::*;

    #[test]
    fn what_is_early_is_held_until_its_turn() {
        let record = |source, place| Record {
            source,
            place,
            value: 0,
            result: 0,
        };
        let (one, one_out) = channel::unbounded();
        let (two, two_out) = channel::unbounded();
        for early in [record(0, 2), record(1, 1), record(0, 1)] {
            one.send(early).unwrap();
        }
        for rest in [record(1, 0), record(0, 0), record(1, 3)] {
            two.send(rest).unwrap();
        }
        drop((one, two));
        let (ordered, ordered_out) = channel::unbounded();
        let meter = Meter::default();
        let merged = merge(&[one_out, two_out], &ordered, 2, &meter);
        drop(ordered);
        let came: Vec<Record> = ordered_out.iter().collect();
        for source in 0..2 {
            let places = came.iter().filter(|record| record.source == source);
            assert!(places.map(|record| record.place).eq(0..3 - source));
        }
        assert_eq!(merged.left, 1);
        assert_eq!(meter.done(), 6);
    }
}
