//! `Select` and `select!` keep the promises of crossbeam-channel's: on fibers, on threads, and between the two.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with std's names and with ours"
)]

mod common;
#[path = "common/places.rs"]
mod places;

#[path = "channel"]
mod with_std {
    pub use crossbeam_channel as channel;
    pub use std::thread;
    pub mod select_macros;
    pub mod selects;
}

#[path = "channel"]
mod with_fibers {
    pub use fibers::{channel, thread};
    pub mod select_macros;
    pub mod selects;
}

#[path = "channel"]
mod with_threads {
    pub use fibers::channel;
    pub use std::thread;
    pub mod select_macros;
    pub mod selects;
}

#[path = "channel"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::channel;
    pub mod select_macros;
    pub mod selects;
}

promises! {
    selects {
        what_is_ready_is_selected,
        it_waits_for_the_first,
        sends_and_receives_together,
        two_selects_meet_without_room,
        a_select_does_not_meet_itself,
        each_who_is_ready_is_chosen_at_times,
        two_who_are_ready_are_chosen_equally_often,
        the_other_end_does_not_always_find_the_same_operation,
        a_biased_one_takes_the_first,
        a_closed_channel_is_ready,
        who_waits_is_told_of_a_close,
        time_outs_are_never_early,
        what_comes_in_time_is_selected,
        ready_tells_and_takes_nothing,
        who_waits_to_be_ready_is_told,
        operations_can_be_removed,
        with_nothing_added,
        an_operation_must_be_completed,
        the_same_channel_twice,
        clones_and_texts,
        many_select_on_the_same_channels,
    }
    select_macros {
        an_arm_for_each,
        default_when_none_is_ready,
        default_after_a_time,
        bodies_may_leave,
        arms_take_expressions_and_patterns,
        a_value_is_made_only_for_the_send_that_is_chosen,
        closed_channels_are_ready,
        each_who_is_ready_is_chosen_at_times,
        a_biased_one_takes_the_first,
        it_waits_for_either_side,
        a_loop_with_ticks_and_an_end,
        a_panic_in_a_body_leaves_the_channel_whole,
        no_more_than_one_arm_happens,
    }
}
