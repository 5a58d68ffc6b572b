//! Hub: who in this process listens for signals, and what has come for each of them.
//!
//! `tell` runs on the thread of `os/listen.rs`. It notes a signal with each listener first and wakes those that wait
//! after it (QUEUE-1): so a listener either sees the signal or is seen waiting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::os::listen::{self, Listening, Set, bit};
use crate::wait::WaitQueue;

/// In the order of their coming.
static LISTENERS: Mutex<Vec<Arc<Told>>> = Mutex::new(Vec::new());

/// What `tell` knows of a listener.
#[derive(Debug)]
struct Told {
    set: Set,
    /// What has come and was not taken.
    came: AtomicU64,
    queue: WaitQueue,
}

/// Somebody who listens for a set of signals.
#[derive(Debug)]
pub(super) struct Listener {
    told: Arc<Told>,
    /// What was taken last: the next search begins behind it, so that no signal hides another.
    last: AtomicU32,
    listening: Option<Listening>,
}

impl Listener {
    /// # Errors
    /// As [`listen::listen`].
    pub(super) fn new(set: Set) -> io::Result<Self> {
        let told = Arc::new(Told {
            set,
            came: AtomicU64::new(0),
            queue: WaitQueue::new(),
        });
        // First: a signal may come as soon as it is listened for.
        LISTENERS.lock().push(Arc::clone(&told));
        let mut listener = Self {
            told,
            last: AtomicU32::new(0),
            listening: None,
        };
        listener.listening = Some(listen::listen(set, tell)?);
        Ok(listener)
    }

    pub(super) fn set(&self) -> Set {
        self.told.set
    }

    /// The next signal that has come, if one has. Never blocks.
    pub(super) fn take(&self) -> Option<i32> {
        loop {
            let came = self.told.came.load(Ordering::Acquire);
            if came == 0 {
                return None;
            }
            // Relaxed: a matter of turns only.
            let last = self.last.load(Ordering::Relaxed);
            let behind = came & u64::MAX.checked_shl(last).unwrap_or(0);
            let signal = if behind == 0 { came } else { behind }.trailing_zeros() as i32 + 1;
            // Another that waits with us may have been quicker.
            if self.told.came.fetch_and(!bit(signal), Ordering::AcqRel) & bit(signal) != 0 {
                self.last.store(signal as u32, Ordering::Relaxed);
                return Some(signal);
            }
        }
    }

    /// As `take`, and waits until then, or until that moment.
    pub(super) fn wait(&self, at_ns: u64) -> Option<i32> {
        loop {
            if let Some(signal) = self.take() {
                return Some(signal);
            }
            let came = || self.told.came.load(Ordering::Acquire) != 0;
            if !self.told.queue.wait(at_ns, came) {
                return self.take();
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // What it did before, before we stop telling.
        self.listening = None;
        LISTENERS
            .lock()
            .retain(|told| !Arc::ptr_eq(told, &self.told));
    }
}

/// Those signals have come.
fn tell(came: Set) {
    let concerned: Vec<Arc<Told>> = LISTENERS
        .lock()
        .iter()
        .filter(|told| !told.set.and(came).is_empty())
        .cloned()
        .collect();
    for told in concerned {
        told.came
            .fetch_or(told.set.and(came).bits(), Ordering::AcqRel);
        told.queue.wake_all();
    }
}
