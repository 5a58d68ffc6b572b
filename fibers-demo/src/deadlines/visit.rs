//! One client's visit to the service: three backends in a row, tries, a commit, and how it ended.
//!
//! This is the code that deadlines and cancellation are for: it says what is to happen, in order, and
//! nowhere what happens when time is up. `Visit::drop` counts how each visit ended, because a cancelled
//! client does not come to the line that would say so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fibers::time::Instant;

use crate::deadlines::backend::{Backend, Way, answer_to};
use crate::{chance, lateness};

/// How long a commit takes.
const COMMIT_TIME: Duration = Duration::from_millis(5);
/// No question takes longer than this, however long the tail.
const LATENCY_MAX: Duration = Duration::from_secs(2);
/// One client in so many commits something.
const COMMITS_ONE_IN: u64 = 4;
/// Places in chance that one client has: more than three backends with eleven tries each need.
const PLACES: u64 = 64;

/// What a client may spend.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// For the whole visit.
    pub budget: Duration,
    /// For one question to one backend.
    pub patience: Duration,
    /// Tries after the first, for each backend.
    pub retries: u64,
    /// Decides how long each answer takes.
    pub seed: u64,
}

/// The service, and the counters of what happened in it.
#[derive(Debug)]
pub struct Service {
    /// What each client may spend.
    pub plan: Plan,
    /// Asked in this order.
    pub backends: [Backend; 3],
    /// How the visits ended.
    pub tally: Tally,
    /// How late tries ran out of patience, in nanoseconds.
    pub inner_late: Log,
    /// How late visits ran out of budget.
    pub outer_late: Log,
}

/// Counters, of visits unless they say otherwise.
#[derive(Debug, Default)]
pub struct Tally {
    /// Every first try was answered in time.
    pub at_once: AtomicU64,
    /// Answered, but not at the first try.
    pub after_retry: AtomicU64,
    /// One backend did not answer any of the tries in time.
    pub gave_up: AtomicU64,
    /// The budget was used up.
    pub over_budget: AtomicU64,
    /// Ended by `JoinHandle::cancel`.
    pub cancelled: AtomicU64,
    /// Tries after a first one.
    pub retries: AtomicU64,
    /// Commits begun.
    pub begun: AtomicU64,
    /// Commits finished.
    pub committed: AtomicU64,
    /// Of those, with a cancellation or an expired budget waiting outside the shield.
    pub shielded: AtomicU64,
    /// Answers that were not the client's own.
    pub wrong: AtomicU64,
}

/// Latenesses in nanoseconds. A lock of std does: nobody waits while holding it.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<i64>>);

/// One client's visit.
#[derive(Debug)]
pub struct Visit {
    service: Arc<Service>,
    client: u64,
    retries: u64,
    /// None until the visit has come to its end.
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Answered,
    GaveUp,
    OverBudget,
}

impl Service {
    /// A service with that plan.
    pub fn new(plan: Plan) -> Service {
        let backend =
            |way, ms, connections| Backend::new(way, Duration::from_millis(ms), connections);
        Service {
            plan,
            backends: [
                backend(Way::Unpark, 1, 100),
                backend(Way::Queue, 3, 200),
                backend(Way::Call, 6, 300),
            ],
            tally: Tally::default(),
            inner_late: Log::default(),
            outer_late: Log::default(),
        }
    }

    /// How long this backend takes to answer this client's try: most answers come in two or three times
    /// the fastest, one in a hundred takes a hundred times as long.
    fn latency(&self, client: u64, backend: usize, attempt: u64) -> Duration {
        let place = client * PLACES + backend as u64 * PLACES / 3 + attempt;
        let rank = 1.0 - chance::unit(self.plan.seed, place);
        let fastest = self.backends[backend].fastest.as_secs_f64();
        Duration::from_secs_f64((fastest / rank).min(LATENCY_MAX.as_secs_f64()))
    }
}

impl Service {
    /// Connections of all backends taken so far.
    pub fn taken(&self) -> u64 {
        self.backends.iter().map(|one| one.pool.taken()).sum()
    }

    /// Connections of all backends given back so far.
    pub fn given_back(&self) -> u64 {
        self.backends.iter().map(|one| one.pool.given_back()).sum()
    }

    /// Connections in use about now.
    pub fn in_use(&self) -> u64 {
        let given_back = self.given_back();
        self.taken().saturating_sub(given_back)
    }
}

impl Tally {
    /// The ways in which a visit ends: each visit counts in one of them.
    pub fn ends(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("answered at once", &self.at_once),
            ("answered after a retry", &self.after_retry),
            ("gave up", &self.gave_up),
            ("over budget", &self.over_budget),
            ("cancelled", &self.cancelled),
        ]
    }
}

impl Visit {
    /// A visit that has not begun; if it never does, it counts as cancelled.
    pub fn new(service: &Arc<Service>, client: u64) -> Visit {
        Visit {
            service: service.clone(),
            client,
            retries: 0,
            outcome: None,
        }
    }

    /// The visit, from the door to the end of its budget.
    pub fn run(mut self) {
        let service = self.service.clone();
        let budget = service.plan.budget;
        let end = Instant::now() + budget;
        self.outcome = match fibers::timeout(budget, || self.request(&service, end)) {
            Ok(outcome) => Some(outcome),
            Err(_) => {
                service.outer_late.note(end);
                Some(Outcome::OverBudget)
            }
        };
    }

    /// What the client came for.
    fn request(&mut self, service: &Service, end: Instant) -> Outcome {
        for backend in 0..service.backends.len() {
            if !self.ask(service, backend) {
                return Outcome::GaveUp;
            }
        }
        if self.client.is_multiple_of(COMMITS_ONE_IN) {
            commit(&service.tally, end);
        }
        Outcome::Answered
    }

    /// Asks one backend until it answers in time; false if it never did.
    fn ask(&mut self, service: &Service, backend: usize) -> bool {
        let patience = service.plan.patience;
        for attempt in 0..=service.plan.retries {
            if attempt > 0 {
                self.retries += 1;
                service.tally.retries.fetch_add(1, Ordering::Relaxed);
            }
            let latency = service.latency(self.client, backend, attempt);
            let deadline = Instant::now() + patience;
            let answer = fibers::timeout(patience, || {
                service.backends[backend].ask(self.client, latency)
            });
            match answer {
                Ok(answer) => {
                    if answer != answer_to(self.client) {
                        service.tally.wrong.fetch_add(1, Ordering::Relaxed);
                    }
                    return true;
                }
                Err(_) => service.inner_late.note(deadline),
            }
        }
        false
    }
}

/// What must not stop half-way: the shield keeps cancellation and the budget outside until it is done.
fn commit(tally: &Tally, end: Instant) {
    fibers::shield(|| {
        tally.begun.fetch_add(1, Ordering::Relaxed);
        fibers::sleep(COMMIT_TIME);
        tally.committed.fetch_add(1, Ordering::Relaxed);
        if fibers::is_cancelled() || Instant::now() >= end {
            tally.shielded.fetch_add(1, Ordering::Relaxed);
        }
    });
}

impl Drop for Visit {
    fn drop(&mut self) {
        let tally = &self.service.tally;
        let counter = match self.outcome {
            Some(Outcome::Answered) if self.retries == 0 => &tally.at_once,
            Some(Outcome::Answered) => &tally.after_retry,
            Some(Outcome::GaveUp) => &tally.gave_up,
            Some(Outcome::OverBudget) => &tally.over_budget,
            None => &tally.cancelled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Log {
    /// Notes that what was to end at `deadline` ended just now.
    fn note(&self, deadline: Instant) {
        let late = lateness::after(deadline);
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(late);
    }

    /// Takes what was noted.
    pub fn take(&self) -> Vec<i64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_a_long_tail_and_can_be_repeated() {
        let plan = Plan {
            budget: Duration::ZERO,
            patience: Duration::ZERO,
            retries: 0,
            seed: 3,
        };
        let service = Service::new(plan);
        let mut latencies: Vec<Duration> = (0..10_000)
            .map(|client| service.latency(client, 0, 0))
            .collect();
        assert_eq!(latencies[5], Service::new(plan).latency(5, 0, 0));
        latencies.sort();
        let fastest = service.backends[0].fastest;
        assert!(latencies[0] >= fastest);
        assert!((fastest..4 * fastest).contains(&latencies[5_000]));
        assert!(latencies[9_950] > 100 * fastest);
        assert!(latencies[9_999] <= LATENCY_MAX);
    }
}
