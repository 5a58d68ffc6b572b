//! `fibers::channel` keeps the promises of crossbeam-channel: on fibers, on threads, and between the two.

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
    pub mod channels;
    pub mod timers;
}

#[path = "channel"]
mod with_fibers {
    pub use fibers::{channel, thread};
    pub mod channels;
    pub mod timers;
}

#[path = "channel"]
mod with_threads {
    pub use fibers::channel;
    pub use std::thread;
    pub mod channels;
    pub mod timers;
}

#[path = "channel"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::channel;
    pub mod channels;
    pub mod timers;
}

promises! {
    channels {
        what_is_sent_is_received_in_order,
        lengths_and_capacities,
        try_send_and_try_recv_never_wait,
        a_full_one_without_receivers_is_disconnected,
        what_is_left_is_received_after_the_last_sender,
        many_to_many_each_item_once,
        who_waits_is_told_when_the_other_side_goes,
        timed_receives_are_never_early,
        timed_sends_are_never_early,
        timed_calls_that_have_time,
        a_time_in_the_past_takes_what_is_there,
        short_time_outs_lose_nothing,
        a_send_without_room_is_over_when_it_is_taken,
        two_meet_by_try_and_wait,
        iterators,
        what_nobody_takes_is_dropped_once,
        drops_are_exact_when_both_ends_go_at_once,
        the_same_channel_or_another,
        both_ends_may_be_shared,
        an_end_inside_its_own_channel,
        values_of_no_size_and_of_much,
        a_channel_where_an_unwind_is_caught,
        texts,
        errors_say_which_they_are,
    }
    timers {
        after_fires_once_and_not_early,
        after_nothing_is_there_at_once,
        one_who_comes_late_gets_the_time_it_fired_for,
        lengths_and_capacities,
        clones_share_one_message,
        at_a_moment_past_or_to_come,
        tick_fires_again_and_again,
        ticks_that_nobody_takes_do_not_pile_up,
        clones_share_the_ticks,
        never_is_never_ready_and_never_gone,
        a_time_that_never_comes,
        the_sooner_of_two_is_selected,
        no_timer_is_a_closed_channel,
    }
}
