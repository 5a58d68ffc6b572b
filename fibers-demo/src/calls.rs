//! Calls between fibers: a closure sent to run on another fiber's stack.
//!
//! Two fibers call each other at the same time and wait for the answers; while one waits, it serves
//! the other. Each call adds one to a `fiber_local!` of the fiber it runs on, and answers with the
//! id of that fiber: a call that ran elsewhere, twice or never is seen.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fibers::wait::{self, Reasons};
use fibers::{CallHandle, Fiber, FiberId};

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};

/// Calls that are under way at once in the second round.
const BURST: u64 = 64;

/// Calls answered so far, in both rounds, for the bar.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

fibers::fiber_local! {
    /// Calls that this fiber has served.
    static SERVED: Cell<u64> = const { Cell::new(0) };
}

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Calls in each direction and round, 1 to 100000000 [default: 200000; 5000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 100_000_000))]
    size: Option<u64>,
}

/// The two fibers, known to both once both exist.
#[derive(Default)]
struct Pair {
    fibers: OnceLock<[Fiber; 2]>,
    is_done: [AtomicBool; 2],
}

/// Runs the part and checks who served how many calls.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let count = common.size(args.size, 200_000, 5_000);
    screen.heading(
        &format!("calls: two fibers send each other {} calls", grouped(count)),
        &["A call is a closure that runs on the other's stack; both directions at once."],
    );
    let machine = common.machine("calls", None)?;
    let total = 4 * count;
    let watch = screen.watch(vec![Gauge::new("answered", total, || {
        ANSWERED.load(Ordering::Relaxed)
    })]);
    let single = machine.run(move || round(count, 1))?;
    let burst = machine.run(move || round(count, BURST))?;
    watch.finish();
    let workers = options::stop(machine)?.workers;

    let row = |what: String, time| Row {
        what: format!("{} calls {what}", grouped(2 * count)),
        operations: 2 * count,
        unit: "calls",
        time,
        memory: Memory::None,
    };
    Ok(Report {
        part: "calls",
        size: count,
        workers,
        rows: vec![
            row("singly".to_string(), single),
            row(format!("in {BURST}s"), burst),
        ],
        facts: vec![("answered", ANSWERED.load(Ordering::Relaxed).into())],
    })
}

/// One round: two fibers, each of which makes `count` calls, `burst` of them at a time.
fn round(count: u64, burst: u64) -> Result<Duration, String> {
    let pair = Arc::new(Pair::default());
    let handles = [0, 1].map(|me| {
        let pair = pair.clone();
        fibers::spawn(move || play(&pair, me, count, burst))
    });
    let fibers = [handles[0].fiber().clone(), handles[1].fiber().clone()];
    let start = Instant::now();
    pair.fibers
        .set(fibers.clone())
        .map_err(|_| "the pair met twice".to_string())?;
    fibers.iter().for_each(Fiber::unpark);
    for handle in handles {
        let served = handle
            .join()
            .map_err(|_| "a fiber of the pair panicked".to_string())??;
        if served != count {
            return Err(format!("a fiber served {served} calls, expected {count}"));
        }
    }
    Ok(start.elapsed())
}

/// One of the two: makes its calls, then goes on serving until the other is done too.
fn play(pair: &Pair, me: usize, count: u64, burst: u64) -> Result<u64, String> {
    let other = loop {
        match pair.fibers.get() {
            Some(fibers) => break &fibers[1 - me],
            None => fibers::park(),
        }
    };
    let outcome = call_all(other, count, burst);
    pair.is_done[me].store(true, Ordering::Release);
    other.unpark();
    while !pair.is_done[1 - me].load(Ordering::Acquire) {
        let _ = wait::sleep(Reasons::CALL | Reasons::UNPARK);
        fibers::process_calls();
    }
    outcome.map(|()| SERVED.get())
}

fn call_all(other: &Fiber, count: u64, burst: u64) -> Result<(), String> {
    let mut left = count;
    while left > 0 {
        let now = left.min(burst);
        let answers: Result<Vec<CallHandle<FiberId>>, String> =
            (0..now).map(|_| call(other)).collect();
        for answer in answers? {
            let ran_on = answer.wait().map_err(|_| "a call panicked".to_string())?;
            if ran_on != other.id() {
                return Err(format!(
                    "a call ran on {ran_on:?}, expected {:?}",
                    other.id()
                ));
            }
        }
        ANSWERED.fetch_add(now, Ordering::Relaxed);
        left -= now;
    }
    Ok(())
}

fn call(other: &Fiber) -> Result<CallHandle<FiberId>, String> {
    let serve = || {
        SERVED.set(SERVED.get() + 1);
        fibers::current().id()
    };
    other
        .call(serve)
        .map_err(|_| "the other fiber ended before its calls were made".to_string())
}
