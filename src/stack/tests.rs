//! Unit tests of the room. Whatever is process-wide, counts mappings or memory, or is deadly, runs
//! in a child.

use std::collections::HashSet;
use std::io;
use std::ptr;

use super::class::KEPT_BYTES;
use super::pool::PoolStats;
use super::{GuardMethod, HEAD_BYTES, PoolConfig, SizeClass, StackPool, StackRef};
use crate::os::child::run;
use crate::os::memory;

mod limits;
mod overflow;

/// Longer than the pool's shortest time between rounds.
const ROUND_NS: u64 = 50_000_000;

fn class(bytes: usize) -> SizeClass {
    SizeClass::for_bytes(bytes).unwrap()
}

fn pool(guard: GuardMethod, floor: usize) -> StackPool {
    StackPool::new(PoolConfig {
        guard,
        floor,
        ..PoolConfig::default()
    })
    .unwrap()
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
        if !pool.maintain(*now_ns, &mut || ()) {
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
    unsafe { std::slice::from_raw_parts(stack.head().as_ptr(), HEAD_BYTES) }
        .iter()
        .all(|b| *b == 0)
}

/// A figure in KiB from `/proc/self/status`.
fn status_kib(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim_matches([':', ' ', '\t'])
        .strip_suffix(" kB")
        .unwrap()
        .parse()
        .unwrap()
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count()
}

fn markers_work() -> bool {
    let config = PoolConfig {
        guard: GuardMethod::Markers,
        ..PoolConfig::default()
    };
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
        assert_eq!(
            class.map(|class| (class.index(), class.bytes())),
            expected,
            "{bytes}"
        );
    }
    assert_eq!(SizeClass::all().count(), SizeClass::COUNT);
    for class in SizeClass::all() {
        assert_eq!(SizeClass::for_bytes(class.bytes()), Some(class));
    }
}

#[test]
fn stacks_are_aligned_disjoint_fresh_and_guarded() {
    for method in [GuardMethod::Auto, GuardMethod::Mprotect] {
        let config = PoolConfig {
            guard_bytes: 5000,
            guard: method,
            ..PoolConfig::default()
        };
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
                touch(stack, stack.base() - guard.end);
                let blocks = (limit..limit + class.bytes()).step_by(16 << 10);
                assert!(blocks.into_iter().all(|block| seen.insert(block)));
            }
        }
    }
}

#[test]
fn impossible_options_are_errors_that_name_them() {
    for guard_bytes in [0, 8 << 20, usize::MAX] {
        let config = PoolConfig {
            guard_bytes,
            ..PoolConfig::default()
        };
        let error = StackPool::new(config).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("guard size"), "{error}");
    }
    let config = PoolConfig {
        guard_bytes: 64 << 10,
        ..PoolConfig::default()
    };
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
    assert_eq!(
        again,
        stacks[11..15],
        "the hottest of the pool, the hottest last"
    );
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
        assert_eq!(
            (stats.pooled_warm, stats.pooled_cold, stats.returned),
            (3, 97, 97)
        );
        let stacks = take(&pool, class, 100);
        for (index, stack) in stacks.iter().enumerate() {
            // Hottest last: the three that kept their heads.
            assert_eq!(head_is_zero(*stack), index < 97);
            for below in (KEPT_BYTES + 4096..(40 << 10)).step_by(4096) {
                // SAFETY: the test has the stack.
                assert_eq!(unsafe { stack.head().sub(below).read() }, 0);
            }
            let guard = class.guard_of(*stack, pool.guard_bytes());
            assert!(
                !memory::is_readable(ptr::without_provenance(guard.start)),
                "guard lost"
            );
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
    assert!(
        pool.maintain(now_ns, &mut || ()),
        "just given: not unused yet"
    );
    assert_eq!(pool.stats().returned, 0);
    for _ in 0..10 {
        // All fifty are used in each interval.
        let mut stacks = take(&pool, class, 50);
        pool.give(class, &mut stacks, 0);
        now_ns += ROUND_NS;
        assert!(pool.maintain(now_ns, &mut || ()));
        assert!(
            pool.maintain(now_ns + 1, &mut || ()),
            "too soon for another round"
        );
        assert_eq!(pool.stats().returned, 0);
    }
    settle(&pool, &mut now_ns);
    assert_eq!(pool.stats().returned, 50);
}

#[test]
fn a_pool_that_is_dropped_leaves_nothing_but_stacks_in_use() {
    run(
        module_path!(),
        "a_pool_that_is_dropped_leaves_nothing_but_stacks_in_use",
        || {
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
        },
    )
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
                pool.take(class, &mut magazine, random as usize + 1)
                    .unwrap();
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
                pool.maintain(now_ns, &mut || ());
            }
        });
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        maintainer.join().unwrap();
    });
    let PoolStats {
        cut,
        pooled_warm,
        pooled_cold,
        ..
    } = pool.stats();
    assert_eq!(cut, pooled_warm + pooled_cold);
    let all: HashSet<_> = take(&pool, class, cut as usize).into_iter().collect();
    assert_eq!(all.len(), cut as usize);
}
