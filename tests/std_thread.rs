//! std::thread's promises, kept by `fibers::thread`.
//!
//! The promises are written once, against a module called `thread`, and compiled twice: with std's, to show
//! that std keeps them, and with ours. So they also show that a program changes its `use` lines only.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with std's names and with ours"
)]

mod common;

use common::{Test, everywhere, silence_panics};

#[path = "std_thread"]
mod with_std {
    pub use std::thread;
    pub mod identity;
    pub mod join;
    pub mod park;
    pub mod scope;
}

#[path = "std_thread"]
mod ours {
    pub use fibers::thread;
    pub mod identity;
    pub mod join;
    pub mod park;
    pub mod scope;
}

macro_rules! tests {
    ($($file:ident { $($name:ident,)* })*) => {
        $($(#[test]
        fn $name() {
            silence_panics();
            with_std::$file::$name();
            everywhere(60, ours::$file::$name);
        })*)*
    };
}

tests! {
    join {
        join_returns_the_result,
        join_returns_the_payload_of_a_panic,
        what_happened_before_is_seen,
        is_finished_turns_true_once_and_join_does_not_wait_then,
        spawn_from_a_spawned_thread,
        a_detached_thread_goes_on,
        captures_are_dropped_before_join_returns,
        panicking_is_true_in_destructors_of_an_unwind_only,
    }
    park {
        an_unpark_before_the_park_is_not_lost,
        permits_of_unpark_do_not_add_up,
        a_parked_thread_is_woken_by_another,
        unpark_of_a_finished_thread_does_nothing,
    }
    scope {
        scoped_threads_borrow,
        scoped_threads_spawn_in_their_scope,
        a_scope_ends_after_its_threads,
        a_scoped_result_that_nobody_takes_is_dropped_before_the_scope_ends,
        joins_race_with_the_end_of_a_scope,
        a_scope_panics_for_a_thread_that_nobody_joined,
        a_joined_panic_does_not_fail_its_scope,
        a_panic_in_the_scope_itself_waits_for_its_threads,
    }
    identity {
        a_thread_has_the_name_it_was_given,
        ids_are_unique_and_the_same_for_all_who_ask,
        the_parallelism_is_at_least_one,
        the_types_cross_threads_as_in_std,
        handles_may_be_used_in_catch_unwind,
    }
}

/// Not everywhere: in a fiber, the join of a plain thread blocks the worker, and that thread may wait for a
/// fiber of that very worker.
#[test]
fn a_handle_may_be_joined_elsewhere() {
    let _test = Test::new(60);
    with_std::join::a_handle_may_be_joined_elsewhere();
    ours::join::a_handle_may_be_joined_elsewhere();
}
