//! Fork: a child process has this one's memory and one of its threads.
//!
//! So it has the machines' records, and none of their workers, but perhaps the one that forked; and it shares the
//! epoll instances themselves with the parent. What it does to them it would do to the parent.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often this process has come out of a fork, counted from the ancestor that first asked.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Which process this is, among its forked ancestors.
pub(crate) fn generation() -> u32 {
    // Relaxed: changes only while the process has a single thread.
    FORKS.load(Ordering::Relaxed)
}

/// From now on generations are counted, and each child calls `child` on the thread that forked, as its first act.
/// `child` takes no lock and allocates nothing. (Not for children of `vfork` or `posix_spawn`, which only exec.)
pub(crate) fn watch(child: extern "C" fn()) {
    extern "C" fn count() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for handler in [count, child] {
            // SAFETY: the handlers take nothing and do what is allowed in a forked child of a threaded process.
            let refused = unsafe { libc::pthread_atfork(None, None, Some(handler)) };
            debug_assert_eq!(refused, 0, "pthread_atfork fails for lack of memory only");
        }
    });
}
