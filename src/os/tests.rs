//! Unit tests of the room. Whatever is process-wide runs in a child.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::child::run;
use super::memory::{self, fail};
use super::signal::{Fault, Verdict, ensure_altstack, install_segv_handler};
use super::{cgroup, clock, futex, raw_err, thread};

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
        let forever = [Duration::MAX, Duration::from_secs(i64::MAX as u64), Duration::from_secs(1 << 40)];
        for timeout in forever {
            let word = AtomicU32::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| while word.load(Ordering::Acquire) == 0 {
                    assert_eq!(futex::wait(&word, 0, Some(timeout)), Waited::Woken);
                });
                while !futex::wake_one(&word) {
                    std::thread::yield_now();
                }
                word.store(1, Ordering::Release);
                futex::wake_all(&word);
            });
        }
    }

    #[test]
    fn waking_a_word_that_is_gone_is_harmless() {
        let gone = memory::reserve(memory::page_size()).unwrap();
        // SAFETY: mapped just above and not used again as memory.
        unsafe { memory::release(gone, memory::page_size()) }.unwrap();
        assert!(!futex::wake_one(gone.as_ptr().cast()));
        assert_eq!(futex::wake_all(gone.as_ptr().cast()), 0);
        assert!(!futex::wake_one(std::ptr::null()));
    }

    #[test]
    fn signals_neither_end_nor_prolong_a_wait() {
        run(module_path!(), "signals_neither_end_nor_prolong_a_wait", || {
            extern "C" fn nothing(_: i32) {}
            // SAFETY: a handler that does nothing, for a signal that nobody else uses here.
            unsafe { libc::signal(libc::SIGUSR1, nothing as *const () as libc::sighandler_t) };
            // SAFETY: no preconditions.
            let target = unsafe { libc::pthread_self() };
            let done = AtomicU32::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| while done.load(Ordering::Relaxed) == 0 {
                    // SAFETY: the target outlives the scope.
                    unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                    std::thread::sleep(Duration::from_micros(100));
                });
                let (start, timeout) = (Instant::now(), Duration::from_millis(50));
                assert_eq!(futex::wait(&done, 0, Some(timeout)), Waited::TimedOut);
                assert!((timeout..timeout * 20).contains(&start.elapsed()));
                done.store(1, Ordering::Relaxed);
            });
        })
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
                let install =
                    if mprotect { memory::protect_none } else { memory::install_guard_marker };
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
        run(module_path!(), "the_kth_call_fails_and_only_that_one", || {
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
            assert!(error.to_string().contains("vm.max_map_count (now "), "{error}");
        })
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
        let ask = || *seen.lock().unwrap() = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        thread::spawn_named("日本語日本語".into(), ask).unwrap().join().unwrap();
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
            thread::yield_os();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_clock_goes_forward() {
        let start_ns = clock::now_ns();
        std::thread::sleep(Duration::from_millis(2));
        assert!((2_000_000..10_000_000_000).contains(&(clock::now_ns() - start_ns)));
    }
}

mod cgroup_ {
    use super::*;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    const V1: &str = "33 24 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    /// Makes a tree of files and asks for its quota.
    fn quota(files: &[(&str, &str)]) -> Option<usize> {
        static TREES: AtomicUsize = AtomicUsize::new(0);
        let tree = TREES.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("fibers-cgroup-{}-{tree}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let quota = cgroup::quota_cpus(&root);
        let _ = std::fs::remove_dir_all(root);
        quota
    }

    fn v2(own: &str, parent: &str) -> Option<usize> {
        quota(&[
            ("proc/self/cgroup", "0::/a.slice/b\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/a.slice/b/cpu.max", own),
            ("sys/fs/cgroup/a.slice/cpu.max", parent),
        ])
    }

    #[test]
    fn version_2_takes_the_smallest_from_leaf_to_root() {
        assert_eq!(v2("max 100000\n", "max 100000\n"), None);
        assert_eq!(v2("200000 100000\n", "max 100000\n"), Some(2));
        assert_eq!(v2("max 100000\n", "300000 100000\n"), Some(3));
        assert_eq!(v2("400000 100000\n", "300000 100000\n"), Some(3));
    }

    #[test]
    fn quotas_are_rounded_up_and_at_least_one() {
        assert_eq!(v2("150000 100000\n", ""), Some(2));
        assert_eq!(v2("1000 100000\n", ""), Some(1));
        assert_eq!(v2("100001 100000\n", ""), Some(2));
    }

    #[test]
    fn what_makes_no_sense_is_no_quota() {
        for text in ["", "max", "0 0", "5 0", "-1 100000", "x y", "100000"] {
            assert_eq!(v2(text, text), None, "{text:?}");
        }
        assert_eq!(quota(&[]), None);
        assert_eq!(quota(&[("proc/self/cgroup", "garbage\n"), ("proc/self/mountinfo", "x - y\n")]), None);
    }

    #[test]
    fn version_1_reads_cfs_and_knows_minus_one() {
        let tree = |quota_us: &str| {
            quota(&[
                ("proc/self/cgroup", "4:memory:/d\n3:cpu,cpuacct:/d/e\n1:name=systemd:/\n"),
                ("proc/self/mountinfo", V1),
                ("sys/fs/cgroup/cpu,cpuacct/d/e/cpu.cfs_quota_us", quota_us),
                ("sys/fs/cgroup/cpu,cpuacct/d/e/cpu.cfs_period_us", "50000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "800000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n"),
            ])
        };
        assert_eq!(tree("-1\n"), Some(8));
        assert_eq!(tree("100000\n"), Some(2));
    }

    #[test]
    fn a_container_sees_its_group_as_the_mounts_root() {
        // Version 1 without a cgroup namespace: the path is the host's, the mount shows a part.
        let mount = "33 24 0:29 /docker/abc /sys/fs/cgroup/cpu ro master:1 - cgroup cgroup rw,cpu\n";
        let tree = [
            ("proc/self/cgroup", "3:cpu:/docker/abc\n"),
            ("proc/self/mountinfo", mount),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota(&tree), Some(3));
        // A group outside the namespace must not lead out of the mount.
        let tree = [
            ("proc/self/cgroup", "0::/../../x\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/cpu.max", "700000 100000\n"),
            ("sys/x/cpu.max", "100000 100000\n"),
        ];
        assert_eq!(quota(&tree), Some(7));
    }

    #[test]
    fn hybrid_trees_and_escaped_mounts_are_read() {
        let mounts = format!(
            "31 23 0:27 / /sys/fs/cg\\040roup/unified rw - cgroup2 cgroup2 rw\n{V1}"
        );
        let tree = [
            ("proc/self/cgroup", "3:cpu,cpuacct:/d\n0::/d\n"),
            ("proc/self/mountinfo", mounts.as_str()),
            ("sys/fs/cg roup/unified/d/cpu.max", "600000 100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "500000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota(&tree), Some(5));
    }
}

mod signal_ {
    use super::*;

    /// How often each handler below ran.
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    fn not_ours(_: &Fault) -> Verdict {
        Verdict::NotOurs
    }

    /// Sets the action of both signals, before ours.
    fn set_previous(handler: libc::sighandler_t) {
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: default, ignore, or a handler of one argument.
            unsafe { libc::signal(signal, handler) };
        }
    }

    fn fault_now() {
        // SAFETY: none: this is meant to fault, in a process that is meant to die of it.
        unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    }

    /// As `kill` does, but to this thread, so that the handler has run on return.
    fn send(signal: i32) {
        // SAFETY: no preconditions.
        unsafe { libc::raise(signal) };
    }

    extern "C" fn count(signal: i32) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        if signal == libc::SIGBUS {
            let mut err = raw_err::RawErr::new();
            err.push_str("bus ");
            err.push_u64(u64::MAX);
            err.push_str(" ");
            err.push_hex(0xdead_beef_0);
            err.push_str(" ");
            err.push_u64(0);
            err.push_bytes(&[b'.'; 1000]);
            err.flush();
        } else {
            // As std's does.
            // SAFETY: the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }

    #[test]
    fn a_fault_kills_with_the_signal_when_the_previous_action_was_default() {
        run(module_path!(), "a_fault_kills_with_the_signal_when_the_previous_action_was_default", || {
            set_previous(libc::SIG_DFL);
            install_segv_handler(not_ours).unwrap();
            fault_now();
        })
        .expect_signal(libc::SIGSEGV);
    }

    #[test]
    fn a_sent_signal_kills_when_the_previous_action_was_default() {
        run(module_path!(), "a_sent_signal_kills_when_the_previous_action_was_default", || {
            set_previous(libc::SIG_DFL);
            install_segv_handler(not_ours).unwrap();
            send(libc::SIGBUS);
            std::thread::sleep(Duration::from_secs(1));
        })
        .expect_signal(libc::SIGBUS);
    }

    #[test]
    fn a_sent_signal_is_ignored_but_a_fault_is_not_when_it_was_ignored() {
        run(module_path!(), "a_sent_signal_is_ignored_but_a_fault_is_not_when_it_was_ignored", || {
            set_previous(libc::SIG_IGN);
            install_segv_handler(not_ours).unwrap();
            send(libc::SIGSEGV);
            send(libc::SIGSEGV);
            eprintln!("alive");
            fault_now();
        })
        .expect_signal(libc::SIGSEGV);
    }

    #[test]
    fn the_previous_handler_is_reached_and_ours_outlives_a_sent_signal() {
        let ended = run(
            module_path!(),
            "the_previous_handler_is_reached_and_ours_outlives_a_sent_signal",
            || {
                set_previous(count as *const () as libc::sighandler_t);
                install_segv_handler(|fault| {
                    let mut err = raw_err::RawErr::new();
                    err.push_str(if fault.is_sent() { "[sent]" } else { "[fault]" });
                    err.push_hex(fault.address as u64);
                    err.flush();
                    if fault.is_sent() { Verdict::NotOurs } else { Verdict::Report }
                })
                .unwrap();
                install_segv_handler(not_ours).unwrap();
                for sent in 1..4 {
                    send(libc::SIGSEGV);
                    assert_eq!(CALLS.load(Ordering::Relaxed), sent);
                }
                send(libc::SIGBUS);
                fault_now();
            },
        );
        ended.expect_signal(libc::SIGSEGV);
        assert_eq!(ended.stderr.matches("[sent]").count(), 4, "{}", ended.stderr);
        assert!(ended.stderr.contains("[fault]0x8"), "{}", ended.stderr);
        assert!(ended.stderr.contains("bus 18446744073709551615 0xdeadbeef0 0..."));
        assert_eq!(ended.stderr.matches('.').count(), 1000);
    }

    #[test]
    fn a_thread_gets_an_alternate_stack_and_loses_it_again() {
        let current = || {
            // SAFETY: plain C struct, filled by the call, which only asks.
            unsafe {
                let mut stack: libc::stack_t = std::mem::zeroed();
                assert_eq!(libc::sigaltstack(std::ptr::null(), &raw mut stack), 0);
                (stack.ss_sp as usize, stack.ss_flags, stack.ss_size)
            }
        };
        std::thread::spawn(move || {
            let before = current();
            println!("std's alternate stack: {} bytes", before.2);
            {
                let _outer = ensure_altstack();
                let ours = current();
                assert_eq!(ours.1, 0);
                assert!(ours.2 >= 32 << 10);
                let _inner = ensure_altstack();
                assert_eq!(current(), ours);
            }
            assert_eq!(current(), before);
        })
        .join()
        .unwrap();
    }
}
