//! When the kernel runs out of something: an error or a payload in `join`, never an abort, a hang or a leak.
//!
//! Calls are made to fail by `fibers::testing::fail_call`, which counts for the whole process: so each test is
//! a child process. `STRESS=1`: every call up to the two hundredth instead of the twentieth.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{
    Gate, MODES, Test, builder, child_case, child_for, eventually, mappings, stress, within,
};
use fibers::testing::{FailCall, calls_left, fail_call};
use fibers::{GuardMethod, Runtime};

const CALLS: [FailCall; 4] = [
    FailCall::Mmap,
    FailCall::GuardMarker,
    FailCall::Protect,
    FailCall::ThreadSpawn,
];

/// The text of a payload that the library made.
fn text_of(payload: &(dyn std::any::Any + Send)) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str)
}

/// Captures count their drops, whatever becomes of their fiber.
struct Once(Arc<AtomicUsize>);
impl Drop for Once {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// G12.
#[test]
fn the_failure_of_any_call_is_an_error_or_a_payload() {
    const NAME: &str = "the_failure_of_any_call_is_an_error_or_a_payload";
    if child_case().is_none() {
        let ended = child_for(NAME, "all", &[], 100);
        ended.passed();
        return;
    }
    let mut test = Test::new(90);
    let last = if stress() { 200 } else { 20 };
    let mut failed = [0; CALLS.len()];
    let mut base_mappings = 0;
    for (which, call) in CALLS.into_iter().enumerate() {
        for method in [GuardMethod::Auto, GuardMethod::Mprotect] {
            for mode in MODES {
                for k in 1..=last {
                    let place = format!("{call:?} {k} {method:?} {mode:?}");
                    let drops = Arc::new(AtomicUsize::new(0));
                    fail_call(call, k);
                    let mut made = 0;
                    match builder(mode).workers(3).guard_method(method).build() {
                        Err(error) => {
                            assert!(!error.to_string().is_empty(), "{place}");
                            failed[which] += 1;
                        }
                        Ok(machine) => {
                            test.watch(machine.handle());
                            let gate = Arc::new(Gate::new());
                            let all: Vec<_> = (0..200)
                                .filter_map(|n: usize| {
                                    let (once, gate) =
                                        (Once(Arc::clone(&drops)), Arc::clone(&gate));
                                    made += 1;
                                    let size = (64 << 10) << (n % 4);
                                    let fiber = fibers::Builder::new().stack_size(size);
                                    let body = move || {
                                        let _once = &once;
                                        gate.wait();
                                        n
                                    };
                                    let fiber = fiber.spawn_on(&machine.handle(), body);
                                    fiber.inspect_err(|_| failed[which] += 1).ok()
                                })
                                .collect();
                            gate.open();
                            for fiber in all {
                                if let Err(payload) = fiber.join() {
                                    let text = text_of(&*payload).expect(&place);
                                    assert!(text.contains("stack"), "{place}: {text}");
                                    failed[which] += 1;
                                }
                            }
                            if calls_left(call) == 0 {
                                failed[which] += 1;
                            }
                            fail_call(call, 0);
                            // It has got over it.
                            assert_eq!(machine.run(|| 5), 5, "{place}");
                        }
                    }
                    if calls_left(call) == 0 {
                        failed[which] += 1;
                    }
                    fail_call(call, 0);
                    assert_eq!(
                        drops.load(Ordering::Relaxed),
                        made,
                        "{place}: captures dropped"
                    );
                    // What is watched keeps a machine's memory, and guards by mprotect are few.
                    if k % 20 == 0 {
                        test = Test::new(90);
                    }
                    if base_mappings == 0 {
                        base_mappings = mappings();
                    }
                }
            }
        }
    }
    for (call, failed) in CALLS.into_iter().zip(failed) {
        assert!(failed > 0, "{call:?} was never reached");
    }
    drop(test);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    // The test's, the harness's and the watchdog's.
    assert!(
        within(Duration::from_secs(60), || threads() <= 3),
        "{} threads",
        threads()
    );
    let left = mappings();
    assert!(
        left < base_mappings + 100,
        "{base_mappings} mappings after the first, {left} at the end"
    );
}

#[test]
fn a_worker_that_cannot_start_is_an_error_of_build() {
    const NAME: &str = "a_worker_that_cannot_start_is_an_error_of_build";
    if child_case().is_none() {
        child_for(NAME, "threads", &[], 60).passed();
        return;
    }
    let _test = Test::new(50);
    for k in 1..=8 {
        fail_call(FailCall::ThreadSpawn, k);
        let error = Runtime::builder().workers(8).build().map(drop).unwrap_err();
        let text = error.to_string();
        let named =
            text.contains(&format!("worker {} of 8", k - 1)) && text.contains("FIBERS_WORKERS");
        assert!(named, "{text}");
    }
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    assert!(
        within(Duration::from_secs(60), || threads() <= 3),
        "{} threads stay",
        threads()
    );
    let machine = Runtime::builder().workers(8).build().unwrap();
    assert_eq!(machine.run(|| 5), 5);
}

/// Nobody holds a stack that could come free: the fiber fails, and its joiner hears why.
#[test]
fn a_fiber_that_can_never_have_a_stack_fails() {
    const NAME: &str = "a_fiber_that_can_never_have_a_stack_fails";
    if child_case().is_none() {
        child_for(NAME, "stack", &[], 60).passed();
        return;
    }
    let test = Test::new(50);
    let all_the_address_space = limit_address_space(None);
    for mode in MODES {
        for workers in [1, 3] {
            let drops = Arc::new(AtomicUsize::new(0));
            let machine = test.machine(mode, workers);
            assert_eq!(machine.run(|| 5), 5);
            for round in 0..20 {
                // Room for the allocator, none for a slab of the largest stacks.
                let now = common::status_field("VmSize") << 10;
                limit_address_space(Some(now + (2 << 20)));
                let once = Once(Arc::clone(&drops));
                let fiber = fibers::Builder::new().stack_size(8 << 20);
                let fiber = fiber
                    .spawn_on(&machine.handle(), move || drop(once))
                    .unwrap();
                let payload = fiber.join().unwrap_err();
                let text = text_of(&*payload).unwrap();
                assert!(
                    text.contains("no stack") && text.contains("cannot map"),
                    "{text}"
                );
                assert_eq!(
                    drops.load(Ordering::Relaxed),
                    round + 1,
                    "its captures are dropped"
                );
                // Others go on meanwhile.
                assert_eq!(machine.run(|| 5), 5);
                limit_address_space(Some(all_the_address_space));
            }
            let fiber = fibers::Builder::new().stack_size(8 << 20);
            assert_eq!(
                fiber
                    .spawn_on(&machine.handle(), || 6)
                    .unwrap()
                    .join()
                    .unwrap(),
                6
            );
        }
    }
}

/// Sets this process's limit, if one is given, and returns the one before.
fn limit_address_space(bytes: Option<u64>) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid struct to fill.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    assert_eq!(known, 0);
    let before = limit.rlim_cur;
    if let Some(bytes) = bytes {
        limit.rlim_cur = bytes;
        // SAFETY: a valid struct; only the soft limit of this child changes.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        assert_eq!(set, 0);
    }
    before
}

/// K19. Two mappings for each stack, 65,530 of them in all: the error says what to turn.
#[test]
fn too_many_mappings_are_an_error_that_names_the_limit() {
    const NAME: &str = "too_many_mappings_are_an_error_that_names_the_limit";
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    if limit
        .trim()
        .parse::<u64>()
        .is_ok_and(|limit| limit > 79_000)
    {
        println!("skipped: vm.max_map_count is {limit}, so forty thousand stacks do fit");
        return;
    }
    let Some(case) = child_case() else {
        for mode in MODES {
            child_for(NAME, &format!("{mode:?}"), &[], 100).passed();
        }
        return;
    };
    let mode = MODES[usize::from(case != "Pinned")];
    let test = Test::new(90);
    let machine = test.build(
        builder(mode)
            .workers(2)
            .guard_method(GuardMethod::Mprotect)
            .stack_size(64 << 10),
    );
    let gate = Arc::new(Gate::new());
    let body = |gate: &Arc<Gate>| {
        let gate = Arc::clone(gate);
        move || gate.wait()
    };
    let mut refusals = Vec::new();
    let mut all = Vec::new();
    for _ in 0..40_000 {
        match machine.handle().try_spawn(body(&gate)) {
            Ok(fiber) => all.push(fiber),
            Err(refused) => refusals.push(refused.to_string()),
        }
    }
    // The stacks run out at a first run, perhaps only now.
    eventually(|| match machine.handle().try_spawn(body(&gate)) {
        Ok(fiber) => {
            all.push(fiber);
            false
        }
        Err(refused) => {
            refusals.push(refused.to_string());
            true
        }
    });
    for text in &refusals {
        assert!(text.contains("vm.max_map_count"), "{text}");
    }
    // Everything else in the process still works.
    std::thread::spawn(|| vec![0_u8; 1 << 20].len())
        .join()
        .unwrap();
    gate.open();
    let mut failed = 0;
    for fiber in all {
        if let Err(payload) = fiber.join() {
            failed += 1;
            let text = text_of(&*payload).unwrap();
            assert!(text.contains("vm.max_map_count"), "{text}");
        }
    }
    println!("{} refused, {failed} failed", refusals.len());
    assert_eq!(machine.run(|| 5), 5);
}

/// A limit on address space, as a container or `ulimit -v` sets it.
#[test]
fn a_limit_on_address_space_is_an_error_or_a_payload() {
    const NAME: &str = "a_limit_on_address_space_is_an_error_or_a_payload";
    let Some(case) = child_case() else {
        for mode in MODES {
            child_for(NAME, &format!("{mode:?}"), &[], 60).passed();
        }
        return;
    };
    let mode = MODES[usize::from(case != "Pinned")];
    let test = Test::new(50);
    let machine = test.machine(mode, 2);
    limit_address_space(Some(2 << 30));
    let gate = Arc::new(Gate::new());
    let mut refused = 0;
    let mut all = Vec::new();
    // Eight megabytes each: two thousand of them do not fit into two gigabytes.
    for _ in 0..2000 {
        let gate = Arc::clone(&gate);
        let fiber = fibers::Builder::new().stack_size(8 << 20);
        match fiber.spawn_on(&machine.handle(), move || gate.wait()) {
            Ok(fiber) => all.push(fiber),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("cannot map"), "{error}");
            }
        }
    }
    gate.open();
    let failed = all
        .into_iter()
        .map(fibers::JoinHandle::join)
        .filter(Result::is_err);
    println!("{refused} refused, {} failed", failed.count());
    assert_eq!(machine.run(|| 5), 5);
}
