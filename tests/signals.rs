//! What `fibers::signal` promises: whoever listens for a signal gets it, whichever threads block it; none is seen too
//! little; and nothing of it stays behind.
//!
//! Signals belong to a process, so most of these tests run in a child of their own.

mod common;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use common::{
    Ended, Gate, Latch, MODES, Mode, Random, Test, child_case, child_for, eventually,
    in_both_modes, run_child, scaled,
};
use fibers::signal::{self, Signal, Signals};
use fibers::{Cancelled, Runtime, timeout};

const LONG: Duration = Duration::from_secs(3600);
/// The kinds that are sent.
const KINDS: [Signal; 4] = [Signal::USR1, Signal::USR2, Signal::HUP, Signal::WINCH];

fn kinds() -> [Signal; 5] {
    let [a, b, c, d] = KINDS;
    [a, b, c, d, Signal::from(libc::SIGRTMIN() + 1)]
}

/// To the process.
fn send(signal: Signal) {
    // SAFETY: our own process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal.as_raw()) }, 0);
}

/// To the calling thread.
fn raise(signal: Signal) {
    // SAFETY: no preconditions.
    assert_eq!(unsafe { libc::raise(signal.as_raw()) }, 0);
}

/// Runs a test's body in a process of its own.
fn alone(test: &str, body: impl FnOnce()) {
    common::alone(test, 120, body);
}

/// As `alone`, with all threads of the child blocking these signals from the first one on.
fn blocked(test: &str, signals: &[Signal], limit_s: u64) -> Ended {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    let mut numbers: Vec<i32> = signals.iter().map(|signal| signal.as_raw()).collect();
    let block = move || {
        // SAFETY: a set is made empty before it is added to; all of it is async-signal-safe.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for number in numbers.drain(..) {
                libc::sigaddset(&raw mut set, number);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: what it does between fork and exec is async-signal-safe.
    unsafe { command.pre_exec(block) };
    run_child(command, test, "blocked", limit_s)
}

/// A bit of a line such as `SigCgt` of /proc/self/status.
fn status_bit(line: &str, signal: Signal) -> bool {
    let text = std::fs::read_to_string("/proc/self/status").expect("a status");
    let mask = text
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(":\t"))
        .and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .expect("a mask");
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// Installs a handler of the test's own.
fn install(signal: Signal, handler: extern "C" fn(i32), flags: i32) -> libc::sigaction {
    // SAFETY: a plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: as above.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both live; the handler does nothing but what a handler may.
    let done = unsafe { libc::sigaction(signal.as_raw(), &raw const action, &raw mut old) };
    assert_eq!(done, 0);
    old
}

/// How often `count` ran.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_signal: i32) {
    COUNTED.fetch_add(1, Ordering::SeqCst);
}

/// Signals of five kinds, in rounds; after each round everybody has seen each kind once more since its last send.
fn storm(machine: &Runtime, listeners: usize, signals: usize) {
    const ROUND: usize = 100;
    let kinds = kinds();
    // How often each kind was sent, and how much of that each listener knew when it last saw that kind.
    let sent = Arc::new(kinds.map(|_| AtomicUsize::new(0)));
    let seen: Arc<Vec<_>> = Arc::new(
        (0..=listeners)
            .map(|_| kinds.map(|_| AtomicUsize::new(0)))
            .collect(),
    );
    let ends = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(Latch::new(listeners + 1));
    let listen = |index: usize| {
        let (sent, seen) = (Arc::clone(&sent), Arc::clone(&seen));
        let (ends, ready) = (Arc::clone(&ends), Arc::clone(&ready));
        move || {
            let signals = Signals::new(kinds).unwrap();
            ready.arrive();
            while !ends.load(Ordering::SeqCst) {
                let signal = signals.wait().unwrap();
                let kind = kinds.iter().position(|kind| *kind == signal).expect("ours");
                let now = sent[kind].load(Ordering::SeqCst);
                seen[index][kind].store(now, Ordering::SeqCst);
            }
        }
    };
    let fibers: Vec<_> = (1..=listeners)
        .map(|index| machine.spawn(listen(index)))
        .collect();
    let thread = std::thread::spawn(listen(0));
    ready.wait();
    let mut random = Random::new();
    for round in 0..signals / ROUND {
        for _ in 0..ROUND {
            let kind = random.below(5) as usize;
            sent[kind].fetch_add(1, Ordering::SeqCst);
            send(kinds[kind]);
        }
        let all = |seen: &[AtomicUsize; 5]| {
            let pairs = seen.iter().zip(sent.iter());
            pairs
                .into_iter()
                .all(|(seen, sent)| seen.load(Ordering::SeqCst) == sent.load(Ordering::SeqCst))
        };
        eventually(|| seen.iter().all(all));
        if round == 0 {
            println!("first round: {seen:?}");
        }
    }
    ends.store(true, Ordering::SeqCst);
    send(kinds[0]);
    for fiber in fibers {
        fiber.join().unwrap();
    }
    thread.join().unwrap();
}

fn storms() {
    for mode in MODES {
        println!("{mode:?}");
        let test = Test::new(100);
        let machine = test.machine(mode, 2);
        storm(&machine, 3, scaled(100_000, 1_000_000));
    }
}

#[test]
fn each_kind_is_seen_after_its_last_send_with_all_threads_open() {
    alone(
        "each_kind_is_seen_after_its_last_send_with_all_threads_open",
        storms,
    );
}

#[test]
fn each_kind_is_seen_after_its_last_send_with_all_threads_blocking() {
    let test = "each_kind_is_seen_after_its_last_send_with_all_threads_blocking";
    if child_case().is_none() {
        blocked(test, &kinds(), 120).passed();
        return;
    }
    for kind in kinds() {
        assert!(status_bit("SigBlk", kind));
        install(kind, count, 0);
    }
    storms();
    // Ours would have called it.
    assert_eq!(
        COUNTED.load(Ordering::SeqCst),
        0,
        "no handler runs where all block"
    );
}

#[test]
fn each_kind_is_seen_after_its_last_send_with_workers_blocking_and_a_thread_open() {
    let test = "each_kind_is_seen_after_its_last_send_with_workers_blocking_and_a_thread_open";
    alone(test, || {
        // Before there is a machine, as a library's thread would be.
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let foreign = std::thread::spawn(move || {
            let _ = waits.recv();
        });
        // Blocked here, and so in all threads from here on; the harness's and that one have them open.
        signal::block(kinds()).unwrap();
        storms();
        drop(done);
        foreign.join().unwrap();
    });
}

#[test]
fn a_signal_to_one_worker_is_seen_by_everybody() {
    alone("a_signal_to_one_worker_is_seen_by_everybody", || {
        in_both_modes(60, 2, |_, machine, _| {
            let ready = Arc::new(Latch::new(3));
            let listeners: Vec<_> = (0..3)
                .map(|_| {
                    let ready = Arc::clone(&ready);
                    machine.spawn(move || {
                        let signals = Signals::new([Signal::USR1]).unwrap();
                        ready.arrive();
                        signals.wait().unwrap()
                    })
                })
                .collect();
            ready.wait();
            machine.run(|| raise(Signal::USR1));
            for listener in listeners {
                assert_eq!(listener.join().unwrap(), Signal::USR1);
            }
        });
    });
}

#[test]
fn everywhere_signals_are_waited_for() {
    alone("everywhere_signals_are_waited_for", || {
        common::everywhere(60, || {
            let signals = Signals::new(KINDS.iter().take(3)).unwrap();
            assert_eq!(signals.try_wait(), None);
            assert_eq!(signals.wait_timeout(Duration::ZERO).unwrap(), None);
            assert_eq!(
                signals.wait_timeout(Duration::from_millis(2)).unwrap(),
                None
            );
            send(Signal::USR2);
            assert_eq!(signals.wait().unwrap(), Signal::USR2);
            // Each kind once, however often, and in turn.
            for signal in [Signal::USR1, Signal::HUP, Signal::USR1] {
                raise(signal);
            }
            let mut came = [signals.wait().unwrap(), signals.wait().unwrap()];
            came.sort();
            assert_eq!(came, [Signal::HUP, Signal::USR1]);
            send(Signal::USR1);
            assert_eq!(signals.iter().next().unwrap().unwrap(), Signal::USR1);
            send(Signal::USR1);
            eventually(|| signals.try_wait() == Some(Signal::USR1));
            // What has come is there even if there is no time.
            send(Signal::HUP);
            eventually(|| signals.wait_timeout(Duration::ZERO).unwrap() == Some(Signal::HUP));
        });
    });
}

#[test]
fn of_several_that_wait_on_one_listener_one_gets_a_signal() {
    alone(
        "of_several_that_wait_on_one_listener_one_gets_a_signal",
        || {
            in_both_modes(60, 2, |_, machine, _| {
                let signals = Arc::new(Signals::new([Signal::USR1, Signal::USR2]).unwrap());
                let got = Arc::new(AtomicUsize::new(0));
                let fibers: Vec<_> = (0..10)
                    .map(|_| {
                        let (signals, got) = (Arc::clone(&signals), Arc::clone(&got));
                        machine.spawn(move || {
                            signals.wait().unwrap();
                            got.fetch_add(1, Ordering::SeqCst);
                        })
                    })
                    .collect();
                for sent in 1..=10 {
                    send(if sent % 2 == 0 {
                        Signal::USR1
                    } else {
                        Signal::USR2
                    });
                    eventually(|| got.load(Ordering::SeqCst) == sent);
                }
                for fiber in fibers {
                    fiber.join().unwrap();
                }
                assert_eq!(signals.try_wait(), None);
            });
        },
    );
}

#[test]
fn ctrl_c_is_waited_for_once_and_the_next_one_ends_the_program() {
    let test = "ctrl_c_is_waited_for_once_and_the_next_one_ends_the_program";
    let Some(case) = child_case() else {
        for mode in ["Pinned", "Floating"] {
            let ended = child_for(test, mode, &[], 60);
            assert_eq!(ended.signal, Some(libc::SIGINT), "{ended:#?}");
            assert!(ended.stdout.contains("first: Ok(())"), "{ended:#?}");
        }
        return;
    };
    let mode = MODES
        .into_iter()
        .find(|mode| format!("{mode:?}") == case)
        .expect("a mode");
    // A shell that starts the tests in the background has it ignored, and so it would be again afterwards.
    // SAFETY: the default action.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    let watch = Test::new(60);
    let machine = watch.machine(mode, 2);
    let waiter = machine.spawn(signal::ctrl_c);
    eventually(|| status_bit("SigCgt", Signal::INT));
    send(Signal::INT);
    println!("first: {:?}", waiter.join().unwrap());
    assert!(!status_bit("SigCgt", Signal::INT));
    send(Signal::INT);
    // Until the kernel has delivered it.
    std::thread::sleep(LONG);
}

#[test]
fn without_listeners_signals_do_what_they_did_before() {
    alone("without_listeners_signals_do_what_they_did_before", || {
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
    });
}

#[test]
fn handlers_that_were_there_are_called_and_put_back() {
    alone("handlers_that_were_there_are_called_and_put_back", || {
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
    });
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
        "a_handler_put_over_ours_that_calls_it_is_left_alone",
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
    alone("handlers_run_beside_small_stacks", || {
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
    let test = "a_handler_that_finds_no_room_on_a_stack_ends_the_process";
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

#[test]
fn what_cannot_be_listened_for_is_refused() {
    let refused = [
        0,
        -1,
        65,
        1 << 20,
        i32::MIN,
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
    ];
    let faults = [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, 32, 33];
    for signal in refused.into_iter().chain(faults) {
        // Among others that could be.
        let error = Signals::new([libc::SIGUSR1, signal]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{signal}");
        assert!(error.to_string().contains(&signal.to_string()), "{error}");
        assert!(signal::wait([signal]).is_err());
        assert!(signal::block([signal]).is_err());
    }
    let error = Signals::new([0; 0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn signals_have_names() {
    assert_eq!(
        format!("{:?}", Signals::new([Signal::ALRM, Signal::IO]).unwrap()),
        "Signals {SIGALRM, SIGIO}"
    );
    assert_eq!(
        format!("{:>9}|{}", Signal::HUP, Signal::from(&40)),
        "   SIGHUP|signal 40"
    );
    assert_eq!(i32::from(Signal::TERM), libc::SIGTERM);
    assert!(Signal::TERM == libc::SIGTERM && Signal::INT != libc::SIGTERM);
}

#[test]
fn a_wait_that_is_cut_short_takes_no_signal_with_it() {
    let test = "a_wait_that_is_cut_short_takes_no_signal_with_it";
    alone(test, || {
        let mut random = Random::new();
        for mode in MODES {
            let watch = Test::new(100);
            let machine = watch.machine(mode, 2);
            let mut cut = 0;
            for round in 0..scaled(3_000, 100_000) {
                let signals = Arc::new(Signals::new([Signal::USR1]).unwrap());
                let by_timeout = random.below(2) == 0;
                let pause = Duration::from_nanos(random.below(60_000));
                let fiber = machine.spawn({
                    let signals = Arc::clone(&signals);
                    move || {
                        let wait = || signals.wait().unwrap();
                        if by_timeout {
                            timeout(pause, wait).ok()
                        } else {
                            Some(wait())
                        }
                    }
                });
                for _ in 0..random.below(2_000) {
                    std::hint::spin_loop();
                }
                if !by_timeout && random.below(2) == 0 {
                    fiber.cancel().unwrap();
                    send(Signal::USR1);
                } else {
                    send(Signal::USR1);
                    if !by_timeout {
                        fiber.cancel().unwrap();
                    }
                }
                let taken = match fiber.join() {
                    Ok(taken) => taken,
                    Err(payload) => {
                        assert!(payload.is::<Cancelled>());
                        None
                    }
                };
                // Taken, or still there.
                if taken.is_none() {
                    cut += 1;
                    assert_eq!(signals.wait().unwrap(), Signal::USR1, "round {round}");
                }
            }
            println!("{mode:?}: {cut} waits were cut short");
        }
    });
}

#[test]
fn a_machine_ends_while_fibers_wait_for_signals() {
    alone("a_machine_ends_while_fibers_wait_for_signals", || {
        for mode in MODES {
            let test = Test::new(60);
            let machine = test.machine(mode, 2);
            let waiting = Arc::new(Latch::new(20));
            let fibers: Vec<_> = (0..20)
                .map(|_| {
                    let waiting = Arc::clone(&waiting);
                    machine.spawn(move || {
                        waiting.arrive();
                        signal::wait([Signal::USR1, Signal::TERM])
                    })
                })
                .collect();
            waiting.wait();
            drop(machine);
            for fiber in fibers {
                assert!(fiber.join().unwrap_err().is::<Cancelled>());
            }
            assert!(!status_bit("SigCgt", Signal::TERM));
        }
    });
}

#[test]
fn a_thousand_listeners_hear_one_signal() {
    alone("a_thousand_listeners_hear_one_signal", || {
        in_both_modes(60, 2, |_, machine, mode| {
            let ready = Arc::new(Latch::new(1_000));
            let fibers: Vec<_> = (0..1_000)
                .map(|_| {
                    let ready = Arc::clone(&ready);
                    machine.spawn(move || {
                        let signals = Signals::new([Signal::USR2]).unwrap();
                        ready.arrive();
                        signals.wait().unwrap()
                    })
                })
                .collect();
            ready.wait();
            let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
            assert!(descriptors < 40, "{mode:?}: {descriptors} descriptors");
            send(Signal::USR2);
            for fiber in fibers {
                assert_eq!(fiber.join().unwrap(), Signal::USR2);
            }
        });
    });
}

#[test]
fn listening_costs_nothing_while_nothing_comes() {
    alone("listening_costs_nothing_while_nothing_comes", || {
        let test = Test::new(60);
        let machine = test.machine(Mode::Pinned, 2);
        let gate = Arc::new(Gate::new());
        let fiber = machine.spawn({
            let gate = Arc::clone(&gate);
            move || {
                let signals = Signals::new([Signal::USR1]).unwrap();
                gate.open();
                signals.wait().unwrap()
            }
        });
        gate.wait();
        assert!(common::comes_to_rest(Duration::from_millis(100)));
        send(Signal::USR1);
        assert_eq!(fiber.join().unwrap(), Signal::USR1);
        assert!(common::comes_to_rest(Duration::from_millis(100)));
    });
}

#[test]
fn a_deterministic_run_says_that_it_knows_no_signals() {
    let error = fibers::testing::Check::new().run(|| {
        let signals = Signals::new([Signal::USR2]).unwrap();
        signals.wait().unwrap_err().kind()
    });
    assert_eq!(error, std::io::ErrorKind::Unsupported);
}
