//! `mpsc` keeps std's promises: on fibers, on threads, and between the two.

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
    pub mod mpsc;
}

#[path = "sync_std"]
mod with_fibers {
    pub use fibers::{sync, thread};
    pub mod mpsc;
}

#[path = "sync_std"]
mod with_threads {
    pub use fibers::sync;
    pub use std::thread;
    pub mod mpsc;
}

#[path = "sync_std"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::sync;
    pub mod mpsc;
}

promises! {
    mpsc {
        what_is_sent_is_received,
        across_threads_in_order,
        many_senders_each_in_order,
        a_sender_alone_is_told,
        a_receiver_alone_gets_what_is_left_and_is_told,
        who_waits_is_told_when_the_other_side_goes,
        try_recv_never_waits,
        try_send_never_waits,
        a_send_without_room_is_over_when_it_is_taken,
        a_bound_is_kept,
        recv_timeout_is_never_early,
        recv_timeout_gets_what_comes_in_time,
        short_time_outs_lose_nothing,
        iterators,
        an_iterator_ends_when_the_last_sender_goes,
        what_nobody_takes_is_dropped_once,
        senders_may_be_shared_and_sent,
        a_channel_sent_over_a_channel,
        a_receiver_goes_from_hand_to_hand,
        values_of_all_sizes,
        ping_pong,
        texts,
        errors_become_each_other,
    }
}
