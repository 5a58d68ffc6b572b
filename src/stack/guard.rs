//! Guards: the lowest pages of a stack, which fault on access.
//!
//! Two methods. *Markers* live in the page tables and split no mapping, so a million guarded stacks
//! are a handful of mappings; they need Linux 6.13. *Mprotect* works everywhere and costs each
//! stack two mappings, of which a process has `vm.max_map_count`. Whether markers work is found out
//! once for the process, by trying.
//!
//! The mprotect method keeps a distance from the kernel's limit: at the limit itself everything
//! else in the process fails too, the allocator (which aborts) among it. So a share of the
//! mappings is left to the others, and the stacks run out first, with an error.

use std::io;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::os::memory;

/// How stacks are guarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum GuardMethod {
    /// Markers if the kernel has them, else mprotect.
    #[default]
    Auto,
    /// Markers, or an error.
    Markers,
    /// mprotect, always.
    Mprotect,
}

/// The method in use, after the choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guard {
    Markers,
    Mprotect,
}

/// Mappings that one guard by mprotect costs: itself, and the stack it cuts off.
const MAPPINGS_PER_GUARD: usize = 2;
/// One in so many of the process's mappings is left to everything that is not a guard.
const SHARE_LEFT: usize = 16;
/// Guards by mprotect in this process, all pools together.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);
/// How many there may be; 0 = not yet asked. Asked again at the limit, which may have been raised.
static PROTECTED_MAX: AtomicUsize = AtomicUsize::new(0);
// Relaxed for both: a budget, which guards no memory; read-modify-write keeps the count exact.

impl Guard {
    /// Settles the method.
    ///
    /// # Errors
    /// Markers were asked for and the kernel has none; or no memory for the probe.
    pub(super) fn choose(method: GuardMethod) -> io::Result<Guard> {
        match method {
            GuardMethod::Mprotect => Ok(Guard::Mprotect),
            GuardMethod::Auto if markers_work()? => Ok(Guard::Markers),
            GuardMethod::Auto => Ok(Guard::Mprotect),
            GuardMethod::Markers if markers_work()? => Ok(Guard::Markers),
            GuardMethod::Markers => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "guard method `markers`: this kernel has no guard markers (Linux 6.13 has)",
            )),
        }
    }

    /// Guards a range.
    ///
    /// # Errors
    /// ENOMEM: no page table for a marker; or too many mappings, in the words of
    /// [`memory::too_many_mappings`].
    ///
    /// # Safety
    /// As for [`memory::protect_none`].
    pub(super) unsafe fn install(self, start: NonNull<u8>, bytes: usize) -> io::Result<()> {
        match self {
            Guard::Markers => {
                // SAFETY: passed on to the caller.
                unsafe { memory::install_guard_marker(start, bytes) }.map_err(explain_marker)
            }
            Guard::Mprotect => {
                reserve_mappings()?;
                // SAFETY: passed on to the caller.
                unsafe { memory::protect_none(start, bytes) }.inspect_err(|_| self.forget(1))
            }
        }
    }

    /// Notes that `count` guards are gone because their memory was unmapped.
    pub(super) fn forget(self, count: usize) {
        if self == Guard::Mprotect {
            PROTECTED.fetch_sub(count, Relaxed);
        }
    }
}

/// A marker was refused though the kernel has them: locked memory cannot hold any.
#[cold]
fn explain_marker(error: io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::InvalidInput => "; not on locked memory (mlockall): use `mprotect`",
        _ => "",
    };
    io::Error::new(
        error.kind(),
        format!("cannot mark the guard of a stack: {error}{text}"),
    )
}

/// Takes the mappings for one more guard out of the budget.
fn reserve_mappings() -> io::Result<()> {
    let within = |limit: usize| {
        let one_more = |count: usize| (count < limit).then_some(count + 1);
        PROTECTED.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    };
    if within(PROTECTED_MAX.load(Relaxed)) {
        return Ok(());
    }
    // Not readable (no /proc): then the kernel alone tells when it is too much.
    let mappings = memory::max_map_count().unwrap_or(usize::MAX);
    let limit = (mappings - mappings / SHARE_LEFT) / MAPPINGS_PER_GUARD;
    PROTECTED_MAX.store(limit, Relaxed);
    if within(limit) {
        Ok(())
    } else {
        Err(memory::too_many_mappings())
    }
}

/// Whether guard markers work here. Tried once; a failure to try is not remembered.
fn markers_work() -> io::Result<bool> {
    static WORK: OnceLock<bool> = OnceLock::new();
    if let Some(&work) = WORK.get() {
        return Ok(work);
    }
    let work = try_marker()?;
    Ok(*WORK.get_or_init(|| work))
}

/// Tries one marker. Looks at the effect too: emulators accept advice they do not know.
fn try_marker() -> io::Result<bool> {
    let bytes = memory::page_size();
    let page = memory::reserve(bytes)?;
    // SAFETY: a page of our own that nothing refers to.
    let installed = unsafe { memory::install_guard_marker(page, bytes) };
    let works = installed.is_ok() && !memory::is_readable(page.as_ptr().cast());
    // SAFETY: as above, and not used afterwards.
    unsafe { memory::release(page, bytes) }?;
    match installed {
        // Out of memory says nothing about the kernel.
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => Err(error),
        _ => Ok(works),
    }
}
