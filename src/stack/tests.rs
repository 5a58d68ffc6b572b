//! Unit tests of the room. Whatever is process-wide, counts mappings or memory, or is deadly, runs
//! in a child.

use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::ptr;

use corosensei::{Coroutine, CoroutineResult};

use super::overflow::{self, OverflowInfo};
use super::pool::PoolStats;
use super::{GuardMethod, HEAD_BYTES, PoolConfig, RawStack, SizeClass, StackPool, StackRef};
use crate::os::child::run;
use crate::os::memory::{self, fail};
use crate::os::signal::ensure_altstack;

/// Longer than the pool's shortest time between rounds.
const ROUND_NS: u64 = 50_000_000;

fn class(bytes: usize) -> SizeClass {
    SizeClass::for_bytes(bytes).unwrap()
}

fn pool(guard: GuardMethod, floor: usize) -> StackPool {
    StackPool::new(PoolConfig { guard, floor, ..PoolConfig::default() }).unwrap()
}

/// Takes exactly `count`.
fn take(pool: &StackPool, class: SizeClass, count: usize) -> Vec<StackRef> {
    let mut stacks = Vec::new();
    while stacks.len() < count {
        let want = count - stacks.len();
        pool.take(class, &mut stacks, want).unwrap();
    }
    stacks
}

/// Rounds of maintenance until the pool has nothing more to do; how many it took.
fn settle(pool: &StackPool, now_ns: &mut u64) -> usize {
    for rounds in 1..10_000 {
        *now_ns += ROUND_NS;
        if !pool.maintain(*now_ns) {
            return rounds;
        }
    }
    panic!("never done: {:?}", pool.stats());
}

/// Writes one byte in every page from the head down, `bytes` deep.
fn touch(stack: StackRef, bytes: usize) {
    for offset in (0..bytes).step_by(4096) {
        // SAFETY: the test has the stack, and goes no deeper than to its guard.
        unsafe { stack.head().sub(offset).write_volatile(1) };
    }
}

fn head_is_zero(stack: StackRef) -> bool {
    // SAFETY: the test has the stack.
    unsafe { std::slice::from_raw_parts(stack.head().as_ptr(), HEAD_BYTES) }.iter().all(|b| *b == 0)
}

/// A figure in KiB from `/proc/self/status`.
fn status_kib(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t']).strip_suffix(" kB").unwrap().parse().unwrap()
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn markers_work() -> bool {
    let config = PoolConfig { guard: GuardMethod::Markers, ..PoolConfig::default() };
    StackPool::new(config).is_ok()
}

#[test]
fn size_classes_round_up_to_powers_of_two() {
    for (bytes, expected) in [
        (1, Some((0, 16 << 10))),
        (16 << 10, Some((0, 16 << 10))),
        ((16 << 10) + 1, Some((1, 32 << 10))),
        (100_000, Some((3, 128 << 10))),
        (256 << 10, Some((4, 256 << 10))),
        ((4 << 20) + 1, Some((9, 8 << 20))),
        (8 << 20, Some((9, 8 << 20))),
        ((8 << 20) + 1, None),
        (0, None),
        (usize::MAX, None),
    ] {
        let class = SizeClass::for_bytes(bytes);
        assert_eq!(class.map(|class| (class.index(), class.bytes())), expected, "{bytes}");
    }
    assert_eq!(SizeClass::all().count(), SizeClass::COUNT);
    for class in SizeClass::all() {
        assert_eq!(SizeClass::for_bytes(class.bytes()), Some(class));
    }
}

#[test]
fn stacks_are_aligned_disjoint_fresh_and_guarded() {
    for method in [GuardMethod::Auto, GuardMethod::Mprotect] {
        let config = PoolConfig { guard_bytes: 5000, guard: method, ..PoolConfig::default() };
        let pool = StackPool::new(config).unwrap();
        assert_eq!(pool.guard_bytes(), 8192);
        let mut seen = HashSet::new();
        for class in SizeClass::all() {
            for stack in take(&pool, class, 40) {
                let limit = class.limit_of(stack);
                assert!(limit.is_multiple_of(class.bytes()));
                assert!(stack.base().is_multiple_of(64));
                assert!(head_is_zero(stack));
                let guard = class.guard_of(stack, pool.guard_bytes());
                let readable = |at: usize| memory::is_readable(ptr::without_provenance(at));
                assert!(!readable(guard.start) && !readable(guard.end - 4));
                assert!(readable(guard.end) && readable(stack.base()));
                touch(stack, class.bytes() - HEAD_BYTES - 8192);
                let blocks = (limit..limit + class.bytes()).step_by(16 << 10);
                assert!(blocks.into_iter().all(|block| seen.insert(block)));
            }
        }
    }
}

#[test]
fn impossible_options_are_errors_that_name_them() {
    for guard_bytes in [0, 8 << 20, usize::MAX] {
        let config = PoolConfig { guard_bytes, ..PoolConfig::default() };
        let error = StackPool::new(config).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("guard size"), "{error}");
    }
    let config = PoolConfig { guard_bytes: 64 << 10, ..PoolConfig::default() };
    let pool = StackPool::new(config).unwrap();
    let error = pool.take(class(64 << 10), &mut Vec::new(), 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(pool.check(class(64 << 10)).is_err() && pool.check(class(128 << 10)).is_ok());
}

#[test]
fn the_stack_given_last_is_taken_first() {
    let pool = pool(GuardMethod::Auto, 64);
    let class = class(64 << 10);
    let stacks = take(&pool, class, 20);
    let mut magazine = stacks.clone();
    pool.give(class, &mut magazine, 5);
    assert_eq!(magazine, stacks[15..], "the oldest go, the hottest stay");
    pool.give(class, &mut magazine, 9);
    assert_eq!(magazine.len(), 5);
    let mut again = Vec::new();
    pool.take(class, &mut again, 4).unwrap();
    assert_eq!(again, stacks[11..15], "the hottest of the pool, the hottest last");
    let mut all = take(&pool, class, 11);
    all.extend(again);
    all.sort_unstable();
    let mut expected = stacks[..15].to_vec();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[test]
fn no_more_stacks_are_cut_than_are_used_and_a_few() {
    let pool = pool(GuardMethod::Auto, 64);
    let class = class(256 << 10);
    let mut magazine = Vec::new();
    for started in 1..=1000 {
        if magazine.is_empty() {
            pool.take(class, &mut magazine, 64).unwrap();
        }
        magazine.pop();
        assert!(pool.stats().cut < started + 8);
    }
    assert!(pool.take(class, &mut magazine, 0).is_ok());
}

#[test]
fn every_stack_that_may_be_in_use_is_visited_once() {
    let pool = pool(GuardMethod::Auto, 2);
    let (small, large) = (class(16 << 10), class(1 << 20));
    let mut idle = take(&pool, small, 300);
    let mut expected: HashSet<_> = take(&pool, large, 20).into_iter().collect();
    pool.give(small, &mut idle, 0);
    settle(&pool, &mut 0);
    let stats = pool.stats();
    assert_eq!((stats.pooled_warm, stats.cut), (2, 320));
    expected.extend(take(&pool, small, 2));
    let mut seen = HashSet::new();
    pool.for_each_cut(&mut |class, stack| {
        assert!(class == small || class == large);
        assert!(seen.insert(stack), "visited twice");
    });
    assert_eq!(seen, expected);
}

#[test]
fn a_released_stack_is_fresh_again_and_a_trimmed_one_keeps_its_head() {
    for method in [GuardMethod::Auto, GuardMethod::Mprotect] {
        let pool = pool(method, 3);
        let class = class(64 << 10);
        let mut stacks = take(&pool, class, 100);
        stacks.iter().for_each(|stack| touch(*stack, 40 << 10));
        pool.give(class, &mut stacks, 0);
        settle(&pool, &mut 0);
        let stats = pool.stats();
        assert_eq!((stats.pooled_warm, stats.pooled_cold, stats.returned), (3, 97, 97));
        let stacks = take(&pool, class, 100);
        for (index, stack) in stacks.iter().enumerate() {
            // Hottest last: the three that kept their heads.
            assert_eq!(head_is_zero(*stack), index < 97);
            for below in (4096..(40 << 10)).step_by(4096) {
                // SAFETY: the test has the stack.
                assert_eq!(unsafe { stack.head().sub(below).read() }, 0);
            }
            let guard = class.guard_of(*stack, pool.guard_bytes());
            assert!(!memory::is_readable(ptr::without_provenance(guard.start)), "guard lost");
        }
    }
}

#[test]
fn stacks_in_use_since_the_last_round_are_left_alone() {
    let pool = pool(GuardMethod::Auto, 0);
    let class = class(64 << 10);
    let mut stacks = take(&pool, class, 50);
    pool.give(class, &mut stacks, 0);
    let mut now_ns = ROUND_NS;
    assert!(pool.maintain(now_ns), "just given: not unused yet");
    assert_eq!(pool.stats().returned, 0);
    for _ in 0..10 {
        // All fifty are used in each interval.
        let mut stacks = take(&pool, class, 50);
        pool.give(class, &mut stacks, 0);
        now_ns += ROUND_NS;
        assert!(pool.maintain(now_ns));
        assert!(pool.maintain(now_ns + 1), "too soon for another round");
        assert_eq!(pool.stats().returned, 0);
    }
    settle(&pool, &mut now_ns);
    assert_eq!(pool.stats().returned, 50);
}

#[test]
fn a_pool_that_is_dropped_leaves_nothing_but_stacks_in_use() {
    run(module_path!(), "a_pool_that_is_dropped_leaves_nothing_but_stacks_in_use", || {
        let class = class(256 << 10);
        for method in [GuardMethod::Auto, GuardMethod::Mprotect] {
            for out in [0, 1] {
                let base_kib = status_kib("VmSize");
                let pool = pool(method, 64);
                let mut stacks = take(&pool, class, 3000);
                stacks.iter().for_each(|stack| touch(*stack, 4096));
                let mapped = pool.stats().mapped_bytes;
                pool.give(class, &mut stacks, out);
                drop(pool);
                let left = (status_kib("VmSize") - base_kib) << 10;
                assert!(left < 2 << 20 || out > 0, "{left} of {mapped}");
                stacks.iter().for_each(|stack| touch(*stack, 200 << 10));
            }
        }
    })
    .expect_success();
}

#[test]
fn threads_share_a_pool_without_sharing_a_stack() {
    let pool = pool(GuardMethod::Auto, 8);
    let class = class(16 << 10);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = |seed: u64| {
            let mut magazine = Vec::new();
            for round in 0..20_000_u64 {
                let random = (round ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
                pool.take(class, &mut magazine, random as usize + 1).unwrap();
                for stack in &magazine {
                    let stamp = stack.head().cast::<u64>();
                    // SAFETY: this thread has the stack; whoever else wrote here has it too.
                    assert_ne!(unsafe { stamp.replace(seed) }, seed ^ 1, "two owners");
                }
                for stack in &magazine {
                    // SAFETY: as above.
                    let owner = unsafe { stack.head().cast::<u64>().replace(0) };
                    assert_eq!(owner, seed, "two owners");
                }
                pool.give(class, &mut magazine, random as usize / 8);
            }
            pool.give(class, &mut magazine, 0);
        };
        let workers = [8, 16, 32].map(|seed| scope.spawn(move || work(seed)));
        let maintainer = scope.spawn(|| {
            let mut now_ns = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                now_ns += ROUND_NS;
                pool.maintain(now_ns);
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        maintainer.join().unwrap();
    });
    let PoolStats { cut, pooled_warm, pooled_cold, .. } = pool.stats();
    assert_eq!(cut, pooled_warm + pooled_cold);
    let all: HashSet<_> = take(&pool, class, cut as usize).into_iter().collect();
    assert_eq!(all.len(), cut as usize);
}

#[test]
fn too_many_mprotect_guards_are_an_error_that_names_the_limit() {
    run(module_path!(), "too_many_mprotect_guards_are_an_error_that_names_the_limit", || {
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
            assert!(error.to_string().contains(&format!("vm.max_map_count (now {limit})")));
            assert!(stacks.len() > limit / 2 * 9 / 10);
            assert!(pool.take(class, &mut stacks, 1).is_err());
            println!("{} stacks, {} mappings: {error}", stacks.len(), mappings());
            // The rest of the process still gets memory.
            drop(std::hint::black_box(vec![1_u8; 1 << 20]));
            std::thread::spawn(|| ()).join().unwrap();
            pool.give(class, &mut stacks, 0);
            assert!(pool.take(class, &mut stacks, 1).is_ok(), "idle ones still serve");
            pool.give(class, &mut stacks, 0);
            drop(pool);
            drop(stacks);
            let (now, now_rss) = (mappings(), status_kib("VmRSS"));
            println!("round {round}: mappings {base} -> {now}, RSS {base_rss} -> {now_rss} KiB");
            assert!(now <= base + 8 && now_rss < base_rss + 4096);
        }
    })
    .expect_success();
}

#[test]
fn a_failure_of_any_call_leaves_nothing_behind() {
    run(module_path!(), "a_failure_of_any_call_leaves_nothing_behind", || {
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
                assert!(now.0 <= base.0 + 2 && now.1 <= base.1 + 512, "{call:?} {k}: {now:?}");
                if !met {
                    println!("{call:?} {method:?}: {k} calls, {errors} of them errors");
                    assert!(errors > 0 || call == fail::Call::GuardMarker && !markers_work());
                    break;
                }
            }
        }
    })
    .expect_success();

    fn use_a_pool(guard: GuardMethod) -> io::Result<()> {
        let pool = StackPool::new(PoolConfig { guard, ..PoolConfig::default() })?;
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
                let more = pool.maintain(now_ns);
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
            assert!(peak_kib - base_kib >= count * depth >> 10);
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

thread_local! {
    /// What the overflow handler is told about this thread's fiber.
    static RUNNING: Cell<Option<(SizeClass, StackRef)>> = const { Cell::new(None) };
}

fn running() -> Option<OverflowInfo> {
    const NAME: &str = "deep thinker";
    let (class, stack) = RUNNING.get()?;
    let guard = class.guard_of(stack, memory::page_size());
    let (name, name_len) = (NAME.as_ptr(), NAME.len());
    Some(OverflowInfo { guard, stack_bytes: class.bytes(), fiber_id: 7, name, name_len })
}

/// Runs `f` on a stack of a new pool, and returns what it returns.
fn on_stack(bytes: usize, f: fn() -> u64) -> u64 {
    let (pool, class) = (pool(GuardMethod::Auto, 64), class(bytes));
    let stack = take(&pool, class, 1)[0];
    RUNNING.set(Some((class, stack)));
    // SAFETY: taken just above from a pool that lives longer, for this run alone.
    let raw = unsafe { RawStack::new(class, stack) };
    let mut coroutine = Coroutine::<(), (), u64, _>::with_stack(raw, move |_, ()| f());
    let CoroutineResult::Return(result) = coroutine.resume(()) else { panic!("it has suspended") };
    RUNNING.set(None);
    result
}

/// Uses stack for each level, and more of it than registers can hold.
#[inline(never)]
fn descend(levels: u64) -> u64 {
    let local = std::hint::black_box([levels; 32]);
    if levels == 0 { local[0] } else { descend(levels - 1) + std::hint::black_box(local)[7] }
}

#[test]
fn code_runs_on_a_stack_down_to_near_its_guard() {
    assert_eq!(on_stack(8 << 20, || descend(1000)), 500_500);
}

#[test]
fn an_overflow_is_reported_by_name_and_kills_with_the_signal() {
    let ended = run(
        module_path!(),
        "an_overflow_is_reported_by_name_and_kills_with_the_signal",
        || {
            overflow::install(running).unwrap();
            let _altstack = ensure_altstack();
            // A sent signal must not disarm the report, whatever std's handler does with it.
            // SAFETY: no preconditions.
            unsafe { libc::raise(libc::SIGSEGV) };
            // The report must not need what the overflow may have locked.
            let _stdout = std::io::stdout().lock();
            let _stderr = std::io::stderr().lock();
            on_stack(256 << 10, || descend(u64::MAX));
        },
    );
    ended.expect_signal(libc::SIGSEGV);
    let expected = "fiber 'deep thinker' (id 7) has overflowed its stack of 256 KiB; use \
                    fibers::Builder::stack_size for a larger one, or fibers::on_worker_stack for \
                    deep calls\n";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn an_overflow_on_a_foreign_thread_and_by_a_big_frame_is_reported() {
    let ended = run(
        module_path!(),
        "an_overflow_on_a_foreign_thread_and_by_a_big_frame_is_reported",
        || {
            extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
                let _altstack = ensure_altstack();
                on_stack(32 << 10, || u64::from(std::hint::black_box([1_u8; 1 << 20])[9]));
                ptr::null_mut()
            }
            overflow::install(running).unwrap();
            // A thread that std knows nothing of.
            // SAFETY: a thread with default attributes, whose body takes no argument; joined.
            unsafe {
                let mut thread = std::mem::zeroed();
                libc::pthread_create(&raw mut thread, ptr::null(), body, ptr::null_mut());
                libc::pthread_join(thread, ptr::null_mut());
            }
        },
    );
    ended.expect_signal(libc::SIGSEGV);
    assert!(ended.stderr.contains("overflowed its stack of 32 KiB;"), "{}", ended.stderr);
}

#[test]
fn any_other_fault_in_a_fiber_is_not_called_an_overflow() {
    let ended = run(
        module_path!(),
        "any_other_fault_in_a_fiber_is_not_called_an_overflow",
        || {
            overflow::install(running).unwrap();
            let _altstack = ensure_altstack();
            on_stack(64 << 10, || {
                // SAFETY: none: meant to fault, in a process that is meant to die of it.
                u64::from(unsafe { ptr::without_provenance::<u8>(16).read_volatile() })
            });
        },
    );
    ended.expect_signal(libc::SIGSEGV);
    assert!(!ended.stderr.contains("overflow"), "{}", ended.stderr);
}

#[test]
fn a_thread_overflow_still_gets_stds_own_report() {
    let ended = run(module_path!(), "a_thread_overflow_still_gets_stds_own_report", || {
        overflow::install(running).unwrap();
        std::thread::spawn(|| {
            let _altstack = ensure_altstack();
            descend(u64::MAX)
        })
        .join()
        .unwrap();
    });
    ended.expect_signal(libc::SIGABRT);
    assert!(ended.stderr.contains("has overflowed its stack"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("fiber '"), "{}", ended.stderr);
}
