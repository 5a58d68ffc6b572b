//! Running on stacks, and off their end; each overflow in a child.

use std::cell::Cell;
use std::ptr;

use corosensei::{Coroutine, CoroutineResult};

use super::{class, pool, take};
use crate::os::child::run;
use crate::os::memory;
use crate::os::signal::ensure_altstack;
use crate::stack::overflow::{self, OverflowInfo};
use crate::stack::{GuardMethod, RawStack, SizeClass, StackRef};

thread_local! {
    /// What the overflow handler is told about this thread's fiber.
    static RUNNING: Cell<Option<(SizeClass, StackRef)>> = const { Cell::new(None) };
}

fn running() -> Option<OverflowInfo> {
    const NAME: &str = "deep thinker";
    let (class, stack) = RUNNING.get()?;
    let guard = class.guard_of(stack, memory::page_size());
    let (name, name_len) = (NAME.as_ptr(), NAME.len());
    Some(OverflowInfo {
        guard,
        stack_bytes: class.bytes(),
        fiber_id: 7,
        name,
        name_len,
    })
}

/// Runs `f` on a stack of a new pool, and returns what it returns.
fn on_stack(bytes: usize, f: fn() -> u64) -> u64 {
    let (pool, class) = (pool(GuardMethod::Auto, 64), class(bytes));
    let stack = take(&pool, class, 1)[0];
    RUNNING.set(Some((class, stack)));
    // SAFETY: taken just above from a pool that lives longer, for this run alone.
    let raw = unsafe { RawStack::new(class, stack) };
    let mut coroutine = Coroutine::<(), (), u64, _>::with_stack(raw, move |_, ()| f());
    let CoroutineResult::Return(result) = coroutine.resume(()) else {
        panic!("it has suspended")
    };
    RUNNING.set(None);
    result
}

/// Uses stack for each level, and more of it than registers can hold.
#[inline(never)]
fn descend(levels: u64) -> u64 {
    let local = std::hint::black_box([levels; 32]);
    if levels == 0 {
        local[0]
    } else {
        descend(levels - 1) + std::hint::black_box(local)[7]
    }
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
                on_stack(32 << 10, || {
                    u64::from(std::hint::black_box([1_u8; 1 << 20])[9])
                });
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
    assert!(
        ended.stderr.contains("overflowed its stack of 32 KiB;"),
        "{}",
        ended.stderr
    );
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
    let ended = run(
        module_path!(),
        "a_thread_overflow_still_gets_stds_own_report",
        || {
            overflow::install(running).unwrap();
            std::thread::spawn(|| {
                let _altstack = ensure_altstack();
                descend(u64::MAX)
            })
            .join()
            .unwrap();
        },
    );
    ended.expect_signal(libc::SIGABRT);
    assert!(
        ended.stderr.contains("has overflowed its stack"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("fiber '"), "{}", ended.stderr);
}
