//! The deterministic mode itself: it repeats runs, and it finds what it is for.

use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

use fibers::Builder;
use fibers::testing::{self, Check, explore};
use fibers::wait::{self, Reasons};

use crate::perhaps_yield;
#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let check = Check::new().workers(3).seed(seed);
        check.run(|| {
            let trace = Arc::new(Mutex::new(Vec::new()));
            let fibers: Vec<_> = (0..8)
                .map(|n| {
                    let trace = Arc::clone(&trace);
                    fibers::spawn(move || {
                        for _ in 0..3 {
                            trace.lock().unwrap().push((n, testing::worker()));
                            perhaps_yield();
                        }
                    })
                })
                .collect();
            fibers.into_iter().for_each(|f| f.join().unwrap());
            trace.lock().unwrap().clone()
        })
    };
    let runs: Vec<_> = (0..20).map(run).collect();
    for (seed, first) in runs.iter().enumerate() {
        assert_eq!(*first, run(seed as u64), "seed {seed}");
    }
    assert!(runs.iter().any(|other| *other != runs[0]), "seeds differ");
}

#[test]
fn a_run_that_hangs_says_so_with_its_seed() {
    let hang = || {
        Check::new().seed(42).run(|| {
            let waits = Builder::new().name("waits".to_owned());
            let waits = waits.spawn(|| wait::sleep(Reasons::USER3)).unwrap();
            waits.join().unwrap()
        })
    };
    let payload = catch_unwind(hang).expect_err("nobody wakes it");
    let text = payload.downcast_ref::<String>().expect("text");
    assert!(text.contains("seed 42"), "{text}");
    assert!(
        text.contains("fiber 'waits'") && text.contains("USER3"),
        "{text}"
    );
    assert!(text.contains("fiber 'root'"), "{text}");
}

#[test]
fn a_failure_names_the_seed_that_replays_it() {
    let fails = || {
        explore(
            9..10,
            |check| check,
            || std::panic::resume_unwind(Box::new("oh")),
        )
    };
    let payload = catch_unwind(fails).expect_err("it fails");
    let text = payload.downcast_ref::<String>().expect("text");
    assert!(
        text.contains("seed 9 (replay: FIBERS_TEST_SEED=9): oh"),
        "{text}"
    );
}

#[test]
fn a_wait_that_would_block_the_one_thread_is_refused() {
    let blocks = || {
        Check::new().run(|| fibers::on_worker_stack(|| wait::sleep(Reasons::USER0)));
    };
    let payload = catch_unwind(blocks).expect_err("it would hang");
    let text = payload.downcast_ref::<String>().expect("text");
    assert!(
        text.contains("fiber 'root'") && text.contains("block its thread"),
        "{text}"
    );
}
