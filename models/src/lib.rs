//! Model checks of the pure protocol files, with loom: every schedule of two or three threads, up to a bound
//! of preemptions (`MODELS_PREEMPTIONS`, default 2; 3 for a long run).
//!
//! The files are the library's own, compiled against loom's atomics (`build.rs`). Each model is run on the
//! real files, where it must hold, and on mutants, where it must fail: so no model passes for nothing.
#![cfg(test)]

/// What the pure files import from the library.
mod primitive {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

    /// As parking_lot's: no poisoning.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no model panics under a lock")
        }
    }

    pub(crate) fn light_fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy_fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

mod fiber {
    pub(crate) mod alarm {
        pub(crate) const NEVER: u64 = u64::MAX;
    }

    pub(crate) mod header {
        /// Stands for the library's header: the scope word keeps its address only.
        #[derive(Debug)]
        pub(crate) struct Header;
    }
}

include!(concat!(env!("OUT_DIR"), "/variants.rs"));

fn check(model: fn()) {
    let mut builder = loom::model::Builder::new();
    let bound = std::env::var("MODELS_PREEMPTIONS")
        .ok()
        .and_then(|text| text.parse().ok());
    builder.preemption_bound = Some(bound.unwrap_or(2));
    builder.check(model);
}

/// A model that a planted bug must make fail.
fn red(model: fn()) {
    let result = std::panic::catch_unwind(|| check(model));
    assert!(result.is_err(), "the model did not notice the planted bug");
}

macro_rules! green {
    ($($name:ident,)*) => { $(#[test] fn $name() { check(real::models::$name); })* };
}

green!(
    pinned_wakes_arrive,
    a_wake_races_the_end,
    shared_park_loses_no_wake,
    a_timed_park_ends_once,
    shared_park_publishes_the_registers,
    join_gets_the_result_once,
    a_joiner_may_give_up,
    an_awaiter_is_told_once,
    an_awaiter_may_give_up,
    detach_drops_the_result_once,
    inbox_is_fifo_per_sender,
    calls_run_or_are_refused,
    completion_wakes_its_waiter_once,
    scope_waits_for_all,
    mail_finds_the_sleeper,
    cache_push_finds_the_sleeper,
    hand_off_finds_the_sleeper,
    the_throttle_strands_nothing,
    a_searcher_that_finds_tells_the_next,
    a_stop_leaves_nothing_behind,
    every_due_rings,
    the_depot_hands_out_once,
    an_event_finds_its_waiter,
    an_old_event_tells_nobody,
    mail_finds_the_poller,
    mail_finds_who_came_back_from_polling,
    nobody_sleeps_deeply_while_nobody_polls,
    a_job_meets_a_leaving_thread,
    a_job_wakes_a_sleeping_thread,
    a_thread_that_does_not_start_strands_nothing,
    a_starter_that_fails_runs_what_is_queued,
    who_is_told_finds_the_thread_idle,
);

// Steps that stand in files with system calls: the models drop them instead.
#[test]
fn red_no_fence_before_the_last_look() {
    red(real::models::sleeper_without_fence);
}
#[test]
fn red_no_last_look() {
    red(real::models::sleeper_without_last_look);
}
#[test]
fn red_lists_looked_at_before_the_lock() {
    red(real::models::sleeper_without_look_under_the_lock);
}
#[test]
fn red_spawn_checks_the_stop_before_the_lock() {
    red(real::models::stop_checked_before_the_lock);
}

#[test]
fn red_depot_looked_at_before_it_is_taken_from() {
    red(real::models::depot_looked_at_before_it_is_taken_from);
}

#[test]
fn red_told_before_idle() {
    red(real::models::told_before_idle);
}

include!(concat!(env!("OUT_DIR"), "/red.rs"));
