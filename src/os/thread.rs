//! OS threads: how many to run, on which CPUs, and how to start one.
//!
//! Not a thread pool and no scheduling. Any thread may call; nothing here blocks.

use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use rustix::thread::{
    CpuSet, current_timer_slack, sched_getaffinity, sched_setaffinity, set_current_timer_slack,
};

use super::cgroup;
use super::memory::fail;

/// Bytes of stack of a thread started here. Address space only until used. Larger than std's
/// 2 MiB, because deep calls of fibers are sent to these stacks.
pub(crate) const THREAD_STACK_BYTES: usize = 8 << 20;
/// Bytes of a thread's name that Linux keeps.
const NAME_BYTES_MAX: usize = 15;

/// Binds the calling thread to one CPU.
///
/// # Errors
/// EINVAL: there is no such CPU, or the process's cpuset forbids it.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

/// Lets the calling thread run wherever the process's first thread may: undoes what it has inherited from a
/// thread that was bound by [`pin_to`]. If the first thread's CPUs are not to be had, it stays where it is.
pub(crate) fn unpin() {
    if let Ok(set) = sched_getaffinity(Some(rustix::process::getpid())) {
        let _ = sched_setaffinity(None, &set);
    }
}

/// What a punctual thread's slack was before; 0: there has been none.
static USUAL_SLACK_NS: AtomicU64 = AtomicU64::new(0);

/// While it lives, timed waits of its thread end when they should, and not up to 50 us later, as is usual: Linux allows
/// each thread such a slack, so that one interrupt serves several.
#[derive(Debug)]
pub(crate) struct Punctual {
    before_ns: Option<NonZeroU64>,
}

impl Punctual {
    /// Of the calling thread, which also ends it.
    pub(crate) fn begin() -> Self {
        let before_ns = current_timer_slack().ok().and_then(NonZeroU64::new);
        if let Some(before_ns) = before_ns
            && before_ns > NonZeroU64::MIN
        {
            // Relaxed: a number by itself.
            USUAL_SLACK_NS.store(before_ns.get(), Ordering::Relaxed);
            // A sandbox may refuse; then it is less punctual.
            let _ = set_current_timer_slack(Some(NonZeroU64::MIN));
        }
        Self { before_ns }
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        if self.before_ns.is_some() {
            let _ = set_current_timer_slack(self.before_ns);
        }
    }
}

/// Undoes what the calling thread has inherited from a punctual one.
pub(crate) fn unpunctual() {
    if let Some(usual_ns) = NonZeroU64::new(USUAL_SLACK_NS.load(Ordering::Relaxed)) {
        let _ = set_current_timer_slack(Some(usual_ns));
    }
}

/// The CPUs that the calling thread may run on, ascending and never empty.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let cpus: Vec<usize> = match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU)
            .filter(|&cpu| set.is_set(cpu))
            .collect(),
        // More CPUs than the set can name, or a sandbox without the call: number what std counts.
        Err(_) => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    };
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// How many threads can really run at once: allowed CPUs, or the cgroup's CPU quota where that is
/// less. A quota is rounded up: a thread more than the quota costs less than an idle fraction.
pub(crate) fn available_parallelism() -> usize {
    let cpus = allowed_cpus().len();
    cgroup::quota_cpus(Path::new("/"))
        .map_or(cpus, |quota| quota.min(cpus))
        .max(1)
}

/// Starts a thread. Its name is cut to what Linux keeps, at a character's end.
///
/// # Errors
/// The name contains a zero byte, or the system has no room for another thread.
pub(crate) fn spawn_named(
    name: String,
    f: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    if name.contains('\0') {
        // std panics on such a name.
        let text = "a thread's name must not contain a zero byte";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    fail::check(fail::Call::ThreadSpawn)?;
    Builder::new()
        .name(cut_name(name))
        .stack_size(THREAD_STACK_BYTES)
        .spawn(f)
}

/// The longest start of `name` that fits and does not end inside a character.
pub(super) fn cut_name(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}
