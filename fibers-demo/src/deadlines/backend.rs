//! The simulated backends: a pool of connections each, and a fiber per question that answers late.
//!
//! A client waits in two places, for a connection and for the answer, and may be unwound in both. What
//! it holds then is given back by guards: the connection goes to the next in the queue, and the fiber
//! that would have answered is called off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{Fiber, JoinHandle};

/// How an answer reaches the client that waits for it.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// `park` and `unpark`.
    Unpark,
    /// A `WaitQueue`.
    Queue,
    /// A call: the answer is delivered by a closure that runs on the client's stack.
    Call,
}

/// One backend.
#[derive(Debug)]
pub struct Backend {
    way: Way,
    /// Its latency when nothing delays it.
    pub fastest: Duration,
    /// Its connections.
    pub pool: Pool,
}

/// A bounded number of connections, and those who wait for one.
#[derive(Debug)]
pub struct Pool {
    /// How many there are.
    pub size: u64,
    free: AtomicU64,
    taken: AtomicU64,
    given_back: AtomicU64,
    waiting: WaitQueue,
}

/// A connection that is in use. Dropping it, by whatever way, gives it back.
struct Connection<'a>(&'a Pool);

/// The fiber that answers one question. Dropping it calls it off.
struct Server(JoinHandle<()>);

/// Where client and server meet. Late answers go here too, and nobody looks at them.
#[derive(Debug, Default)]
struct Reply {
    value: OnceLock<u64>,
    waiting: WaitQueue,
}

impl Backend {
    /// A backend with that many connections.
    pub fn new(way: Way, fastest: Duration, connections: u64) -> Backend {
        Backend {
            way,
            fastest,
            pool: Pool {
                size: connections,
                free: AtomicU64::new(connections),
                taken: AtomicU64::new(0),
                given_back: AtomicU64::new(0),
                waiting: WaitQueue::new(),
            },
        }
    }

    /// Asks, and waits for the answer, which is `answer_to(question)`.
    pub fn ask(&self, question: u64, latency: Duration) -> u64 {
        let _connection = self.pool.take();
        let reply = Arc::new(Reply::default());
        let _server = self.serve(question, latency, &reply);
        loop {
            if let Some(value) = reply.value.get() {
                return *value;
            }
            match self.way {
                Way::Unpark => fibers::park(),
                Way::Queue => reply.waiting.wait_until(|| reply.value.get().is_some()),
                Way::Call => {
                    let _ = wait::sleep(Reasons::CALL);
                    fibers::process_calls();
                }
            }
        }
    }

    /// Starts the fiber that will answer.
    fn serve(&self, question: u64, latency: Duration, reply: &Arc<Reply>) -> Server {
        let (way, client, reply) = (self.way, fibers::current(), reply.clone());
        Server(fibers::spawn(move || {
            fibers::sleep(latency);
            deliver(way, &client, reply, answer_to(question));
        }))
    }
}

/// What every backend answers; a client can tell its own answer from another's.
pub fn answer_to(question: u64) -> u64 {
    !question
}

fn deliver(way: Way, client: &Fiber, reply: Arc<Reply>, answer: u64) {
    // Each reply has one server, and a call runs once: the cell is still empty.
    match way {
        Way::Unpark => {
            let _ = reply.value.set(answer);
            client.unpark();
        }
        Way::Queue => {
            let _ = reply.value.set(answer);
            reply.waiting.wake_one();
        }
        // An error means that the client has ended meanwhile: nobody wants the answer.
        Way::Call => drop(client.call(move || reply.value.set(answer))),
    }
}

impl Pool {
    /// Waits for a connection.
    fn take(&self) -> Connection<'_> {
        loop {
            let left = |free: u64| free.checked_sub(1);
            let took = (self.free).fetch_update(Ordering::AcqRel, Ordering::Relaxed, left);
            if took.is_ok() {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return Connection(self);
            }
            self.waiting
                .wait_until(|| self.free.load(Ordering::Acquire) > 0);
        }
    }

    /// Connections taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Connections given back so far.
    pub fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.given_back.fetch_add(1, Ordering::Relaxed);
        self.0.free.fetch_add(1, Ordering::AcqRel);
        self.0.waiting.wake_one();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Of no effect on one that has answered. An error says that fibers cannot be cancelled in this
        // build at all; then it answers in vain.
        let _ = self.0.cancel();
    }
}
