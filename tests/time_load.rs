//! What many deadlines cost: none comes early, all come, and nothing is left of them, neither memory nor wake-ups.
//!
//! Memory and wake-ups belong to a process, so each measurement is a child process of its own; the children run
//! one at a time. `STRESS=1`: a million deadlines at once instead of a hundred thousand, ten million that are
//! armed and disarmed instead of a million.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant as StdInstant;

use common::{
    MODES, Mode, Random, Test, builder, child_case, eventually, field_of, resident_bytes, stress,
};
use fibers::time::{Duration, Instant};
use fibers::wait::{self, Reasons};
use fibers::{Runtime, park_timeout, sleep_until, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The mode that this process is to measure, if it is a child; else runs one for each.
fn measured_in_a_child(test: &str, limit_s: u64) -> Option<Mode> {
    if let Some(case) = child_case() {
        return MODES.into_iter().find(|mode| format!("{mode:?}") == case);
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for mode in MODES {
        let ended = common::child_for(test, &format!("{mode:?}"), &[], limit_s);
        print!("{}", ended.stdout);
        ended.passed();
    }
    None
}

/// How many deadlines are to be pending at once.
fn many() -> usize {
    match (stress(), cfg!(debug_assertions)) {
        (true, false) => 1_000_000,
        (true, true) => 200_000,
        (false, false) => 100_000,
        // Where each fiber's frames take two pages and each spawn microseconds.
        (false, true) => 20_000,
    }
}

/// Address space of this process, in bytes.
fn mapped_bytes() -> u64 {
    common::status_field("VmSize") << 10
}

/// Fibers that wait until such moments, or, where there is none, until they are woken; how many came too early.
struct Waiting {
    all: Vec<fibers::JoinHandle<()>>,
    early: Arc<AtomicUsize>,
}

impl Waiting {
    fn begin(machine: &Runtime, mut moments: impl Iterator<Item = Option<StdInstant>>) -> Self {
        let early = Arc::new(AtomicUsize::new(0));
        let mut all = Vec::with_capacity(many());
        for moment in moments.by_ref() {
            let early = Arc::clone(&early);
            all.push(machine.spawn(move || {
                match moment {
                    None => drop(wait::sleep(Reasons::USER0)),
                    Some(moment) => {
                        sleep_until(moment);
                        if StdInstant::now() < moment {
                            early.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                };
            }));
        }
        Self { all, early }
    }

    fn end(self) {
        for fiber in self.all {
            fiber.join().unwrap();
        }
        assert_eq!(self.early.load(Ordering::Relaxed), 0, "some came early");
    }
}

/// So many deadlines, all of them pending before the first one comes, and all in so many nanoseconds then. What is
/// mapped while they are pending.
fn at_once(machine: &Runtime, spread_ns: u64) -> u64 {
    let count = many();
    let mut random = Random::new();
    // Again with more time, should the first come before the last one is armed.
    let mut ahead = Duration::from_micros(10 * count as u64);
    loop {
        let first = StdInstant::now() + ahead;
        let moments =
            (0..count).map(|_| Some(first + Duration::from_nanos(random.below(spread_ns))));
        let fired = machine.metrics().timers_fired;
        let waiting = Waiting::begin(machine, moments);
        eventually(|| {
            machine.metrics().timers_pending == count as u64 || StdInstant::now() >= first
        });
        let peak = mapped_bytes();
        let in_time = StdInstant::now() < first;
        waiting.end();
        assert_eq!(machine.metrics().timers_pending, 0);
        if in_time {
            assert!(machine.metrics().timers_fired >= fired + count as u64);
            return peak;
        }
        ahead *= 2;
        println!("not all were armed in time; now with {ahead:?}");
    }
}

#[test]
fn many_deadlines_at_once_all_come_none_early_and_give_their_memory_back() {
    let Some(mode) = measured_in_a_child(
        "many_deadlines_at_once_all_come_none_early_and_give_their_memory_back",
        100,
    ) else {
        return;
    };
    let test = Test::new(90);
    let machine = test.machine(mode, 2);
    let count = many();
    // The same fibers without deadlines: what remains mapped after them is stacks and cells.
    let parked = Waiting::begin(&machine, (0..count).map(|_| None));
    eventually(|| machine.metrics().parked == count as u64);
    assert_eq!(machine.metrics().timers_pending, 0);
    for fiber in &parked.all {
        wait::wake(fiber.fiber(), Reasons::USER0);
    }
    parked.end();
    let base = mapped_bytes();
    let mut random = Random::new();
    // Again with more time, should some come before the last one is armed.
    let mut ahead = Duration::from_micros(10 * count as u64);
    let peak = loop {
        let first = StdInstant::now() + ahead;
        let spread = 200_000_000;
        let moments = (0..count).map(|_| Some(first + Duration::from_nanos(random.below(spread))));
        let fired = machine.metrics().timers_fired;
        let waiting = Waiting::begin(&machine, moments);
        eventually(|| {
            machine.metrics().timers_pending == count as u64 || StdInstant::now() >= first
        });
        let peak = mapped_bytes();
        let at_once = StdInstant::now() < first;
        waiting.end();
        assert!(machine.metrics().timers_fired >= fired + count as u64);
        if at_once {
            break peak;
        }
        ahead *= 2;
        println!("{mode:?}: not all were armed in time; now with {ahead:?}");
    };
    assert_eq!(machine.metrics().timers_pending, 0);
    let after = mapped_bytes();
    println!("{mode:?}: {base} bytes mapped, {peak} with {count} deadlines, {after} after");
    // Sixteen bytes each, so this has seen the heaps; and a small part of it may stay.
    let entries = 16 * count as u64;
    assert!(peak >= base + entries, "{base} and then {peak}");
    assert!(after <= base + entries / 4, "{base} and then {after}");
}

/// As many as never come: nothing collects them but the ends of their own fibers.
#[test]
fn arming_and_disarming_for_ever_takes_no_memory() {
    let Some(mode) = measured_in_a_child("arming_and_disarming_for_ever_takes_no_memory", 100)
    else {
        return;
    };
    const FIBERS: usize = 100;
    let test = Test::new(90);
    let machine = test.machine(mode, 2);
    let count = common::scaled(1_000_000, 10_000_000);
    let seed = Random::new().next();
    let round = || {
        let all: Vec<_> = (0..FIBERS as u64)
            .map(|fiber| {
                machine.spawn(move || {
                    let mut random = Random::of(seed + fiber);
                    let me = fibers::current();
                    for n in 0..count / FIBERS {
                        // Farther and nearer ones in turn, so that entries move up and down.
                        let far = HOUR + Duration::from_nanos(random.below(1 << 40));
                        match n % 4 {
                            0 => drop(timeout(far, || timeout(far / 2, || ()))),
                            1 => {
                                me.unpark();
                                park_timeout(far);
                            }
                            2 => {
                                let me = me.clone();
                                let waker = move || wait::wake(&me, Reasons::USER0);
                                let waker = fibers::spawn(waker);
                                let came = wait::sleep_until(Reasons::USER0, Instant::now() + far);
                                assert_eq!(came, Reasons::USER0);
                                waker.join_timeout(far).unwrap().unwrap();
                            }
                            _ => assert!(timeout(far, fibers::yield_now).is_ok()),
                        }
                    }
                })
            })
            .collect();
        let mut most = 0;
        for fiber in all {
            // A fiber has one entry, whatever it does; and a waker that is joined none.
            most = most.max(machine.metrics().timers_pending);
            fiber.join().unwrap();
        }
        assert!(most <= FIBERS as u64, "{most} entries of {FIBERS} fibers");
    };
    round();
    let before = resident_bytes();
    round();
    let after = resident_bytes();
    println!("{mode:?}: {before} bytes before, {after} after {count} deadlines");
    assert!(
        after <= before + before / 20 + (1 << 20),
        "{before} and then {after}"
    );
    assert_eq!(machine.metrics().timers_pending, 0);
}

#[test]
fn equal_deadlines_need_few_settings_of_the_timer() {
    let Some(mode) = measured_in_a_child("equal_deadlines_need_few_settings_of_the_timer", 100)
    else {
        return;
    };
    let test = Test::new(90);
    let machine = test.machine(mode, 4);
    at_once(&machine, 1);
    let metrics = machine.metrics();
    println!("{mode:?}: {} settings of the timer", metrics.timer_sets);
    assert!(
        metrics.timer_sets >= 1 && metrics.timer_sets <= metrics.timers_fired / 20,
        "{metrics:?}"
    );
}

/// How often the threads of this process but this one and the watchdog went to sleep.
fn wake_ups() -> u64 {
    let me = common::thread_id().to_string();
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
    tasks
        .map(|task| task.expect("a task").path())
        .filter(|task| {
            let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
            !task.ends_with(&me) && name.trim() != "watchdog"
        })
        .map(|task| {
            let status = task.join("status");
            field_of(&status.to_string_lossy(), "voluntary_ctxt_switches")
        })
        .sum()
}

/// True if half a second passes, among the next sixty, in which at most one thread woke up.
fn gets_quiet(what: &str) -> bool {
    (0..60).any(|_| {
        let before = wake_ups();
        std::thread::sleep(Duration::from_millis(500));
        let woken = wake_ups() - before;
        println!("{what}: {woken} wake-ups in half a second");
        woken <= 1
    })
}

#[test]
fn machines_whose_deadlines_were_taken_back_do_not_wake_up() {
    if child_case().is_none() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "machines_whose_deadlines_were_taken_back_do_not_wake_up";
        common::child_for(name, "both", &[], 60).passed();
        return;
    }
    let test = Test::new(50);
    let machines = MODES.map(|mode| test.build(builder(mode).workers(4)));
    for machine in &machines {
        machine.run(|| fibers::spawn(|| ()).join().unwrap());
    }
    assert!(gets_quiet("no deadlines"));
    let settings = || machines.iter().map(|machine| machine.metrics().timer_sets);
    assert!(settings().all(|settings| settings == 0));
    let mut all = Vec::new();
    for machine in &machines {
        for n in 0..1000 {
            all.push(machine.spawn(move || {
                let limit = if n % 2 == 0 { HOUR } else { HOUR / 100 };
                let woken = timeout(limit, || wait::sleep(Reasons::USER0));
                assert_eq!(woken, Ok(Reasons::USER0));
                // Unlike the end of the fiber this leaves the entry in the heap.
                wait::sleep(Reasons::USER1)
            }));
        }
        eventually(|| machine.metrics().parked == 1000);
        assert_eq!(machine.metrics().timers_pending, 1000);
    }
    for fiber in &all {
        wait::wake(fiber.fiber(), Reasons::USER0);
    }
    for machine in &machines {
        eventually(|| {
            let (reports, _) = machine.handle().fibers(Duration::from_secs(5));
            let again = |report: &fibers::FiberReport| report.waits_for.contains(Reasons::USER1);
            reports.len() == 1000
                && reports.iter().all(again)
                && machine.metrics().idle_workers == 4
        });
    }
    assert!(gets_quiet("disarmed"));
    assert!(
        settings().all(|settings| settings <= 20),
        "one for each sleep that had one"
    );
    for fiber in &all {
        wait::wake(fiber.fiber(), Reasons::USER1);
    }
    for fiber in all {
        assert_eq!(fiber.join().unwrap(), Reasons::USER1);
    }
    for machine in &machines {
        assert_eq!(machine.metrics().timers_pending, 0);
    }
}

/// Threads and descriptors of this process.
fn held() -> [usize; 2] {
    ["/proc/self/task", "/proc/self/fd"]
        .map(|dir| std::fs::read_dir(dir).map_or(0, Iterator::count))
}

#[test]
fn machines_with_pending_deadlines_stop_at_once_and_leave_nothing_open() {
    let Some(mode) = measured_in_a_child(
        "machines_with_pending_deadlines_stop_at_once_and_leave_nothing_open",
        60,
    ) else {
        return;
    };
    let mut random = Random::new();
    let round = |random: &mut Random, workers: usize| {
        let test = Test::new(50);
        let machine = test.machine(mode, workers);
        let all: Vec<_> = (0..100)
            .map(|n| {
                let long = Duration::from_nanos(random.below(200_000));
                machine.spawn(move || {
                    loop {
                        match n % 4 {
                            0 => fibers::sleep(HOUR),
                            1 => fibers::sleep(long),
                            2 => drop(timeout(long, || timeout(HOUR, fibers::park))),
                            _ => park_timeout(long),
                        }
                    }
                })
            })
            .collect();
        (0..random.below(200_000)).for_each(|_| std::hint::spin_loop());
        machine.shutdown(Duration::from_secs(60)).unwrap();
        for fiber in all {
            let ended: std::thread::Result<()> = fiber.join();
            assert!(ended.unwrap_err().is::<fibers::Cancelled>());
        }
    };
    // What a worker has is kept for later machines' workers: so many of each there will be.
    round(&mut random, 3);
    let before = held();
    for _ in 0..20 {
        let workers = 1 + random.below(3) as usize;
        round(&mut random, workers);
    }
    eventually(|| held() == before);
    // And the process may end while some are pending.
    for _ in 0..10 {
        drop(fibers::spawn(|| fibers::sleep(Duration::from_micros(100))));
        drop(fibers::spawn(|| fibers::sleep(HOUR)));
    }
}
