//! The queue of calls that other fibers sent to this one, and the state of one call.
//!
//! Pure. An atomic LIFO that can be closed: a push after the close is refused, so every call is either run
//! by the target or given back to its sender, never both and never neither.
//!
//! | call state | entered by | means |
//! |---|---|---|
//! | QUEUED | the sender, before the push | in the target's list |
//! | RUNNING | the target | taken out; its effects are not complete |
//! | DONE | the target, after the result was stored | the sender may take the result |
//! | with WAITED | the sender, in `wait` | it sleeps until it is done and let go |
//!
//! CALL-1: the target's last touch of a call's frame is the `finish` that sets DONE, unless it found a waiter:
//! then it wakes that waiter and lets go (`owed.rs`).

use crate::primitive::{AtomicPtr, AtomicU32, Ordering};

/// One call, as the queue sees it. The first field of every concrete call.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CallNode {
    next: AtomicPtr<CallNode>,
    pub state: Completion,
    /// Runs the closure, stores its result, sets the state; never unwinds.
    pub run: unsafe fn(*mut CallNode),
}

impl CallNode {
    pub(crate) fn new(run: unsafe fn(*mut CallNode)) -> Self {
        Self {
            next: AtomicPtr::new(std::ptr::null_mut()),
            state: Completion::new(),
            run,
        }
    }
}

const QUEUED: u32 = 0;
const RUNNING: u32 = 1;
const DONE: u32 = 2;
const WAITED: u32 = 4;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Completion(AtomicU32);

impl Completion {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(QUEUED))
    }

    /// True until the target has taken the call out of its list.
    pub(crate) fn is_queued(&self) -> bool {
        self.0.load(Ordering::Acquire) & (RUNNING | DONE) == 0
    }

    /// By the target.
    pub(crate) fn start(&self) {
        // Relaxed: tells, publishes nothing.
        self.0.fetch_or(RUNNING, Ordering::Relaxed);
    }

    /// By the target, after the result was stored: true if the sender waits and is owed a wake.
    #[must_use]
    pub(crate) fn finish(&self) -> bool {
        // Release: publishes the result. Acquire: pairs with wait (who waits).
        self.0.fetch_or(DONE, Ordering::AcqRel) & WAITED != 0
    }

    /// By the sender: true once the result is there.
    pub(crate) fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    /// By the sender, after it stored who waits: true if it must wait until it is let go.
    #[must_use]
    pub(crate) fn wait(&self) -> bool {
        self.0.fetch_or(WAITED, Ordering::AcqRel) & DONE == 0
    }

    /// By a sender that gives up: true if nobody will wake it; false if it is done.
    #[must_use]
    pub(crate) fn unwait(&self) -> bool {
        self.0.fetch_and(!WAITED, Ordering::AcqRel) & DONE == 0
    }
}

/// The list of calls. See the head of the file.
#[derive(Debug)]
pub(crate) struct CallQueue {
    head: AtomicPtr<CallNode>,
}

impl Default for CallQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// The address that stands for "closed". No call lies at address one.
fn closed() -> *mut CallNode {
    std::ptr::without_provenance_mut(1)
}

impl CallQueue {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Pushes a call; false if the queue is closed, and then the call is still the caller's.
    ///
    /// # Safety
    /// `call` is alive until it was run, and is in no queue.
    #[must_use]
    pub(crate) unsafe fn push(&self, call: *mut CallNode) -> bool {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == closed() {
                return false;
            }
            // SAFETY: alive by contract. Relaxed: published below.
            unsafe { &*call }.next.store(head, Ordering::Relaxed);
            // Release: pairs with Acquire in take.
            match self
                .head
                .compare_exchange_weak(head, call, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all calls, oldest first, and closes the queue if `close`. By the target only.
    pub(crate) fn take(&self, close: bool) -> Calls {
        let end = if close {
            closed()
        } else {
            std::ptr::null_mut()
        };
        // Relaxed: the exchange below acquires. A closed queue stays closed.
        let head = self.head.load(Ordering::Relaxed);
        if head == closed() || (head.is_null() && !close) {
            return Calls {
                next: std::ptr::null_mut(),
            };
        }
        // Acquire: pairs with Release in push.
        let mut node = self.head.swap(end, Ordering::Acquire);
        let mut oldest = std::ptr::null_mut();
        while !node.is_null() {
            // SAFETY: in the list, so alive by the contract of push; ours since the swap.
            let link = &unsafe { &*node }.next;
            let next = link.load(Ordering::Relaxed);
            link.store(oldest, Ordering::Relaxed);
            oldest = node;
            node = next;
        }
        Calls { next: oldest }
    }
}

/// Calls taken out, oldest first; each link is read before the call is handed out.
#[derive(Debug)]
pub(crate) struct Calls {
    next: *mut CallNode,
}

impl Iterator for Calls {
    type Item = *mut CallNode;

    fn next(&mut self) -> Option<*mut CallNode> {
        if self.next.is_null() {
            return None;
        }
        let node = self.next;
        // SAFETY: not run yet, so alive.
        self.next = unsafe { &*node }.next.load(Ordering::Relaxed);
        Some(node)
    }
}
