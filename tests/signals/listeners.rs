//! Who listens for a signal gets it, wherever it waits and whichever thread the signal was sent to; and nothing spins
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{
    self, Gate, Latch, MODES, Mode, Test, child_case, child_for, eventually, in_both_modes,
};
use crate::{KINDS, LONG, alone, raise, send, status_bit};
use fibers::signal::{self, Signal, Signals};

#[test]
fn a_signal_to_one_worker_is_seen_by_everybody() {
    alone(
        "listeners::a_signal_to_one_worker_is_seen_by_everybody",
        || {
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
        },
    );
}

#[test]
fn everywhere_signals_are_waited_for() {
    alone("listeners::everywhere_signals_are_waited_for", || {
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
        "listeners::of_several_that_wait_on_one_listener_one_gets_a_signal",
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
    let test = "listeners::ctrl_c_is_waited_for_once_and_the_next_one_ends_the_program";
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
fn a_thousand_listeners_hear_one_signal() {
    alone("listeners::a_thousand_listeners_hear_one_signal", || {
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
    alone(
        "listeners::listening_costs_nothing_while_nothing_comes",
        || {
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
        },
    );
}

#[test]
fn a_deterministic_run_says_that_it_knows_no_signals() {
    let error = fibers::testing::Check::new().run(|| {
        let signals = Signals::new([Signal::USR2]).unwrap();
        signals.wait().unwrap_err().kind()
    });
    assert_eq!(error, std::io::ErrorKind::Unsupported);
}
