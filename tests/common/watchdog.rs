//! The watchdog: it ends a test that hangs, and says what every fiber of the test's machines does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fibers::{Handle, LocalRuntime, Runtime, RuntimeBuilder};

use super::{Mode, builder, limit};

/// One running test: its watchdog, and the machines that the watchdog looks into.
#[derive(Debug)]
pub struct Test {
    id: u64,
}

#[derive(Debug)]
struct Watched {
    id: u64,
    name: String,
    limit: Duration,
    since: Instant,
    machines: Vec<Handle>,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

fn watched() -> MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Test {
    /// A test that may take `limit_s` seconds, and longer on a machine that others load (`limit`). Far more than it
    /// needs: the limit catches hangs, nothing else.
    pub fn new(limit_s: u64) -> Self {
        static STARTED: std::sync::Once = std::sync::Once::new();
        static IDS: AtomicU64 = AtomicU64::new(0);
        STARTED.call_once(|| {
            std::thread::Builder::new()
                .name("watchdog".to_owned())
                .spawn(watch)
                .expect("the watchdog starts");
        });
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        watched().push(Watched {
            id,
            name: std::thread::current().name().unwrap_or("?").to_owned(),
            limit: limit(limit_s),
            since: Instant::now(),
            machines: Vec::new(),
        });
        Self { id }
    }

    /// Has the watchdog look into that machine too.
    pub fn watch(&self, machine: Handle) {
        if let Some(watched) = watched().iter_mut().find(|watched| watched.id == self.id) {
            watched.machines.push(machine);
        }
    }

    /// Builds a machine, watched.
    pub fn build(&self, builder: RuntimeBuilder) -> Runtime {
        let machine = builder.build().expect("the machine starts");
        self.watch(machine.handle());
        machine
    }

    /// A machine of that mode with so many workers, watched.
    pub fn machine(&self, mode: Mode, workers: usize) -> Runtime {
        self.build(builder(mode).workers(workers))
    }

    /// A machine on this thread, watched.
    pub fn local(&self) -> LocalRuntime {
        let machine = Runtime::builder()
            .build_local()
            .expect("the machine is made");
        self.watch(machine.handle());
        machine
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let mut all = watched();
        let at = all.iter().position(|watched| watched.id == self.id);
        let mine = at.map(|at| all.swap_remove(at));
        drop(all);
        drop(mine);
    }
}

fn watch() {
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let late = {
            let all = watched();
            all.iter()
                .find(|watched| watched.since.elapsed() > watched.limit)
                .map(|watched| (watched.name.clone(), watched.machines.clone()))
        };
        let Some((name, machines)) = late else {
            continue;
        };
        let mut text = format!("\nWATCHDOG: {name} hangs\n");
        for (index, machine) in machines.iter().enumerate() {
            text += &format!("machine {index}: {:?}\n", machine.metrics());
            let (fibers, busy) = machine.fibers(Duration::from_millis(500));
            for fiber in fibers.iter().take(50) {
                text += &format!("  {fiber}\n");
            }
            if fibers.len() > 50 {
                text += &format!("  and {} more\n", fibers.len() - 50);
            }
            text += &format!("  workers that do not answer: {busy:?}\n");
        }
        // Not by eprint: the harness would capture it, and it may hold the lock of the test that hangs.
        raw_stderr(&text);
        std::process::abort();
    }
}

/// Writes to descriptor 2, past every buffer and lock.
pub fn raw_stderr(text: &str) {
    // SAFETY: a plain write of a live buffer.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
