//! Instructions per operation, counted by valgrind's callgrind.
//!
//! A path is run twice by this same binary in a child, once with its number of operations and once with three times as
//! many. What both do before and after cancels out: (count(3n) - count(n)) / 2n. The children run side by side, one
//! for each CPU; that changes no count.
//!
//! All threads of the child are counted. The machine's dedicated thread is one of them, and how often that looks round
//! is a matter of time; it is in the order of a thousandth.

use std::env;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::paths::Path;

/// How many times as many operations the second run does.
const TIMES: u64 = 3;
/// After this a child is killed and counts as failing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often its end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What valgrind's lines begin with; the others are the child's own.
const MARK: &str = "==";

/// What a path takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Count {
    pub name: &'static str,
    /// Per operation.
    pub instructions: f64,
}

/// Why there is no count.
#[derive(Clone, Debug)]
pub(crate) enum CountError {
    NoValgrind,
    /// A child failed: which, and how.
    Child(String),
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValgrind => f.write_str("no valgrind here; install the package of that name"),
            Self::Child(text) => f.write_str(text),
        }
    }
}

/// Counts these paths, in that order.
///
/// # Errors
/// No valgrind. A child failed, or took more than a minute.
pub(crate) fn all(chosen: &[&'static Path]) -> Result<Vec<Count>, CountError> {
    let jobs: Vec<_> = chosen
        .iter()
        .flat_map(|path| [path.operations, TIMES * path.operations].map(|count| (*path, count)))
        .collect();
    let next = AtomicUsize::new(0);
    let totals = Mutex::new(vec![0; jobs.len()]);
    let worker = || -> Result<(), CountError> {
        loop {
            // Relaxed: draws a number, publishes nothing.
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, operations)) = jobs.get(index) else {
                return Ok(());
            };
            let total = total(path.name, *operations)?;
            totals.lock().expect("nobody panics")[index] = total;
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let mut ends = workers.into_iter().map(|worker| worker.join());
        ends.try_for_each(|end| end.expect("nobody panics"))
    })?;
    let totals = totals.into_inner().expect("nobody panics");
    let count = |(path, totals): (&&Path, &[u64])| Count {
        name: path.name,
        instructions: per_operation(totals[0], totals[1], path.operations),
    };
    Ok(chosen.iter().zip(totals.chunks(2)).map(count).collect())
}

fn per_operation(once: u64, thrice: u64, operations: u64) -> f64 {
    (thrice as f64 - once as f64) / ((TIMES - 1) * operations) as f64
}

/// All instructions of a child that runs that path.
fn total(path: &str, operations: u64) -> Result<u64, CountError> {
    let wrong = |what: &str| CountError::Child(format!("{path}, {operations} operations: {what}"));
    let program = env::current_exe().map_err(|error| wrong(&error.to_string()))?;
    let mut child = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--dump-line=no",
        ])
        .arg(program)
        .args(["run", path, &operations.to_string()])
        // Options of the library, and of the C library's allocator, would change what is counted.
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => CountError::NoValgrind,
            _ => wrong(&format!("cannot start valgrind: {error}")),
        })?;
    let status = end_of(&mut child).map_err(|error| wrong(&error.to_string()))?;
    let mut said = String::new();
    let stderr = child.stderr.as_mut().expect("stderr is piped");
    stderr
        .read_to_string(&mut said)
        .map_err(|error| wrong(&error.to_string()))?;
    match status {
        None => Err(wrong(&format!("took more than {} s", PATIENCE.as_secs()))),
        Some(status) if !status.success() => {
            let own = said.lines().filter(|line| !line.starts_with(MARK));
            let own = own.collect::<Vec<_>>().join("\n    ");
            Err(wrong(&format!("{status}\n    {own}")))
        }
        Some(_) => collected(&said).ok_or_else(|| wrong("valgrind has not said what it counted")),
    }
}

/// Waits for the child's end. `None`: it took too long, and was killed.
///
/// What it says fits into the pipe's buffer, so it need not be read meanwhile.
fn end_of(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// The number in callgrind's closing words.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{collected, per_operation};

    #[test]
    fn what_both_runs_do_cancels_out() {
        let (start, each) = (1_000_000_u64, 60_u64);
        let total = |operations: u64| start + each * operations;
        assert_eq!(per_operation(total(500), total(1500), 500), 60.0);
    }

    #[test]
    fn the_number_is_found_in_what_callgrind_says() {
        let said = "==7== Callgrind, a call-graph generating cache profiler\n==7== \n\
                    ==7== Events    : Ir\n==7== Collected : 3191742\n==7== \n\
                    ==7== I   refs:      3,191,742\n";
        assert_eq!(collected(said), Some(3_191_742));
        assert_eq!(collected("==7== Collected :\n"), None);
        assert_eq!(collected("Killed\n"), None);
    }
}
