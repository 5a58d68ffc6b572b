//! What `fibers::process` promises: children end with the status that is theirs, are reaped once, and inherit nothing.
//!
//! `STRESS=1`: 10,000 children are killed, in place of 200.

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{
    Latch, MODES, Random, Test, alone, child_case, descriptors, eventually, everywhere,
    in_both_modes, interrupt_system_calls, joined_as_cancelled, stress,
};
use fibers::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use fibers::signal::{self, Signal, Signals};
use fibers::{Cancelled, sleep, timeout};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(3);

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    command
}

/// Runs until it is killed.
fn sleeper() -> Child {
    Command::new("sleep").arg("3600").spawn().unwrap()
}

/// The children of this process, with their states (`Z`: a zombie).
fn children() -> Vec<(u32, char)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // Behind the name, which may contain anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent == Some(&std::process::id().to_string()) {
            found.push((
                pid,
                state.and_then(|state| state.chars().next()).unwrap_or('?'),
            ));
        }
    }
    found
}

#[test]
fn a_program_is_run_everywhere() {
    everywhere(60, || {
        assert!(Command::new("true").status().unwrap().success());
        assert_eq!(shell("exit 7").status().unwrap().code(), Some(7));
        let killed = shell("kill -TERM $$").status().unwrap();
        assert_eq!(killed.signal(), Some(libc::SIGTERM));
        let output = shell("cat; echo out; echo err >&2; exit 3")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
        let mut child = shell("read a; echo got $a")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"it\n").unwrap();
        let mut text = String::new();
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "got it\n");
        assert_eq!(child.wait().unwrap(), child.try_wait().unwrap().unwrap());
    });
}

#[test]
fn a_command_says_and_does_what_std_s_does() {
    everywhere(60, || {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo $0 $FIRST $SECOND $THIRD; pwd"])
            .arg("zero");
        command
            .env("FIRST", "1")
            .envs([("SECOND", "2"), ("THIRD", "3")])
            .env_remove("SECOND")
            .current_dir("/");
        assert_eq!(command.get_program(), "/bin/sh");
        assert_eq!(command.get_args().count(), 3);
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
        let first = (OsStr::new("FIRST"), Some(OsStr::new("1")));
        assert!(command.get_envs().any(|variable| variable == first));
        assert!(format!("{command:?}").contains("zero"));
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "zero 1 3\n/\n");
        // What `output` does with the streams it does once.
        let mut child = shell("exit 0").spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        child.wait().unwrap();
        command.output().unwrap();
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        child.wait().unwrap();

        let mut env = Command::new("/usr/bin/env");
        assert_eq!(
            env.env_clear().env("ONLY", "1").output().unwrap().stdout,
            b"ONLY=1\n"
        );
        let mut named = shell("echo $0");
        assert_eq!(named.arg0("other").output().unwrap().stdout, b"other\n");
        let mut group = Command::new("sleep")
            .arg("3600")
            .process_group(0)
            .spawn()
            .unwrap();
        // SAFETY: asks, and then ends the group of our own child.
        unsafe {
            assert_eq!(libc::getpgid(group.id() as i32), group.id() as i32);
            libc::kill(-(group.id() as i32), libc::SIGKILL);
        }
        assert_eq!(group.wait().unwrap().signal(), Some(libc::SIGKILL));
        let mut umask = shell("umask");
        // SAFETY: async-signal-safe.
        let before = || unsafe {
            libc::umask(0o123);
            Ok(())
        };
        // SAFETY: as above.
        unsafe { umask.pre_exec(before) };
        assert_eq!(umask.output().unwrap().stdout, b"0123\n");
    });
}

#[test]
fn what_cannot_be_started_is_an_error() {
    everywhere(60, || {
        let spawn = |name: &str| Command::new(name).spawn().unwrap_err().kind();
        assert_eq!(spawn("/no/such/program"), ErrorKind::NotFound);
        assert_eq!(spawn("no-such-program-anywhere"), ErrorKind::NotFound);
        assert_eq!(spawn("/etc/passwd"), ErrorKind::PermissionDenied);
        assert_eq!(spawn("zero\0byte"), ErrorKind::InvalidInput);
        let nowhere = Command::new("true").current_dir("/no/such/folder").status();
        assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(
            Command::new("/no/such/program").exec().kind(),
            ErrorKind::NotFound
        );
    });
}

#[test]
fn a_pipeline_is_made_of_children() {
    everywhere(60, || {
        let mut first = shell("echo one; echo two")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // From a pipe of ours, which the child is to find blocking.
        let (mut reader, writer) = fibers::io::pipe().unwrap();
        let mut second = Command::new("tr")
            .args(["a-z", "A-Z"])
            .stdin(first.stdout.take().unwrap())
            .stdout(writer)
            .spawn()
            .unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ONE\nTWO\n");
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        // And by descriptors.
        let mut child = shell("echo x").stdout(Stdio::piped()).spawn().unwrap();
        let stdout = ChildStdout::from(OwnedFd::from(child.stdout.take().unwrap()));
        let mut bytes = Vec::new();
        { stdout }.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"x\n");
        child.wait().unwrap();
    });
}

#[test]
fn a_megabyte_on_both_pipes_is_read() {
    everywhere(100, || {
        let bytes = 1 << 20;
        let both = format!(
            "head -c {bytes} /dev/zero & head -c {bytes} /dev/zero >&2; wait; head -c {bytes} /dev/zero >&2; exit 5"
        );
        let one_after_the_other = format!(
            "head -c {bytes} /dev/zero; exec >&-; head -c {} /dev/zero >&2; exit 5",
            2 * bytes
        );
        for script in [both, one_after_the_other] {
            let output = shell(&script).output().unwrap();
            assert_eq!(output.status.code(), Some(5));
            assert_eq!(
                (output.stdout.len(), output.stderr.len()),
                (bytes, 2 * bytes)
            );
        }
        let mut slowly = shell("for i in 1 2 3 4 5; do echo $i; echo $i >&2; sleep 0.001; done");
        let child = slowly
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, output.stderr);
        assert_eq!(output.stdout, b"1\n2\n3\n4\n5\n");
        let only = shell("echo x >&2").stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(only.wait_with_output().unwrap().stderr, b"x\n");
        // It waits for the end of its input.
        let reads = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(reads.wait_with_output().unwrap().status.success());
    });
}

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
fn children_killed_at_random_points_have_their_own_statuses() {
    alone(
        "children_killed_at_random_points_have_their_own_statuses",
        300,
        || {
            let random = std::cell::RefCell::new(Random::new());
            let children_each = if stress() { 5_000 } else { 100 };
            in_both_modes(250, 2, |_, machine, mode| {
                let counts: Arc<[AtomicUsize; 3]> = Arc::default();
                let fibers: Vec<_> = (0..8)
                    .map(|_| {
                        let (mut random, counts) =
                            (Random::of(random.borrow_mut().next()), Arc::clone(&counts));
                        machine.spawn(move || {
                            for _ in 0..children_each / 8 {
                                one_child(&mut random, &counts);
                            }
                        })
                    })
                    .collect();
                for fiber in fibers {
                    fiber.join().unwrap();
                }
                println!("{mode:?}: exited, by a signal of its own, killed: {counts:?}");
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
fn children_inherit_the_standard_streams_only() {
    // Whatever else is open for children from the start is not ours.
    let list =
        "i=3; while [ $i -lt 400 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; exit 0";
    alone("children_inherit_the_standard_streams_only", 120, || {
        let inherited = |output: Vec<u8>| -> BTreeSet<String> {
            String::from_utf8(output)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect()
        };
        let std = std::process::Command::new("/bin/sh")
            .args(["-c", list])
            .output()
            .unwrap();
        let from_the_start = inherited(std.stdout);
        println!("inherited by ourselves: {from_the_start:?}");
        in_both_modes(100, 2, |_, machine, _| {
            let ends = Arc::new(AtomicBool::new(false));
            // Everything that has descriptors, all the time.
            let load: Vec<_> = (0..4)
                .map(|index| {
                    let ends = Arc::clone(&ends);
                    machine.spawn(move || {
                        let listener = fibers::net::TcpListener::bind("127.0.0.1:0").unwrap();
                        while !ends.load(Ordering::SeqCst) {
                            let signals = Signals::new([Signal::WINCH]).unwrap();
                            let (mut reader, writer) = fibers::io::pipe().unwrap();
                            let clone = writer.try_clone().unwrap();
                            let stream =
                                fibers::net::TcpStream::connect(listener.local_addr().unwrap())
                                    .unwrap();
                            let (other, _) = listener.accept().unwrap();
                            if index == 0 {
                                shell("exit 0").stdin(Stdio::piped()).output().unwrap();
                            }
                            drop((writer, clone, stream, other, signals));
                            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
                        }
                    })
                })
                .collect();
            for _ in 0..if stress() { 500 } else { 20 } {
                let output = machine.run(|| shell(list).output().unwrap());
                let inherited = inherited(output.stdout);
                let ours: Vec<_> = inherited.difference(&from_the_start).collect();
                assert!(ours.is_empty(), "{ours:?}");
            }
            ends.store(true, Ordering::SeqCst);
            for fiber in load {
                fiber.join().unwrap();
            }
        });
    });
}

#[test]
fn what_is_blocked_here_is_open_in_a_child() {
    alone("what_is_blocked_here_is_open_in_a_child", 60, || {
        let to_itself = || shell("kill -TERM $$; exit 0").status().unwrap();
        signal::block([Signal::TERM, Signal::USR1]).unwrap();
        assert_eq!(to_itself().signal(), Some(libc::SIGTERM));
        in_both_modes(60, 2, |_, machine, _| {
            assert_eq!(machine.run(to_itself).signal(), Some(libc::SIGTERM));
        });
        // Nor does it inherit a handler.
        let _signals = Signals::new([Signal::TERM]).unwrap();
        assert_eq!(to_itself().signal(), Some(libc::SIGTERM));
    });
}

#[test]
fn who_is_unwound_out_of_status_or_output_leaves_no_child() {
    alone(
        "who_is_unwound_out_of_status_or_output_leaves_no_child",
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
fn a_child_that_is_dropped_goes_on() {
    alone("a_child_that_is_dropped_goes_on", 60, || {
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
    alone("a_child_that_another_has_reaped_is_an_error", 60, || {
        in_both_modes(60, 2, |_, machine, _| {
            let mut child = shell("exit 0").spawn().unwrap();
            // SAFETY: our own child.
            unsafe { libc::waitpid(child.id() as i32, std::ptr::null_mut(), 0) };
            let error = machine.run(move || child.wait().unwrap_err());
            assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
        });
    });
}

#[test]
fn every_call_can_be_cut_short_at_any_point() {
    let test = "every_call_can_be_cut_short_at_any_point";
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

#[test]
fn interruptions_reach_nobody() {
    alone("interruptions_reach_nobody", 200, || {
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
