//! Waits for children: everybody who waits gets the status, and nobody else is kept from running meanwhile; a child that
//! has been waited for, or was dropped, is left alone.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{MODES, Test, alone, eventually, everywhere, in_both_modes};
use crate::{LONG, SHORT, children, shell, sleeper};
use fibers::process::{ExitStatus, Stdio};
use fibers::signal::Signal;
use fibers::{sleep, timeout};

#[test]
fn several_wait_for_one_child() {
    for mode in MODES {
        let test = Test::new(60);
        let machines = [test.machine(mode, 2), test.machine(mode, 1)];
        let mut child = sleeper();
        let fibers: Vec<_> = (0..20)
            .map(|index| {
                let handle = child.handle();
                machines[index % 2].spawn(move || handle.wait().unwrap())
            })
            .collect();
        let handle = child.handle();
        let thread = std::thread::spawn(move || handle.wait().unwrap());
        eventually(|| {
            machines
                .iter()
                .all(|machine| machine.metrics().parked >= 10)
        });
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(child.handle().id(), child.id());
        child.send_signal(Signal::USR1).unwrap();
        for fiber in fibers {
            assert_eq!(fiber.join().unwrap().signal(), Some(libc::SIGUSR1));
        }
        assert_eq!(thread.join().unwrap().signal(), Some(libc::SIGUSR1));
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGUSR1));
    }
}

#[test]
fn a_child_that_was_waited_for_is_left_alone() {
    everywhere(60, || {
        let mut child = shell("exit 4").spawn().unwrap();
        let handle = child.handle();
        assert_eq!(child.wait().unwrap().code(), Some(4));
        child.kill().unwrap();
        child.send_signal(libc::SIGTERM).unwrap();
        handle.kill().unwrap();
        drop(child);
        assert_eq!(handle.wait().unwrap().code(), Some(4));
        assert_eq!(handle.try_wait().unwrap().unwrap().code(), Some(4));
    });
}

#[test]
fn a_wait_for_a_time_ends() {
    everywhere(60, || {
        let mut child = sleeper();
        assert_eq!(child.wait_timeout(Duration::ZERO).unwrap(), None);
        assert_eq!(child.wait_timeout(SHORT).unwrap(), None);
        assert!(timeout(SHORT, || child.wait()).is_err());
        child.kill().unwrap();
        let status = child.wait_timeout(LONG).unwrap().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert_eq!(child.wait_timeout(Duration::ZERO).unwrap(), Some(status));
    });
}

#[test]
fn a_child_that_is_dropped_goes_on() {
    alone("wait::a_child_that_is_dropped_goes_on", 60, || {
        let child = sleeper();
        let pid = child.id() as i32;
        drop(child);
        assert!(
            children()
                .iter()
                .any(|(child, state)| *child == pid as u32 && *state != 'Z')
        );
        // As with std, it is for whoever knows its number.
        let mut status = 0;
        // SAFETY: our own child, that nobody has reaped.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        }
        assert_eq!(ExitStatus::from_raw(status).signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn a_child_that_another_has_reaped_is_an_error() {
    alone(
        "wait::a_child_that_another_has_reaped_is_an_error",
        60,
        || {
            in_both_modes(60, 2, |_, machine, _| {
                let mut child = shell("exit 0").spawn().unwrap();
                // SAFETY: our own child.
                unsafe { libc::waitpid(child.id() as i32, std::ptr::null_mut(), 0) };
                let error = machine.run(move || child.wait().unwrap_err());
                assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
            });
        },
    );
}

#[test]
fn a_worker_goes_on_while_children_are_started_and_waited_for() {
    in_both_modes(60, 1, |_, machine, _| {
        let ticks = Arc::new(AtomicUsize::new(0));
        let ends = Arc::new(AtomicBool::new(false));
        let ticker = machine.spawn({
            let (ticks, ends) = (Arc::clone(&ticks), Arc::clone(&ends));
            move || {
                while !ends.load(Ordering::SeqCst) {
                    ticks.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_micros(50));
                }
            }
        });
        let waiter = machine.spawn({
            let ticks = Arc::clone(&ticks);
            move || {
                let mut child = shell("read line").stdin(Stdio::piped()).spawn().unwrap();
                let (handle, stdin) = (child.handle(), child.stdin.take());
                // The child ends when others have run while it is waited for.
                let closer = fibers::spawn(move || {
                    let before = ticks.load(Ordering::SeqCst);
                    while ticks.load(Ordering::SeqCst) < before + 10 {
                        sleep(Duration::from_micros(50));
                    }
                    drop(stdin);
                });
                let status = handle.wait().unwrap();
                closer.join().unwrap();
                status.code()
            }
        });
        assert_eq!(waiter.join().unwrap(), Some(1));
        ends.store(true, Ordering::SeqCst);
        ticker.join().unwrap();
    });
}

#[test]
fn a_deterministic_run_says_that_it_waits_for_no_child() {
    let error = fibers::testing::Check::new().run(|| {
        let mut child = shell("read line").stdin(Stdio::piped()).spawn().unwrap();
        let handle = child.handle();
        let error = handle.wait().unwrap_err();
        child.kill().unwrap();
        // Reaped all the same.
        while child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        error.kind()
    });
    assert_eq!(error, ErrorKind::Unsupported);
}
