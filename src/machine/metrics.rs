//! Counters: one set per worker, written by its owner only, added up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer: an increment is a load and a store, no read-modify-write.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// By the owner only; two writers would lose increments, nothing worse.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // Relaxed: a statistic.
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// By the owner only: of a number that goes up and down.
    #[inline]
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One worker's counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $($(#[$doc])* pub $name: Count,)* }

        impl Counters {
            /// Adds these to the sums.
            pub(crate) fn add_to(&self, sums: &mut Sums) {
                $(sums.$name = sums.$name.wrapping_add(self.$name.get());)*
            }

            pub(crate) fn reset(&self) {
                $(self.$name.reset();)*
            }
        }

        /// Sums over workers.
        #[derive(Debug, Default)]
        pub(crate) struct Sums { $(pub $name: u64,)* }
    };
}

counters! {
    /// Fibers spawned by fibers here.
    spawned,
    /// Fibers that began to run here.
    started,
    /// Fibers that ended here.
    finished,
    /// Of those, by a panic.
    panicked,
    /// And by cancellation.
    cancelled,
    /// Times a fiber was switched out to wait.
    parks,
    /// Times a waiting fiber was made runnable here.
    unparks,
    /// Switches from the worker to a fiber.
    switches,
    /// Items taken from other workers' caches.
    steals,
    /// Times this worker was filled by hand-off.
    handoffs,
    /// Futex wake calls made here.
    futex_wakes,
    /// Wakes sent to other workers' inboxes.
    inbox_sends,
    /// Looks into the reactor.
    polls,
    /// Events of descriptors that they brought.
    io_events,
    /// Calls on descriptors that would block although they were reported ready.
    io_spurious,
    /// Entries in this worker's heap of deadlines.
    timers_pending,
    /// Fibers woken for a deadline.
    timers_fired,
    /// Sleeps that lasted until a deadline.
    timed_sleeps,
}

/// What a machine has done so far and what it holds now; see [`Runtime::metrics`](crate::Runtime::metrics).
///
/// The numbers are read without stopping anybody, so they belong to slightly different moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Worker threads.
    pub workers: u64,
    /// Workers that have nothing to do at this moment.
    pub idle_workers: u64,
    /// Fibers spawned.
    pub spawned: u64,
    /// Fibers that got a stack; one that was cancelled before is ended on it unrun.
    pub started: u64,
    /// Fibers that ended, in whatever way.
    pub finished: u64,
    /// Fibers that ended by a panic.
    pub panicked: u64,
    /// Fibers that ended because they were cancelled.
    pub cancelled: u64,
    /// Fibers that wait at this moment.
    pub parked: u64,
    /// Switches from a worker to a fiber.
    pub switches: u64,
    /// Unstarted fibers taken from another worker's cache.
    pub steals: u64,
    /// Fibers put straight into an idle worker's slot.
    pub handoffs: u64,
    /// Futex wake system calls.
    pub futex_wakes: u64,
    /// Times the shared queue's lock was taken.
    pub lock_acquisitions: u64,
    /// Wakes sent to another worker's inbox.
    pub inbox_sends: u64,
    /// Times that a worker looked into the reactor, or waited there.
    pub polls: u64,
    /// Times that the dedicated thread began to stand in, as all workers were busy.
    pub poll_takeovers: u64,
    /// Events of descriptors that workers found there, or the dedicated thread did.
    pub io_events: u64,
    /// Calls on descriptors that would block although the reactor had reported them ready.
    pub io_spurious: u64,
    /// Descriptors that are registered with the reactor.
    pub io_sources: u64,
    /// Fibers that are to be woken at a deadline. A deadline that was taken back may count for a while.
    pub timers_pending: u64,
    /// Fibers woken at a deadline.
    pub timers_fired: u64,
    /// Times a worker got up for a deadline, and where fibers float, times the machine's timer was set for one.
    pub timer_sets: u64,
    /// Stacks that a fiber, or a worker's own small store, holds.
    pub stacks_in_use: u64,
    /// Stacks that wait in the machine's pool.
    pub stacks_pooled: u64,
    /// Stacks whose memory was given back to the kernel, over the machine's life.
    pub stacks_returned: u64,
}
