//! One measurement in a fresh process of this same binary.
//!
//! The parent blocks while the child runs: it polls nothing, so it costs the child no time.

use std::env;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::peers::Peer;
use crate::sample::Sample;
use crate::workloads::Job;

/// After this a child is killed and counts as failing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of a child's error output is kept.
const STDERR_BYTES_MAX: u64 = 64 * 1024;

/// Runs `job` on `peer`.
///
/// # Errors
///
/// One line: the child's panic or first error line, its signal, or that it took too long.
pub(crate) fn measure(peer: Peer, job: &Job) -> Result<Sample, String> {
    answer(|command| {
        command
            .args(["one", peer.name(), &job.workload.name()])
            .args(["--workers", &job.workers.to_string()])
            .args(["--size", &job.size.to_string()])
            .stdin(Stdio::null())
    })
}

/// Runs this binary with what `arguments` adds, and parses its stdout.
///
/// # Errors
///
/// As [`measure`].
pub(crate) fn answer<T: DeserializeOwned>(
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<T, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    let stdout = output(arguments(&mut command).env("RUST_BACKTRACE", "0"))?;
    serde_json::from_str(stdout.trim()).map_err(|error| format!("bad answer: {error}"))
}

/// Runs `command` and returns its stdout.
///
/// # Errors
///
/// As [`measure`].
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start a child: {error}"))?;
    let (stdout, stderr, status) = outcome(&mut child)?;
    if !status.success() {
        return Err(failure(&stderr, status));
    }
    Ok(stdout)
}

/// Waits for the end of `child`, which it kills when patience runs out.
fn outcome(child: &mut Child) -> Result<(String, String, ExitStatus), String> {
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let errors = keep_errors(child.stderr.take().expect("stderr is piped"));
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let mut answer = String::new();
        let _ = stdout.read_to_string(&mut answer); // a bad answer fails to parse
        let _ = done.send(answer); // the parent may have given up
    });
    let answer = finished.recv_timeout(PATIENCE);
    if answer.is_err() {
        let _ = child.kill(); // it may have ended just now
    }
    let status = child
        .wait()
        .map_err(|error| format!("cannot wait for a child: {error}"))?;
    let errors = errors.join().unwrap_or_default();
    match answer {
        Ok(answer) => Ok((answer, errors, status)),
        Err(_) => Err(format!("took more than {} s", PATIENCE.as_secs())),
    }
}

/// Reads all of `stderr`, and keeps its beginning.
pub(crate) fn keep_errors(mut stderr: ChildStderr) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        // What fails to be read is missing from a message, no more.
        let _ = stderr
            .by_ref()
            .take(STDERR_BYTES_MAX)
            .read_to_end(&mut kept);
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// The line that tells why a child failed.
pub(crate) fn failure(stderr: &str, status: ExitStatus) -> String {
    let mut lines = stderr.lines().filter(|line| !line.trim().is_empty());
    let Some(first) = lines.next() else {
        // "exit status: 3", or "signal: 9 (SIGKILL)".
        return format!("ended without a message, {status}");
    };
    // Rust prints the message on the line after "thread ... panicked at ...".
    let line = if first.contains("panicked at") {
        lines.next().unwrap_or(first)
    } else {
        first
    };
    match status.signal() {
        Some(signal) => format!("killed by signal {signal}: {line}"),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_message_signal_or_status() {
        // As wait() has them: the status in the second byte, a signal in the first.
        let [three, killed] = [3 << 8, 9].map(ExitStatus::from_raw);
        assert_eq!(failure("\nno room\nmore\n", three), "no room");
        assert_eq!(failure("thread 'x' panicked at y:\nlost\n", three), "lost");
        assert_eq!(
            failure("last words\n", killed),
            "killed by signal 9: last words"
        );
        assert!(failure("\n", three).ends_with("exit status: 3"));
        assert!(failure("", killed).contains("signal: 9"));
    }
}
