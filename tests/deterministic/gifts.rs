//! Fibers that go to an idle worker when they are about to start: each runs once, whatever comes meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use fibers::Handle;
use fibers::testing::{self, Check, explore, worker};

use crate::seeds;

/// More than a worker may have more than another one.
const MANY: usize = 12;

/// Gives the others time to go idle.
fn linger() {
    for _ in 0..testing::random(40) {
        fibers::yield_now();
    }
}

/// Fibers that stay here for as long as the run lasts.
fn reside() -> Vec<fibers::LocalJoinHandle<()>> {
    (0..MANY)
        .map(|_| fibers::spawn_local(fibers::park))
        .collect()
}

#[test]
fn whoever_is_given_away_runs_once() {
    for workers in 1..=4 {
        explore(seeds(), |check| check.workers(workers), gifts_and_joins);
    }
}

fn gifts_and_joins() {
    let residents = reside();
    linger();
    let ran = Arc::new(AtomicUsize::new(0));
    let mut fibers = Vec::new();
    for _ in 0..20 {
        let mine = Arc::clone(&ran);
        let how = testing::random(4);
        fibers.push(fibers::spawn(move || {
            mine.fetch_add(1, SeqCst);
            match how {
                0 => {}
                1 => fibers::yield_now(),
                2 => fibers::sleep(std::time::Duration::from_micros(30)),
                _ => fibers::park(),
            }
        }));
        linger();
        if testing::random(3) == 0 {
            let (here, there) = fibers::join(
                || {
                    linger();
                    1
                },
                || {
                    linger();
                    2
                },
            );
            assert_eq!((here, there), (1, 2));
        }
    }
    for fiber in fibers {
        fiber.fiber().unpark();
        fiber.join().unwrap();
    }
    assert_eq!(ran.load(SeqCst), 20);
    for resident in residents {
        resident.fiber().unpark();
        resident.join().unwrap();
    }
}

#[test]
fn a_stop_and_a_cancellation_of_all_find_those_who_are_on_their_way() {
    let mut elsewhere = 0;
    for (workers, seed) in (1..=4).flat_map(|workers| seeds().map(move |seed| (workers, seed))) {
        let check = Check::new().workers(workers).seed(seed);
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Drops(Arc<AtomicUsize>);
        impl Drop for Drops {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let told = Arc::clone(&dropped);
        let seen = Arc::new(AtomicUsize::new(0));
        let saw = Arc::clone(&seen);
        check.run(move || {
            let home = worker();
            fibers::shield(|| {
                for resident in reside() {
                    drop(resident);
                }
                linger();
                for _ in 0..20 {
                    let (drops, saw) = (Drops(Arc::clone(&told)), Arc::clone(&saw));
                    drop(fibers::spawn(move || {
                        let _drops = drops;
                        if worker() != home {
                            saw.fetch_add(1, SeqCst);
                        }
                        if testing::random(3) > 0 {
                            fibers::park();
                        }
                    }));
                    linger();
                    if testing::random(20) == 0 {
                        Handle::current().unwrap().cancel_all().unwrap();
                        linger();
                    }
                }
            });
        });
        assert_eq!(dropped.load(SeqCst), 20, "{workers} workers, seed {seed}");
        elsewhere += seen.load(SeqCst);
    }
    assert!(elsewhere > 0, "nobody was given away");
}
