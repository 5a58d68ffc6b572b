//! Handlers of others: they are called beside ours, put back when nobody listens any more, and run on whatever stack a
//! fiber has.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use crate::common::{self, MODES, Test, child_case, child_for, scaled};
use crate::{COUNTED, alone, count, install, raise, send, status_bit};
use fibers::Runtime;
use fibers::signal::{Signal, Signals};

#[test]
fn without_listeners_signals_do_what_they_did_before() {
    alone(
        "handlers::without_listeners_signals_do_what_they_did_before",
        || {
            for signal in [Signal::TERM, Signal::PIPE, Signal::USR1] {
                let ignored = status_bit("SigIgn", signal);
                assert_eq!(ignored, signal == Signal::PIPE, "std ignores SIGPIPE");
                let one = Signals::new([signal]).unwrap();
                let two = Signals::new([signal, Signal::HUP]).unwrap();
                drop(one);
                assert!(status_bit("SigCgt", signal));
                send(signal);
                assert_eq!(two.wait().unwrap(), signal);
                drop(two);
                assert!(!status_bit("SigCgt", signal));
                assert_eq!(status_bit("SigIgn", signal), ignored);
            }
        },
    );
}

#[test]
fn handlers_that_were_there_are_called_and_put_back() {
    alone(
        "handlers::handlers_that_were_there_are_called_and_put_back",
        || {
            install(Signal::USR1, count, 0);
            let counted = || COUNTED.load(Ordering::SeqCst);
            for round in 1..=3 {
                let signals = Signals::new([Signal::USR1]).unwrap();
                let before = counted();
                raise(Signal::USR1);
                assert_eq!(signals.wait().unwrap(), Signal::USR1);
                assert_eq!(counted(), before + 1, "round {round}");
                drop(signals);
                raise(Signal::USR1);
                assert_eq!(counted(), before + 2, "round {round}");
            }
        },
    );
}

/// What `over_ours` is over.
static BELOW: AtomicUsize = AtomicUsize::new(0);
static DEPTH: AtomicI32 = AtomicI32::new(0);

extern "C" fn over_ours(signal: i32) {
    if DEPTH.fetch_add(1, Ordering::SeqCst) > 3 {
        common::raw_stderr("handlers call each other\n");
        std::process::abort();
    }
    // SAFETY: the handler that was found, of three arguments; it may look at none but the first.
    let below: extern "C" fn(i32, *mut libc::siginfo_t, *mut std::ffi::c_void) =
        unsafe { std::mem::transmute(BELOW.load(Ordering::SeqCst)) };
    below(signal, std::ptr::null_mut(), std::ptr::null_mut());
    DEPTH.fetch_sub(1, Ordering::SeqCst);
}

#[test]
fn a_handler_put_over_ours_that_calls_it_is_left_alone() {
    alone(
        "handlers::a_handler_put_over_ours_that_calls_it_is_left_alone",
        || {
            let first = Signals::new([Signal::USR1]).unwrap();
            let ours = install(Signal::USR1, over_ours, 0);
            BELOW.store(ours.sa_sigaction, Ordering::SeqCst);
            raise(Signal::USR1);
            assert_eq!(first.wait().unwrap(), Signal::USR1);
            drop(first);
            raise(Signal::USR1);
            // Not over that one, which would call ours for ever.
            let second = Signals::new([Signal::USR1]).unwrap();
            raise(Signal::USR1);
            assert_eq!(second.wait().unwrap(), Signal::USR1);
            // Somebody takes the signal away altogether: then it is listened for anew.
            drop(second);
            // SAFETY: the default action.
            unsafe { libc::signal(Signal::USR1.as_raw(), libc::SIG_DFL) };
            let third = Signals::new([Signal::USR1]).unwrap();
            raise(Signal::USR1);
            assert_eq!(third.wait().unwrap(), Signal::USR1);
            drop(third);
            assert!(!status_bit("SigCgt", Signal::USR1));
        },
    );
}

/// Uses up the stack to the last kilobyte or so, and has the handler run there.
#[inline(never)]
fn deep(left: usize) -> u64 {
    let frame = std::hint::black_box([left as u8; 512]);
    if left <= 512 + 1024 {
        raise(Signal::TERM);
        return u64::from(frame[7]);
    }
    deep(left - 512 - 160) + u64::from(frame[0])
}

#[test]
fn handlers_run_beside_small_stacks() {
    alone("handlers::handlers_run_beside_small_stacks", || {
        for mode in MODES {
            let test = Test::new(60);
            let builder = common::builder(mode).workers(2).stack_size(16 << 10);
            let machine = test.build(builder);
            let signals = Signals::new([Signal::TERM]).unwrap();
            for _ in 0..scaled(1_000, 10_000) {
                // What the fiber's first frames and an unoptimised build's larger ones need is left out.
                let used = if cfg!(debug_assertions) {
                    5 << 10
                } else {
                    10 << 10
                };
                let fiber = machine.spawn(move || deep(used));
                std::hint::black_box(fiber.join().unwrap());
                assert_eq!(signals.wait().unwrap(), Signal::TERM);
            }
        }
    });
}

#[test]
fn a_handler_that_finds_no_room_on_a_stack_ends_the_process() {
    let test = "handlers::a_handler_that_finds_no_room_on_a_stack_ends_the_process";
    if child_case().is_none() {
        let ended = child_for(test, "alone", &[], 60);
        assert_eq!(ended.signal, Some(libc::SIGSEGV), "{ended:#?}");
        return;
    }
    // Another library's, without SA_ONSTACK: the kernel raises SIGSEGV in place of the signal, once.
    install(Signal::TERM, count, 0);
    let machine = Runtime::builder().stack_size(16 << 10).build().unwrap();
    // Deeper and deeper; in the end the frames alone would be too much.
    for used in (0..16 << 10).step_by(128) {
        let before = COUNTED.load(Ordering::SeqCst);
        machine.spawn(move || deep(used)).join().unwrap();
        if COUNTED.load(Ordering::SeqCst) == before {
            println!("at {used} bytes the signal was lost");
            return;
        }
    }
}
