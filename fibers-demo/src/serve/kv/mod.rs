//! A store of keys and values that speaks to Redis clients. In memory only, one database.
//!
//! `resp` reads commands and writes answers, `commands` does them, `store` holds the data; all three are
//! pure. What is here puts them together, and sweeps out keys that have expired.

mod commands;
mod resp;
mod set;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::serve::kv::commands::Next;
use crate::serve::kv::resp::{Command, Fault, LINE_MAX, Reply};
use crate::serve::kv::store::Store;
use crate::serve::os::thread;
use crate::serve::wire::{End, Protocol, Transport, Wire};

/// How often expired keys are swept out. Nobody sees them before that either.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The server's side of the conversation.
#[derive(Debug)]
pub struct Kv {
    store: Arc<Store>,
    since: Instant,
    sweeper: Option<Sweeper>,
}

/// The fiber that removes expired keys.
#[derive(Debug)]
struct Sweeper {
    fiber: thread::JoinHandle<()>,
    is_over: Arc<AtomicBool>,
}

impl Kv {
    /// An empty store of at most so many bytes that nobody sweeps.
    pub fn new(bytes_max: usize) -> Kv {
        Kv {
            store: Arc::new(Store::new(bytes_max)),
            since: Instant::now(),
            sweeper: None,
        }
    }

    /// As `new`, with a sweeper, which ends when this is dropped.
    pub fn start(bytes_max: usize) -> Result<Kv, String> {
        let mut kv = Kv::new(bytes_max);
        let sweeper = Sweeper::start(kv.store.clone());
        kv.sweeper = Some(sweeper.map_err(|error| format!("no sweeper: {error}"))?);
        Ok(kv)
    }

    /// The part of `INFO` that is not about the store.
    fn about(&self) -> String {
        format!(
            "# Server\r\nfibers_demo_version:{}\r\nuptime_in_seconds:{}\r\n",
            env!("CARGO_PKG_VERSION"),
            self.since.elapsed().as_secs()
        )
    }
}

impl Sweeper {
    fn start(store: Arc<Store>) -> io::Result<Sweeper> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let fiber = thread::Builder::new().name("sweeper".into());
        let fiber = fiber.spawn(move || {
            // Relaxed: the unpark behind the store orders it.
            while !over.load(Ordering::Relaxed) {
                store.sweep(thread::yield_now);
                thread::park_timeout(SWEEP_EVERY);
            }
        })?;
        Ok(Sweeper { fiber, is_over })
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        if let Some(Sweeper { fiber, is_over }) = self.sweeper.take() {
            is_over.store(true, Ordering::Relaxed);
            fiber.thread().unpark();
            let _ = fiber.join();
        }
    }
}

impl Protocol for Kv {
    const INPUT_MAX: usize = LINE_MAX;

    fn serve<T: Transport>(&self, wire: &mut Wire<T>) -> io::Result<End> {
        let mut command = Command::default();
        while wire.await_request(None)? {
            match command.read(wire) {
                Ok(()) if command.len() == 0 => continue,
                Ok(()) => {}
                Err(Fault::Broken(error)) => return Err(error),
                Err(Fault::Cut) => return Ok(End::Theirs),
                Err(Fault::Protocol(what)) => {
                    wire.complain();
                    let text = format!("ERR Protocol error: {what}");
                    Reply(wire.output()).error(&text);
                    return Ok(End::Ours);
                }
            }
            let next = commands::run(&command, &self.store, wire.output(), &|| self.about());
            wire.answered()?;
            if next == Next::Close {
                return Ok(End::Ours);
            }
        }
        Ok(End::Theirs)
    }
}
