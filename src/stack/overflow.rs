//! Reports which fiber has overflowed its stack, before the process dies of it.
//!
//! Runs in the fault handler, on the faulting thread's alternate stack: async-signal-safe, so no
//! lock, no allocation, no formatting. What it must know comes from a callback of the floors above.
//!
//! Only a fault *inside* the guard counts. Code compiled with stack probes (all Rust code, and C
//! with `-fstack-clash-protection`) touches each page on its way down and always meets the guard. A
//! big frame of other code can jump over it, and then no address tells an overflow from any other
//! wild access: such a fault goes to the previous handler, and a larger guard is the remedy.

use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use crate::os::raw_err::RawErr;
use crate::os::signal::{Fault, Verdict, install_segv_handler};

/// The fiber that runs on the calling thread, as its overflow is reported.
#[derive(Clone, Debug)]
pub(crate) struct OverflowInfo {
    /// The addresses of its stack's guard.
    pub(crate) guard: Range<usize>,
    /// The size of its stack, guard included.
    pub(crate) stack_bytes: usize,
    /// The number that the user knows it by.
    pub(crate) fiber_id: u64,
    /// Its name, UTF-8; null if it has none.
    pub(crate) name: *const u8,
    /// Bytes of the name.
    pub(crate) name_len: usize,
}

/// Asks for the fiber that runs on the calling thread. Runs in a signal handler.
type Lookup = fn() -> Option<OverflowInfo>;

/// Set before the handler is installed.
static LOOKUP: OnceLock<Lookup> = OnceLock::new();

/// Installs the report, once for the process: later calls change nothing and succeed.
///
/// `lookup` must be async-signal-safe, and what it returns must stay valid while the calling thread
/// stays in the handler.
///
/// # Errors
/// The kernel refuses a handler (a sandbox).
pub(crate) fn install(lookup: Lookup) -> io::Result<()> {
    LOOKUP.get_or_init(|| lookup);
    install_segv_handler(judge)
}

/// Looks at a fault.
fn judge(fault: &Fault) -> Verdict {
    if fault.is_sent() {
        return Verdict::NotOurs;
    }
    match LOOKUP.get().and_then(|lookup| lookup()) {
        Some(info) if info.guard.contains(&fault.address) => {
            report(&info);
            Verdict::Report
        }
        _ => Verdict::NotOurs,
    }
}

/// Writes the report, in one piece unless the name is very long.
fn report(info: &OverflowInfo) {
    let mut err = RawErr::new();
    err.push_str("\nfiber '");
    if info.name.is_null() {
        err.push_str("<unnamed>");
    } else {
        // SAFETY: the lookup's promise: a name of this length, alive while the fiber is stuck in
        // this handler.
        err.push_bytes(unsafe { std::slice::from_raw_parts(info.name, info.name_len) });
    }
    err.push_str("' (id ");
    err.push_u64(info.fiber_id);
    err.push_str(") has overflowed its stack of ");
    let (size, unit) = match info.stack_bytes {
        bytes if bytes.is_multiple_of(1 << 20) => (bytes >> 20, " MiB"),
        bytes => (bytes >> 10, " KiB"),
    };
    err.push_u64(size as u64);
    err.push_str(unit);
    err.push_str("; use fibers::Builder::stack_size for a larger one, or ");
    err.push_str("fibers::on_worker_stack for deep calls\n");
    err.flush();
}
