//! Unit tests of the room. Whatever is process-wide runs in a child.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::child::run;
use super::memory::{self, fail};
use super::{clock, futex, thread};

mod faults;
mod quota;

mod futex_ {
    use super::*;
    use futex::Waited;

    #[test]
    fn returns_at_once_when_the_word_differs() {
        let word = AtomicU32::new(1);
        assert_eq!(futex::wait(&word, 0, None), Waited::Woken);
        assert_eq!(futex::wait(&word, 0, Some(Duration::MAX)), Waited::Woken);
    }

    #[test]
    fn times_out_never_early() {
        let word = AtomicU32::new(0);
        for ns in [0, 1, 999, 1_000_000, 3_000_001, 20_000_000] {
            let (start, timeout) = (Instant::now(), Duration::from_nanos(ns));
            while futex::wait(&word, 0, Some(timeout)) != Waited::TimedOut {}
            assert!(start.elapsed() >= timeout, "{ns} ns: early");
        }
    }

    #[test]
    fn accepts_any_timeout_and_is_woken() {
        let forever = [
            Duration::MAX,
            Duration::from_secs(i64::MAX as u64),
            Duration::from_secs(1 << 40),
        ];
        for timeout in forever {
            let word = AtomicU32::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while word.load(Ordering::Acquire) == 0 {
                        assert_eq!(futex::wait(&word, 0, Some(timeout)), Waited::Woken);
                    }
                });
                while !futex::wake_one(&word) {
                    std::thread::yield_now();
                }
                word.store(1, Ordering::Release);
                while futex::wake_one(&word) {}
            });
        }
    }

    #[test]
    fn waking_a_word_that_is_gone_is_harmless() {
        let gone = memory::reserve(memory::page_size()).unwrap();
        // SAFETY: mapped just above and not used again as memory.
        unsafe { memory::release(gone, memory::page_size()) }.unwrap();
        assert!(!futex::wake_one(gone.as_ptr().cast()));
        assert!(!futex::wake_one(std::ptr::null()));
    }

    #[test]
    fn signals_neither_end_nor_prolong_a_wait() {
        run(
            module_path!(),
            "signals_neither_end_nor_prolong_a_wait",
            || {
                extern "C" fn nothing(_: i32) {}
                // SAFETY: a handler that does nothing, for a signal that nobody else uses here.
                unsafe { libc::signal(libc::SIGUSR1, nothing as *const () as libc::sighandler_t) };
                // SAFETY: no preconditions.
                let target = unsafe { libc::pthread_self() };
                let done = AtomicU32::new(0);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        while done.load(Ordering::Relaxed) == 0 {
                            // SAFETY: the target outlives the scope.
                            unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                            std::thread::sleep(Duration::from_micros(100));
                        }
                    });
                    let (start, timeout) = (Instant::now(), Duration::from_millis(50));
                    assert_eq!(futex::wait(&done, 0, Some(timeout)), Waited::TimedOut);
                    // Begun anew after each signal it would not have ended as long as they come.
                    assert!(start.elapsed() >= timeout);
                    done.store(1, Ordering::Relaxed);
                });
            },
        )
        .expect_success();
    }
}

mod memory_ {
    use super::*;

    #[test]
    fn reserved_reads_zero_and_discarded_reads_zero_again() {
        let bytes = 4 * memory::page_size();
        let start = memory::reserve(bytes).unwrap();
        // SAFETY: our mapping of that size.
        unsafe {
            assert_eq!(start.read(), 0);
            start.write(7);
            memory::discard(start, bytes).unwrap();
            assert_eq!(start.read(), 0);
            memory::release(start, bytes).unwrap();
        }
        assert!(!memory::is_readable(start.as_ptr().cast()));
    }

    #[test]
    fn guards_of_both_kinds_are_not_readable_and_survive_discard() {
        let page = memory::page_size();
        for mprotect in [false, true] {
            let start = memory::reserve(3 * page).unwrap();
            // SAFETY: pages of our own mapping, its middle one given up for the guard.
            unsafe {
                let middle = start.add(page);
                let install = if mprotect {
                    memory::protect_none
                } else {
                    memory::install_guard_marker
                };
                if let Err(error) = install(middle, page) {
                    println!("not here: {error}");
                    assert!(!mprotect && error.raw_os_error() == Some(libc::EINVAL));
                } else {
                    memory::discard(start, 3 * page).unwrap();
                    assert!(!memory::is_readable(middle.as_ptr().cast()));
                    assert!(memory::is_readable(start.as_ptr().cast()));
                    assert!(memory::is_readable(middle.add(page).as_ptr().cast()));
                }
                memory::release(start, 3 * page).unwrap();
            }
        }
    }

    #[test]
    fn the_kth_call_fails_and_only_that_one() {
        run(
            module_path!(),
            "the_kth_call_fails_and_only_that_one",
            || {
                let page = memory::page_size();
                for k in 1..5 {
                    fail::set(fail::Call::Mmap, k);
                    fail::set(fail::Call::ThreadSpawn, k);
                    for call in 1..8 {
                        let mapped = memory::reserve(page);
                        assert_eq!(mapped.is_err(), call == k);
                        if let Ok(start) = mapped {
                            // SAFETY: mapped just above.
                            unsafe { memory::release(start, page) }.unwrap();
                        }
                        let thread = thread::spawn_named("t".into(), || ());
                        assert_eq!(thread.is_err(), call == k);
                        if let Ok(thread) = thread {
                            thread.join().unwrap();
                        }
                    }
                    assert_eq!(fail::calls_left(fail::Call::Mmap), 0);
                }
                fail::set(fail::Call::Mmap, 1);
                fail::set(fail::Call::Mmap, 0);
                memory::reserve(page).unwrap();
                fail::set(fail::Call::Protect, 1);
                let start = memory::reserve(page).unwrap();
                // SAFETY: a page of our own.
                let error = unsafe { memory::protect_none(start, page) }.unwrap_err();
                assert!(
                    error.to_string().contains("vm.max_map_count (now "),
                    "{error}"
                );
            },
        )
        .expect_success();
    }
}

mod thread_ {
    use super::*;

    #[test]
    fn names_are_cut_at_a_character() {
        for (name, cut) in [
            ("", ""),
            ("worker-7", "worker-7"),
            ("fifteen bytes!!", "fifteen bytes!!"),
            ("sixteen bytes!!!", "sixteen bytes!!"),
            ("fourteen bytesé", "fourteen bytes"),
            ("日本語日本語", "日本語日本"),
        ] {
            assert_eq!(thread::cut_name(name.into()), cut);
        }
        assert!(thread::spawn_named("a\0b".into(), || ()).is_err());
        let seen = std::sync::Mutex::new(String::new());
        let seen: &'static _ = Box::leak(Box::new(seen));
        let ask =
            || *seen.lock().unwrap() = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        thread::spawn_named("日本語日本語".into(), ask)
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(seen.lock().unwrap().trim_end(), "日本語日本");
    }

    #[test]
    fn pinning_leaves_one_cpu() {
        std::thread::spawn(|| {
            let cpus = thread::allowed_cpus();
            assert!(!cpus.is_empty() && cpus.is_sorted());
            let last = *cpus.last().unwrap();
            thread::pin_to(last).unwrap();
            assert_eq!(thread::allowed_cpus(), [last]);
            assert_eq!(thread::available_parallelism(), 1);
            assert!(thread::pin_to(usize::MAX).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_clock_goes_forward() {
        let (start, start_ns) = (Instant::now(), clock::now_ns());
        std::thread::sleep(Duration::from_millis(2));
        let passed_ns = u128::from(clock::now_ns() - start_ns);
        assert!((2_000_000..=start.elapsed().as_nanos()).contains(&passed_ns));
    }
}

#[test]
fn a_punctual_thread_is_again_as_it_was_and_others_may_be() {
    use rustix::thread::current_timer_slack as slack;
    let ask = || {
        let before = slack().unwrap();
        {
            let _punctual = thread::Punctual::begin();
            assert_eq!(slack().unwrap(), 1);
            let inherits = || {
                let inherited = slack().unwrap();
                thread::unpunctual();
                (inherited, slack().unwrap())
            };
            let inherited = std::thread::spawn(inherits).join().unwrap();
            assert_eq!(inherited, (1, before));
            // One inside another changes nothing.
            drop(thread::Punctual::begin());
            assert_eq!(slack().unwrap(), 1);
        }
        assert_eq!(slack().unwrap(), before);
    };
    std::thread::spawn(ask).join().unwrap();
}
