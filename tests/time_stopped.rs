//! A process that is stopped for a while (SIGSTOP, as by a debugger or a suspended virtual machine) finds all its
//! deadlines long past when it goes on: nothing was early, nothing is lost, nothing spins, and the ticks that were
//! missed are treated as asked. And signals that interrupt every system call shorten no wait.

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant as StdInstant;

use common::{MODES, Random, Test, child_case, comes_to_rest, eventually};
use fibers::time::{Duration, Instant, MissedTick, interval};
use fibers::wait::WaitQueue;
use fibers::{Runtime, park_timeout, sleep, timeout};

/// How long the process is stopped, in seconds; and how much of that is surely spent so, however late the
/// signals are delivered.
const STOPPED_S: u64 = 2;
const SURELY: Duration = Duration::from_millis(1500);
const PERIOD: Duration = Duration::from_millis(20);

/// What the fibers share with the test.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    early: AtomicUsize,
}

impl Shared {
    /// Waits over and over until it is told to stop.
    fn keep_waiting(&self, seed: u64, wait: fn(Duration)) {
        let mut random = Random::of(seed);
        while !self.stop.load(Ordering::Acquire) {
            let long = Duration::from_micros(random.below(30_000));
            let begin = StdInstant::now();
            wait(long);
            if begin.elapsed() < long {
                self.early.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

const WAITS: [fn(Duration); 5] = [
    sleep,
    park_timeout,
    |long| assert!(timeout(long, fibers::park).is_err()),
    |long| assert!(!WaitQueue::new().wait_timeout(long, || false)),
    |long| {
        let parked = fibers::spawn(fibers::park);
        let parked = parked.join_timeout(long).unwrap_err();
        parked.cancel().unwrap();
        let _ = parked.join();
    },
];

/// The ticks of one interval, and how far they have come.
struct Ticks {
    policy: MissedTick,
    all: Arc<Mutex<Vec<Instant>>>,
    fiber: fibers::JoinHandle<()>,
}

impl Ticks {
    fn begin(machine: &Runtime, policy: MissedTick, shared: &Arc<Shared>) -> Self {
        let (all, shared) = (Arc::<Mutex<Vec<_>>>::default(), Arc::clone(shared));
        let fiber = machine.spawn({
            let all = Arc::clone(&all);
            move || {
                let mut ticks = interval(PERIOD).with_missed_tick(policy);
                while !shared.stop.load(Ordering::Acquire) {
                    let at = ticks.tick();
                    if Instant::now() < at {
                        shared.early.fetch_add(1, Ordering::Relaxed);
                    }
                    all.lock().unwrap().push(at);
                }
            }
        });
        Self { policy, all, fiber }
    }

    fn last(&self) -> Option<Instant> {
        self.all.lock().unwrap().last().copied()
    }

    fn check(self, gap: (Instant, Instant)) {
        self.fiber.join().unwrap();
        let all = self.all.lock().unwrap();
        let policy = self.policy;
        let inside = all.iter().filter(|at| **at > gap.0 && **at < gap.1);
        let inside = inside.count() as u128;
        println!("{policy:?}: {} ticks, {inside} in the gap", all.len());
        let of = |duration: Duration| duration.as_nanos() / PERIOD.as_nanos();
        for (n, pair) in (1_u32..).zip(all.windows(2)) {
            assert!(pair[1] >= pair[0] + PERIOD, "{policy:?}");
            match policy {
                MissedTick::Burst => assert_eq!(pair[1], all[0] + n * PERIOD),
                MissedTick::Skip => {
                    let since = (pair[1] - all[0]).as_nanos();
                    assert!(since.is_multiple_of(PERIOD.as_nanos()));
                }
                _ => {}
            }
        }
        if policy == MissedTick::Burst {
            assert!(inside + 1 >= of(gap.1 - gap.0), "each of them is caught up");
        } else {
            // Those of the margins, in which the process ran, and the one that was waited for.
            let ran = (gap.1 - gap.0).saturating_sub(SURELY);
            assert!(inside <= of(ran) + 3, "they are not caught up");
        }
    }
}

/// Has this process stopped for a while; between which moments it was.
fn be_stopped() -> (Instant, Instant) {
    let script = format!("kill -STOP $0; sleep {STOPPED_S}; kill -CONT $0");
    // Before the start: the process may be stopped in the middle of it.
    let mut before = Instant::now();
    let mut gap = (before, before);
    let mut stopper = Command::new("sh")
        .args(["-c", &script, &std::process::id().to_string()])
        .spawn()
        .expect("a shell");
    // The longest: on a loaded machine there are others.
    loop {
        let is_over = stopper.try_wait().expect("our own child").is_some();
        let after = Instant::now();
        if after - before > gap.1 - gap.0 {
            gap = (before, after);
        }
        if is_over {
            break;
        }
        before = after;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(gap.1 - gap.0 >= SURELY, "it was not stopped");
    gap
}

#[test]
fn a_process_that_was_stopped_goes_on_with_nothing_early_and_nothing_lost() {
    const NAME: &str = "a_process_that_was_stopped_goes_on_with_nothing_early_and_nothing_lost";
    if child_case().is_none() {
        let ended = common::child_for(NAME, "stopped", &[], 60);
        print!("{}", ended.stdout);
        ended.passed();
        return;
    }
    let test = Test::new(40);
    let machines = MODES.map(|mode| test.machine(mode, 2));
    let shared = Arc::new(Shared::default());
    let seed = Random::new().next();
    let (mut fibers, mut threads, mut ticks) = (Vec::new(), Vec::new(), Vec::new());
    for machine in &machines {
        for n in 0..50 {
            let shared = Arc::clone(&shared);
            let wait = WAITS[n % WAITS.len()];
            fibers.push(machine.spawn(move || shared.keep_waiting(seed + n as u64, wait)));
        }
        // Over the whole of it: begun before, past when it goes on.
        for long in [Duration::from_secs(1), Duration::from_secs(STOPPED_S + 1)] {
            fibers.push(machine.spawn(move || {
                let begin = StdInstant::now();
                assert!(timeout(long, fibers::park).is_err());
                assert!(begin.elapsed() >= long);
            }));
        }
        for policy in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
            ticks.push(Ticks::begin(machine, policy, &shared));
        }
    }
    for (n, wait) in WAITS.into_iter().enumerate() {
        let shared = Arc::clone(&shared);
        threads.push(std::thread::spawn(move || {
            shared.keep_waiting(seed + 100 + n as u64, wait);
        }));
    }
    eventually(|| {
        ticks
            .iter()
            .all(|ticks| ticks.all.lock().unwrap().len() > 2)
    });
    let gap = be_stopped();
    // They all go on, and those who catch up have done so.
    let until = gap.1 + 5 * PERIOD;
    eventually(|| ticks.iter().all(|ticks| ticks.last() > Some(until)));
    shared.stop.store(true, Ordering::Release);
    for fiber in fibers {
        fiber.join().unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    for ticks in ticks {
        ticks.check(gap);
    }
    assert_eq!(shared.early.load(Ordering::Relaxed), 0, "some came early");
    // Nothing is left of it but deadlines that are far away.
    let far = Duration::from_secs(3600);
    for machine in &machines {
        (0..20).for_each(|_| drop(machine.spawn(move || sleep(far))));
        eventually(|| machine.metrics().parked == 20);
    }
    assert!(comes_to_rest(Duration::from_millis(200)), "somebody spins");
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_signal: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn signals_shorten_no_wait() {
    const NAME: &str = "signals_shorten_no_wait";
    if child_case().is_none() {
        common::child_for(NAME, "interrupted", &[], 60).passed();
        return;
    }
    let test = Test::new(40);
    // SAFETY: a zeroed sigaction is valid; the handler only counts. Without SA_RESTART.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    let machines = MODES.map(|mode| test.machine(mode, 2));
    let shared = Arc::new(Shared::default());
    let (mut fibers, mut threads) = (Vec::new(), Vec::new());
    for (n, wait) in WAITS.into_iter().cycle().take(20).enumerate() {
        let keep_waiting = {
            let shared = Arc::clone(&shared);
            move || shared.keep_waiting(n as u64, wait)
        };
        fibers.push(machines[n % 2].spawn(keep_waiting.clone()));
        threads.push(std::thread::spawn(keep_waiting));
    }
    let me = common::thread_id();
    while SIGNALS.load(Ordering::Relaxed) < 20_000 {
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let task = task.unwrap().file_name();
            let task: i32 = task.to_str().unwrap().parse().unwrap();
            if task != me {
                // SAFETY: at worst the thread has ended, and the call fails.
                unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), task, libc::SIGUSR1) };
            }
        }
    }
    shared.stop.store(true, Ordering::Release);
    for fiber in fibers {
        fiber.join().unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(shared.early.load(Ordering::Relaxed), 0, "some came early");
}
