//! A crowd of fibers that all wait at once, then are all woken.
//!
//! Shows what a waiting fiber costs: the bytes that the process grew by while all of them were
//! parked, divided by their number. Refuses a size that would not fit in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fibers::{Fiber, JoinHandle};

use crate::memory;
use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Fibers that wait at once, 1 to 2000000 [default: 100000; 5000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 2_000_000))]
    size: Option<u64>,
}

/// What the crowd shares.
#[derive(Debug, Default)]
struct Crowd {
    arrived: AtomicU64,
    may_go: AtomicBool,
    woken: AtomicU64,
}

/// What the first fiber measured.
struct Measured {
    park_time: Duration,
    wake_time: Duration,
    bytes_grown: u64,
}

/// Runs the part and checks that everybody parked and everybody woke.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let count = common.size(args.size, 100_000, 5_000);
    options::fits_in_memory(count)?;
    screen.heading(
        &format!(
            "parked: {} fibers wait at once, then all are woken",
            grouped(count)
        ),
        &["Each one starts, gets a stack of its own and parks until it is told to go."],
    );
    let machine = common.machine("parked", None)?;
    let crowd = Arc::new(Crowd::default());
    let (arrived, woken) = (crowd.clone(), crowd.clone());
    let watch = screen.watch(vec![
        Gauge::new("parked", count, move || {
            arrived.arrived.load(Ordering::Relaxed)
        }),
        Gauge::new("woken", count, move || woken.woken.load(Ordering::Relaxed)),
    ]);
    let in_fiber = crowd.clone();
    let measured = machine.run(move || measure(&in_fiber, count))?;
    watch.finish();
    let workers = options::stop(machine)?.workers;

    let woken = crowd.woken.load(Ordering::Relaxed);
    if woken != count {
        return Err(format!("{woken} fibers woke, expected {count}"));
    }
    let bytes_each = measured.bytes_grown / count;
    let row = |what: &str, unit, time, memory| Row {
        what: format!("{} {what}", grouped(count)),
        operations: count,
        unit,
        time,
        memory,
    };
    Ok(Report {
        part: "parked",
        size: count,
        workers,
        rows: vec![
            row(
                "start+park",
                "fibers",
                measured.park_time,
                Memory::BytesEach(bytes_each),
            ),
            row("wake+join", "wakes", measured.wake_time, Memory::None),
        ],
        facts: vec![("woken", woken.into())],
    })
}

/// The first fiber: spawns the crowd, waits for the last to arrive, wakes all, joins all.
fn measure(crowd: &Arc<Crowd>, count: u64) -> Result<Measured, String> {
    let bytes_before = memory::resident_bytes() + memory::page_table_bytes();
    let start = Instant::now();
    let mut handles: Vec<JoinHandle<()>> = Vec::with_capacity(count as usize);
    for index in 0..count {
        let (crowd, starter) = (crowd.clone(), fibers::current());
        let handle = fibers::Builder::new()
            .spawn(move || wait_for_go(&crowd, count, &starter))
            .map_err(|error| format!("fiber {index} of --size {count}: {error}"))?;
        handles.push(handle);
    }
    while crowd.arrived.load(Ordering::Acquire) < count {
        fibers::park();
    }
    let park_time = start.elapsed();
    let bytes_after = memory::resident_bytes() + memory::page_table_bytes();

    let start = Instant::now();
    crowd.may_go.store(true, Ordering::Release);
    handles.iter().for_each(|handle| handle.fiber().unpark());
    for handle in handles {
        handle
            .join()
            .map_err(|_| "a parked fiber panicked".to_string())?;
    }
    let wake_time = start.elapsed();
    Ok(Measured {
        park_time,
        wake_time,
        bytes_grown: bytes_after.saturating_sub(bytes_before),
    })
}

/// One of the crowd. The last to arrive wakes the starter: nobody polls.
fn wait_for_go(crowd: &Crowd, count: u64, starter: &Fiber) {
    if crowd.arrived.fetch_add(1, Ordering::AcqRel) + 1 == count {
        starter.unpark();
    }
    // A loop, as with std: unpark promises nothing but that park returns.
    while !crowd.may_go.load(Ordering::Acquire) {
        fibers::park();
    }
    crowd.woken.fetch_add(1, Ordering::Relaxed);
}
