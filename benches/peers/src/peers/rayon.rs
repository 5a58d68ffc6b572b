//! rayon: the yardstick for fork-join.

use std::hint::black_box;

use crate::sample::Sample;
use crate::workloads::{Job, Workload};

/// Runs `job`, if it is fork-join.
pub(super) fn run(job: &Job) -> Option<Sample> {
    if job.workload != Workload::ForkJoin {
        return None;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(job.workers)
        .build();
    let pool = pool.expect("rayon starts its threads");
    let n = job.size;
    Some(pool.install(|| {
        Sample::repeated(job.workload.reps(), || {
            black_box(fib(black_box(n)));
        })
    }))
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
    a + b
}
