//! An hour of retries, tested a thousand times in a second: a client that backs off, with jitter and an overall
//! deadline, against a server that is down now and then. `cargo run --release --example retries`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use fibers::testing::{self, explore};
use fibers::time::{Duration, Elapsed, Instant, sleep, timeout};
use fibers::wait::WaitQueue;

const SECOND: Duration = Duration::from_secs(1);
/// How long a client tries in all, and how long it waits for one answer.
const OVERALL: Duration = Duration::from_secs(3600);
const ATTEMPT: Duration = Duration::from_secs(2);
/// The first pause between two attempts; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(300);

/// The client. Nothing in it knows that it is tested; `random` is a number below its argument.
struct Client {
    random: fn(usize) -> usize,
    attempts: AtomicU32,
}

impl Client {
    /// Asks until there is an answer, or the time is up.
    fn ask(&self, server: &Server, question: u64) -> Result<u64, Elapsed> {
        timeout(OVERALL, || {
            let mut pause = PAUSE_FIRST;
            loop {
                self.attempts.fetch_add(1, SeqCst);
                if let Ok(Ok(answer)) = timeout(ATTEMPT, || server.answer(question)) {
                    return answer;
                }
                sleep(self.jittered(pause));
                pause = (2 * pause).min(PAUSE_LAST);
            }
        })
    }

    /// From a half of it to the whole, so that clients which failed together do not come back together.
    fn jittered(&self, pause: Duration) -> Duration {
        pause / 2 + (pause / 2000) * (self.random)(1000) as u32
    }
}

struct Busy;

/// The server: serves two at a time, is slow now and then, and down until some moment.
struct Server {
    up_at: Instant,
    slots: AtomicUsize,
    queue: WaitQueue,
}

/// One of the two; given back whatever becomes of its holder: an answer, an error, a client that went away.
struct Slot<'a>(&'a Server);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.slots.fetch_add(1, SeqCst);
        self.0.queue.wake_one();
    }
}

impl Server {
    fn slot(&self) -> Slot<'_> {
        let take = || {
            let less = |free: usize| free.checked_sub(1);
            self.slots.fetch_update(SeqCst, SeqCst, less).is_ok()
        };
        while !take() {
            self.queue.wait_until(|| self.slots.load(SeqCst) > 0);
        }
        Slot(self)
    }

    fn answer(&self, question: u64) -> Result<u64, Busy> {
        let _slot = self.slot();
        sleep(Duration::from_millis(testing::random(400) as u64));
        if Instant::now() < self.up_at || testing::random(4) == 0 {
            return Err(Busy);
        }
        if testing::random(8) == 0 {
            // Hangs, until the client has had enough.
            sleep(10 * OVERALL);
        }
        Ok(question * question)
    }
}

/// What came out of all runs so far.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that got an answer.
    pub answered: AtomicU32,
    /// Requests whose time was up before.
    pub gave_up: AtomicU32,
    attempts: AtomicU32,
    virtual_ms: AtomicU64,
}

/// Five clients and one server, inside a deterministic run: everybody gets the right answer, or gives up after an
/// hour and not before.
pub fn run(outcome: &Outcome) {
    let begin = Instant::now();
    let server = Server {
        // Down for up to an hour and a half.
        up_at: begin + SECOND * testing::random(5400) as u32,
        slots: AtomicUsize::new(2),
        queue: WaitQueue::new(),
    };
    fibers::scope(|s| {
        for question in 0..5 {
            let server = &server;
            s.spawn(move || {
                let client = Client {
                    random: testing::random,
                    attempts: AtomicU32::new(0),
                };
                let begin = Instant::now();
                let answer = client.ask(server, question);
                let took = begin.elapsed();
                match answer {
                    Ok(answer) => {
                        assert_eq!(answer, question * question);
                        assert!(took < OVERALL + SECOND);
                        outcome.answered.fetch_add(1, SeqCst);
                    }
                    Err(Elapsed { .. }) => {
                        assert!(took >= OVERALL && took < OVERALL + SECOND);
                        assert!(server.up_at > begin + OVERALL / 2, "it gave up too soon");
                        outcome.gave_up.fetch_add(1, SeqCst);
                    }
                }
                let attempts = client.attempts.into_inner();
                assert!(attempts < 50, "{attempts} attempts are no back-off");
                outcome.attempts.fetch_add(attempts, SeqCst);
            });
        }
    });
    assert_eq!(server.slots.into_inner(), 2, "a slot was lost");
    let took = begin.elapsed().as_millis() as u64;
    outcome.virtual_ms.fetch_add(took, SeqCst);
}

#[cfg_attr(test, expect(dead_code, reason = "the tests run `run` themselves"))]
fn main() {
    const SEEDS: u64 = 1000;
    let begin = std::time::Instant::now();
    let outcome = Arc::new(Outcome::default());
    let all = Arc::clone(&outcome);
    explore(0..SEEDS, |check| check.workers(3), move || run(&all));
    println!(
        "{SEEDS} seeds: {} answers, {} clients gave up, {} attempts; {} days of virtual time in {:.1?}",
        outcome.answered.load(SeqCst),
        outcome.gave_up.load(SeqCst),
        outcome.attempts.load(SeqCst),
        outcome.virtual_ms.load(SeqCst) / 86_400_000,
        begin.elapsed()
    );
}
