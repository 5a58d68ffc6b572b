//! Spawns a hundred thousand fibers, lets every one of them wait once, and adds up their results.
//!
//! `cargo run --release --example hello`

fn main() {
    let squares: Vec<fibers::JoinHandle<u64>> = (1..=100_000)
        .map(|n| {
            fibers::spawn(move || {
                fibers::yield_now(); // any wait: the worker runs other fibers meanwhile
                n * n
            })
        })
        .collect();
    let sum: u64 = squares
        .into_iter()
        .map(|square| square.join().unwrap())
        .sum();
    println!("the squares of 1 to 100000 add up to {sum}");
}
