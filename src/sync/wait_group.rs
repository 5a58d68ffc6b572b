//! WaitGroup: after crossbeam's. An event that the last member sets.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::event::Event;

/// Waits until all the others are done. As `crossbeam_utils::sync::WaitGroup`.
///
/// Each clone is a member, until it is dropped or waits.
///
/// ```
/// use fibers::sync::WaitGroup;
///
/// let group = WaitGroup::new();
/// for _ in 0..4 {
///     let member = group.clone();
///     fibers::spawn(move || drop(member));
/// }
/// group.wait();
/// ```
pub struct WaitGroup {
    shared: Arc<Shared>,
}

struct Shared {
    members: AtomicUsize,
    done: Event,
}

impl WaitGroup {
    /// A group with one member.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                members: AtomicUsize::new(1),
                done: Event::new(),
            }),
        }
    }

    /// Leaves the group, and waits until all its members have.
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it, it
    /// unwinds; it has left the group then.
    pub fn wait(self) {
        let shared = Arc::clone(&self.shared);
        drop(self);
        shared.done.wait();
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        // Relaxed: the new member is known to this one only.
        self.shared.members.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        // AcqRel: the last one passes on what all the others did, through the event.
        if self.shared.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.done.set();
        }
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("members", &self.shared.members.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
