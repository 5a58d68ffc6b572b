//! Dues: when the heaps of a floating machine want to be served, whoever does it, and what the machine's one timer
//! is set to. (A pinned fiber's deadline is its home's business, which sleeps until then.)
//!
//! Pure: the timer and the heaps are the callers'. Everything is under one lock, which is held
//! over the setting of the timer (a call that never blocks), so that two settings cannot overtake each other.
//!
//! DUES-1: for every heap with a due, the timer is set to that moment or an earlier one, or a poller is on its way to
//! `ring`, or from there to the heap. `ring` takes the due out before its heap is served, and the server states what
//! is first then; so a due that is stated meanwhile is not lost: at worst the heap is looked at for nothing.
//! DUES-2: the timer is set anew only for an earlier moment than it is set to, and when it has gone off. An entry
//! that was taken out of its heap leaves due and timer as they are; then it goes off once for nothing.

use crate::fiber::alarm::NEVER;
use crate::primitive::Mutex;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Dues {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By the heap's worker; `NEVER`: none.
    wanted: Vec<u64>,
    timer: u64,
    settings: u64,
}

impl Dues {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                wanted: vec![NEVER; workers],
                timer: NEVER,
                settings: 0,
            }),
        }
    }

    /// Under the heap's lock: serve it then. `set` sets the timer.
    pub(crate) fn want(&self, worker: usize, at_ns: u64, set: impl FnOnce(u64)) {
        let mut inner = self.inner.lock();
        inner.wanted[worker] = at_ns;
        if at_ns < inner.timer {
            inner.timer = at_ns;
            inner.settings += 1;
            set(at_ns);
        }
    }

    /// By a poller, when the timer has gone off: calls `due` for each heap whose time has come, and sets the
    /// timer for the others. `due` is called under the lock; the heap is served after it.
    pub(crate) fn ring(&self, now_ns: u64, set: impl FnOnce(u64), mut due: impl FnMut(usize)) {
        let mut inner = self.inner.lock();
        let mut next = NEVER;
        for (worker, wanted) in inner.wanted.iter_mut().enumerate() {
            if *wanted <= now_ns {
                *wanted = NEVER;
                due(worker);
            } else {
                next = next.min(*wanted);
            }
        }
        // Set even to what it was: it has gone off.
        inner.timer = next;
        if next != NEVER {
            inner.settings += 1;
            set(next);
        }
    }

    /// The earliest due. For the deterministic mode, in which the driver is the timer.
    pub(crate) fn next(&self) -> Option<u64> {
        let next = self.inner.lock().wanted.iter().copied().min();
        next.filter(|&next| next != NEVER)
    }

    /// Shows when each heap wants to be served; `NEVER`: never. For the deterministic mode.
    pub(crate) fn show<R>(&self, f: impl FnOnce(&[u64]) -> R) -> R {
        f(&self.inner.lock().wanted)
    }

    /// How often the timer was set.
    pub(crate) fn settings(&self) -> u64 {
        self.inner.lock().settings
    }
}
