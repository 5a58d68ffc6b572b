//! What is seen of the dinner: bars and a line while it lasts, then a table, and the same figures as JSON.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::philosophers::method::Method;
use crate::philosophers::table::{Doing, Seat, Table};
use crate::report::{Memory, Report, Row, grouped, short_number, short_time};
use crate::screen::Gauge;

/// At a table that is not larger, each one has a bar and a name.
const NAMES: [&str; 8] = [
    "Socrates",
    "Plato",
    "Aristotle",
    "Epicurus",
    "Zeno",
    "Hypatia",
    "Seneca",
    "Diotima",
];
/// One look around the table serves all bars of one redraw.
const SURVEY_EVERY: Duration = Duration::from_millis(30);
/// Over which time meals per second are counted.
const RATE_OVER: Duration = Duration::from_millis(400);

/// One look around the table.
#[derive(Clone, Debug)]
pub struct Survey {
    /// How many are away, think, wait and eat.
    doing: [u64; 4],
    /// Meals of each, ascending.
    meals: Vec<u64>,
    /// Meals that count towards what everybody must have.
    due: u64,
}

/// The latest survey, and how fast meals are served.
struct Latest {
    survey: Survey,
    at: Instant,
    rate: f64,
    /// When the rate was last found, and how many meals there were.
    base: (Instant, u64),
}

/// What came of one dinner.
#[derive(Debug)]
pub struct Outcome {
    method: Method,
    survey: Survey,
    waited_max: Duration,
    put_back: u64,
    time: Duration,
    peak_bytes: u64,
}

impl Survey {
    /// Looks around.
    pub fn of(table: &Table) -> Survey {
        let mut doing = [0; 4];
        for seat in &table.seats {
            doing[seat.doing() as usize] += 1;
        }
        let mut meals: Vec<u64> = table.seats.iter().map(Seat::meals).collect();
        let due = meals.iter().map(|had| (*had).min(table.plan.meals)).sum();
        meals.sort_unstable();
        Survey { doing, meals, due }
    }

    fn total(&self) -> u64 {
        self.meals.iter().sum()
    }

    fn fewest(&self) -> u64 {
        self.meals.first().copied().unwrap_or(0)
    }

    fn median(&self) -> u64 {
        self.meals.get(self.meals.len() / 2).copied().unwrap_or(0)
    }

    fn most(&self) -> u64 {
        self.meals.last().copied().unwrap_or(0)
    }

    fn count(&self, doing: Doing) -> u64 {
        self.doing[doing as usize]
    }

    /// One line, where there are no bars.
    pub fn line(&self) -> String {
        format!(
            "{} meals, {} to {} each; {} eat, {} wait, {} think",
            grouped(self.total()),
            grouped(self.fewest()),
            grouped(self.most()),
            grouped(self.count(Doing::Eats)),
            grouped(self.count(Doing::Waits)),
            grouped(self.count(Doing::Thinks))
        )
    }
}

impl Latest {
    fn new(table: &Table) -> Latest {
        let now = Instant::now();
        Latest {
            survey: Survey::of(table),
            at: now,
            rate: 0.0,
            base: (now, 0),
        }
    }

    fn refresh(&mut self, table: &Table) {
        // The last redraw comes soon after the one before it, and must be right.
        if self.at.elapsed() < SURVEY_EVERY && !table.is_over() {
            return;
        }
        self.survey = Survey::of(table);
        self.at = Instant::now();
        let (base_at, base_meals) = self.base;
        let (elapsed, total) = (self.at - base_at, self.survey.total());
        if self.rate == 0.0 || elapsed >= RATE_OVER {
            self.rate = (total - base_meals) as f64 / elapsed.as_secs_f64();
        }
        if elapsed >= RATE_OVER {
            self.base = (self.at, total);
        }
    }
}

/// Bars: at a small table one for each philosopher, at a large one for how many do what.
pub fn gauges(table: &Arc<Table>) -> Vec<Gauge> {
    let latest = Arc::new(Mutex::new(Latest::new(table)));
    let look = {
        let table = table.clone();
        move |pick: &dyn Fn(&Latest) -> u64| {
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            latest.refresh(&table);
            pick(&latest)
        }
    };
    let (count, goal) = (table.seats.len() as u64, table.plan.meals);
    let (of_rate, of_due) = (look.clone(), look.clone());
    let mut gauges = vec![
        Gauge::new("meals due", count * goal, move || {
            of_due(&|latest| latest.survey.due)
        })
        .with_note(move || {
            let rate = of_rate(&|latest| latest.rate as u64);
            format!("{}/s", short_number(rate as f64))
        }),
    ];
    if table.seats.len() <= NAMES.len() {
        gauges.extend((0..table.seats.len()).map(|place| seat_gauge(table, place)));
        return gauges;
    }
    let mut add = |label: &str, total, pick: fn(&Survey) -> u64| {
        let look = look.clone();
        gauges.push(Gauge::new(label, total, move || {
            look(&|latest| pick(&latest.survey))
        }));
    };
    add("eat", count, |survey| survey.count(Doing::Eats));
    add("wait", count, |survey| survey.count(Doing::Waits));
    add("think", count, |survey| survey.count(Doing::Thinks));
    add("fewest meals", goal, Survey::fewest);
    add("median", goal, Survey::median);
    add("most", goal, Survey::most);
    gauges
}

/// One philosopher: its meals, what it does, and how many meals it has had more than it must.
fn seat_gauge(table: &Arc<Table>, place: usize) -> Gauge {
    let (goal, meals, note) = (table.plan.meals, table.clone(), table.clone());
    Gauge::new(NAMES[place], goal, move || meals.seats[place].meals()).with_note(move || {
        let seat = &note.seats[place];
        let more = match seat.meals().saturating_sub(goal) {
            0 => String::new(),
            more => format!("+{}", grouped(more)),
        };
        let doing = match seat.doing() {
            Doing::Away => "",
            Doing::Thinks => "thinks",
            Doing::Waits => "waits",
            Doing::Eats => "eats",
        };
        // Behind a bar, so a gap of one who is away would look odd.
        match doing {
            "" => more,
            _ => format!("{doing:<6} {more}").trim_end().to_string(),
        }
    })
}

impl Outcome {
    /// After the end of a dinner that was checked.
    pub fn of(table: &Table, time: Duration, peak_bytes: u64) -> Outcome {
        Outcome {
            method: table.method,
            survey: Survey::of(table),
            waited_max: (table.seats.iter().map(Seat::waited_max).max()).unwrap_or_default(),
            put_back: table.seats.iter().map(Seat::put_back).sum(),
            time,
            peak_bytes,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "method": self.method.name(),
            "meals": self.survey.total(),
            "fewest": self.survey.fewest(),
            "median": self.survey.median(),
            "most": self.survey.most(),
            "waited_us_max": self.waited_max.as_nanos() as f64 / 1e3,
            "put_back": self.put_back,
        })
    }
}

/// How fair each method was.
pub fn table(outcomes: &[Outcome]) -> Vec<String> {
    let line = |cells: [String; 6]| {
        let [method, fewest, median, most, waited, put_back] = cells;
        format!("{method:<8} {fewest:>12} {median:>11} {most:>11} {waited:>13} {put_back:>9}")
    };
    let head = [
        "",
        "fewest meals",
        "median",
        "most",
        "longest wait",
        "put back",
    ];
    let mut lines = vec![line(head.map(String::from))];
    lines.extend(outcomes.iter().map(|outcome| {
        line([
            outcome.method.name().to_string(),
            grouped(outcome.survey.fewest()),
            grouped(outcome.survey.median()),
            grouped(outcome.survey.most()),
            short_time(outcome.waited_max.as_nanos() as f64),
            grouped(outcome.put_back),
        ])
    }));
    lines
}

/// The report of the part.
pub fn report(count: u64, workers: u64, outcomes: &[Outcome]) -> Report {
    let row = |outcome: &Outcome| Row {
        what: format!(
            "{} {}",
            grouped(outcome.survey.total()),
            outcome.method.name()
        ),
        operations: outcome.survey.total(),
        unit: "meals",
        time: outcome.time,
        memory: Memory::PeakBytes(outcome.peak_bytes),
    };
    Report {
        part: "philosophers",
        size: count,
        workers,
        rows: outcomes.iter().map(row).collect(),
        facts: vec![(
            "methods",
            outcomes.iter().map(Outcome::to_json).collect::<Value>(),
        )],
    }
}
