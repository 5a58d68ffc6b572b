//! A crowd of fibers that all sleep, each for a time of its own, and how late each one wakes.
//!
//! The fibers first line up, so that all of them sleep at once whatever it takes to start them. Each
//! looks at the clock when its sleep returns: that is its lateness, which it returns to its joiner and
//! adds to the histogram on the screen. A sleep that ends early is a failure.
//!
//! What the crowd shares is a static: a million counted references, dropped by a million fibers that
//! wake, would be a good part of what is measured.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fibers::time::{self, Instant};
use fibers::{Fiber, JoinHandle};

use crate::histogram::Histogram;
use crate::lateness::Lateness;
use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};
use crate::{chance, cpu, lateness, memory};

/// Ten minutes: who wants more has mistaken the unit.
const SLEEP_MS_MAX: u64 = 600_000;
/// Which sleeper sleeps how long is the same in each run.
const SEED: u64 = 1;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Fibers that sleep at once, 1 to 2000000 [default: 1M; 100k in the tour; 5000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 2_000_000))]
    size: Option<u64>,
    /// The shortest sleep in milliseconds, 0 to 600000 [default: 1000; 100 with --quick]
    #[arg(long, value_name = "MS", value_parser = |text: &str| options::whole(text, 0, SLEEP_MS_MAX))]
    min: Option<u64>,
    /// The longest sleep in milliseconds, --min to 600000 [default: 2000; 500 with --quick]
    #[arg(long, value_name = "MS", value_parser = |text: &str| options::whole(text, 0, SLEEP_MS_MAX))]
    max: Option<u64>,
    #[arg(skip)]
    is_in_tour: bool,
}

/// What the crowd shares.
#[derive(Debug)]
struct Crowd {
    /// The first fiber, which the last of the crowd wakes: nobody polls.
    starter: OnceLock<Fiber>,
    started: AtomicU64,
    may_go: AtomicBool,
    asleep: AtomicU64,
    late: Histogram,
}

static CROWD: Crowd = Crowd {
    starter: OnceLock::new(),
    started: AtomicU64::new(0),
    may_go: AtomicBool::new(false),
    asleep: AtomicU64::new(0),
    late: Histogram::new(),
};

/// What the first fiber measured.
struct Measured {
    start_time: Duration,
    sleep_time: Duration,
    cpu_time: Duration,
    bytes_grown: u64,
    /// Nanoseconds after the deadline; before it, if negative.
    late: Vec<i64>,
}

impl Args {
    /// What the tour runs: a crowd that does not keep the other parts waiting.
    pub fn tour() -> Args {
        Args {
            is_in_tour: true,
            ..Args::default()
        }
    }

    /// The shortest and the longest sleep.
    fn spread(&self, common: &Common) -> Result<[Duration; 2], String> {
        let min = common.size(self.min, 1_000, 100);
        let max = common.size(self.max, 2_000, 500);
        if min > max {
            return Err(format!(
                "--min {min} is more than --max {max}: give --min {max} or less, or --max {min} or more"
            ));
        }
        Ok([min, max].map(Duration::from_millis))
    }
}

/// Runs the part and checks that everybody woke, and nobody early.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let full = if args.is_in_tour { 100_000 } else { 1_000_000 };
    let count = common.size(args.size, full, 5_000);
    let [min, max] = args.spread(common)?;
    options::fits_in_memory(count)?;
    screen.heading(
        &format!(
            "sleepers: {} fibers sleep at once, for {} to {} ms",
            grouped(count),
            min.as_millis(),
            max.as_millis()
        ),
        &["They line up first. When a sleep returns, its fiber looks how late it is."],
    );
    let machine = common.machine("sleepers", None)?;
    let watch = screen.watch_telling(gauges(count), || CROWD.line());
    let mut measured = machine.run(move || measure(count, min, max))?;
    watch.finish();
    let metrics = options::stop(machine)?;

    if !screen.is_live() {
        (CROWD.late.lines(count).iter()).for_each(|line| screen.say(line));
    }
    let fired = CROWD.late.count();
    if fired != count {
        return Err(format!("{fired} fibers woke, expected {count}"));
    }
    let lateness = Lateness::of(std::mem::take(&mut measured.late), "sleeps")?;
    // In the tour other parts have left memory behind that the crowd used again: no honest figure.
    let memory = if args.is_in_tour {
        Memory::None
    } else {
        Memory::BytesEach(measured.bytes_grown / count)
    };
    tell(screen, &lateness, &measured, metrics.timer_sets);
    let row = |what: &str, unit, time, memory| Row {
        what: format!("{} {what}", grouped(count)),
        operations: count,
        unit,
        time,
        memory,
    };
    Ok(Report {
        part: "sleepers",
        size: count,
        workers: metrics.workers,
        rows: vec![
            row("started", "fibers", measured.start_time, Memory::None),
            row("slept+joined", "sleeps", measured.sleep_time, memory),
        ],
        facts: vec![
            ("min_ms", (min.as_millis() as u64).into()),
            ("max_ms", (max.as_millis() as u64).into()),
            ("early", 0.into()),
            ("late", lateness.to_json()),
            ("histogram", CROWD.late.to_json()),
            ("cpu_seconds", measured.cpu_time.as_secs_f64().into()),
            ("timer_sets", metrics.timer_sets.into()),
        ],
    })
}

/// The first fiber: lines the crowd up, lets it go to sleep, joins all.
fn measure(count: u64, min: Duration, max: Duration) -> Result<Measured, String> {
    let bytes_before = memory::resident_bytes() + memory::page_table_bytes();
    let start = Instant::now();
    CROWD
        .starter
        .set(fibers::current())
        .map_err(|_| "the crowd met twice".to_string())?;
    let mut handles: Vec<JoinHandle<i64>> = Vec::with_capacity(count as usize);
    for index in 0..count {
        let nap = min + (max - min).mul_f64(chance::unit(SEED, index));
        let handle = fibers::Builder::new()
            .spawn(move || CROWD.sleep_once(nap, count))
            .map_err(|error| format!("fiber {index} of --size {count}: {error}"))?;
        handles.push(handle);
    }
    wait_for(&CROWD.started, count);
    let start_time = start.elapsed();

    let (start, cpu_before) = (Instant::now(), cpu::time());
    CROWD.may_go.store(true, Ordering::Release);
    handles.iter().for_each(|handle| handle.fiber().unpark());
    wait_for(&CROWD.asleep, count);
    let bytes_after = memory::resident_bytes() + memory::page_table_bytes();
    let mut late = Vec::with_capacity(count as usize);
    for handle in handles {
        late.push(
            handle
                .join()
                .map_err(|_| "a sleeper panicked".to_string())?,
        );
    }
    Ok(Measured {
        start_time,
        sleep_time: start.elapsed(),
        cpu_time: cpu::time().saturating_sub(cpu_before),
        bytes_grown: bytes_after.saturating_sub(bytes_before),
        late,
    })
}

/// Waits until the last of the crowd has counted itself; that one wakes the first fiber.
fn wait_for(counter: &AtomicU64, count: u64) {
    while counter.load(Ordering::Acquire) < count {
        fibers::park();
    }
}

impl Crowd {
    /// One of the crowd: lines up, sleeps, and returns by how many nanoseconds it woke late.
    fn sleep_once(&self, nap: Duration, count: u64) -> i64 {
        self.note(&self.started, count);
        while !self.may_go.load(Ordering::Acquire) {
            fibers::park();
        }
        let deadline = Instant::now() + nap;
        self.note(&self.asleep, count);
        time::sleep_until(deadline);
        let late = lateness::after(deadline);
        self.late.add(late);
        late
    }

    /// Counts one more of the crowd; the last one wakes the first fiber.
    fn note(&self, counter: &AtomicU64, count: u64) {
        if counter.fetch_add(1, Ordering::AcqRel) + 1 == count
            && let Some(starter) = self.starter.get()
        {
            starter.unpark();
        }
    }

    fn pending(&self) -> u64 {
        let fired = self.late.count();
        self.asleep.load(Ordering::Relaxed).saturating_sub(fired)
    }

    fn line(&self) -> String {
        format!(
            "{} started, {} pending, {} fired",
            grouped(self.started.load(Ordering::Relaxed)),
            grouped(self.pending()),
            grouped(self.late.count())
        )
    }
}

fn gauges(count: u64) -> Vec<Gauge> {
    let mut gauges = vec![
        Gauge::new("started", count, || CROWD.started.load(Ordering::Relaxed)),
        Gauge::new("pending", count, || CROWD.pending()),
        Gauge::new("fired", count, || CROWD.late.count()),
    ];
    gauges.extend((0..Histogram::BUCKETS).map(|bucket| {
        let label = format!("late {}", Histogram::label(bucket));
        Gauge::new(&label, count, move || CROWD.late.bucket(bucket))
    }));
    gauges
}

fn tell(screen: &Screen, lateness: &Lateness, measured: &Measured, timer_sets: u64) {
    screen.say(&format!(
        "late by {} (p50), {} (p99), {} (p99.9), {} at most; none was early",
        lateness.text(0.5),
        lateness.text(0.99),
        lateness.text(0.999),
        lateness.text(1.0)
    ));
    screen.say(&format!(
        "asleep and awake again in {:.2} s, with {:.2} s of CPU; {} kernel timers set",
        measured.sleep_time.as_secs_f64(),
        measured.cpu_time.as_secs_f64(),
        grouped(timer_sets)
    ));
}
