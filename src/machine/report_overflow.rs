//! Who overflowed: what the fault handler wants to know about the running fiber.

use std::io;
use std::sync::Once;

use crate::fiber::current;
use crate::machine::worker::Worker;
use crate::stack::overflow::{self, OverflowInfo};

/// Installs the handler, once per process.
pub(crate) fn install() -> io::Result<()> {
    static INSTALLED: Once = Once::new();
    let mut result = Ok(());
    INSTALLED.call_once(|| result = overflow::install(running_fiber));
    result
}

/// Async-signal-safe: reads a thread-local without a destructor, and memory that the running fiber keeps
/// alive.
fn running_fiber() -> Option<OverflowInfo> {
    let home = current::worker();
    if home.is_null() {
        return None;
    }
    // SAFETY: set by `Own::enter`; the handler runs on that very thread.
    let worker = unsafe { Worker::from_home(home) };
    let header = worker.running();
    if header.is_null() {
        return None;
    }
    // SAFETY: the running fiber is alive, and interrupted.
    let fiber = unsafe { &*header };
    let runner = fiber.runner.get();
    if runner.is_null() {
        return None;
    }
    // SAFETY: the runner of a running fiber.
    let runner = unsafe { &*runner };
    let class = runner.class();
    let name = fiber
        .cold()
        .and_then(|cold| cold.name.as_deref())
        .unwrap_or("<unnamed>");
    Some(OverflowInfo {
        guard: runner.guard(worker.guard_bytes()),
        stack_bytes: class.bytes(),
        fiber_id: fiber.id(),
        name: name.as_ptr(),
        name_len: name.len(),
    })
}
