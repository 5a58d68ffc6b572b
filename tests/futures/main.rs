//! Fibers and futures: `block_on` with the primitives of crates that know no runtime, and fibers awaited by executors
//! that know no fibers.

#[path = "../common/mod.rs"]
mod common;

mod awaited;
mod block_on;
mod nested;
mod other_crates;
mod wakers;

use std::future::{Future, poll_fn};
use std::task::Poll;

use fibers::time::Duration;

const SHORT: Duration = Duration::from_micros(300);
const LONG: Duration = Duration::from_secs(3600);

/// Pending so many times, waking itself each time.
fn wakes_itself(times: usize) -> impl Future<Output = usize> {
    let mut polls = 0;
    poll_fn(move |context| {
        if polls == times {
            return Poll::Ready(polls);
        }
        polls += 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
