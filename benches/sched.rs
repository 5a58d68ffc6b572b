//! What do the scheduler's basic operations cost? One worker, so that nothing but our own code is timed.
//!
//! `cargo bench -p tiny-fibers`; `-- --test` runs each once.

use divan::Bencher;
use fibers::Runtime;

fn main() {
    divan::main();
}

/// How many operations one sample times.
const N: u64 = 10_000;

fn machine() -> Runtime {
    Runtime::builder()
        .workers(1)
        .build()
        .expect("one worker starts")
}

/// One switch away and back, beside one other fiber that does the same.
#[divan::bench]
fn yield_now(bencher: Bencher) {
    let runtime = machine();
    bencher.counter(N).bench(|| {
        runtime.run(|| {
            let other = fibers::spawn(|| (0..N / 2).for_each(|_| fibers::yield_now()));
            (0..N / 2).for_each(|_| fibers::yield_now());
            other.join().expect("no panic");
        });
    });
}

/// A fiber made, run and joined, one at a time.
#[divan::bench]
fn spawn_join(bencher: Bencher) {
    let runtime = machine();
    bencher.counter(N).bench(|| {
        runtime
            .run(|| (0..N).for_each(|i| assert_eq!(fibers::spawn(move || i).join().ok(), Some(i))));
    });
}

/// A round trip of two fibers that park and unpark each other.
#[divan::bench]
fn ping_pong(bencher: Bencher) {
    let runtime = machine();
    bencher.counter(N).bench(|| {
        runtime.run(|| {
            let first = fibers::current();
            let second = fibers::spawn(move || {
                for _ in 0..N {
                    fibers::park();
                    first.unpark();
                }
            });
            for _ in 0..N {
                second.fiber().unpark();
                fibers::park();
            }
            second.join().expect("no panic");
        });
    });
}

/// `join(a, b)` of two empty closures.
#[divan::bench]
fn fork_join(bencher: Bencher) {
    let runtime = machine();
    bencher.counter(N).bench(|| {
        runtime.run(|| {
            for i in 0..N {
                assert_eq!(fibers::join(|| i, || i + 1), (i, i + 1));
            }
        });
    });
}

/// An empty closure run on an offload thread, and the way back.
#[divan::bench]
fn blocking(bencher: Bencher) {
    let runtime = machine();
    bencher.counter(N).bench(|| {
        runtime.run(|| (0..N).for_each(|_| fibers::blocking(|| ())));
    });
}
