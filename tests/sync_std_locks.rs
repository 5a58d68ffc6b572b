//! `Mutex`, `RwLock` and `Condvar` keep std's promises: on fibers, on threads, and between the two.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with std's names and with ours"
)]

mod common;
#[path = "common/places.rs"]
mod places;

#[path = "sync_std"]
mod with_std {
    pub use std::{sync, thread};
    pub mod condvar;
    pub mod mutex;
    pub mod rwlock;
}

#[path = "sync_std"]
mod with_fibers {
    pub use fibers::{sync, thread};
    pub mod condvar;
    pub mod mutex;
    pub mod rwlock;
}

#[path = "sync_std"]
mod with_threads {
    pub use fibers::sync;
    pub use std::thread;
    pub mod condvar;
    pub mod mutex;
    pub mod rwlock;
}

#[path = "sync_std"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::sync;
    pub mod condvar;
    pub mod mutex;
    pub mod rwlock;
}

promises! {
    mutex {
        a_lock_can_be_taken_again_and_again,
        one_at_a_time_holds_it,
        all_who_wait_get_it,
        a_holder_may_wait_for_something_else,
        what_a_holder_wrote_is_seen_by_the_next,
        try_lock_tells_why_not,
        a_panic_while_it_is_held_poisons_it,
        unwrapping_a_poisoned_one_panics,
        it_gives_its_value_back,
        it_is_made_of_a_value,
        debug_never_waits,
        a_guard_stands_for_the_value,
        values_without_a_size,
        one_in_a_static,
        one_in_another,
        a_forgotten_guard_keeps_it_locked,
        guards_let_go_in_any_order,
        results_have_the_types_of_std,
        a_lock_taken_where_an_unwind_is_caught,
        the_value_of_a_guard_can_be_dropped_by_its_holder,
        a_mutex_may_be_declared_before_what_it_borrows,
        hand_over_by_turns,
    }
    rwlock {
        both_kinds_again_and_again,
        writers_are_alone_and_readers_share,
        readers_are_inside_together,
        try_read_and_try_write_tell_why_not,
        a_waiting_writer_gets_it_and_waiting_readers_too,
        only_a_writer_poisons_it,
        a_writer_becomes_a_reader,
        waiting_readers_come_in_when_a_writer_becomes_one,
        nobody_writes_between_a_write_and_its_downgrade,
        a_downgraded_guard_does_not_poison,
        it_gives_its_value_back,
        it_is_made_of_a_value,
        debug_never_waits,
        values_without_a_size,
        one_in_a_static,
        guards_can_be_looked_through_by_several,
        a_forgotten_guard_keeps_it_locked,
        signatures_and_variance,
        a_lock_taken_where_an_unwind_is_caught,
    }
    condvar {
        notifying_nobody_does_nothing,
        notify_one_wakes_who_waits,
        each_notify_one_lets_one_go_on,
        notify_all_wakes_all,
        wait_while_looks_before_it_waits_and_after,
        wait_timeout_is_never_early,
        wait_timeout_tells_that_it_was_woken,
        wait_timeout_while_ends_by_either,
        wait_timeout_ms_tells_whether_it_was_woken,
        waiting_lets_go_of_the_mutex,
        one_condvar_after_another_mutex,
        turns_without_a_lost_wake_up,
        a_notification_may_come_without_the_lock,
        a_poisoned_mutex_is_told_of_after_the_wait,
        a_condition_that_panics_poisons_the_mutex,
        made_and_shown,
        the_result_of_a_timed_wait_is_a_value,
        values_are_reached_through_the_guard_only,
        a_full_buffer_and_an_empty_one,
    }
}
