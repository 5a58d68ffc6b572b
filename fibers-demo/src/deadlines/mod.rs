//! What deadlines and cancellation are for: clients of a slow service, none of which waits for ever.
//!
//! Clients come one after the other, ask three backends and may commit something. A budget bounds each
//! visit, an inner timeout each try; some clients are cancelled by their handles. Whatever way a visit
//! ends, its connections must have been given back and its commit, once begun, finished: that is
//! checked. How the backends answer is in `backend`, the visit in `visit`, the price in `cost`.

mod backend;
mod cost;
mod tell;
mod visit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fibers::time::Instant;
use fibers::{Cancelled, JoinHandle};

use crate::chance;
use crate::deadlines::visit::{Plan, Service, Visit};
use crate::lateness::Lateness;
use crate::options::{self, Common};
use crate::report::{Report, grouped};
use crate::screen::Screen;

/// How often a client comes.
const ARRIVE_EVERY: Duration = Duration::from_micros(100);
/// Who is cancelled is so within this time of arriving: in the middle of most visits.
const CANCEL_WITHIN: Duration = Duration::from_millis(40);
/// Added to the seed, so that who is cancelled has nothing to do with how long answers take.
const WHO: u64 = 1;
const WHEN: u64 = 2;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Clients, 1 to 1000000; ten come in a millisecond [default: 10000; 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 1_000_000))]
    size: Option<u64>,
    /// Milliseconds that a whole visit may take, 1 to 60000 [default: 100]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    budget: Option<u64>,
    /// Milliseconds that one try may take, 1 to 60000 [default: 30]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    patience: Option<u64>,
    /// Tries after the first at each backend, 0 to 10 [default: 2]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 0, 10))]
    retries: Option<u64>,
    /// Percent of the clients that are cancelled by their handles, 0 to 100 [default: 5]
    #[arg(long, value_name = "PERCENT", value_parser = |text: &str| options::whole(text, 0, 100))]
    cancel: Option<u64>,
    /// Decides how long answers take and who is cancelled when, 0 to 1000000000 [default: 1]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 0, 1_000_000_000))]
    seed: Option<u64>,
}

fn milliseconds(text: &str) -> Result<u64, String> {
    options::whole(text, 1, 60_000)
}

/// Something that happens at the door, so long after the start.
#[derive(Clone, Copy, Debug)]
enum Event {
    Arrive(usize),
    Cancel(usize),
}

/// What the door saw.
#[derive(Debug, Default)]
struct Door {
    /// Clients that were to be cancelled.
    asked: u64,
    /// Clients whose `join` said that they were.
    cancelled: u64,
    time: Duration,
}

/// Runs the part and checks that nothing was lost in any of the unwinds.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let count = common.size(args.size, 10_000, 2_000);
    let plan = Plan {
        budget: Duration::from_millis(args.budget.unwrap_or(100)),
        patience: Duration::from_millis(args.patience.unwrap_or(30)),
        retries: args.retries.unwrap_or(2),
        seed: args.seed.unwrap_or(1),
    };
    let percent = args.cancel.unwrap_or(5);
    screen.heading(
        &format!(
            "deadlines: {} clients with a budget of {} ms each",
            grouped(count),
            plan.budget.as_millis()
        ),
        &[
            &format!(
                "Three backends, {} retries, {} ms for a try; {percent} % of the clients are cancelled.",
                plan.retries,
                plan.patience.as_millis()
            ),
            "Whatever ends a visit, it gives back its connection and finishes its commit.",
        ],
    );
    let machine = common.machine("deadlines", None)?;
    let service = Arc::new(Service::new(plan));
    let told = service.clone();
    let watch = screen.watch_telling(tell::gauges(&service, count), move || tell::line(&told));
    let in_fiber = service.clone();
    let door = machine.run(move || serve_all(&in_fiber, count, percent))?;
    let peak_bytes = watch.finish();
    let workers = options::stop(machine)?.workers;
    check(&service, &door, count)?;
    let inner = Lateness::of(service.inner_late.take(), "tries")?;
    let outer = Lateness::of(service.outer_late.take(), "visits")?;
    let cost = cost::measure(common)?;

    let findings = tell::Findings {
        service: &service,
        count,
        asked: door.asked,
        time: door.time,
        peak_bytes,
        inner,
        outer,
        cost,
    };
    findings.table().iter().for_each(|line| screen.say(line));
    Ok(findings.report(workers))
}

/// The first fiber: lets clients in and cancels some, each at its time, then joins all.
fn serve_all(service: &Arc<Service>, count: u64, percent: u64) -> Result<Door, String> {
    let events = events(count, percent, service.plan.seed);
    let mut door = Door::default();
    let mut clients: Vec<JoinHandle<()>> = Vec::with_capacity(count as usize);
    let start = Instant::now();
    for (at, event) in events {
        if start.elapsed() < at {
            fibers::time::sleep_until(start + at);
        }
        match event {
            Event::Arrive(client) => {
                let visit = Visit::new(service, client as u64);
                clients.push(fibers::spawn(move || visit.run()));
            }
            Event::Cancel(client) => {
                door.asked += 1;
                clients[client]
                    .cancel()
                    .map_err(|error| format!("a client was not to be cancelled: {error}"))?;
            }
        }
    }
    for client in clients {
        match client.join() {
            Ok(()) => {}
            Err(payload) if payload.is::<Cancelled>() => door.cancelled += 1,
            Err(_) => return Err("a client panicked".to_string()),
        }
    }
    door.time = start.elapsed();
    Ok(door)
}

/// Everything that will happen at the door, in order. A client comes before it is cancelled.
fn events(count: u64, percent: u64, seed: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::with_capacity(count as usize);
    for client in 0..count {
        let arrives = ARRIVE_EVERY * client as u32;
        events.push((arrives, Event::Arrive(client as usize)));
        if chance::unit(seed + WHO, client) * 100.0 < percent as f64 {
            let after = CANCEL_WITHIN.mul_f64(chance::unit(seed + WHEN, client));
            events.push((arrives + after, Event::Cancel(client as usize)));
        }
    }
    // Stable: at the same time, first come, then be cancelled.
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Nothing was lost: not a visit, not a connection, not a commit, and nobody got another's answer.
fn check(service: &Service, door: &Door, count: u64) -> Result<(), String> {
    let tally = &service.tally;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let wrong = read(&tally.wrong);
    if wrong > 0 {
        return Err(format!("{wrong} answers were not the client's own"));
    }
    let ended: u64 = tally.ends().iter().map(|(_, counter)| read(counter)).sum();
    if ended != count {
        return Err(format!("{ended} visits ended, expected {count}"));
    }
    let unwound = read(&tally.cancelled);
    if unwound != door.cancelled || unwound > door.asked {
        return Err(format!(
            "{} clients were cancelled, {unwound} visits were unwound, {} of {} joins said so",
            door.asked, door.cancelled, count
        ));
    }
    let (begun, committed) = (read(&tally.begun), read(&tally.committed));
    if begun != committed {
        return Err(format!(
            "{committed} commits finished, expected all {begun} that had begun"
        ));
    }
    for (number, backend) in service.backends.iter().enumerate() {
        let (taken, given_back) = (backend.pool.taken(), backend.pool.given_back());
        if taken != given_back {
            return Err(format!(
                "backend {number} got {given_back} connections back, expected all {taken}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_comes_once_and_before_being_cancelled() {
        let events = events(100, 100, 1);
        assert!(events.is_sorted_by_key(|(at, _)| *at));
        let mut arrived = 0;
        let mut cancelled = [0; 100];
        for (_, event) in events {
            match event {
                Event::Arrive(client) => {
                    assert_eq!(client, arrived);
                    arrived += 1;
                }
                Event::Cancel(client) => {
                    assert!(client < arrived);
                    cancelled[client] += 1;
                }
            }
        }
        assert_eq!(arrived, 100);
        assert_eq!(cancelled, [1; 100]);
    }

    #[test]
    fn nobody_is_cancelled_at_no_percent() {
        assert_eq!(events(1_000, 0, 1).len(), 1_000);
    }
}
