//! One fiber waits for several channels at once: work, a tick, the order to stop.
//!
//! `cargo run --release --example select`

use fibers::channel::{after, bounded, select, tick};
use fibers::time::Duration;

fn main() {
    let (jobs, jobs_out) = bounded(4);
    let (stop, stopped) = bounded::<()>(0);

    let worker = fibers::spawn(move || {
        // Channels that nobody sends into: a message every 20 ms. They start no fiber and no thread.
        let ticks = tick(Duration::from_millis(20));
        let (mut done, mut sum) = (0, 0);
        loop {
            select! {
                recv(jobs_out) -> job => {
                    // An error means that all senders have gone; here it is `stop` that ends the loop.
                    if let Ok(job) = job {
                        done += 1;
                        sum += job;
                    }
                }
                recv(ticks) -> _ => println!("{done} jobs done so far"),
                // Nothing was ever sent: whoever drops the sender wakes all who wait for it.
                recv(stopped) -> _ => return (done, sum),
            }
        }
    });

    let closing_time = after(Duration::from_millis(70));
    let mut next: u64 = 1;
    loop {
        select! {
            // Taken as soon as there is room; the message is not evaluated before that.
            send(jobs, next) -> sent => {
                sent.expect("the worker has not stopped");
                next += 1;
                fibers::sleep(Duration::from_millis(1));
            }
            recv(closing_time) -> _ => break,
        }
    }
    drop(stop);
    // The worker chose among what was ready, so jobs may be left: they went with the last receiver.
    let (done, sum) = worker.join().expect("the worker does not panic");
    println!("{done} of {} jobs done, their sum is {sum}", next - 1);
}
