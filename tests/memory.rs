//! What fibers cost in memory, and that it comes back.
//!
//! Resident memory belongs to a process, so each measurement is a child process of its own; the children run
//! one at a time. `STRESS=1`: a million fibers parked instead of a hundred thousand, ten million spawns
//! instead of a million.

mod common;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{
    MODES, Mode, Test, builder, child_case, eventually, mappings, resident_bytes, stress, within,
};
use fibers::wait::{self, Reasons};
use fibers::{Builder, GuardMethod, Runtime};

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// True in the child that is to measure; else runs it for both modes.
fn measured_in_a_child(test: &str, limit_s: u64) -> Option<Mode> {
    if let Some(case) = child_case() {
        return Some(if case == "Pinned" {
            Mode::Pinned
        } else {
            Mode::Floating
        });
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for mode in MODES {
        let ended = common::child_for(test, &format!("{mode:?}"), &[], limit_s);
        print!("{}", ended.stdout);
        ended.passed();
    }
    None
}

/// Parks so many fibers, wakes them all and joins them; the resident bytes and mappings while they were
/// parked.
fn park_and_wake(machine: &Runtime, fibers: usize) -> (u64, usize) {
    let woken = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..fibers)
        .map(|_| {
            let woken = Arc::clone(&woken);
            machine.spawn(move || {
                assert_eq!(wait::sleep(Reasons::USER0), Reasons::USER0);
                woken.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    eventually(|| machine.metrics().parked == fibers as u64);
    let held = (resident_bytes(), mappings());
    for fiber in &all {
        wait::wake(fiber.fiber(), Reasons::USER0);
    }
    for fiber in all {
        fiber.join().unwrap();
    }
    assert_eq!(woken.load(Ordering::Relaxed), fibers);
    held
}

/// G1.
#[test]
fn parked_fibers_cost_less_than_five_kilobytes_and_no_mappings() {
    let Some(mode) = measured_in_a_child(
        "parked_fibers_cost_less_than_five_kilobytes_and_no_mappings",
        100,
    ) else {
        return;
    };
    let test = Test::new(90);
    let machine = test.machine(mode, 2);
    let count = if stress() { 1_000_000 } else { 100_000 };
    park_and_wake(&machine, 100);
    let (base_bytes, base_mappings) = (resident_bytes(), mappings());
    let (first_bytes, first_mappings) = park_and_wake(&machine, count);
    let each = (first_bytes - base_bytes) / count as u64;
    println!(
        "{mode:?}: {each} bytes for each parked fiber, {} mappings",
        first_mappings - base_mappings
    );
    // An unoptimised frame is larger, and reaches into a second page.
    let limit = if cfg!(debug_assertions) {
        2 * 4915 + 4096
    } else {
        4915
    };
    assert!(each <= limit, "{each} bytes each");
    assert!(
        first_mappings - base_mappings < 1000,
        "{base_mappings} and then {first_mappings} mappings"
    );
    let (second_bytes, second_mappings) = park_and_wake(&machine, count);
    println!("{mode:?}: {first_bytes} bytes, and in the second round {second_bytes}");
    assert!(
        second_bytes <= first_bytes + first_bytes / 100,
        "{first_bytes} and then {second_bytes}"
    );
    assert!(
        second_mappings - base_mappings < 1000,
        "{second_mappings} mappings"
    );
    // All of it goes with the machine.
    drop(test);
    drop(machine);
    let end_mappings = mappings();
    assert!(
        end_mappings <= base_mappings + 20,
        "{base_mappings} and then {end_mappings} mappings"
    );
    assert!(within(Duration::from_secs(60), || resident_bytes()
        < base_bytes + first_bytes / 4));
}

/// G3, T32.
#[test]
fn spawning_and_joining_for_ever_takes_no_memory() {
    let Some(mode) = measured_in_a_child("spawning_and_joining_for_ever_takes_no_memory", 100)
    else {
        return;
    };
    let test = Test::new(90);
    let machine = test.machine(mode, 2);
    let spawns = common::scaled(1_000_000, 10_000_000);
    let round = |spawns: usize| {
        machine.run(move || {
            for batch in 0..spawns / 100 {
                let all: Vec<_> = (0..100).map(|n| fibers::spawn(move || n + batch)).collect();
                for (n, fiber) in all.into_iter().enumerate() {
                    if n % 3 == 0 {
                        fibers::yield_now();
                    }
                    assert_eq!(fiber.join().unwrap(), n + batch);
                }
            }
        });
    };
    // As long as what is measured: how many stacks and cells are in play at a time is a matter of chance.
    round(spawns);
    let (before, maps) = (resident_bytes(), mappings());
    round(spawns);
    let after = resident_bytes();
    println!("{mode:?}: {before} bytes before, {after} after {spawns} spawns");
    assert!(
        after <= before + before / 20 + (1 << 20),
        "{before} and then {after}"
    );
    assert!(mappings() <= maps + 20);
    let metrics = machine.metrics();
    assert_eq!(metrics.spawned, metrics.finished);
}

/// K21.
#[test]
fn deep_calls_give_their_memory_back() {
    let Some(mode) = measured_in_a_child("deep_calls_give_their_memory_back", 100) else {
        return;
    };
    #[inline(never)]
    fn touch(bytes: usize) -> u8 {
        let frame = std::hint::black_box([1_u8; 1024]);
        if bytes < 2048 {
            return frame[0];
        }
        touch(bytes - 1024).wrapping_add(frame[1023])
    }
    let test = Test::new(90);
    let machine = test.machine(mode, 2);
    park_and_wake(&machine, 100);
    let base = resident_bytes();
    let count = if cfg!(debug_assertions) { 4000 } else { 10_000 };
    let all: Vec<_> = (0..count)
        .map(|_| {
            machine.spawn(|| {
                // Half of that where frames are larger and copied.
                let bytes = if cfg!(debug_assertions) {
                    60 << 10
                } else {
                    180 << 10
                };
                std::hint::black_box(touch(bytes));
                wait::sleep(Reasons::USER0);
            })
        })
        .collect();
    eventually(|| machine.metrics().parked == count as u64);
    let peak = resident_bytes();
    for fiber in &all {
        wait::wake(fiber.fiber(), Reasons::USER0);
    }
    for fiber in all {
        fiber.join().unwrap();
    }
    let used = peak - base;
    assert!(
        used > count as u64 * (100 << 10),
        "the calls were deep: {used} bytes"
    );
    // Nothing else happens from here on: idle machines give memory back as well, but for the few stacks that
    // each worker keeps at hand.
    let kept = 2 * 64 * (used / count as u64);
    let fell = within(Duration::from_secs(60), || {
        resident_bytes() - base < used / 20 + kept
    });
    println!(
        "{mode:?}: {used} bytes used, {} left",
        resident_bytes() - base
    );
    assert!(fell, "{} of {used} bytes stay", resident_bytes() - base);
    assert!(machine.metrics().stacks_returned > 0);
}

#[test]
fn a_limit_on_fibers_is_kept_and_names_itself() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.build(builder(mode).workers(2).max_fibers(100));
        for _ in 0..20 {
            let all: Vec<_> = (0..100).map(|_| machine.spawn(fibers::park)).collect();
            let refused = machine.handle().try_spawn(|| 5).unwrap_err();
            assert_eq!(refused.error.kind(), std::io::ErrorKind::QuotaExceeded);
            let text = refused.to_string();
            assert!(
                text.contains("max_fibers") && text.contains("100"),
                "{text}"
            );
            assert_eq!((refused.closure)(), 5);
            for fiber in &all {
                fiber.fiber().unpark();
            }
            for fiber in all {
                fiber.join().unwrap();
            }
            // A joined fiber no longer counts.
            machine.run(|| ());
        }
        // The limit counts whatever way a fiber ends, and scoped and local ones.
        common::silence_panics();
        for _ in 0..300 {
            let failed = machine.spawn(|| std::panic::panic_any(common::Expected(0)));
            assert!(failed.join().is_err());
        }
        let refusals = machine.run(|| {
            fibers::scope(|s| {
                let refused = AtomicU64::new(0);
                let all: Vec<_> = (0..150)
                    .filter_map(|_| match Builder::new().spawn_scoped(s, fibers::park) {
                        Ok(fiber) => Some(fiber),
                        Err(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            None
                        }
                    })
                    .collect();
                for fiber in &all {
                    fiber.fiber().unpark();
                }
                refused.into_inner()
            })
        });
        assert_eq!(refusals, 150 - 99, "one is the fiber that spawns");
    }
}

#[test]
fn stacks_of_every_size_live_side_by_side() {
    common::in_both_modes(60, 2, |_, machine, _| {
        let all: Vec<_> = (0..500)
            .map(|n: usize| {
                let size = (16 << 10) << (n % 10);
                let fiber = Builder::new().stack_size(size - n % 7);
                let body = move || {
                    let buffer = std::hint::black_box([n as u8; 2048]);
                    for _ in 0..5 {
                        fibers::yield_now();
                    }
                    buffer.iter().all(|byte| *byte == n as u8)
                };
                fiber.spawn_on(&machine.handle(), body).unwrap()
            })
            .collect();
        for fiber in all {
            assert!(fiber.join().unwrap());
        }
    });
}

/// The scheduler's own code runs on a fiber's stack, too, between two fibers: the smallest must hold it, in
/// unoptimised builds as well. In a child, for it would end by a fault.
#[test]
fn the_smallest_stack_holds_the_scheduler() {
    let Some(mode) = measured_in_a_child("the_smallest_stack_holds_the_scheduler", 60) else {
        return;
    };
    let test = Test::new(50);
    let machine = test.build(builder(mode).workers(3).stack_size(16 << 10).fairness(7));
    for _ in 0..10 {
        let all: Vec<_> = (0..5000)
            .map(|n| {
                machine.spawn(move || {
                    if n % 2 == 0 {
                        fibers::yield_now();
                    }
                    drop(fibers::spawn(fibers::yield_now));
                    wait::sleep(Reasons::USER0);
                })
            })
            .collect();
        for fiber in &all {
            wait::wake(fiber.fiber(), Reasons::USER0);
        }
        for fiber in all {
            fiber.join().unwrap();
        }
    }
}

/// A program that never had many stacks at a time keeps few.
#[test]
fn fibers_that_never_wait_share_a_handful_of_stacks() {
    common::in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            for _ in 0..20_000 {
                drop(fibers::spawn(|| ()));
            }
        });
        eventually(|| machine.metrics().finished == 20_001);
        let metrics = machine.metrics();
        assert!(
            metrics.stacks_in_use + metrics.stacks_pooled < 200,
            "{metrics:?}"
        );
    });
}

/// Guards by mprotect cost mappings, and work.
#[test]
fn guards_by_mprotect_hold_a_thousand_fibers() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.build(builder(mode).workers(2).guard_method(GuardMethod::Mprotect));
        park_and_wake(&machine, 1000);
    }
}
