//! Memory, mappings, and what is left when there is no more of them; each test in a child.

use std::collections::HashSet;
use std::io;
use std::ptr;

use super::{ROUND_NS, class, mappings, markers_work, pool, status_kib, take, touch};
use crate::os::child::run;
use crate::os::memory::{self, fail};
use crate::stack::{GuardMethod, PoolConfig, StackPool};

#[test]
fn too_many_mprotect_guards_are_an_error_that_names_the_limit() {
    run(
        module_path!(),
        "too_many_mprotect_guards_are_an_error_that_names_the_limit",
        || {
            let limit = memory::max_map_count().unwrap();
            if limit > 200_000 {
                return println!("vm.max_map_count is {limit}: would take too long");
            }
            let (base, base_rss) = (mappings(), status_kib("VmRSS"));
            for round in 0..2 {
                let pool = pool(GuardMethod::Mprotect, 64);
                let class = class(64 << 10);
                let mut stacks = Vec::with_capacity(limit);
                let error = loop {
                    match pool.take(class, &mut stacks, 64) {
                        Ok(()) => assert!(stacks.len() < limit / 2),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
                assert!(
                    error
                        .to_string()
                        .contains(&format!("vm.max_map_count (now {limit})"))
                );
                assert!(stacks.len() > limit / 2 * 9 / 10);
                assert!(pool.take(class, &mut stacks, 1).is_err());
                println!("{} stacks, {} mappings: {error}", stacks.len(), mappings());
                // The rest of the process still gets memory.
                drop(std::hint::black_box(vec![1_u8; 1 << 20]));
                std::thread::spawn(|| ()).join().unwrap();
                pool.give(class, &mut stacks, 0);
                assert!(
                    pool.take(class, &mut stacks, 1).is_ok(),
                    "idle ones still serve"
                );
                pool.give(class, &mut stacks, 0);
                drop(pool);
                drop(stacks);
                let (now, now_rss) = (mappings(), status_kib("VmRSS"));
                println!(
                    "round {round}: mappings {base} -> {now}, RSS {base_rss} -> {now_rss} KiB"
                );
                assert!(now <= base + 8 && now_rss < base_rss + 4096);
            }
        },
    )
    .expect_success();
}

#[test]
fn a_failure_of_any_call_leaves_nothing_behind() {
    run(
        module_path!(),
        "a_failure_of_any_call_leaves_nothing_behind",
        || {
            for (call, method) in [
                (fail::Call::Mmap, GuardMethod::Auto),
                (fail::Call::Mmap, GuardMethod::Mprotect),
                (fail::Call::GuardMarker, GuardMethod::Auto),
                (fail::Call::Protect, GuardMethod::Mprotect),
            ] {
                let mut base = None;
                let mut errors = 0;
                for k in 1_u64.. {
                    fail::set(call, k);
                    errors += usize::from(use_a_pool(method).is_err());
                    let met = fail::calls_left(call) == 0;
                    fail::set(call, 0);
                    let now = (mappings(), status_kib("VmSize"));
                    // The first time may have grown the heap.
                    let base = *base.get_or_insert(now);
                    assert!(
                        now.0 <= base.0 + 2 && now.1 <= base.1 + 512,
                        "{call:?} {k}: {now:?}"
                    );
                    if !met {
                        println!("{call:?} {method:?}: {k} calls, {errors} of them errors");
                        assert!(errors > 0 || call == fail::Call::GuardMarker && !markers_work());
                        break;
                    }
                }
            }
        },
    )
    .expect_success();

    fn use_a_pool(guard: GuardMethod) -> io::Result<()> {
        let pool = StackPool::new(PoolConfig {
            guard,
            ..PoolConfig::default()
        })?;
        let mut first_error = Ok(());
        for bytes in [16 << 10, 256 << 10, 8 << 20] {
            let class = class(bytes);
            let mut stacks = Vec::new();
            while stacks.len() < 90 {
                match pool.take(class, &mut stacks, 30) {
                    Ok(()) => {}
                    // One error for one failure: the next try has it all.
                    Err(error) if first_error.is_ok() => first_error = Err(error),
                    Err(error) => panic!("second error: {error}"),
                }
            }
            let different: HashSet<_> = stacks.iter().collect();
            assert_eq!(different.len(), stacks.len());
            for stack in &stacks {
                touch(*stack, 4096);
                let guard = class.guard_of(*stack, pool.guard_bytes());
                assert!(!memory::is_readable(ptr::without_provenance(guard.start)));
            }
            pool.give(class, &mut stacks, 0);
        }
        let stats = pool.stats();
        assert_eq!(stats.cut, stats.pooled_warm);
        first_error
    }
}

#[test]
fn memory_goes_back_after_a_peak_in_bounded_rounds() {
    run(module_path!(), "memory_goes_back_after_a_peak_in_bounded_rounds", || {
        for (method, count, depth) in [
            (GuardMethod::Auto, 10_000, 200 << 10),
            (GuardMethod::Mprotect, 10_000, 200 << 10),
            (GuardMethod::Auto, 100_000, 4 << 10),
        ] {
            let pool = pool(method, 64);
            let class = class(256 << 10);
            let base_kib = status_kib("VmRSS");
            let mut stacks = take(&pool, class, count);
            stacks.iter().for_each(|stack| touch(*stack, depth));
            let peak_kib = status_kib("VmRSS");
            // Fibers do not end in the order of their stacks: neighbours are few at first.
            let mut seed = 1_u64;
            for index in (1..stacks.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                stacks.swap(index, (seed >> 33) as usize % (index + 1));
            }
            pool.give(class, &mut stacks, 0);
            let (mut rounds, mut longest, mut now_ns) = (0, std::time::Duration::ZERO, 0);
            loop {
                now_ns += ROUND_NS;
                rounds += 1;
                let start = std::time::Instant::now();
                let more = pool.maintain(now_ns, &mut || ());
                longest = longest.max(start.elapsed());
                if !more {
                    break;
                }
            }
            let end_kib = status_kib("VmRSS");
            println!(
                "{method:?} {count} stacks {depth} deep: RSS {base_kib} -> {peak_kib} -> {end_kib} \
                 KiB in {rounds} rounds, the longest {longest:?}"
            );
            assert!(peak_kib - base_kib >= (count * depth) >> 10);
            assert!(depth == 4 << 10 || rounds <= 20, "one second for ten thousand deep ones");
            assert!(end_kib - base_kib < 64 * 256 + 4096);
            assert_eq!(pool.stats().pooled_warm, 64);
            assert!(pool.stats().pooled_cold == count as u64 - 64);
        }
    })
    .expect_success();
}

#[test]
fn a_hundred_thousand_stacks_are_few_mappings_and_little_memory() {
    run(module_path!(), "a_hundred_thousand_stacks_are_few_mappings_and_little_memory", || {
        if !markers_work() {
            return println!("no guard markers here");
        }
        for bytes in [64 << 10, 256 << 10] {
            let pool = pool(GuardMethod::Markers, 64);
            let count = 100_000;
            let mut stacks = Vec::with_capacity(count);
            let figures = || (mappings(), status_kib("VmRSS"), status_kib("VmPTE"));
            let before = figures();
            let start = std::time::Instant::now();
            while stacks.len() < count {
                pool.take(class(bytes), &mut stacks, 8).unwrap();
            }
            let cut_ns = start.elapsed().as_nanos() as usize / count;
            let start = std::time::Instant::now();
            stacks.iter().for_each(|stack| touch(*stack, 4096));
            let touch_ns = start.elapsed().as_nanos() as usize / count;
            let after = figures();
            let each = |kib: usize| (kib << 10) / count;
            let (resident, tables) = (each(after.1 - before.1), each(after.2 - before.2));
            println!(
                "{} KiB: {} -> {} mappings, {resident} B resident and {tables} B of page tables \
                 each; cut {cut_ns} ns, first touch {touch_ns} ns each",
                bytes >> 10,
                before.0,
                after.0
            );
            assert!(after.0 < before.0 + 40);
            assert!(resident < 4300 && tables < 600);
        }
    })
    .expect_success();
}

#[test]
fn locked_memory_keeps_its_guards_and_its_contents() {
    run(
        module_path!(),
        "locked_memory_keeps_its_guards_and_its_contents",
        || {
            let (pool, class) = (pool(GuardMethod::Auto, 0), class(64 << 10));
            let mut stacks = take(&pool, class, 8);
            // SAFETY: no preconditions.
            if unsafe { libc::mlockall(libc::MCL_CURRENT) } != 0 {
                return println!("may not lock memory here");
            }
            stacks.iter().for_each(|stack| touch(*stack, 4096));
            pool.give(class, &mut stacks, 0);
            (1..5).for_each(|round| _ = pool.maintain(round * ROUND_NS, &mut || ()));
            assert!(
                !pool.maintain(9 * ROUND_NS, &mut || ()),
                "there is no use in asking again"
            );
            assert_eq!(pool.stats().returned, 0);
            let mut again = take(&pool, class, 8);
            let kept = again.iter().all(|stack| {
                // SAFETY: the test has the stack.
                unsafe { stack.head().read() == 1 }
            });
            assert!(kept);
            if markers_work() {
                let error = pool.take(class, &mut again, 1).unwrap_err();
                assert!(error.to_string().contains("mlockall"), "{error}");
            }
        },
    )
    .expect_success();
}

#[test]
fn huge_pages_are_off_under_stacks() {
    let pool = pool(GuardMethod::Auto, 64);
    let stack = take(&pool, class(256 << 10), 1)[0];
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in maps.lines() {
        if let Some((range, _)) = line.split_once(' ')
            && let Some((start, end)) = range.split_once('-')
        {
            let address = |text| usize::from_str_radix(text, 16).unwrap();
            inside = (address(start)..address(end)).contains(&stack.base());
        } else if inside && line.starts_with("VmFlags:") {
            return assert!(line.split(' ').any(|flag| flag == "nh"), "{line}");
        }
    }
    panic!("no mapping holds the stack");
}
