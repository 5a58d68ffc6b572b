//! Fibonacci by fork and join: the smallest work per fork there is, so all that is timed is forks.
//!
//! Three times the same tree: plain recursion on this thread, a spawned fiber per fork, and
//! `fibers::join`, which runs the second half inline unless another worker has stolen it.

use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};

/// Subtrees this many forks below the root move the bars: few, so counting them costs nothing.
const COUNTED_DEPTH: u32 = 8;

static SPAWN_DONE: AtomicU64 = AtomicU64::new(0);
static JOIN_DONE: AtomicU64 = AtomicU64::new(0);

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Which Fibonacci number, 1 to 42 [default: 29; 18 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 42))]
    size: Option<u64>,
}

/// Runs the part and compares the three results.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let size = common.size(args.size, 29, 18);
    let n = size as u32;
    let forks = forks(n);
    screen.heading(
        &format!("fib: fib({n}) is a tree of {} forks", grouped(forks)),
        &["Once with a fiber per fork, once with fibers::join, once by plain recursion."],
    );
    let machine = common.machine("fib", None)?;
    let counted = nodes_at(n, COUNTED_DEPTH);
    let watch = screen.watch(vec![
        Gauge::new("spawn", counted, || SPAWN_DONE.load(Ordering::Relaxed)),
        Gauge::new("fibers::join", counted, || {
            JOIN_DONE.load(Ordering::Relaxed)
        }),
    ]);
    let (spawn_sum, spawn_time) = machine.run(move || timed(|| by_spawn(n, 0)));
    let (join_sum, join_time) = machine.run(move || timed(|| by_join(n, 0)));
    watch.finish();
    let (plain_sum, plain_time) = timed(|| plain(n));
    let metrics = options::stop(machine)?;

    for (way, sum) in [("spawn", spawn_sum), ("fibers::join", join_sum)] {
        if sum != plain_sum {
            return Err(format!("fib({n}) by {way} is {sum}, expected {plain_sum}"));
        }
    }
    let row = |what: &str, time| Row {
        what: format!("fib({n}) {what}"),
        operations: forks.max(1),
        unit: "forks",
        time,
        memory: Memory::None,
    };
    Ok(Report {
        part: "fib",
        size,
        workers: metrics.workers,
        rows: vec![
            row("by spawn", spawn_time),
            row("by join", join_time),
            row("by recursion", plain_time),
        ],
        facts: vec![
            ("value", plain_sum.into()),
            ("steals", metrics.steals.into()),
        ],
    })
}

fn timed(work: impl FnOnce() -> u64) -> (u64, Duration) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

fn by_spawn(n: u32, depth: u32) -> u64 {
    let value = if n < 2 {
        u64::from(n)
    } else {
        let left = fibers::spawn(move || by_spawn(n - 1, depth + 1));
        let right = by_spawn(n - 2, depth + 1);
        left.join().unwrap_or_else(|why| resume_unwind(why)) + right
    };
    count(&SPAWN_DONE, depth);
    value
}

fn by_join(n: u32, depth: u32) -> u64 {
    let value = if n < 2 {
        u64::from(n)
    } else {
        let (left, right) =
            fibers::join(|| by_join(n - 1, depth + 1), || by_join(n - 2, depth + 1));
        left + right
    };
    count(&JOIN_DONE, depth);
    value
}

fn plain(n: u32) -> u64 {
    // black_box: the same calls as above, not what an optimiser makes of them.
    if n < 2 {
        u64::from(n)
    } else {
        plain(black_box(n - 1)) + plain(black_box(n - 2))
    }
}

fn count(done: &AtomicU64, depth: u32) {
    if depth == COUNTED_DEPTH {
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls that fork: fib(n + 1) - 1 of them.
fn forks(n: u32) -> u64 {
    let (mut low, mut high) = (0, 1);
    for _ in 0..n {
        (low, high) = (high, low + high);
    }
    high - 1
}

/// Calls at that depth below the root.
fn nodes_at(n: u32, depth: u32) -> u64 {
    match (depth, n) {
        (0, _) => 1,
        (_, 0 | 1) => 0,
        _ => nodes_at(n - 1, depth - 1) + nodes_at(n - 2, depth - 1),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn forks_and_nodes_of_a_small_tree() {
        // fib(4): 4 -> 3, 2; 3 -> 2, 1; 2 -> 1, 0 (twice).
        assert_eq!(super::forks(4), 4);
        assert_eq!(super::nodes_at(4, 1), 2);
        assert_eq!(super::nodes_at(4, 3), 2);
        assert_eq!(super::plain(10), 55);
    }
}
