//! An asymmetric memory barrier: free for the side that passes often, a system call for the side that passes
//! rarely.
//!
//! `light` and `heavy` together order like two `SeqCst` fences: if `heavy` comes first, everything written
//! before it is seen after the `light`; if `light` comes first, everything written before that is seen after
//! the `heavy`. The heavy side makes every CPU that runs a thread of this process pass a full barrier
//! (`membarrier(2)`, PRIVATE_EXPEDITED, Linux 4.14), so the light side only has to stop the compiler.
//! Where the kernel refuses it, both are full fences.
//!
//! The light side is on the path of every spawn, where a full fence costs a fifth of a fork-join tree.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

/// Set once before any worker starts; false also until then.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

/// Registers this process. Before the first worker starts, so before anyone passes a barrier.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| ASYMMETRIC.store(membarrier(REGISTER_PRIVATE_EXPEDITED), Ordering::SeqCst));
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: takes no pointers; with flags 0 the third argument is ignored.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// The side that passes often. See the head of the file.
#[inline(always)]
pub(crate) fn light() {
    // Relaxed: constant once workers run.
    if ASYMMETRIC.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The side that passes rarely. See the head of the file.
pub(crate) fn heavy() {
    // Before any machine was built, perhaps: whoever passes lightly from now on relies on us.
    register();
    fence(Ordering::SeqCst);
    if ASYMMETRIC.load(Ordering::Relaxed) && !membarrier(PRIVATE_EXPEDITED) {
        // It worked at registration; if it fails now (a seccomp filter put up later), nothing orders the
        // light side any more, and a wake-up could be lost.
        crate::os::raw_err::die(
            "fibers: fatal: membarrier(2) was refused after it had been granted\n",
        );
    }
    fence(Ordering::SeqCst);
}
