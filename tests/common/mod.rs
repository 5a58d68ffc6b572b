//! What all tests share: machines in both modes, a watchdog, child processes, seeds, gates.
//!
//! Environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `STRESS=1` | the same tests with the sizes of a long run |
//! | `TEST_SEED=n` | the seed of every random choice; each test prints the one it uses |
//! | `TEST_PATIENCE=n` | multiplies every watchdog's limit, for slow or emulated machines |
//!
//! Tests never sleep in order to be in time for something. Where they have to wait for a state that nobody
//! announces, they look again and again until it is there (`eventually`), and a watchdog ends a
//! test that hangs: it prints what every fiber of the test's machines does, and the process dies.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fibers::wait::WaitQueue;
use fibers::{Cancelled, Handle, JoinHandle, LocalRuntime, Runtime, RuntimeBuilder};

/// Which promise a machine makes about its started fibers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They stay on their worker.
    Pinned,
    /// Any worker resumes them.
    Floating,
}

/// Both.
pub const MODES: [Mode; 2] = [Mode::Pinned, Mode::Floating];

/// A builder of that mode.
pub fn builder(mode: Mode) -> RuntimeBuilder {
    match mode {
        Mode::Pinned => Runtime::builder(),
        // SAFETY: the tests hold no thread-local borrow, no guard and nothing that is not Send over a wait,
        // but for those that build pinned machines only.
        Mode::Floating => unsafe { Runtime::builder().floating() },
    }
}

/// One running test: its watchdog, and the machines that the watchdog looks into.
#[derive(Debug)]
pub struct Test {
    id: u64,
}

#[derive(Debug)]
struct Watched {
    id: u64,
    name: String,
    limit: Duration,
    since: Instant,
    machines: Vec<Handle>,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

fn watched() -> MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Test {
    /// A test that may take `limit_s` seconds, and longer on a machine that others load (`limit`). Far more than it
    /// needs: the limit catches hangs, nothing else.
    pub fn new(limit_s: u64) -> Self {
        static STARTED: std::sync::Once = std::sync::Once::new();
        static IDS: AtomicU64 = AtomicU64::new(0);
        STARTED.call_once(|| {
            std::thread::Builder::new()
                .name("watchdog".to_owned())
                .spawn(watch)
                .expect("the watchdog starts");
        });
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        watched().push(Watched {
            id,
            name: std::thread::current().name().unwrap_or("?").to_owned(),
            limit: limit(limit_s),
            since: Instant::now(),
            machines: Vec::new(),
        });
        Self { id }
    }

    /// Has the watchdog look into that machine too.
    pub fn watch(&self, machine: Handle) {
        if let Some(watched) = watched().iter_mut().find(|watched| watched.id == self.id) {
            watched.machines.push(machine);
        }
    }

    /// Builds a machine, watched.
    pub fn build(&self, builder: RuntimeBuilder) -> Runtime {
        let machine = builder.build().expect("the machine starts");
        self.watch(machine.handle());
        machine
    }

    /// A machine of that mode with so many workers, watched.
    pub fn machine(&self, mode: Mode, workers: usize) -> Runtime {
        self.build(builder(mode).workers(workers))
    }

    /// A machine on this thread, watched.
    pub fn local(&self) -> LocalRuntime {
        let machine = Runtime::builder()
            .build_local()
            .expect("the machine is made");
        self.watch(machine.handle());
        machine
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let mut all = watched();
        let at = all.iter().position(|watched| watched.id == self.id);
        let mine = at.map(|at| all.swap_remove(at));
        drop(all);
        drop(mine);
    }
}

fn watch() {
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let late = {
            let all = watched();
            all.iter()
                .find(|watched| watched.since.elapsed() > watched.limit)
                .map(|watched| (watched.name.clone(), watched.machines.clone()))
        };
        let Some((name, machines)) = late else {
            continue;
        };
        let mut text = format!("\nWATCHDOG: {name} hangs\n");
        for (index, machine) in machines.iter().enumerate() {
            text += &format!("machine {index}: {:?}\n", machine.metrics());
            let (fibers, busy) = machine.fibers(Duration::from_millis(500));
            for fiber in fibers.iter().take(50) {
                text += &format!("  {fiber}\n");
            }
            if fibers.len() > 50 {
                text += &format!("  and {} more\n", fibers.len() - 50);
            }
            text += &format!("  workers that do not answer: {busy:?}\n");
        }
        // Not by eprint: the harness would capture it, and it may hold the lock of the test that hangs.
        raw_stderr(&text);
        std::process::abort();
    }
}

/// Writes to descriptor 2, past every buffer and lock.
pub fn raw_stderr(text: &str) {
    // SAFETY: a plain write of a live buffer.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// Runs a test in both modes, on machines with so many workers.
pub fn in_both_modes(limit_s: u64, workers: usize, test: impl Fn(&Test, &Runtime, Mode)) {
    for mode in MODES {
        let watch = Test::new(limit_s);
        let machine = watch.machine(mode, workers);
        test(&watch, &machine, mode);
    }
}

/// Runs a test on machines of both modes with one, two and four workers.
pub fn on_all_machines(limit_s: u64, test: impl Fn(&Test, &Runtime)) {
    for mode in MODES {
        for workers in [1, 2, 4] {
            println!("{mode:?}, {workers} workers");
            let watch = Test::new(limit_s);
            test(&watch, &watch.machine(mode, workers));
        }
    }
}

/// Runs a promise of the free functions wherever they may be called: on a plain thread, in fibers of
/// machines of one and of several workers, pinned and floating, and on a machine of the calling thread.
pub fn everywhere(limit_s: u64, promise: fn()) {
    let test = Test::new(limit_s);
    promise();
    for mode in MODES {
        for workers in [1, 3] {
            test.machine(mode, workers).run(promise);
        }
    }
    test.local().run(promise);
}

/// As `everywhere`, on machines of one, two and four workers.
pub fn in_every_place(limit_s: u64, promise: fn()) {
    let test = Test::new(limit_s);
    promise();
    for mode in MODES {
        for workers in [1, 2, 4] {
            test.machine(mode, workers).run(promise);
        }
    }
    test.local().run(promise);
}

/// True in a long run.
pub fn stress() -> bool {
    std::env::var_os("STRESS").is_some_and(|value| value != "0")
}

/// A size: of every run, or of a long one. Unoptimised builds take a tenth of either.
pub fn scaled(usual: usize, stressed: usize) -> usize {
    let size = if stress() { stressed } else { usual };
    if cfg!(debug_assertions) {
        (size / 10).max(1)
    } else {
        size
    }
}

/// What a watchdog makes of a limit in seconds.
pub fn limit(limit_s: u64) -> Duration {
    // The limits are meant for a machine that does nothing else; this one may be anybody's.
    let loaded = if stress() { 20 } else { 3 };
    Duration::from_secs(limit_s * loaded * number("TEST_PATIENCE", 1))
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or(default),
        Err(_) => default,
    }
}

/// A small random generator (splitmix64). Prints its seed, which the harness shows if the test fails.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by `TEST_SEED`, else by the time.
    pub fn new() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |now| now.as_nanos() as u64);
        let seed = number("TEST_SEED", now);
        eprintln!("seed: TEST_SEED={seed}");
        Self(seed)
    }

    /// Of that seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Looks until it is true. A watchdog must stand behind it.
#[track_caller]
pub fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        fibers::yield_now();
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Looks until it is true, but not for longer than `limit`. What it said last.
pub fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A gate that opens once, for fibers and threads.
#[derive(Debug, Default)]
pub struct Gate {
    open: AtomicBool,
    queue: WaitQueue,
}

impl Gate {
    /// Closed.
    pub const fn new() -> Self {
        Self {
            open: AtomicBool::new(false),
            queue: WaitQueue::new(),
        }
    }

    /// Waits until it is open.
    pub fn wait(&self) {
        self.queue.wait_until(|| self.open.load(Ordering::Acquire));
    }

    /// Opens it.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.queue.wake_all();
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

/// Counts up to a goal, for fibers and threads.
#[derive(Debug)]
pub struct Latch {
    missing: AtomicUsize,
    queue: WaitQueue,
}

impl Latch {
    /// Opens after so many arrivals.
    pub const fn new(arrivals: usize) -> Self {
        Self {
            missing: AtomicUsize::new(arrivals),
            queue: WaitQueue::new(),
        }
    }

    /// One arrival. Does not wait.
    pub fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.queue.wake_all();
        }
    }

    /// How many have not arrived.
    pub fn missing(&self) -> usize {
        self.missing.load(Ordering::Acquire)
    }

    /// Waits until all have arrived.
    pub fn wait(&self) {
        self.queue
            .wait_until(|| self.missing.load(Ordering::Acquire) == 0);
    }

    /// One arrival; runs the calls that come until the others have arrived. (A queue serves no calls.)
    pub fn serve(&self) {
        self.arrive();
        while self.missing() != 0 {
            fibers::process_calls();
            fibers::yield_now();
        }
    }

    /// One arrival, and waits for the others.
    pub fn meet(&self) {
        self.arrive();
        self.wait();
    }
}

/// The calling OS thread's number.
pub fn thread_id() -> i32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::gettid() }
}

/// Lets this process's panics with these words in them pass silently: tests that panic a thousand times
/// would fill the log. Others are printed as ever.
pub fn silence_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let expected = info.payload().downcast_ref::<&str>();
            if expected.is_some_and(|text| text.contains("expected")) {
                return;
            }
            if info.payload().is::<Expected>() {
                return;
            }
            before(info);
        }));
    });
}

/// A payload that `silence_panics` knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected(pub u64);

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

/// The descriptors that this process has open, with what they are.
pub fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("a folder");
    let mut all: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            // The one that reads the folder is gone when it is asked for, or is the folder.
            let what = std::fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().into_string().ok()?;
            (!what.starts_with("/proc")).then(|| format!("{number} {}", what.display()))
        })
        .collect();
    all.sort_unstable();
    all
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

/// Counts its drops.
#[derive(Debug)]
pub struct Counted<'a>(pub &'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// As `Counted`, for fibers that outlive the caller.
#[derive(Debug, Default)]
pub struct Once(pub Arc<AtomicUsize>);

impl Drop for Once {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Joins a fiber that was cancelled.
#[track_caller]
pub fn joined_as_cancelled<T>(fiber: JoinHandle<T>) {
    match fiber.join() {
        Ok(_) => panic!("it returned"),
        Err(payload) => assert!(payload.is::<Cancelled>(), "it panicked"),
    }
}

/// The value of a line of `/proc/self/status`, in its unit.
pub fn status_field(name: &str) -> u64 {
    field_of("/proc/self/status", name)
}

/// The value of a line `name: value` of a file.
pub fn field_of(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Resident memory and page tables, in bytes.
pub fn resident_bytes() -> u64 {
    (status_field("VmRSS") + status_field("VmPTE")) << 10
}

/// Mappings of this process.
pub fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap_or_default()
        .lines()
        .count()
}

/// The CPU time that this process has used.
pub fn cpu_time() -> Duration {
    // SAFETY: all of it is integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a live struct of the kernel's shape.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let of = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// True if there is a stretch of that length, among the next hundred, in which this process hardly computes:
/// nothing in it spins. What the last burst left behind may take a while on a loaded machine.
pub fn comes_to_rest(stretch: Duration) -> bool {
    (0..100).any(|_| {
        let before = cpu_time();
        std::thread::sleep(stretch);
        let used = cpu_time() - before;
        println!("{used:?} of CPU time in {stretch:?}");
        used < stretch / 4
    })
}
