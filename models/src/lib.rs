//! Model checks of the pure protocol files, with loom: every schedule of two or three threads, up to a bound
//! of preemptions (`MODELS_PREEMPTIONS`, default 2; 3 for a long run).
//!
//! The files are the library's own, compiled against loom's atomics (`build.rs`); locks and channels with the code
//! that waits for them, where a fiber's sleep is a stand-in (`stand_ins.rs`); reactors with what is registered there, who
//! looks and who waits, on a kernel that is one (`kernel.rs`). Each model is run on the real files, where it must
//! hold, and on mutants, where it must fail: so no model passes for nothing.
#![cfg(test)]

mod kernel;
mod stand_ins;

use stand_ins::{channel, fiber, latch, machine, os, wait};

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

include!(concat!(env!("OUT_DIR"), "/variants.rs"));

fn check(model: fn()) {
    let mut builder = loom::model::Builder::new();
    let bound = std::env::var("MODELS_PREEMPTIONS")
        .ok()
        .and_then(|text| text.parse().ok());
    builder.preemption_bound = Some(bound.unwrap_or(2));
    builder.check(model);
}

/// A model that a planted bug must make fail. Silently: with `RUST_BACKTRACE=1` the texts of so many panics take minutes.
fn red(model: fn()) {
    use std::cell::Cell;
    use std::panic;
    use std::sync::Once;

    thread_local!(static EXPECTED: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                usual(info);
            }
        }));
    });
    EXPECTED.set(true);
    let result = panic::catch_unwind(|| check(model));
    EXPECTED.set(false);
    assert!(result.is_err(), "the model did not notice the planted bug");
}

macro_rules! green {
    ($part:ident: $($name:ident,)*) => { $(#[test] fn $name() { check($part::models::$name); })* };
}

green!(
    real:
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
    each_item_is_taken_once,
    an_item_in_the_same_place_is_another,
    an_item_is_seen_below_one_that_was_popped,
    half_of_the_items_are_taken_once,
    two_thieves_take_two_items,
    the_owner_takes_the_oldest,
    no_slot_is_written_too_early,
    what_is_left_to_the_lock_is_taken_once,
    every_due_rings,
    the_depot_hands_out_once,
    an_event_finds_its_waiter,
    an_old_event_tells_nobody,
    mail_finds_the_poller,
    mail_finds_who_came_back_from_polling,
    nobody_sleeps_deeply_while_nobody_polls,
    the_first_source_rouses,
    a_job_meets_a_leaving_thread,
    a_job_wakes_a_sleeping_thread,
    a_thread_that_does_not_start_strands_nothing,
    a_starter_that_fails_runs_what_is_queued,
    who_is_told_finds_the_thread_idle,
);

green!(
    real_latch:
    the_latch_excludes_and_wakes,
    the_latch_wakes_two_sleepers,
);

green!(
    real_locks:
    the_mutex_excludes_and_wakes,
    who_was_woken_waits_again,
    a_starved_waiter_is_handed_the_mutex,
    a_starved_waiter_comes_before_the_last_holder,
    two_starved_waiters_are_handed_the_mutex,
    who_gives_up_strands_nobody,
    a_starved_waiter_gives_up,
    a_cancelled_waiter_strands_nobody,
    a_cancelled_waiter_beside_a_starved_one,
    a_cancelled_waiter_is_handed_the_mutex,
    a_waiter_starves_while_another_comes,
    a_waiter_starves_behind_one_that_is_woken,
    nobody_overtakes_the_starved,
    readers_and_writers_exclude_each_other,
    a_starved_reader_is_let_in,
    a_starved_writer_is_let_in,
    readers_are_let_in_together,
    a_downgrade_lets_readers_in,
    a_downgrade_keeps_writers_out,
    who_waited_for_a_writer_that_gave_up_is_let_in,
    who_waited_for_a_writer_that_was_cancelled_is_let_in,
    a_writer_that_gives_up_strands_nobody,
    a_writer_that_is_cancelled_strands_nobody,
);

green!(
    real_events:
    a_notification_is_not_lost,
    all_are_notified,
    a_notification_is_not_wasted,
    a_notification_meets_a_cancelled_one,
    it_is_done_once,
    who_began_is_cancelled,
    all_hear_of_the_event,
    an_event_is_set_again,
    a_kept_notification_is_taken_once,
    one_permit_goes_round,
    who_gives_up_lets_the_next_one_go_on,
    who_is_cancelled_lets_the_next_one_go_on,
    permits_meet_one_who_gives_up,
    all_hear_of_the_close,
);

green!(
    real_channel:
    messages_come_in_order,
    messages_come_in_order_the_long_way,
    messages_that_are_handed_over_come_in_order,
    a_cautious_receiver_gets_its_messages,
    two_senders_share_a_place,
    an_attempt_makes_room,
    a_receiver_waits_for_an_attempt,
    a_receiver_gives_up_beside_another,
    a_receiver_gives_up,
    both_sides_give_up,
    a_receiver_is_cancelled,
    the_last_sender_leaves,
    the_last_message_comes_before_the_end,
    the_last_receiver_leaves,
    a_waker_is_woken,
    one_of_two_messages_is_selected,
    one_of_two_waiting_senders_is_selected,
    a_selection_gives_up,
    a_selection_is_cancelled,
    a_selection_is_told_of_the_end,
    a_selecting_sender_is_promised_a_place,
    a_promised_place_is_kept,
    a_promised_place_is_no_place,
    a_promised_message_finds_its_receiver,
    a_promise_is_kept,
    a_promise_is_given_back,
    a_message_passes_a_promised_place,
    a_selected_message_passes_a_promised_place,
    a_promise_is_given_back_at_the_end,
    a_selecting_sender_meets_a_receiver,
    a_selecting_sender_meets_one_who_gives_up,
    an_abandoned_receiver_begins_again,
    an_abandoned_selection_begins_again,
    two_selections_meet,
    a_selection_does_not_meet_itself,
    who_watches_is_told_of_a_message,
    who_watches_is_told_of_the_end,
    both_sides_leave,
    two_handles_of_a_side_leave,
    a_handle_is_cloned_while_another_leaves,
    three_handles_leave,
    a_send_is_under_way_at_the_end,
    who_waits_outlives_the_other_side,
);

green!(
    real_reactors:
    a_look_silences_nobody,
    both_are_woken,
    both_are_woken_where_fibers_stay,
    a_late_ring_keeps_nobody_up,
    an_event_that_a_look_takes_reaches_its_fiber,
    an_event_that_a_look_takes_is_served,
    a_source_moves_beside_its_event,
    two_workers_wait_for_one_source,
    who_waits_is_told_wherever_the_source_is,
    a_closed_source_wakes_nobody,
    a_closed_source_wakes_nobody_twice,
    a_reader_gives_up_beside_its_event,
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

// What the protocol permits, and does.
#[test]
fn red_the_next_owner_is_woken_for_nothing() {
    red(real_reactors::models::never_woken_for_nothing);
}

include!(concat!(env!("OUT_DIR"), "/red.rs"));
