//! The foreman: measures how fast the stages are, and takes stock when the sink says that it is time.
//!
//! To take stock it stops all sources, waits until what they have sent has come out at the other end, and compares. A
//! stopped source waits for a channel to lose its sender, so that one drop lets all of them go on.

use std::fmt;
use std::time::Duration;

use fibers::channel::{self, Receiver, Sender, select};
use fibers::time::Instant;

use crate::pipeline::meter::Meters;
use crate::pipeline::sink::StockOrder;

/// How often rates are measured.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// How many messages, and what they add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub messages: u64,
    /// Their sum; it wraps around.
    pub sum: u64,
}

/// What was found while the sources stood still.
#[derive(Debug)]
pub struct Stock {
    /// By all sources.
    pub sent: Count,
    /// By the sink.
    pub received: Count,
    /// Passed by each stage.
    pub passed: Vec<u64>,
    /// Sources that had something left to send.
    pub stopped: u64,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Foreman<'a> {
    /// A channel to each source, without room: who has got the order stands still.
    pub stops: Vec<Sender<Receiver<()>>>,
    /// To the sink.
    pub stock_orders: Sender<StockOrder>,
    /// From the sink, which drops its end when all is over.
    pub milestones: Receiver<()>,
    /// What the stages count.
    pub meters: &'a Meters,
}

impl Count {
    /// One more.
    pub fn add(&mut self, value: u64) {
        self.messages += 1;
        self.sum = self.sum.wrapping_add(value);
    }
}

impl Stock {
    /// What was sent has come out, and nothing is left on the way.
    pub fn is_right(&self) -> bool {
        self.sent == self.received
            && self
                .passed
                .iter()
                .all(|passed| *passed == self.sent.messages)
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { messages, sum } = self.received;
        write!(
            f,
            "{messages} messages had come out that add up to {sum}, expected {} and {}; the stages had passed {:?}",
            self.sent.messages, self.sent.sum, self.passed
        )
    }
}

impl Foreman<'_> {
    /// Until the sink has received the last message.
    pub fn run(&self) -> Vec<Stock> {
        let ticks = channel::tick(MEASURE_EVERY);
        let mut stocks = Vec::new();
        let mut measured = (Instant::now(), self.meters.done());
        loop {
            select! {
                recv(self.milestones) -> milestone => match milestone {
                    Ok(()) => stocks.extend(self.take_stock()),
                    Err(_) => return stocks,
                },
                recv(ticks) -> _ => measured = self.measure(measured),
            }
        }
    }

    fn measure(&self, (then, before): (Instant, Vec<u64>)) -> (Instant, Vec<u64>) {
        let (now, done) = (Instant::now(), self.meters.done());
        let seconds = (now - then).as_secs_f64().max(1e-9);
        for ((meter, done), before) in self.meters.all().iter().zip(&done).zip(before) {
            meter.set_rate(((done - before) as f64 / seconds) as u64);
        }
        (now, done)
    }

    /// `None`: the sink has gone, which only a panic in it can explain.
    fn take_stock(&self) -> Option<Stock> {
        let (stand_still, go_on) = channel::bounded(0);
        // A source that is through has dropped its end.
        let stopped = (self.stops.iter())
            .filter(|stop| stop.send(go_on.clone()).is_ok())
            .count() as u64;
        let sent = Count {
            messages: self.meters.sources().done(),
            sum: self.meters.sent_sum(),
        };
        let (answer, answered) = channel::bounded(1);
        let order = StockOrder {
            until: sent.messages,
            answer,
        };
        self.stock_orders.send(order).ok()?;
        let received = answered.recv().ok()?;
        let passed = self.meters.done();
        drop(stand_still);
        Some(Stock {
            sent,
            received,
            passed,
            stopped,
        })
    }
}
