//! What `fibers::io` promises for the standard streams: fibers wait for them, workers do not, whatever they are, and
//! their mode is left alone.
//!
//! Each test is a child of this binary, whose streams this one holds.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, IsTerminal, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{MODES, Mode, Test, child_case, scaled};
use fibers::io::{stderr, stdin, stdout};
use fibers::{Runtime, sleep, timeout};

/// This binary, as a child that runs that test as `case`.
fn child(test: &str, case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("TEST_CHILD", case).env_remove("RUST_BACKTRACE");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The child's machine: with one worker, so that whoever blocks it blocks all.
fn machine(case: &str) -> (Test, Runtime) {
    let mode = MODES
        .into_iter()
        .find(|mode| case.starts_with(&format!("{mode:?}")))
        .unwrap_or(Mode::Pinned);
    let test = Test::new(60);
    let machine = test.machine(mode, 1);
    (test, machine)
}

fn cases() -> [String; 2] {
    MODES.map(|mode| format!("{mode:?}"))
}

/// Reads lines, of whatever the harness prints too, until that one.
fn until(lines: &mut impl BufRead, wanted: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "{wanted}? {before:#?}"
        );
        if line.trim_end().ends_with(wanted) {
            return before;
        }
        before.push(line);
    }
}

fn ended_well(mut child: Child) {
    let mut text = String::new();
    let _ = child.stderr.take().unwrap().read_to_string(&mut text);
    assert!(child.wait().unwrap().success(), "{text}");
}

/// In the child: a fiber echoes lines in capitals, another says that it runs while the first one waits.
fn echo(case: &str) {
    let (_test, machine) = machine(case);
    let flags = || {
        // SAFETY: asks only.
        [0, 1, 2].map(|fd| unsafe { libc::fcntl(fd, libc::F_GETFL) })
    };
    let before = flags();
    let terminal = stdin().is_terminal();
    assert_eq!(terminal, std::io::stdin().is_terminal());
    let reader = machine.spawn(|| {
        let mut lines = 0;
        for line in stdin().lines() {
            let line = line.unwrap();
            writeln!(stdout(), "{}", line.to_uppercase()).unwrap();
            lines += 1;
        }
        lines
    });
    machine
        .spawn(|| writeln!(stdout(), "another runs").unwrap())
        .join()
        .unwrap();
    let lines = reader.join().unwrap();
    writeln!(stdout(), "{lines} lines, terminal: {terminal}").unwrap();
    assert_eq!(flags(), before, "the streams' modes are not ours");
    assert_eq!(
        [
            stdin().as_raw_fd(),
            stdout().as_raw_fd(),
            stderr().as_raw_fd()
        ],
        [0, 1, 2]
    );
    if !terminal {
        // The end stays the end.
        let read = machine.run(|| stdin().read_line(&mut String::new()));
        assert_eq!(read.unwrap(), 0);
    }
}

#[test]
fn lines_come_from_a_pipe() {
    let test = "lines_come_from_a_pipe";
    if let Some(case) = child_case() {
        return echo(&case);
    }
    for case in cases() {
        let mut child = child(test, &case).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // Before there is anything to read: so the worker does not block.
        until(&mut stdout, "another runs");
        for line in ["one", "two", "three"] {
            writeln!(stdin, "{line}").unwrap();
            until(&mut stdout, &line.to_uppercase());
        }
        write!(stdin, "half a").unwrap();
        drop(stdin);
        until(&mut stdout, "HALF A");
        until(&mut stdout, "4 lines, terminal: false");
        ended_well(child);
    }
}

#[test]
fn lines_come_from_a_socket() {
    let test = "lines_come_from_a_socket";
    if let Some(case) = child_case() {
        return echo(&case);
    }
    for case in cases() {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut child = child(test, &case)
            .stdin(std::os::fd::OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        until(&mut stdout, "another runs");
        ours.write_all(b"word\n").unwrap();
        until(&mut stdout, "WORD");
        drop(ours);
        until(&mut stdout, "1 lines, terminal: false");
        ended_well(child);
    }
}

#[test]
fn lines_come_from_a_file() {
    let test = "lines_come_from_a_file";
    if let Some(case) = child_case() {
        return echo(&case);
    }
    let path = std::env::temp_dir().join(format!("fibers-stdin-{}", std::process::id()));
    for case in cases() {
        let mut file = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .read(true)
            .open(&path)
            .unwrap();
        let lines = 5_000;
        for line in 0..lines {
            writeln!(file, "line {line}").unwrap();
        }
        file.rewind().unwrap();
        let mut child = child(test, &case).stdin(file).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let before = until(&mut stdout, &format!("{lines} lines, terminal: false"));
        assert!(
            before.iter().any(|line| line.ends_with("LINE 4999\n")),
            "{before:?}"
        );
        ended_well(child);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn nothing_comes_from_dev_null() {
    let test = "nothing_comes_from_dev_null";
    if let Some(case) = child_case() {
        return echo(&case);
    }
    for case in cases() {
        let mut child = child(test, &case).stdin(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        until(&mut stdout, "0 lines, terminal: false");
        ended_well(child);
    }
}

#[test]
fn lines_come_from_a_terminal() {
    let test = "lines_come_from_a_terminal";
    if let Some(case) = child_case() {
        return echo(&case);
    }
    let found = Command::new("script")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        println!("skipped: there is no `script`");
        return;
    }
    for case in cases() {
        let exe = std::env::current_exe().unwrap();
        let line = format!(
            "{} {test} --exact --nocapture --test-threads=1",
            exe.display()
        );
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env("TEST_CHILD", &case)
            .env("SHELL", "/bin/sh");
        script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        until(&mut stdout, "another runs");
        for line in ["one", "two"] {
            writeln!(stdin, "{line}").unwrap();
            until(&mut stdout, &line.to_uppercase());
        }
        // End of input, as it is typed.
        stdin.write_all(&[4]).unwrap();
        until(&mut stdout, "2 lines, terminal: true");
        ended_well(child);
    }
}

#[test]
fn plain_threads_read_and_write_too() {
    let test = "plain_threads_read_and_write_too";
    if child_case().is_some() {
        let _test = Test::new(60);
        let mut line = String::new();
        assert_eq!(stdin().read_line(&mut line).unwrap(), 4);
        assert!(timeout(Duration::from_millis(2), || stdin().read_line(&mut line)).is_err());
        writeln!(stdout(), "first").unwrap();
        let mut rest = Vec::new();
        stdin().read_to_end(&mut rest).unwrap();
        stdout().write_all(&rest).unwrap();
        writeln!(stderr(), "second").unwrap();
        return;
    }
    let mut child = child(test, "thread").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(b"one\n").unwrap();
    until(&mut stdout, "first");
    stdin.write_all(b"the rest\n").unwrap();
    drop(stdin);
    until(&mut stdout, "the rest");
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.ends_with(b"second\n"),
        "{output:?}"
    );
}

#[test]
fn a_read_that_is_cut_short_takes_nothing_with_it() {
    let test = "a_read_that_is_cut_short_takes_nothing_with_it";
    if let Some(case) = child_case() {
        let (_test, machine) = machine(&case);
        let lines = machine.run(|| {
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                match timeout(Duration::from_micros(200), || {
                    stdin().lock().read_until(b'\n', &mut Vec::new())
                }) {
                    Ok(Ok(0)) => return lines,
                    Ok(Ok(_)) => line.push('x'),
                    Ok(Err(error)) => panic!("{error}"),
                    Err(_) => continue,
                }
                lines.push(line);
            }
        });
        // One whom a waiting holder keeps out is unwound as well.
        let holder = machine.spawn(|| {
            let _lock = stdin().lock();
            fibers::park();
        });
        let kept_out = machine.run(|| {
            timeout(Duration::from_millis(2), || {
                stdin().lock().fill_buf().map(<[u8]>::len)
            })
        });
        assert!(kept_out.is_err());
        holder.cancel().unwrap();
        common::joined_as_cancelled(holder);
        assert_eq!(
            machine
                .run(|| stdin().lock().fill_buf().map(<[u8]>::len))
                .unwrap(),
            0
        );
        writeln!(stdout(), "{} lines", lines.len()).unwrap();
        return;
    }
    for case in cases() {
        let mut child = child(test, &case).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for _ in 0..200 {
            stdin.write_all(b"whole lines only\n").unwrap();
            std::thread::yield_now();
        }
        drop(stdin);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        until(&mut stdout, "200 lines");
        ended_well(child);
    }
}

#[test]
fn several_readers_share_the_lines() {
    let test = "several_readers_share_the_lines";
    let lines = 500;
    if let Some(case) = child_case() {
        let (_test, machine) = machine(&case);
        let mut counts = 0;
        let read = || {
            let (mut lines, mut line) = (0, String::new());
            while stdin().read_line(&mut line).unwrap() != 0 {
                assert_eq!(line, "a line\n");
                line.clear();
                lines += 1;
                fibers::yield_now();
            }
            lines
        };
        let readers: Vec<_> = (0..10).map(|_| machine.spawn(read)).collect();
        // One waits for a line, the others for it.
        common::eventually(|| machine.metrics().parked == 10);
        writeln!(stdout(), "ready").unwrap();
        let thread = std::thread::spawn(read);
        for reader in readers {
            counts += reader.join().unwrap();
        }
        writeln!(stdout(), "{} lines", counts + thread.join().unwrap()).unwrap();
        return;
    }
    for case in cases() {
        let mut child = child(test, &case).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        until(&mut stdout, "ready");
        for _ in 0..lines {
            stdin.write_all(b"a line\n").unwrap();
            std::thread::yield_now();
        }
        drop(stdin);
        until(&mut stdout, &format!("{lines} lines"));
        ended_well(child);
    }
}

#[test]
fn a_worker_goes_on_while_nobody_reads() {
    let test = "a_worker_goes_on_while_nobody_reads";
    let bytes = 1 << 20;
    if let Some(case) = child_case() {
        let (_test, machine) = machine(&case);
        let done = Arc::new(AtomicBool::new(false));
        let writer = machine.spawn({
            let done = Arc::clone(&done);
            move || {
                stdout().write_all(&vec![b'x'; bytes]).unwrap();
                done.store(true, Ordering::SeqCst);
            }
        });
        machine.run(move || {
            sleep(Duration::from_millis(2));
            assert!(!done.load(Ordering::SeqCst), "more than fits into a pipe");
            writeln!(stderr(), "another runs").unwrap();
        });
        writer.join().unwrap();
        return;
    }
    for case in cases() {
        let mut child = child(test, &case).stdin(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        until(&mut stderr, "another runs");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            output.stdout.iter().filter(|byte| **byte == b'x').count(),
            bytes
        );
    }
}

#[test]
fn what_is_written_at_once_stays_together() {
    let test = "what_is_written_at_once_stays_together";
    let (fibers, lines) = (16, scaled(200, 5_000));
    if child_case().is_some() {
        let watch = Test::new(60);
        for mode in MODES {
            let machine = watch.machine(mode, 2);
            let writers: Vec<_> = (0..fibers)
                .map(|index| {
                    machine.spawn(move || {
                        let letter = char::from(b'a' + index as u8);
                        let long = letter.to_string().repeat(6_000);
                        for line in 0..lines {
                            match line % 3 {
                                0 => writeln!(stdout(), "={letter}{long}{letter}").unwrap(),
                                1 => stdout().write_all(format!("={long}\n").as_bytes()).unwrap(),
                                _ => {
                                    let mut lock = stdout().lock();
                                    lock.write_all(b"=").unwrap();
                                    // Who has it may take it again.
                                    stdout().write_all(long.as_bytes()).unwrap();
                                    lock.write_all(b"\n").unwrap();
                                }
                            }
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
        }
        return;
    }
    let child = child(test, "both").stdin(Stdio::null()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut whole = 0;
    for line in text.lines() {
        // The first one may follow the harness's words.
        let Some((_, line)) = line.split_once('=') else {
            continue;
        };
        let first = line.as_bytes()[0];
        assert!(
            line.len() >= 6_000 && line.bytes().all(|byte| byte == first),
            "mixed"
        );
        whole += 1;
    }
    assert_eq!(whole, 2 * fibers * lines);
}

#[test]
fn a_reader_that_is_gone_is_an_error() {
    let test = "a_reader_that_is_gone_is_an_error";
    if let Some(case) = child_case() {
        let (_test, machine) = machine(&case);
        writeln!(stderr(), "ready").unwrap();
        let error = machine.run(|| {
            // Until the other side has closed it.
            stdin().read_line(&mut String::new()).unwrap();
            stdout().write_all(b"x").unwrap_err().kind()
        });
        assert_eq!(error, ErrorKind::BrokenPipe);
        writeln!(stderr(), "broken").unwrap();
        std::process::exit(0);
    }
    for case in cases() {
        let mut child = child(test, &case).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        until(&mut stderr, "ready");
        drop(child.stdout.take());
        drop(child.stdin.take());
        until(&mut stderr, "broken");
        child.stderr = Some(stderr.into_inner());
        ended_well(child);
    }
}
