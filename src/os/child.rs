//! Runs a unit test's body in a process of its own (tests only).
//!
//! For what is process-wide (signal actions, fault injection, limits, mappings) or deadly. The test
//! binary starts itself again on that one test; a watchdog ends a child that hangs.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Set in the child, to the test's name.
const MARK: &str = "FIBERS_UNIT_TEST_CHILD";
/// A child that runs longer than this has hung.
const TIME_MAX: Duration = Duration::from_secs(120);

/// What a child left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Fails the test unless the child ended well; prints what the child printed.
    pub(crate) fn expect_success(&self) {
        println!("{}", self.stdout);
        assert!(
            self.status.success(),
            "{:?}\n{}\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
    }

    /// Fails the test unless the child was killed by this signal.
    pub(crate) fn expect_signal(&self, signal: i32) {
        let (status, stderr) = (self.status, &self.stderr);
        assert_eq!(
            status.signal(),
            Some(signal),
            "{status:?}\n{}\n{stderr}",
            self.stdout
        );
    }
}

/// Runs `body` in a child, which is this binary on the test `test` (its full path as the harness
/// names it, `module_path!()` and the function's name). The child exits with 0 if `body` returns.
pub(crate) fn run(module: &str, test: &str, body: fn()) -> Ended {
    let (_crate_name, module) = module.split_once("::").expect("a module path");
    let test = format!("{module}::{test}");
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args([&test, "--exact", "--nocapture", "--include-ignored"])
        .env(MARK, &test)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the child");
    let mut pipes = (
        child.stdout.take().expect("piped"),
        child.stderr.take().expect("piped"),
    );
    let read = |pipe: &mut dyn Read| {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes)
            .expect("read the child's output");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || read(&mut pipes.0));
        let stderr = scope.spawn(move || read(&mut pipes.1));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait for the child") {
                break status;
            }
            if start.elapsed() > TIME_MAX {
                child.kill().expect("kill the child");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let join =
            |reader: std::thread::ScopedJoinHandle<'_, String>| reader.join().expect("reader");
        Ended {
            status,
            stdout: join(stdout),
            stderr: join(stderr),
        }
    })
}
