//! Children killed at random points, and waits that are interrupted all the time: each child ends with its own status.
//!
//! `STRESS=1`: 10,000 children are killed, in place of 200.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Latch, Random, alone, in_both_modes, interrupt_system_calls, stress};
use crate::{children, shell, sleeper};
use fibers::process::{ExitStatus, Stdio};
use fibers::sleep;

#[test]
fn children_killed_at_random_points_have_their_own_statuses() {
    alone(
        "killed::children_killed_at_random_points_have_their_own_statuses",
        300,
        || {
            let random = std::cell::RefCell::new(Random::new());
            let children_each = if stress() { 5_000 } else { 100 };
            in_both_modes(250, 2, |_, machine, mode| {
                let counts: Arc<[AtomicUsize; 3]> = Arc::default();
                let fibers: Vec<_> = (0..10)
                    .map(|_| {
                        let (mut random, counts) =
                            (Random::of(random.borrow_mut().next()), Arc::clone(&counts));
                        machine.spawn(move || {
                            for _ in 0..children_each / 10 {
                                one_child(&mut random, &counts);
                            }
                        })
                    })
                    .collect();
                for fiber in fibers {
                    fiber.join().unwrap();
                }
                println!("{mode:?}: exited, by a signal of its own, killed: {counts:?}");
                let ended: usize = counts.iter().map(|n| n.load(Ordering::Relaxed)).sum();
                assert_eq!(ended, children_each, "half of what the file's head says");
                assert_eq!(children(), [], "all are reaped");
                assert_eq!(machine.metrics().io_sources, 0);
            });
        },
    );
}

fn one_child(random: &mut Random, counts: &[AtomicUsize; 3]) {
    let code = random.below(200) as i32;
    let script = match random.below(3) {
        0 => format!("exit {code}"),
        1 => "kill -TERM $$".to_owned(),
        _ => "exec sleep 3600".to_owned(),
    };
    let mut child = shell(&script).spawn().unwrap();
    let killer = fibers::spawn({
        let (handle, pause) = (
            child.handle(),
            Duration::from_nanos(random.below(3_000_000)),
        );
        move || {
            sleep(pause);
            handle.kill().unwrap();
            handle.wait().unwrap()
        }
    });
    let patience = Duration::from_nanos(random.below(2_000_000));
    let status: ExitStatus = match child.wait_timeout(patience).unwrap() {
        Some(status) => status,
        None => child.wait().unwrap(),
    };
    assert_eq!(killer.join().unwrap(), status);
    let kind = match (status.code(), status.signal(), script.as_bytes()[1]) {
        (Some(exit), None, b'x') if script == format!("exit {exit}") => 0,
        (None, Some(libc::SIGTERM), b'i') => 1,
        (None, Some(libc::SIGKILL), _) => 2,
        wrong => panic!("{script}: {wrong:?}"),
    };
    counts[kind].fetch_add(1, Ordering::Relaxed);
}

#[test]
fn interruptions_reach_nobody() {
    alone("killed::interruptions_reach_nobody", 200, || {
        interrupt_system_calls();
        in_both_modes(150, 2, |_, machine, _| {
            let done = Arc::new(Latch::new(4));
            for index in 0..4 {
                let done = Arc::clone(&done);
                machine.spawn(move || {
                    for _ in 0..if stress() { 200 } else { 10 } {
                        let output = shell("cat; echo x").stdin(Stdio::null()).output().unwrap();
                        assert_eq!(output.stdout, b"x\n");
                        let mut child = sleeper();
                        assert_eq!(
                            child
                                .wait_timeout(Duration::from_micros(500 * index))
                                .unwrap(),
                            None
                        );
                        child.kill().unwrap();
                        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
                    }
                    done.arrive();
                });
            }
            done.wait();
        });
    });
}
