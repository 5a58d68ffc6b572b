//! A stack overflow, in a child process, and what the child says about it before it dies.
//!
//! The parent runs this program once more with a hidden flag; the child recurses without end on a
//! fiber's stack. Expected: a report on the child's stderr that names the fiber, and death by a
//! signal, not a silent corruption. The parent waits with a limit and kills a child that hangs.

use std::hint::black_box;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, short_bytes};
use crate::screen::Screen;

const FIBER_NAME: &str = "bottomless";
const CHILD_TIME_MAX: Duration = Duration::from_secs(20);
const SIGNALS: [(i32, &str); 4] = [
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
];

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Bytes of the stack that overflows, 16K to 8M [default: 64K]
    #[arg(long, value_name = "N", value_parser = stack_bytes)]
    size: Option<u64>,
    /// Be the child that overflows
    #[arg(long, hide = true)]
    child: bool,
}

fn stack_bytes(text: &str) -> Result<u64, String> {
    options::bytes(text, 16 << 10, 8 << 20)
}

impl Args {
    /// Whether this process is the one that must overflow.
    pub fn is_child(&self) -> bool {
        self.child
    }
}

/// Runs the part: starts the child, shows its last words, checks them and the signal.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let stack_bytes = common.size(args.size, 65_536, 65_536);
    let title = format!(
        "overflow: endless recursion on a stack of {}",
        short_bytes(stack_bytes)
    );
    screen.heading(
        &title,
        &["In a child process. Its last words, and what ended it:"],
    );
    let start = Instant::now();
    let (status, words) = watch_child(start_child(stack_bytes, common)?)?;
    let time = start.elapsed();
    words
        .lines()
        .for_each(|line| screen.say(&format!("│ {line}")));

    let Some(signal) = status.signal() else {
        return Err(format!("the child ended by {status}, expected a signal"));
    };
    let known = SIGNALS.iter().find(|(number, _)| *number == signal);
    let ended_by = known.map_or_else(|| format!("signal {signal}"), |(_, name)| name.to_string());
    screen.say(&format!("└ the child was ended by {ended_by}"));
    if !["SIGSEGV", "SIGABRT", "SIGBUS"].contains(&ended_by.as_str()) {
        return Err(format!(
            "the child was ended by {ended_by}, expected SIGSEGV"
        ));
    }
    if !words.contains(FIBER_NAME) || !words.to_lowercase().contains("overflow") {
        return Err(format!(
            "the report does not name an overflow of {FIBER_NAME:?}: {words:?}"
        ));
    }
    Ok(Report {
        part: "overflow",
        size: stack_bytes,
        workers: common.workers.unwrap_or(1) as u64,
        rows: vec![Row {
            what: format!("ended by {ended_by}"),
            operations: 1,
            unit: "children",
            time,
            memory: Memory::None,
        }],
        facts: vec![("signal", signal.into()), ("stderr", words.into())],
    })
}

/// The child: overflows. Returns only if it was not stopped.
pub fn child(args: &Args, common: &Common) -> ExitCode {
    let stack_bytes = common.size(args.size, 65_536, 65_536) as usize;
    let dug = common.machine("overflow", Some(1)).and_then(|machine| {
        machine.run(move || {
            let fiber = fibers::Builder::new()
                .name(FIBER_NAME.into())
                .stack_size(stack_bytes);
            let handle = fiber.spawn(|| dig(0)).map_err(|error| error.to_string())?;
            handle.join().map_err(|_| "the fiber panicked".to_string())
        })
    });
    eprintln!("fibers-demo: overflow: nothing stopped the recursion: {dug:?}");
    ExitCode::FAILURE
}

/// Recurses until something gives way; the bound only tells the compiler that it might end.
fn dig(depth: u64) -> u64 {
    let mut frame = black_box([depth; 16]);
    if depth < u64::MAX {
        frame[0] += dig(depth + 1);
    }
    black_box(frame)[0]
}

fn start_child(stack_bytes: u64, common: &Common) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let mut command = Command::new(&program);
    command.args(["overflow", "--child", "--size", &stack_bytes.to_string()]);
    if let Some(workers) = common.workers {
        command.args(["--workers", &workers.to_string()]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} did not start: {error}", program.display()))
}

/// Waits for the child with a limit; returns how it ended and all it wrote.
fn watch_child(mut child: Child) -> Result<(ExitStatus, String), String> {
    let mut stderr = child.stderr.take().ok_or("the child has no stderr")?;
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr
            .read_to_end(&mut bytes)
            .map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let deadline = Instant::now() + CHILD_TIME_MAX;
    let status = loop {
        match child
            .try_wait()
            .map_err(|error| format!("waiting for the child: {error}"))?
        {
            Some(status) => break status,
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "the child hung for {CHILD_TIME_MAX:?} and was killed"
                ));
            }
        }
    };
    let words = reader
        .join()
        .map_err(|_| "the reader panicked".to_string())?;
    Ok((
        status,
        words.map_err(|error| format!("reading the child's stderr: {error}"))?,
    ))
}
