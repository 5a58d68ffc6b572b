//! Dijkstra's philosophers: forks that are mutexes, held across waits, and ways to share them without deadlock.
//!
//! Dinner ends when everybody has had so many meals; who is quicker eats on until then, so how unequal the meals
//! are shows how fair the locks are. Whoever waits for too long has starved: then the host cancels all, which
//! ends the waits for forks as well. Each fork knows who holds it and how often it was used, and at the end
//! forks, philosophers and the counters on the screen must agree. The table is in `table`, the ways to take two
//! forks in `method`, what is seen of it in `tell`.

mod method;
mod table;
mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fibers::{Cancelled, JoinHandle};

use crate::options::{self, Common};
use crate::philosophers::method::Method;
use crate::philosophers::table::{Plan, Table};
use crate::philosophers::tell::Outcome;
use crate::report::{Report, grouped};
use crate::screen::Screen;

/// A second: who wants slower ones has mistaken the unit.
const PAUSE_US_MAX: u64 = 1_000_000;
/// How often the host looks for the starving: a share of the patience, within bounds.
const LOOKS: u32 = 8;
const LOOK_EVERY_MIN: Duration = Duration::from_millis(1);
const LOOK_EVERY_MAX: Duration = Duration::from_millis(250);

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Philosophers, and as many forks, 2 to 100000 [default: 5]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 2, 100_000))]
    size: Option<u64>,
    /// Meals that everybody must have, 1 to 1000000 [default: 240000; fewer where that takes long, and with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 1_000_000))]
    meals: Option<u64>,
    /// How two forks are taken [default: all methods, one after another]
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
    /// Microseconds a meal takes, 0 to 1000000; 0: others get a turn, no more [default: 0]
    #[arg(long, value_name = "US", value_parser = microseconds)]
    eat: Option<u64>,
    /// Microseconds of thought between meals, 0 to 1000000 [default: 0]
    #[arg(long, value_name = "US", value_parser = microseconds)]
    think: Option<u64>,
    /// Milliseconds after which whoever waits for forks has starved, 1 to 600000 [default: 30000]
    #[arg(long, value_name = "MS", value_parser = |text: &str| options::whole(text, 1, 600_000))]
    patience: Option<u64>,
}

/// So many that all three dinners together take a second or two. A turn around a table for more than a thousand takes
/// long, and so does a `round`: the time until somebody can eat again whose neighbour eats first.
fn meals_by_default(count: u64, quick: bool, round: Duration) -> u64 {
    let (all, time) = match (quick, count) {
        (true, _) => (20_000, Duration::from_millis(100)),
        (false, ..=1_000) => (1_200_000, Duration::from_secs(1)),
        (false, _) => (300_000, Duration::from_secs(1)),
    };
    let in_time = time.as_nanos() / round.as_nanos().max(1);
    (all / count).min(in_time as u64).max(3)
}

/// What each philosopher says it had, and how long dinner took.
type Dinner = (Vec<u64>, Duration);

fn microseconds(text: &str) -> Result<u64, String> {
    options::whole(text, 0, PAUSE_US_MAX)
}

/// Runs the part and checks that nobody starved, and that no fork was in two hands.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let count = common.size(args.size, 5, 5);
    options::fits_in_memory(count)?;
    let micros = |given: Option<u64>| Duration::from_micros(given.unwrap_or(0));
    let (eat, think) = (micros(args.eat), micros(args.think));
    let plan = Plan {
        meals: args
            .meals
            .unwrap_or_else(|| meals_by_default(count, common.quick, 2 * eat + think)),
        eat,
        think,
        patience: Duration::from_millis(args.patience.unwrap_or(30_000)),
    };
    screen.heading(
        &format!(
            "philosophers: {} sit around a table with as many forks",
            grouped(count)
        ),
        &[
            "Each eats with the forks beside it. A fork is a Mutex, held across waits.",
            &format!(
                "Dinner ends when everybody has had {}; till then nobody has enough.",
                match plan.meals {
                    1 => "a meal".to_string(),
                    meals => format!("{} meals", grouped(meals)),
                }
            ),
        ],
    );
    let methods = match &args.method {
        Some(method) => std::slice::from_ref(method),
        None => &Method::ALL[..],
    };
    let mut outcomes = Vec::new();
    let mut workers = 0;
    for method in methods {
        screen.say(&format!("{}: {}", method.name(), method.rule()));
        let table = Arc::new(Table::new(count as usize, *method, plan));
        let machine = common.machine("philosophers", None)?;
        let told = table.clone();
        let watch =
            screen.watch_telling(tell::gauges(&table), move || tell::Survey::of(&told).line());
        let in_fiber = table.clone();
        let dinner = machine.run(move || dine_all(&in_fiber));
        let peak_bytes = watch.finish();
        let metrics = options::stop(machine)?;
        workers = metrics.workers;
        let (said, time) = dinner?;
        check(&table, &said)?;
        outcomes.push(Outcome::of(&table, time, peak_bytes));
    }
    tell::table(&outcomes)
        .iter()
        .for_each(|line| screen.say(line));
    Ok(tell::report(count, workers, &outcomes))
}

/// The host: seats everybody and looks after them.
fn dine_all(table: &Arc<Table>) -> Result<Dinner, String> {
    table.open(fibers::current())?;
    let mut philosophers: Vec<JoinHandle<u64>> = Vec::with_capacity(table.seats.len());
    for place in 0..table.seats.len() {
        let seat = table.clone();
        let philosopher = fibers::Builder::new()
            .spawn(move || seat.dine(place))
            .map_err(|error| {
                format!(
                    "philosopher {place} of --size {}: {error}",
                    table.seats.len()
                )
            })?;
        philosophers.push(philosopher);
    }
    table.gong.wait();
    let start = Instant::now();
    let look_every = (table.plan.patience / LOOKS).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
    let mut starved = None;
    while !table.is_over() && starved.is_none() {
        // The last one to have had enough meals wakes the host.
        fibers::park_timeout(look_every);
        starved = table.starved();
    }
    if starved.is_some() {
        table.close();
        for philosopher in &philosophers {
            philosopher
                .cancel()
                .map_err(|error| format!("a philosopher was not to be cancelled: {error}"))?;
        }
    }
    let mut meals = Vec::with_capacity(philosophers.len());
    for philosopher in philosophers {
        match philosopher.join() {
            Ok(had) => meals.push(had),
            Err(payload) if starved.is_some() && payload.is::<Cancelled>() => {}
            Err(_) => return Err("a philosopher panicked".to_string()),
        }
    }
    let time = start.elapsed();
    match starved.or_else(|| table.starved()) {
        Some(starved) => Err(starved),
        None => Ok((meals, time)),
    }
}

/// What the philosophers say, what the screen counted and what the forks saw must be the same.
fn check(table: &Table, said: &[u64]) -> Result<(), String> {
    let shared = table.shared();
    if shared > 0 {
        return Err(format!("{shared} times a fork was in two hands"));
    }
    let counted: Vec<u64> = table.seats.iter().map(table::Seat::meals).collect();
    if said != counted {
        return Err("the philosophers' own counts differ from those on the screen".to_string());
    }
    let (total, fewest) = (
        said.iter().sum::<u64>(),
        said.iter().copied().min().unwrap_or(0),
    );
    // Exactly: whoever has it as the last one closes the dinner, and leaves.
    if fewest != table.plan.meals {
        return Err(format!(
            "somebody had {fewest} meals, expected {} and more for all",
            table.plan.meals
        ));
    }
    let mut uses_total = 0;
    for (fork, uses) in table.uses().into_iter().enumerate() {
        let beside = table.beside(fork).map(|place| said[place]);
        let expected = beside[0] + beside[1];
        if uses != expected {
            return Err(format!(
                "fork {fork} was used {uses} times, expected {expected}: the meals of its neighbours"
            ));
        }
        uses_total += uses;
    }
    if uses_total != 2 * total {
        return Err(format!(
            "all forks were used {uses_total} times, expected {}: two for a meal",
            2 * total
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dinner(method: Method, plan: Plan) -> (Arc<Table>, Result<Dinner, String>) {
        let table = Arc::new(Table::new(4, method, plan));
        let machine = fibers::Runtime::builder().workers(2).build().unwrap();
        let in_fiber = table.clone();
        let said = machine.run(move || dine_all(&in_fiber));
        (table, said)
    }

    fn plan(patience: Duration) -> Plan {
        Plan {
            meals: 20,
            eat: Duration::ZERO,
            think: Duration::ZERO,
            patience,
        }
    }

    #[test]
    fn a_meal_too_many_or_too_few_is_noticed() {
        for method in Method::ALL {
            let (table, said) = dinner(method, plan(Duration::from_secs(600)));
            let (mut said, _) = said.unwrap();
            assert_eq!(check(&table, &said), Ok(()));
            said[2] += 1;
            assert!(check(&table, &said).is_err());
            table.seats[2].set_meals(said[2]);
            let error = check(&table, &said).unwrap_err();
            assert!(error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn where_meals_take_long_there_are_few() {
        assert_eq!(meals_by_default(5, false, Duration::ZERO), 240_000);
        assert_eq!(meals_by_default(5, true, Duration::ZERO), 4_000);
        assert_eq!(meals_by_default(5, false, Duration::from_millis(10)), 100);
        assert_eq!(meals_by_default(100_000, false, Duration::from_secs(3)), 3);
    }

    #[test]
    fn whoever_waits_for_a_meal_that_takes_longer_than_patience_starves() {
        for method in Method::ALL {
            let slow = Plan {
                meals: 3,
                eat: Duration::from_millis(50),
                ..plan(Duration::from_millis(2))
            };
            let (_, said) = dinner(method, slow);
            let error = said.unwrap_err();
            assert!(error.contains("--patience is 2 ms"), "{error}");
        }
    }
}
