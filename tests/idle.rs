//! A machine with nothing to do does nothing.
//!
//! Alone in its process: it counts the process's own wake-ups. `STRESS=1`: a hundred thousand parked fibers
//! in unoptimised builds too, and ten seconds instead of three.

mod common;

use std::time::Duration;

use common::{MODES, Test, builder, eventually, field_of, scaled, stress};
use fibers::wait::{self, Reasons};

/// How often all threads of this process but the calling one went to sleep, and how long they ran, in ticks.
fn activity() -> (u64, u64) {
    let me = common::thread_id().to_string();
    let (mut switches, mut ticks) = (0, 0);
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        // The watchdog of the tests looks round five times a second.
        if path.ends_with(&me) || name.trim() == "watchdog" {
            continue;
        }
        let status = path.join("status");
        switches += field_of(status.to_str().unwrap(), "voluntary_ctxt_switches");
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        if let [_, _, _, _, _, _, _, _, _, _, _, user, system, ..] = fields[..] {
            ticks += user.parse::<u64>().unwrap() + system.parse::<u64>().unwrap();
        }
    }
    (switches, ticks)
}

/// G9.
#[test]
fn parked_fibers_cost_no_cpu_and_at_most_one_wake_up_a_second() {
    let test = Test::new(120);
    let count = if stress() {
        100_000
    } else {
        scaled(100_000, 100_000)
    };
    let machines = MODES.map(|mode| test.build(builder(mode).workers(4)));
    let all: Vec<_> = machines
        .iter()
        .flat_map(|machine| (0..count).map(|_| machine.spawn(|| wait::sleep(Reasons::USER0))))
        .collect();
    for machine in &machines {
        eventually(|| {
            let metrics = machine.metrics();
            metrics.parked == count as u64 && metrics.idle_workers == 4
        });
    }
    // What the last burst left behind (stacks that go back to the kernel) may take a while to settle.
    let seconds = if stress() { 10 } else { 3 };
    let quiet = (0..10).any(|_| {
        let before = activity();
        std::thread::sleep(Duration::from_secs(seconds));
        let after = activity();
        let (wakes, ticks) = (after.0 - before.0, after.1 - before.1);
        println!("{wakes} wake-ups and {ticks} ticks in {seconds} seconds");
        wakes <= seconds && ticks <= 1
    });
    assert!(quiet, "it never got quiet");
    for fiber in &all {
        wait::wake(fiber.fiber(), Reasons::USER0);
    }
    for fiber in all {
        assert_eq!(fiber.join().unwrap(), Reasons::USER0);
    }
}
