//! Fibers stay where they start, so they start where there are fewer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;

use fibers::Runtime;

use crate::common::{Test, scaled};

/// A fiber that notes where it is, wakes its spawner, and lives on until it is woken.
fn resident(homes: &Arc<Mutex<HashMap<thread::ThreadId, usize>>>) -> fibers::JoinHandle<()> {
    let homes = Arc::clone(homes);
    let spawner = fibers::current();
    let resident = fibers::spawn(move || {
        *homes
            .lock()
            .unwrap()
            .entry(thread::current().id())
            .or_default() += 1;
        spawner.unpark();
        fibers::park();
    });
    fibers::park();
    resident
}

/// As a server's connections, which come one by one, each to a worker that has nothing else to do.
#[test]
fn fibers_that_live_on_are_spread_over_idle_workers() {
    const WORKERS: usize = 3;
    const RESIDENTS: usize = 90;
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().workers(WORKERS));
    let homes = Arc::new(Mutex::new(HashMap::new()));
    let (handle, noted) = (machine.handle().clone(), Arc::clone(&homes));
    machine.run(move || {
        let spawn_one = |_| {
            // The others have done their part and sleep again.
            while handle.metrics().idle_workers < WORKERS as u64 - 1 {
                fibers::yield_now();
            }
            resident(&noted)
        };
        let residents: Vec<_> = (0..RESIDENTS).map(spawn_one).collect();
        for resident in residents {
            resident.fiber().unpark();
            resident.join().unwrap();
        }
    });
    let homes = homes.lock().unwrap();
    assert_eq!(homes.len(), WORKERS, "{homes:?}");
    assert_eq!(homes.values().sum::<usize>(), RESIDENTS);
    let fewest = *homes.values().min().unwrap();
    assert!(fewest >= RESIDENTS / WORKERS / 2, "{homes:?}");
}

/// Where many live on one worker, and spawn such as end at once, waking another for each would cost more than it brings.
#[test]
fn fibers_that_end_at_once_stay() {
    let count = scaled(1_000_000, 10_000_000) as u64;
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().workers(2));
    machine.run(move || {
        let residents: Vec<_> = (0..50).map(|_| fibers::spawn_local(fibers::park)).collect();
        for _ in 0..count {
            let spawner = fibers::current();
            drop(fibers::spawn(move || spawner.unpark()));
            fibers::park();
        }
        for resident in residents {
            resident.fiber().unpark();
            resident.join().unwrap();
        }
    });
    let metrics = machine.metrics();
    // Some 25, whatever the count; of a million more than two thousand where each gift was taken for a good one.
    assert!(metrics.handoffs + metrics.steals < 300, "{metrics:?}");
}

/// Where started fibers are always ready, those that have not started come up at fair picks only.
#[test]
fn regression_a_worker_that_always_has_something_ready_gives_too() {
    const WORKERS: usize = 3;
    const RESIDENTS: usize = 90;
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().workers(WORKERS));
    let (handle, homes) = (machine.handle().clone(), Arc::default());
    let noted: Arc<Mutex<HashMap<thread::ThreadId, usize>>> = Arc::clone(&homes);
    machine.run(move || {
        let busily_spawn_one = |so_far: usize| {
            let mine = Arc::clone(&noted);
            let resident = fibers::spawn(move || {
                *mine
                    .lock()
                    .unwrap()
                    .entry(thread::current().id())
                    .or_default() += 1;
                fibers::park();
            });
            while noted.lock().unwrap().values().sum::<usize>() <= so_far {
                fibers::yield_now();
            }
            await_idle(&handle, WORKERS - 1);
            resident
        };
        let residents: Vec<_> = (0..RESIDENTS).map(busily_spawn_one).collect();
        end(residents);
    });
    let homes = homes.lock().unwrap();
    assert_eq!(homes.values().sum::<usize>(), RESIDENTS);
    let fewest = homes.values().min().copied().unwrap();
    assert!(
        homes.len() == WORKERS && fewest >= RESIDENTS / WORKERS / 2,
        "{homes:?}"
    );
    // Each gift got somebody up, and is counted.
    let metrics = machine.metrics();
    assert!(metrics.futex_wakes >= metrics.handoffs, "{metrics:?}");
}

/// The lock under which the idle worker is found is everybody's.
#[test]
fn regression_a_worker_with_nothing_to_give_seldom_looks_for_whom() {
    const COUNT: u64 = 20_000;
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().workers(2));
    let handle = machine.handle().clone();
    machine.run(move || {
        let residents: Vec<_> = (0..12).map(|_| fibers::spawn_local(fibers::park)).collect();
        // As many, and more, on the other one, where whatever comes from outside goes.
        await_idle(&handle, 1);
        let (outside, spawner) = (handle.clone(), fibers::current());
        let there = thread::spawn(move || {
            outside.spawn(move || {
                let residents: Vec<_> =
                    (0..20).map(|_| fibers::spawn_local(fibers::park)).collect();
                spawner.unpark();
                fibers::park();
                residents.into_iter().for_each(|resident| {
                    resident.fiber().unpark();
                    resident.join().unwrap();
                });
            })
        });
        // Not by a wait: this worker is to stay up until the other one has it.
        let there = there.join().unwrap();
        fibers::park();
        await_idle(&handle, 1);
        let mut taken = 0;
        for _ in 0..COUNT / 100 {
            await_idle(&handle, 1);
            let before = handle.metrics().lock_acquisitions;
            for _ in 0..100 {
                let spawner = fibers::current();
                drop(fibers::spawn(move || spawner.unpark()));
                fibers::park();
            }
            taken += handle.metrics().lock_acquisitions - before;
        }
        assert!(taken < COUNT / 4, "{taken} times for {COUNT} starts");
        end(vec![there]);
        residents.into_iter().for_each(|resident| {
            resident.fiber().unpark();
            resident.join().unwrap();
        });
    });
}

/// The second half of a `join` is waited for by its first.
#[test]
fn regression_the_second_half_of_a_join_stays_with_who_waits_for_it() {
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().workers(2));
    let handle = machine.handle().clone();
    machine.run(move || {
        let residents: Vec<_> = (0..50).map(|_| fibers::spawn_local(fibers::park)).collect();
        let before = handle.metrics();
        for _ in 0..200 {
            await_idle(&handle, 1);
            let first = fibers::current();
            fibers::join(fibers::park, move || first.unpark());
        }
        let after = handle.metrics();
        assert_eq!(after.handoffs, before.handoffs, "{after:?}");
        residents.into_iter().for_each(|resident| {
            resident.fiber().unpark();
            resident.join().unwrap();
        });
    });
}

/// By a fiber that always has something to do meanwhile.
fn await_idle(handle: &fibers::Handle, workers: usize) {
    while handle.metrics().idle_workers < workers as u64 {
        fibers::yield_now();
    }
}

fn end(residents: Vec<fibers::JoinHandle<()>>) {
    for resident in residents {
        resident.fiber().unpark();
        resident.join().unwrap();
    }
}
