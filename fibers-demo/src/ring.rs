//! A token travels around a ring of fibers; every hop is one unpark and one park.
//!
//! The token is a counter of hops: fiber `i` of `n` may move it in lap `l` only when it is
//! `l * n + i`. So a hop out of order, lost or made twice cannot go unseen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fibers::{Fiber, JoinHandle};

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};

/// The token before the start.
const NOT_YET: u64 = u64::MAX;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Fibers in the ring, 1 to 100000 [default: 1000]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 100_000))]
    size: Option<u64>,
    /// Laps of the token, 1 to 1000000 [default: 2000; 50 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 1_000_000))]
    laps: Option<u64>,
}

struct Ring {
    arrived: AtomicU64,
    token: AtomicU64,
    laps: u64,
    fibers: OnceLock<Vec<Fiber>>,
}

/// Runs the part and checks the number of hops.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let count = common.size(args.size, 1_000, 1_000);
    let laps = common.size(args.laps, 2_000, 50);
    let hops = count * laps;
    screen.heading(
        &format!(
            "ring: a token makes {} laps around {} fibers",
            grouped(laps),
            grouped(count)
        ),
        &["A fiber waits for the token, passes it on, wakes its neighbour and parks."],
    );
    let machine = common.machine("ring", None)?;
    let ring = Arc::new(Ring {
        arrived: AtomicU64::new(0),
        token: AtomicU64::new(NOT_YET),
        laps,
        fibers: OnceLock::new(),
    });
    let seen = ring.clone();
    let watch = screen.watch(vec![Gauge::new("hops", hops, move || seen.hops())]);
    let in_fiber = ring.clone();
    let time = machine.run(move || travel(&in_fiber, count))?;
    let peak_bytes = watch.finish();
    let workers = options::stop(machine)?.workers;

    if ring.hops() != hops {
        return Err(format!(
            "the token made {} hops, expected {hops}",
            ring.hops()
        ));
    }
    Ok(Report {
        part: "ring",
        size: count,
        workers,
        rows: vec![Row {
            what: format!("{} hops", grouped(hops)),
            operations: hops,
            unit: "hops",
            time,
            memory: Memory::PeakBytes(peak_bytes),
        }],
        facts: vec![("laps", laps.into())],
    })
}

/// The first fiber: builds the ring, waits until all stand in it, lets the token go.
fn travel(ring: &Arc<Ring>, count: u64) -> Result<Duration, String> {
    let handles: Vec<JoinHandle<()>> = (0..count)
        .map(|index| {
            let (ring, starter) = (ring.clone(), fibers::current());
            fibers::spawn(move || stand(&ring, index, count, &starter))
        })
        .collect();
    while ring.arrived.load(Ordering::Acquire) < count {
        fibers::park();
    }
    let fibers: Vec<Fiber> = handles
        .iter()
        .map(|handle| handle.fiber().clone())
        .collect();
    let first = fibers[0].clone();
    ring.fibers
        .set(fibers)
        .map_err(|_| "the ring was closed twice".to_string())?;

    let start = Instant::now();
    ring.token.store(0, Ordering::Release);
    first.unpark();
    for handle in handles {
        handle
            .join()
            .map_err(|_| "a fiber of the ring panicked".to_string())?;
    }
    Ok(start.elapsed())
}

/// Fiber `index` of the ring: waits for its turn in every lap.
fn stand(ring: &Ring, index: u64, count: u64, starter: &Fiber) {
    if ring.arrived.fetch_add(1, Ordering::AcqRel) + 1 == count {
        starter.unpark();
    }
    for lap in 0..ring.laps {
        let turn = lap * count + index;
        while ring.token.load(Ordering::Acquire) != turn {
            fibers::park();
        }
        ring.token.store(turn + 1, Ordering::Release);
        // The ring is closed before the token first moves.
        let fibers = ring
            .fibers
            .get()
            .expect("whoever holds the token sees a closed ring");
        fibers[((index + 1) % count) as usize].unpark();
    }
}

impl Ring {
    fn hops(&self) -> u64 {
        match self.token.load(Ordering::Relaxed) {
            NOT_YET => 0,
            hops => hops,
        }
    }
}
