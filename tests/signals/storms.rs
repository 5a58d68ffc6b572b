//! Storms of signals, whichever threads block them: each kind is seen once more after its last send.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::{Ended, Latch, MODES, Random, Test, child_case, eventually, run_child, scaled};
use crate::{COUNTED, alone, count, install, kinds, send, status_bit};
use fibers::Runtime;
use fibers::signal::{self, Signal, Signals};

/// As `alone`, with all threads of the child blocking these signals from the first one on.
fn blocked(test: &str, signals: &[Signal], limit_s: u64) -> Ended {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    let mut numbers: Vec<i32> = signals.iter().map(|signal| signal.as_raw()).collect();
    let block = move || {
        // SAFETY: a set is made empty before it is added to; all of it is async-signal-safe.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for number in numbers.drain(..) {
                libc::sigaddset(&raw mut set, number);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: what it does between fork and exec is async-signal-safe.
    unsafe { command.pre_exec(block) };
    run_child(command, test, "blocked", limit_s)
}

/// Signals of five kinds, in rounds; after each round everybody has seen each kind once more since its last send.
fn storm(machine: &Runtime, listeners: usize, signals: usize) {
    const ROUND: usize = 100;
    let kinds = kinds();
    // How often each kind was sent, and how much of that each listener knew when it last saw that kind.
    let sent = Arc::new(kinds.map(|_| AtomicUsize::new(0)));
    let seen: Arc<Vec<_>> = Arc::new(
        (0..=listeners)
            .map(|_| kinds.map(|_| AtomicUsize::new(0)))
            .collect(),
    );
    let ends = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(Latch::new(listeners + 1));
    let listen = |index: usize| {
        let (sent, seen) = (Arc::clone(&sent), Arc::clone(&seen));
        let (ends, ready) = (Arc::clone(&ends), Arc::clone(&ready));
        move || {
            let signals = Signals::new(kinds).unwrap();
            ready.arrive();
            while !ends.load(Ordering::SeqCst) {
                let signal = signals.wait().unwrap();
                let kind = kinds.iter().position(|kind| *kind == signal).expect("ours");
                let now = sent[kind].load(Ordering::SeqCst);
                seen[index][kind].store(now, Ordering::SeqCst);
            }
        }
    };
    let fibers: Vec<_> = (1..=listeners)
        .map(|index| machine.spawn(listen(index)))
        .collect();
    let thread = std::thread::spawn(listen(0));
    ready.wait();
    let mut random = Random::new();
    for round in 0..signals / ROUND {
        for _ in 0..ROUND {
            let kind = random.below(5) as usize;
            sent[kind].fetch_add(1, Ordering::SeqCst);
            send(kinds[kind]);
        }
        let all = |seen: &[AtomicUsize; 5]| {
            let pairs = seen.iter().zip(sent.iter());
            pairs
                .into_iter()
                .all(|(seen, sent)| seen.load(Ordering::SeqCst) == sent.load(Ordering::SeqCst))
        };
        eventually(|| seen.iter().all(all));
        if round == 0 {
            println!("first round: {seen:?}");
        }
    }
    ends.store(true, Ordering::SeqCst);
    send(kinds[0]);
    for fiber in fibers {
        fiber.join().unwrap();
    }
    thread.join().unwrap();
}

fn storms() {
    for mode in MODES {
        println!("{mode:?}");
        let test = Test::new(100);
        let machine = test.machine(mode, 2);
        storm(&machine, 3, scaled(100_000, 1_000_000));
    }
}

#[test]
fn each_kind_is_seen_after_its_last_send_with_all_threads_open() {
    alone(
        "storms::each_kind_is_seen_after_its_last_send_with_all_threads_open",
        storms,
    );
}

#[test]
fn each_kind_is_seen_after_its_last_send_with_all_threads_blocking() {
    let test = "storms::each_kind_is_seen_after_its_last_send_with_all_threads_blocking";
    if child_case().is_none() {
        blocked(test, &kinds(), 120).passed();
        return;
    }
    for kind in kinds() {
        assert!(status_bit("SigBlk", kind));
        install(kind, count, 0);
    }
    storms();
    // Ours would have called it.
    assert_eq!(
        COUNTED.load(Ordering::SeqCst),
        0,
        "no handler runs where all block"
    );
}

#[test]
fn each_kind_is_seen_after_its_last_send_with_workers_blocking_and_a_thread_open() {
    let test =
        "storms::each_kind_is_seen_after_its_last_send_with_workers_blocking_and_a_thread_open";
    alone(test, || {
        // Before there is a machine, as a library's thread would be.
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let foreign = std::thread::spawn(move || {
            let _ = waits.recv();
        });
        // Blocked here, and so in all threads from here on; the harness's and that one have them open.
        signal::block(kinds()).unwrap();
        storms();
        drop(done);
        foreign.join().unwrap();
    });
}
