//! Waits for children, and for what they print, that are cut short anywhere leave neither child nor descriptor.

use std::io::{Read, Write};
use std::time::Duration;

use crate::common::{
    self, Random, alone, child_case, descriptors, eventually, in_both_modes, joined_as_cancelled,
    stress,
};
use crate::{LONG, SHORT, children, shell};
use fibers::process::{Child, Command, Stdio};
use fibers::{Cancelled, timeout};

#[test]
fn who_is_unwound_out_of_status_or_output_leaves_no_child() {
    alone(
        "cut_short::who_is_unwound_out_of_status_or_output_leaves_no_child",
        120,
        || {
            let running = || {
                let _ = Command::new("sleep").arg("3600").status();
            };
            let reading = || drop(shell("echo x; exec sleep 3600").output());
            in_both_modes(100, 2, |_, machine, _| {
                for wait in [running, reading] {
                    let fiber = machine.spawn(wait);
                    eventually(|| !children().is_empty());
                    fiber.cancel().unwrap();
                    joined_as_cancelled(fiber);
                    assert!(machine.run(move || timeout(SHORT, wait)).is_err());
                    assert!(timeout(SHORT, wait).is_err());
                }
                // Reaped by those that come later.
                eventually(|| {
                    Command::new("true").status().unwrap();
                    children().is_empty()
                });
            });
        },
    );
}

#[test]
fn every_call_can_be_cut_short_at_any_point() {
    let test = "cut_short::every_call_can_be_cut_short_at_any_point";
    if child_case().is_none() {
        common::child_for(test, "alone", &[], 300).passed();
        return;
    }
    let random = std::cell::RefCell::new(Random::new());
    let rounds = if stress() { 5_000 } else { 150 };
    // Workers' records, and their bells, are kept for those that come later.
    in_both_modes(60, 2, |_, machine, _| machine.run(|| ()));
    let open_before = descriptors();
    in_both_modes(250, 2, |_, machine, mode| {
        let (mut done, mut cut, mut cancelled) = (0, 0, 0);
        for _ in 0..rounds {
            let way = random.borrow_mut().below(3);
            let call = random.borrow_mut().below(7);
            let time = Duration::from_nanos(random.borrow_mut().below(4_000_000));
            let body = move || match call {
                0 => {
                    let _ = shell("exit 0").status().unwrap();
                }
                1 => drop(shell("echo x; echo y >&2").output().unwrap()),
                2 => {
                    let child = Guard(shell("exec sleep 3600").spawn().unwrap());
                    let _ = child.0.handle().wait().unwrap();
                }
                3 => {
                    let child = Guard(shell("exec sleep 3600").spawn().unwrap());
                    let _ = child.0.handle().wait_timeout(LONG).unwrap();
                }
                4 => {
                    let mut child = Guard(
                        shell("exec sleep 3600")
                            .stdout(Stdio::piped())
                            .spawn()
                            .unwrap(),
                    );
                    let mut stdout = child.0.stdout.take().unwrap();
                    let _ = stdout.read(&mut [0]);
                }
                5 => {
                    let mut child = Guard(
                        shell("exec sleep 3600")
                            .stdin(Stdio::piped())
                            .spawn()
                            .unwrap(),
                    );
                    let mut stdin = child.0.stdin.take().unwrap();
                    let _ = stdin.write_all(&[0; 100_000]);
                }
                _ => {
                    let mut command = shell("echo x; echo y >&2; exec sleep 3600");
                    let child = command
                        .stdout(Stdio::piped())
                        .stderr(Stdio::piped())
                        .spawn()
                        .unwrap();
                    let _guard = KillOnly(child.handle());
                    drop(child.wait_with_output().unwrap());
                }
            };
            let fiber = machine.spawn(move || match way {
                0 => timeout(time, body).is_ok(),
                _ => {
                    body();
                    true
                }
            });
            if way != 0 {
                std::thread::sleep(time / 2);
                let _ = fiber.cancel();
            }
            match fiber.join() {
                Ok(true) => done += 1,
                Ok(false) => cut += 1,
                Err(payload) => {
                    assert!(payload.is::<Cancelled>(), "it panicked");
                    cancelled += 1;
                }
            }
        }
        println!("{mode:?}: {done} done, {cut} out of time, {cancelled} cancelled");
        eventually(|| {
            machine.run(|| Command::new("true").status().unwrap());
            children().is_empty()
        });
        assert_eq!(machine.metrics().io_sources, 0);
    });
    // The machines' own are closed by now.
    assert_eq!(descriptors(), open_before);
}

/// Kills its child and reaps it, also in an unwind.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

struct KillOnly(fibers::process::ChildHandle);

impl Drop for KillOnly {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
