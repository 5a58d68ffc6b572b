//! Little programs written for std and crossbeam: with ours, nothing but their `use` lines changes.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with std's names and with ours"
)]

mod common;
#[path = "common/places.rs"]
mod places;

#[path = "programs"]
mod with_std {
    pub use crossbeam_channel as channel;
    pub use std::{sync, thread};
    pub mod bank;
    pub mod philosophers;
    pub mod pipeline;
    pub mod pool;
}

#[path = "programs"]
mod with_fibers {
    pub use fibers::{channel, sync, thread};
    pub mod bank;
    pub mod philosophers;
    pub mod pipeline;
    pub mod pool;
}

#[path = "programs"]
mod with_threads {
    pub use fibers::{channel, sync};
    pub use std::thread;
    pub mod bank;
    pub mod philosophers;
    pub mod pipeline;
    pub mod pool;
}

#[path = "programs"]
mod with_both {
    pub use crate::places::mixed as thread;
    pub use fibers::{channel, sync};
    pub mod bank;
    pub mod philosophers;
    pub mod pipeline;
    pub mod pool;
}

promises! {
    bank {
        run,
    }
    pipeline {
        run,
    }
    philosophers {
        run,
    }
    pool {
        run,
    }
}
