//! Skynet: a tree of fibers, ten children to a node, whose leaves return their number.
//!
//! The known benchmark of that name. A node spawns its children and joins them; the sum at the root
//! is known beforehand. Shows how cheap a short fiber is: one that has not started has no stack.

use std::panic::resume_unwind;
use std::time::Instant;

use fibers::JoinHandle;

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};

const CHILDREN: u64 = 10;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Leaves of the tree, 1 to 10000000 [default: 1000000; 10000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 10_000_000))]
    size: Option<u64>,
}

/// Runs the part and checks the sum.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let leaves = common.size(args.size, 1_000_000, 10_000);
    let fibers_total = nodes(leaves);
    screen.heading(
        &format!(
            "skynet: {} leaves, {} fibers",
            grouped(leaves),
            grouped(fibers_total)
        ),
        &["Each node is a fiber that spawns ten children and joins them."],
    );
    let machine = common.machine("skynet", None)?;
    let handle = machine.handle();
    let watch = screen.watch(vec![Gauge::new("finished", fibers_total, move || {
        handle.metrics().finished
    })]);
    let start = Instant::now();
    let sum = machine.run(move || node(0, leaves));
    let time = start.elapsed();
    let peak_bytes = watch.finish();
    let metrics = options::stop(machine)?;

    let expected = leaves * (leaves - 1) / 2;
    if sum != expected {
        return Err(format!("the leaves sum to {sum}, expected {expected}"));
    }
    if metrics.finished != fibers_total {
        return Err(format!(
            "{} fibers finished, expected {fibers_total}",
            metrics.finished
        ));
    }
    Ok(Report {
        part: "skynet",
        size: leaves,
        workers: metrics.workers,
        rows: vec![Row {
            what: format!("{} spawn+join", grouped(fibers_total)),
            operations: fibers_total,
            unit: "fibers",
            time,
            memory: Memory::PeakBytes(peak_bytes),
        }],
        facts: vec![("sum", sum.into()), ("steals", metrics.steals.into())],
    })
}

/// The node over the leaves `first..first + count`.
fn node(first: u64, count: u64) -> u64 {
    if count == 1 {
        return first;
    }
    let children: Vec<JoinHandle<u64>> = (0..CHILDREN.min(count))
        .map(|child| {
            let low = first + count * child / CHILDREN.min(count);
            let high = first + count * (child + 1) / CHILDREN.min(count);
            fibers::spawn(move || node(low, high - low))
        })
        .collect();
    children
        .into_iter()
        .map(|child| child.join().unwrap_or_else(|why| resume_unwind(why)))
        .sum()
}

/// How many fibers a tree of that many leaves has, the root included.
fn nodes(leaves: u64) -> u64 {
    if leaves <= 1 {
        return leaves;
    }
    let (share, rest) = (leaves / CHILDREN, leaves % CHILDREN);
    1 + rest * nodes(share + 1) + (CHILDREN - rest) * nodes(share)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_full_tree_has_a_ninth_more_nodes_than_leaves() {
        assert_eq!(super::nodes(1), 1);
        assert_eq!(super::nodes(7), 8);
        assert_eq!(super::nodes(1_000_000), 1_111_111);
    }
}
