//! The sink: takes what comes out, looks at its order, adds up, and answers when stock is taken.

use fibers::channel::{Receiver, Sender, select};

use crate::pipeline::Plan;
use crate::pipeline::foreman::Count;
use crate::pipeline::meter::Meter;
use crate::pipeline::stages::Record;

/// Asked for by the foreman: what was received, once it is so much.
#[derive(Debug)]
pub struct StockOrder {
    /// So much was sent.
    pub until: u64,
    /// Where the answer goes.
    pub answer: Sender<Count>,
}

/// What has come out.
#[derive(Debug)]
pub struct Received {
    /// Messages, and what they add up to as they were sent.
    pub count: Count,
    /// What the results add up to.
    pub sum: u64,
    /// Messages of each source.
    pub counts: Vec<u64>,
    /// Messages that were not their source's next one.
    pub overtaken: u64,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Sink {
    plan: Plan,
    ordered: Receiver<Record>,
    stock: Receiver<StockOrder>,
    /// Told when it is time to take stock.
    milestones: Sender<()>,
    milestones_told: u64,
    received: Received,
    /// An order that cannot be answered yet.
    order: Option<StockOrder>,
}

impl Sink {
    /// A sink that has received nothing.
    pub fn new(
        plan: Plan,
        ordered: Receiver<Record>,
        stock: Receiver<StockOrder>,
        milestones: Sender<()>,
    ) -> Sink {
        Sink {
            plan,
            ordered,
            stock,
            milestones,
            milestones_told: 0,
            received: Received {
                count: Count::default(),
                sum: 0,
                counts: vec![0; plan.sources as usize],
                overtaken: 0,
            },
            order: None,
        }
    }

    /// Receives until there is no more, then answers until nobody asks any more.
    pub fn run(mut self, meter: &Meter) -> Received {
        loop {
            select! {
                recv(self.ordered) -> record => match record {
                    Ok(record) => {
                        meter.count_and_look(|| self.ordered.len());
                        self.take(record);
                    }
                    Err(_) => break,
                },
                recv(self.stock) -> order => match order {
                    Ok(order) => self.order = Some(order),
                    Err(_) => break,
                },
            }
            self.answer(false);
        }
        self.answer(true);
        // The foreman learns of the end by this, and asks at most for what it has been told to ask.
        drop(std::mem::replace(
            &mut self.milestones,
            fibers::channel::bounded(0).0,
        ));
        while let Ok(order) = self.stock.recv() {
            self.order = Some(order);
            self.answer(true);
        }
        self.received
    }

    fn take(&mut self, record: Record) {
        let received = &mut self.received;
        let place = &mut received.counts[record.source as usize];
        if record.place != *place {
            received.overtaken += 1;
        }
        *place += 1;
        received.count.add(record.value);
        received.sum = received.sum.wrapping_add(record.result);
        let (plan, count) = (&self.plan, received.count.messages);
        let parts = plan.stocktakings + 1;
        while self.milestones_told < plan.stocktakings
            && count >= plan.messages * (self.milestones_told + 1) / parts
        {
            self.milestones_told += 1;
            // Without a limit, so it never waits; and without a foreman nobody needs to know.
            let _ = self.milestones.send(());
        }
    }

    /// Answers an order if all it waits for has come, or nothing comes any more.
    fn answer(&mut self, is_over: bool) {
        let count = self.received.count;
        if let Some(order) = self
            .order
            .take_if(|order| is_over || count.messages >= order.until)
        {
            let _ = order.answer.send(count);
        }
    }
}
