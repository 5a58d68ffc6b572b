//! What `tests/panic_abort.rs` runs: a program with `panic = "abort"`. One case for each process.

use std::error::Error;
use std::time::Instant;

use fibers::time::{Duration, MissedTick, deadline, interval};
use fibers::wait::{self, Reasons, WaitQueue};
use fibers::{CancelError, Handle, Runtime, timeout};

const SHORT: Duration = Duration::from_millis(2);

fn refused(cancelled: Result<(), CancelError>) {
    let error = cancelled.expect_err("nothing can be unwound here");
    assert_eq!(
        error.to_string(),
        "fibers are cancelled by unwinding; build with panic = \"unwind\""
    );
    let _: &dyn Error = &error;
}

/// It says so, and leaves everybody alone.
fn cancel() {
    let machine = Runtime::builder().workers(2).build().expect("a machine");
    let parked = machine.spawn(|| {
        fibers::park();
        fibers::yield_now();
        (fibers::is_cancelled(), 5)
    });
    refused(parked.cancel());
    refused(parked.fiber().cancel());
    refused(machine.cancel_all());
    refused(machine.handle().cancel_all());
    refused(fibers::current().cancel());
    machine.run(|| {
        refused(Handle::current().expect("in a fiber").cancel_all());
        refused(fibers::current().cancel());
        fibers::scope(|s| {
            let scoped = s.spawn(|| 7);
            refused(scoped.cancel());
            assert_eq!(scoped.join().expect("no panic"), 7);
        });
        let local = fibers::spawn_local(|| 8);
        refused(local.cancel());
        assert_eq!(local.join().expect("no panic"), 8);
        fibers::yield_now();
    });
    parked.thread().unpark();
    assert_eq!(parked.join().expect("no panic"), (false, 5));
}

/// What ends by itself needs no unwinding.
fn waits() {
    fn all() {
        let begin = Instant::now();
        fibers::sleep(SHORT);
        fibers::sleep_until(Instant::now() + SHORT);
        fibers::park_timeout(SHORT);
        assert!(!WaitQueue::new().wait_timeout(SHORT, || false));
        let came = wait::sleep_until(Reasons::USER0, Instant::now() + SHORT);
        assert_eq!(came, Reasons::TIMEOUT);
        let parked = fibers::spawn(fibers::park);
        let parked = parked.join_timeout(SHORT).expect_err("it is parked");
        parked.thread().unpark();
        parked.join().expect("no panic");
        let mut ticks = interval(SHORT).with_missed_tick(MissedTick::Delay);
        ticks.tick();
        ticks.tick();
        assert!(begin.elapsed() >= 7 * SHORT);
        assert_eq!(fibers::shield(|| fibers::join(|| 1, || 2)), (1, 2));
    }
    all();
    Runtime::builder()
        .workers(1)
        .build()
        .expect("a machine")
        .run(all);
}

/// Parked fibers stay where they are, and are named.
fn shutdown() {
    let machine = Runtime::builder().workers(1).build().expect("a machine");
    let named = fibers::Builder::new().name("stays".to_owned());
    let _parked = named
        .spawn_on(&machine.handle(), fibers::park)
        .expect("spawned");
    machine.run(fibers::yield_now);
    let report = machine.shutdown(SHORT).expect_err("it cannot be unwound");
    assert!(report.to_string().contains("'stays'"), "{report}");
}

fn main() {
    let case = std::env::args().nth(1).unwrap_or_default();
    match &*case {
        "cancel" => cancel(),
        "waits" => waits(),
        "shutdown" => shutdown(),
        "timeout" => _ = timeout(SHORT, || println!("it runs")),
        "deadline" => _ = deadline(Instant::now(), || println!("it runs")),
        "timeout in a fiber" => {
            let fiber = fibers::spawn(|| timeout(Duration::MAX, || println!("it runs")));
            let _ = fiber.join();
        }
        _ => panic!("no such case: {case}"),
    }
    println!("came to its end");
}
