//! Child processes: a test binary runs one of its tests again, alone, and looks at how that ends.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::limit;

/// Which body a child process is to run, if this is one.
pub fn child_case() -> Option<String> {
    let case = std::env::var("TEST_CHILD").ok()?;
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid struct; a child that crashes on purpose leaves no core.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    Some(case)
}

/// How a child process ended.
#[derive(Debug)]
pub struct Ended {
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Or its exit code.
    pub code: Option<i32>,
    /// It did not end in time and was killed.
    pub hung: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the child's own test passed.
    #[track_caller]
    pub fn passed(&self) {
        assert!(
            !self.hung && self.code == Some(0),
            "the child failed: {self:#?}"
        );
        // A name that is no test's (one that was moved, say) is no failure to the harness: it runs nothing.
        assert!(
            self.stdout.contains("running 1 test"),
            "the child ran no test: {self:#?}"
        );
    }
}

/// Runs a test's body in a process of its own: for what belongs to a whole process.
pub fn alone(test: &str, limit_s: u64, body: impl FnOnce()) {
    match child_case() {
        Some(_) => body(),
        None => child_for(test, "alone", &[], limit_s).passed(),
    }
}

/// Interrupts this process ten thousand times a second from now on, by a handler without SA_RESTART. For children.
pub fn interrupt_system_calls() {
    extern "C" fn ignore(_signal: i32) {}
    // SAFETY: a plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ignore as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: a handler that does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    let period = libc::timeval {
        tv_sec: 0,
        tv_usec: 100,
    };
    let timer = libc::itimerval {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: a live struct.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Seconds that a child may take.
pub const CHILD_LIMIT_S: u64 = 60;

/// Runs this test binary again, with the one test `test` (which looks at `child_case`).
pub fn child(test: &str, case: &str, env: &[(&str, &str)]) -> Ended {
    child_for(test, case, env, CHILD_LIMIT_S)
}

/// As `child`, with another limit in seconds.
pub fn child_for(test: &str, case: &str, env: &[(&str, &str)], limit_s: u64) -> Ended {
    let mut command = Command::new(std::env::current_exe().expect("a test binary has a path"));
    command.envs(env.iter().copied());
    run_child(command, test, case, limit_s)
}

/// As `child_for`, through a program (with its arguments) that runs the command that follows it.
pub fn child_under(tool: &[&str], test: &str, case: &str, limit_s: u64) -> Ended {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]);
    command.arg(std::env::current_exe().expect("a test binary has a path"));
    run_child(command, test, case, limit_s)
}

/// As `child_for`, by that command: this binary, with what the child is to find.
pub fn run_child(mut command: Command, test: &str, case: &str, limit_s: u64) -> Ended {
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("TEST_CHILD", case)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().expect("the child starts");
    let stdout = child.stdout.take().expect("piped");
    let stderr = child.stderr.take().expect("piped");
    let reader = |mut source: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = source.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = reader(Box::new(stdout));
    let stderr = reader(Box::new(stderr));
    let end = Instant::now() + limit(limit_s);
    let mut hung = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            break status;
        }
        if !hung && Instant::now() > end {
            hung = true;
            // SAFETY: the group of our own child, which has not been waited for.
            unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ended {
        signal: status.signal(),
        code: status.code(),
        hung,
        stdout: stdout.join().expect("a reader"),
        stderr: stderr.join().expect("a reader"),
    }
}
