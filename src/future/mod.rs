//! Floor 6: futures, for those who meet them: fibers and plain threads wait for them, and they wait for fibers.
//!
//! `block_on` waits for any future, by the waker of `waker`; `join` is the end of a fiber as a future, `stream` the
//! messages of a channel. No executor: who
//! wants many futures at once gives each a fiber, or puts them together by the means of the crate `futures`.
//! Uses `wait`, and of the rooms below that only the fiber's header and its wake.

mod block_on;
mod join;
#[cfg(feature = "stream")]
mod stream;
mod waker;

pub use block_on::block_on;
pub use join::JoinFuture;
#[cfg(feature = "stream")]
pub use stream::RecvStream;
