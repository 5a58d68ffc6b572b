//! What std promises of panics and destructors, kept on fibers, on threads, and between the two.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with std's names and with ours"
)]

mod common;
#[path = "common/places.rs"]
mod places;

#[path = "sync_std"]
mod with_std {
    pub use std::{sync, thread, thread_local as local};
    pub mod unwinds;
}

#[path = "sync_std"]
mod with_fibers {
    pub use fibers::{fiber_local as local, sync, thread};
    pub mod unwinds;
}

#[path = "sync_std"]
mod with_threads {
    pub use fibers::sync;
    pub use std::{thread, thread_local as local};
    pub mod unwinds;
}

#[path = "sync_std"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::{fiber_local as local, sync};
    pub mod unwinds;
}

promises! {
    unwinds {
        a_guard_taken_while_unwinding_does_not_poison,
        all_that_is_held_is_poisoned_and_nothing_else,
        a_panic_caught_while_it_is_held_does_not_poison,
        a_panic_inside_a_destructor_that_unwinds,
        each_of_a_nest_is_let_go,
        one_who_waits_gets_it_from_one_who_panics,
        poisoned_by_one_of_a_scope,
        destructors_that_unwind_may_use_everything_that_is_free,
        a_call_once_inside_a_destructor_that_unwinds_does_not_poison,
        a_sender_dropped_by_an_unwind_is_gone,
        a_value_whose_destructor_panics,
        destructors_of_locals_may_use_everything,
        destructors_of_locals_after_a_panic,
    }
}
