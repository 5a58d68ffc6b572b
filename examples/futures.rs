//! Meets the async world in both directions: a fiber waits for futures with `block_on`, and a `JoinHandle` is a
//! future that anybody may await.
//!
//! `cargo run --release --example futures`

use futures::channel::mpsc;
use futures::stream::{FuturesUnordered, StreamExt};

fn main() {
    // A fiber reads from a channel that knows tasks only.
    let (sender, receiver) = mpsc::unbounded();
    let reader = fibers::spawn(move || fibers::block_on(receiver.collect::<Vec<u32>>()));

    // Fibers do the work, and whoever ends first is heard first.
    let squares: FuturesUnordered<_> = (1..=10_u32)
        .map(|n| {
            IntoFuture::into_future(fibers::spawn(move || {
                fibers::sleep(std::time::Duration::from_millis(u64::from(n % 3)));
                n * n
            }))
        })
        .collect();

    // Any executor will do; this one blocks the main thread.
    let sum = futures::executor::block_on(squares.fold(0, async |sum, square| {
        let square = square.unwrap();
        sender.unbounded_send(square).unwrap();
        sum + square
    }));
    drop(sender);
    println!("{sum} is the sum of {:?}", reader.join().unwrap());
}
