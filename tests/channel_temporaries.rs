//! The channel of an arm of `select!` may be borrowed from a temporary, as with crossbeam-channel.

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
    pub mod temporaries;
}

#[path = "channel"]
mod with_fibers {
    pub use fibers::channel;
    pub mod temporaries;
}

#[path = "channel"]
mod with_threads {
    pub use fibers::channel;
    pub mod temporaries;
}

#[path = "channel"]
mod with_both {
    pub use fibers::channel;
    pub mod temporaries;
}

promises! {
    temporaries {
        an_arm_may_borrow_what_lives_as_long_as_the_selection,
    }
}
