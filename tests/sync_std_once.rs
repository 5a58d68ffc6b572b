//! `Barrier`, `Once`, `OnceLock` and `LazyLock` keep std's promises: on fibers, on threads, and between the two.

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
    pub mod barrier;
    pub mod lazy_lock;
    pub mod once;
    pub mod once_lock;
}

#[path = "sync_std"]
mod with_fibers {
    pub use fibers::{sync, thread};
    pub mod barrier;
    pub mod lazy_lock;
    pub mod once;
    pub mod once_lock;
}

#[path = "sync_std"]
mod with_threads {
    pub use fibers::sync;
    pub use std::thread;
    pub mod barrier;
    pub mod lazy_lock;
    pub mod once;
    pub mod once_lock;
}

#[path = "sync_std"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::sync;
    pub mod barrier;
    pub mod lazy_lock;
    pub mod once;
    pub mod once_lock;
}

promises! {
    barrier {
        one_of_all_leads,
        nobody_goes_on_before_the_last_has_come,
        it_is_used_again_and_again,
        more_than_the_number_wait_for_the_next_turn,
        of_one_and_of_none,
        made_and_shown,
    }
    once {
        the_first_call_runs_and_no_other,
        all_wait_for_the_one_that_runs,
        it_is_completed_when_the_call_has_returned,
        a_panic_poisons_it,
        a_forced_call_may_panic_again,
        those_who_waited_for_a_call_that_panicked_are_told,
        wait_returns_when_it_is_done,
        wait_force_waits_through_a_poisoning,
        one_call_may_make_another,
        a_call_may_wait,
        made_and_shown,
        a_closure_that_does_not_run_is_dropped,
    }
    once_lock {
        it_is_set_once,
        one_initialises_it_and_all_see_that,
        one_of_many_sets_it,
        wait_returns_what_is_set_later,
        wait_outlives_an_initialisation_that_panics,
        a_panic_leaves_it_empty,
        those_who_wait_for_one_that_panics_try_themselves,
        values_are_dropped_once,
        its_owner_may_change_it,
        made_compared_and_shown,
        debug_does_not_wait_for_an_initialisation,
        one_in_a_static,
        initialisers_may_nest,
        what_was_written_before_is_seen,
        a_cell_may_outlive_what_it_borrows,
        a_cell_looked_at_where_an_unwind_is_caught,
    }
    lazy_lock {
        it_is_made_when_it_is_looked_at,
        one_makes_it_and_all_see_that,
        one_in_a_static,
        a_panic_poisons_it,
        a_panic_of_force_mut_poisons_it_too,
        those_who_waited_for_a_panic_are_told,
        get_looks_without_making_it,
        its_owner_may_change_it,
        values_and_closures_are_dropped_once,
        made_and_shown,
        debug_does_not_make_it,
        the_closure_need_not_be_sync,
        one_may_look_at_another,
        what_has_no_closure_type_is_named_by_a_pointer,
    }
}
