//! Dues: when workers that sleep in the reactor want to be woken for their deadlines, and what the machine's one timer
//! is set to. (Who sleeps on a futex has its timeout. Of a floating machine each heap's first entry is a due, whatever its
//! worker does: see `alarm.rs`.)
//!
//! Pure: the timer and the workers' sleep words are the callers'. Everything is under one lock, which is held
//! over the setting of the timer (a call that never blocks), so that two settings cannot overtake each other.
//!
//! DUES-1: for every worker that sleeps with a due, the timer is set to that moment or an earlier one, or the
//! poller is on its way to `ring`. A worker states its due after it is `ASLEEP` (`idle.rs`) and before it
//! blocks; `ring` takes the due out before its worker is notified, so a worker that has risen and lain down
//! again with a new due is not robbed of it: at worst it is notified for nothing.
//! DUES-2: the timer is set anew only for an earlier moment than it is set to, and when it has gone off. A due
//! that was taken back leaves the timer as it is; then it goes off once for nothing.

use crate::fiber::alarm::NEVER;
use crate::primitive::Mutex;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Dues {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By worker; `NEVER`: it sleeps without one, or does not sleep.
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

    /// By a worker about to sleep in the reactor: wake me then. `set` sets the timer.
    pub(crate) fn want(&self, worker: usize, at_ns: u64, set: impl FnOnce(u64)) {
        let mut inner = self.inner.lock();
        inner.wanted[worker] = at_ns;
        if at_ns < inner.timer {
            inner.timer = at_ns;
            inner.settings += 1;
            set(at_ns);
        }
    }

    /// By a worker that has risen: true if it was woken for its due, or is about to be.
    pub(crate) fn take_back(&self, worker: usize) -> bool {
        std::mem::replace(&mut self.inner.lock().wanted[worker], NEVER) == NEVER
    }

    /// By the poller, when the timer has gone off: calls `due` for each worker whose time has come, and sets the
    /// timer for the others. `due` is called under the lock; the worker is notified after it.
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

    /// Shows when each worker wants to be woken; `NEVER`: it does not. For the deterministic mode.
    pub(crate) fn show<R>(&self, f: impl FnOnce(&[u64]) -> R) -> R {
        f(&self.inner.lock().wanted)
    }

    /// How often the timer was set.
    pub(crate) fn settings(&self) -> u64 {
        self.inner.lock().settings
    }
}
