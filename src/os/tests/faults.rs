//! Faults and the signals that tell of them; each test in a child.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::os::child::run;
use crate::os::raw_err;
use crate::os::signal::{Fault, Verdict, ensure_altstack, install_segv_handler};

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
    run(
        module_path!(),
        "a_fault_kills_with_the_signal_when_the_previous_action_was_default",
        || {
            set_previous(libc::SIG_DFL);
            install_segv_handler(not_ours).unwrap();
            fault_now();
        },
    )
    .expect_signal(libc::SIGSEGV);
}

#[test]
fn a_sent_signal_kills_when_the_previous_action_was_default() {
    run(
        module_path!(),
        "a_sent_signal_kills_when_the_previous_action_was_default",
        || {
            set_previous(libc::SIG_DFL);
            install_segv_handler(not_ours).unwrap();
            send(libc::SIGBUS);
            std::thread::sleep(Duration::from_secs(1));
        },
    )
    .expect_signal(libc::SIGBUS);
}

#[test]
fn a_sent_signal_is_ignored_but_a_fault_is_not_when_it_was_ignored() {
    run(
        module_path!(),
        "a_sent_signal_is_ignored_but_a_fault_is_not_when_it_was_ignored",
        || {
            set_previous(libc::SIG_IGN);
            install_segv_handler(not_ours).unwrap();
            send(libc::SIGSEGV);
            send(libc::SIGSEGV);
            eprintln!("alive");
            fault_now();
        },
    )
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
                err.push_u64(fault.address as u64);
                err.flush();
                if fault.is_sent() {
                    Verdict::NotOurs
                } else {
                    Verdict::Report
                }
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
    assert_eq!(
        ended.stderr.matches("[sent]").count(),
        4,
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("[fault]8"), "{}", ended.stderr);
    assert!(ended.stderr.contains("bus 18446744073709551615 0..."));
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
