//! What each stage has done so far, and how long its queue is. Written by the stages, read by screen and foreman.

use std::sync::atomic::{AtomicU64, Ordering};

/// Every how many messages a stage looks how many wait: a look takes the channel's lock.
const LOOK_EVERY: u64 = 16;

/// One stage. On cache lines of its own: neighbours count at the same time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meter {
    done: AtomicU64,
    /// Messages a second, when last measured.
    rate: AtomicU64,
    /// How many waited at the last look, all looks, what they add up to, and the most.
    queued: AtomicU64,
    looks: AtomicU64,
    queued_sum: AtomicU64,
    queued_max: AtomicU64,
}

/// Sources, parse, each stage of work, merge, sink: in this order.
#[derive(Debug)]
pub struct Meters {
    all: Vec<Meter>,
    /// What the sources have sent adds up to this.
    sent_sum: AtomicU64,
}

impl Meter {
    /// Counts a message. A stage does so before it passes the message on: whoever has it further down finds it
    /// counted further up.
    pub fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message, and now and then looks how many more wait.
    pub fn count_and_look(&self, queued: impl Fn() -> usize) {
        if self
            .done
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(LOOK_EVERY)
        {
            let queued = queued() as u64;
            self.queued.store(queued, Ordering::Relaxed);
            self.looks.fetch_add(1, Ordering::Relaxed);
            self.queued_sum.fetch_add(queued, Ordering::Relaxed);
            self.queued_max.fetch_max(queued, Ordering::Relaxed);
        }
    }

    /// Messages so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Messages a second, of late.
    pub fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// By the foreman.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// How many waited at the last look.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many waited, on average.
    pub fn queued_mean(&self) -> f64 {
        let looks = self.looks.load(Ordering::Relaxed).max(1);
        self.queued_sum.load(Ordering::Relaxed) as f64 / looks as f64
    }

    /// The most that waited.
    pub fn queued_max(&self) -> u64 {
        self.queued_max.load(Ordering::Relaxed)
    }
}

impl Meters {
    /// For so many stages of work.
    pub fn new(stages: usize) -> Meters {
        Meters {
            all: (0..stages + 4).map(|_| Meter::default()).collect(),
            sent_sum: AtomicU64::new(0),
        }
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Meter] {
        &self.all
    }

    /// What they are called, in order.
    pub fn names(&self) -> Vec<String> {
        let stages = self.all.len() - 4;
        let work = (1..=stages).map(|stage| match stages {
            1 => "work".to_string(),
            _ => format!("work {stage}"),
        });
        (["sources", "parse"].map(String::from).into_iter())
            .chain(work)
            .chain(["merge", "sink"].map(String::from))
            .collect()
    }

    /// What each has done.
    pub fn done(&self) -> Vec<u64> {
        self.all.iter().map(Meter::done).collect()
    }

    /// A source has sent this.
    pub fn note_sent(&self, value: u64) {
        self.sent_sum.fetch_add(value, Ordering::Relaxed);
        self.sources().count();
    }

    /// What all that was sent adds up to.
    pub fn sent_sum(&self) -> u64 {
        self.sent_sum.load(Ordering::Relaxed)
    }

    /// The sources, all together.
    pub fn sources(&self) -> &Meter {
        &self.all[0]
    }

    /// The parser.
    pub fn parse(&self) -> &Meter {
        &self.all[1]
    }

    /// A stage of work, from 1.
    pub fn stage(&self, stage: usize) -> &Meter {
        &self.all[1 + stage]
    }

    /// The merge.
    pub fn merge(&self) -> &Meter {
        &self.all[self.all.len() - 2]
    }

    /// The sink.
    pub fn sink(&self) -> &Meter {
        &self.all[self.all.len() - 1]
    }
}
