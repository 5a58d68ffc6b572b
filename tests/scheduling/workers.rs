//! The workers themselves: how many there are, their names and CPUs, and that all are there before any fiber runs.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{self, Mode, Test, thread_id};
use fibers::Runtime;

#[test]
fn workers_have_names_and_cpus_of_their_own() {
    let test = Test::new(60);
    let allowed = allowed_cpus("/proc/self/status");
    for pin in [false, true] {
        let machine = test.build(Runtime::builder().workers(3).name("grind").pin_workers(pin));
        let mut names = HashSet::new();
        let mut cpus = HashSet::new();
        // Until every worker was seen: each fiber keeps its worker until all have one.
        let arrived = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = (0..3)
            .map(|_| {
                let arrived = Arc::clone(&arrived);
                machine.spawn(move || {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    while arrived.load(Ordering::Acquire) < 3 {
                        std::thread::yield_now();
                    }
                    let task = format!("/proc/self/task/{}", thread_id());
                    let name = std::fs::read_to_string(format!("{task}/comm")).unwrap();
                    let here = std::thread::current().name().map(str::to_owned);
                    assert_eq!(here.as_deref(), Some(name.trim()));
                    (
                        name.trim().to_owned(),
                        allowed_cpus(&format!("{task}/status")),
                    )
                })
            })
            .collect();
        for fiber in all {
            let (name, mask) = fiber.join().unwrap();
            names.insert(name);
            if pin {
                assert_eq!(mask.len(), 1, "{mask:?}");
                assert!(allowed.is_superset(&mask));
                cpus.extend(mask);
            } else {
                assert_eq!(mask, allowed);
            }
        }
        let wanted = ["grind-0", "grind-1", "grind-2"].map(str::to_owned);
        assert_eq!(names, HashSet::from(wanted));
        if pin {
            assert_eq!(cpus.len(), allowed.len().min(3), "one CPU after the other");
        }
    }
}

fn allowed_cpus(status: &str) -> HashSet<usize> {
    let text = std::fs::read_to_string(status).unwrap();
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    list.trim()
        .split(',')
        .flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().unwrap()..=last.parse().unwrap()
        })
        .collect()
}

/// S2: the default obeys the affinity mask.
#[test]
fn the_default_number_of_workers_is_what_the_affinity_mask_allows() {
    const NAME: &str = "workers::the_default_number_of_workers_is_what_the_affinity_mask_allows";
    if common::child_case().is_some() {
        let machine = Runtime::new().unwrap();
        println!("workers={}", machine.metrics().workers);
        assert_eq!(fibers::available_parallelism().unwrap().get(), 1);
        return;
    }
    let first = allowed_cpus("/proc/self/status").into_iter().min().unwrap();
    let ended = common::child_under(
        &["taskset", "-c", &first.to_string()],
        NAME,
        "one",
        common::CHILD_LIMIT_S,
    );
    ended.passed();
    assert!(ended.stdout.contains("workers=1\n"), "{}", ended.stdout);
}

/// All workers are there before any fiber runs: a fiber that needs them all at once never waits for one
/// that has not begun.
#[test]
fn no_fiber_runs_before_every_worker_has_started() {
    let test = Test::new(60);
    for _ in 0..50 {
        let machine = test.machine(Mode::Pinned, 5);
        let threads = machine
            .spawn(|| {
                let tasks = std::fs::read_dir("/proc/self/task").unwrap();
                tasks
                    .filter(|task| {
                        let comm = task.as_ref().unwrap().path().join("comm");
                        std::fs::read_to_string(comm).is_ok_and(|name| name.starts_with("fibers-"))
                    })
                    .count()
            })
            .join()
            .unwrap();
        assert!(threads >= 5, "{threads} workers were there");
    }
}
