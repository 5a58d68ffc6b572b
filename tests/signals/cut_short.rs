//! Waits for signals that are cut short, by a cancellation, a deadline or the end of the machine, take none with them.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Latch, MODES, Random, Test, scaled};
use crate::{alone, send, status_bit};
use fibers::signal::{self, Signal, Signals};
use fibers::{Cancelled, timeout};

#[test]
fn a_wait_that_is_cut_short_takes_no_signal_with_it() {
    let test = "cut_short::a_wait_that_is_cut_short_takes_no_signal_with_it";
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
    alone(
        "cut_short::a_machine_ends_while_fibers_wait_for_signals",
        || {
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
        },
    );
}
