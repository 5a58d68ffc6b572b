//! A race of fibers of all eight priorities for one worker.
//!
//! Every priority has the same work, cut into steps; after each step a fiber yields. The high
//! priorities finish first, in order. The lowest one still moves before its turn, because a
//! priority that has waited too long is served once out of turn.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fibers::{JoinHandle, Priority};

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::{Gauge, Screen};

const NAMES: [&str; 8] = [
    "idle", "lowest", "low", "below", "normal", "above", "high", "realtime",
];
const FIBERS_EACH: u64 = 4;
/// Turns of a small loop that make one step: some ten microseconds.
const TURNS: u64 = 8_000;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Steps of each priority, 4 to 1000000 [default: 20000; 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 4, 1_000_000))]
    size: Option<u64>,
}

/// What the racers share, one entry per priority level.
#[derive(Debug, Default)]
struct Race {
    steps: [AtomicU64; 8],
    places: [AtomicU64; 8],
    finished: AtomicU64,
    /// Steps the lowest level had made when the first level finished.
    idle_at_first: AtomicU64,
    /// Steps the lowest level had made when its own turn came: all others had finished.
    idle_at_turn: AtomicU64,
}

/// Runs the part; with one worker it checks the order in which the priorities finish.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let size = common.size(args.size, 20_000, 2_000);
    screen.heading(
        &format!(
            "priorities: eight priorities, {} steps each, race",
            grouped(size)
        ),
        &["They compete for one worker: the high ones win, the low one still moves."],
    );
    let machine = common.machine("priorities", Some(1))?;
    let race = Arc::new(Race::default());
    let watch = screen.watch(
        (0..8)
            .rev()
            .map(|level| gauge(&race, level, size))
            .collect(),
    );
    let in_fiber = race.clone();
    let time = machine.run(move || compete(&in_fiber, size))?;
    watch.finish();
    let workers = options::stop(machine)?.workers;

    check(&race, size, workers)?;
    let places: Vec<u64> = race
        .places
        .iter()
        .map(|place| place.load(Ordering::Relaxed))
        .collect();
    let (at_first, at_turn) = (
        race.idle_at_first.load(Ordering::Relaxed),
        race.idle_at_turn.load(Ordering::Relaxed),
    );
    screen.say(&format!(
        "idle had made {at_first} steps when the first finished, {at_turn} before its own turn came"
    ));
    Ok(Report {
        part: "priorities",
        size,
        workers,
        rows: vec![Row {
            what: format!("8 × {} steps", grouped(size)),
            operations: 8 * size,
            unit: "steps",
            time,
            memory: Memory::None,
        }],
        facts: vec![
            ("places_from_idle_to_realtime", places.into()),
            ("idle_steps_when_first_finished", at_first.into()),
            ("idle_steps_before_its_turn", at_turn.into()),
        ],
    })
}

fn gauge(race: &Arc<Race>, level: usize, size: u64) -> Gauge {
    let (steps, place) = (race.clone(), race.clone());
    Gauge::new(&format!("{level} {}", NAMES[level]), size, move || {
        steps.steps[level].load(Ordering::Relaxed)
    })
    .with_note(move || match place.places[level].load(Ordering::Relaxed) {
        0 => String::new(),
        place => format!("#{place}"),
    })
}

/// The first fiber: lines the racers up and waits for all. With one worker none of them runs
/// before this fiber waits for the first.
fn compete(race: &Arc<Race>, size: u64) -> Result<Duration, String> {
    let start = Instant::now();
    let mut handles: Vec<JoinHandle<()>> = Vec::new();
    for level in 0..8 {
        let priority = Priority::new(level).ok_or("there are fewer than 8 priorities")?;
        for lane in 0..FIBERS_EACH {
            let race = race.clone();
            let steps = size * (lane + 1) / FIBERS_EACH - size * lane / FIBERS_EACH;
            let handle = fibers::Builder::new()
                .name(format!("{}-{lane}", NAMES[level as usize]))
                .priority(priority)
                .spawn(move || race.run_lane(level as usize, steps, size))
                .map_err(|error| format!("a racer did not start: {error}"))?;
            handles.push(handle);
        }
    }
    for handle in handles {
        handle.join().map_err(|_| "a racer panicked".to_string())?;
    }
    Ok(start.elapsed())
}

impl Race {
    fn run_lane(&self, level: usize, steps: u64, size: u64) {
        for _ in 0..steps {
            work();
            if self.steps[level].fetch_add(1, Ordering::Relaxed) + 1 == size {
                self.finish(level);
            }
            fibers::yield_now();
        }
    }

    fn finish(&self, level: usize) {
        let place = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
        let idle = self.steps[0].load(Ordering::Relaxed);
        self.places[level].store(place, Ordering::Relaxed);
        if place == 1 {
            self.idle_at_first.store(idle, Ordering::Relaxed);
        }
        if place == 7 {
            self.idle_at_turn.store(idle, Ordering::Relaxed);
        }
    }
}

/// One step: a xorshift generator, because the compiler finds no short cut through it.
fn work() {
    let mut state = black_box(1u64);
    for _ in 0..TURNS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}

fn check(race: &Race, size: u64, workers: u64) -> Result<(), String> {
    for (level, steps) in race.steps.iter().enumerate() {
        let steps = steps.load(Ordering::Relaxed);
        if steps != size {
            return Err(format!(
                "{} made {steps} steps, expected {size}",
                NAMES[level]
            ));
        }
    }
    if workers != 1 {
        return Ok(());
    }
    for (level, place) in race.places.iter().enumerate() {
        let (place, expected) = (place.load(Ordering::Relaxed), 8 - level as u64);
        if place != expected {
            return Err(format!(
                "{} finished as #{place}, expected #{expected}",
                NAMES[level]
            ));
        }
    }
    if race.idle_at_turn.load(Ordering::Relaxed) == 0 {
        return Err(format!(
            "idle did not move before its turn in {size} steps: a longer race (--size {}) tells \
             whether it starves",
            size.saturating_mul(10).min(1_000_000)
        ));
    }
    Ok(())
}
