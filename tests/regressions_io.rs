//! Bugs of what waits for the world outside that were found once, by attack or by stress, and must not come back. Each
//! test says what happened.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fibers::net::unix::UnixStream;
use fibers::testing::Check;
use fibers::wait::WaitQueue;
use fibers::{Handle, Runtime, on_worker_stack};

mod common;
use common::{MODES, Mode, Test, child, child_case, eventually, scaled};

/// A read that may not switch failed with `WouldBlock` when the deadline around it came: nobody had looked at the clock
/// for the fiber, so it was not unwound.
#[test]
fn regression_a_deadline_ends_a_read_that_may_not_switch() {
    let test = Test::new(60);
    for mode in MODES {
        test.machine(mode, 2).run(|| {
            let (mut here, _there) = UnixStream::pair().unwrap();
            let ended = fibers::timeout(Duration::from_millis(5), || {
                on_worker_stack(|| here.read(&mut [0]))
            });
            assert!(ended.is_err(), "{ended:?}");
        });
    }
}

/// Who waits to write into a full Unix socket was not told that it was shut down for writing, here or by its peer: epoll
/// does not tell as long as the socket is full. (A blocking write of the kernel's ends.)
#[test]
fn regression_a_writer_to_a_full_unix_socket_finds_the_shutdown() {
    for (mine, how) in [(true, Shutdown::Write), (false, Shutdown::Read)] {
        let test = Test::new(20);
        test.machine(Mode::Pinned, 2).run(move || {
            let (here, there) = UnixStream::pair().unwrap();
            let writer = here.try_clone().unwrap();
            let writer = fibers::spawn(move || (&writer).write_all(&vec![0; 1 << 24]));
            let metrics = || Handle::current().unwrap().metrics();
            eventually(|| metrics().parked == 1);
            if mine { &here } else { &there }.shutdown(how).unwrap();
            let error = writer.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        });
    }
}

/// A waiter whose condition panicked passed its wake on while it unwound; if the next one's condition panicked too (a
/// poisoned lock), the process aborted.
#[test]
fn regression_conditions_that_panic_end_their_waiters_only() {
    const NAME: &str = "regression_conditions_that_panic_end_their_waiters_only";
    if child_case().is_none() {
        return child(NAME, "conditions", &[]).passed();
    }
    let test = Test::new(20);
    // One worker: the waiter that is woken runs when the waker waits.
    test.machine(Mode::Pinned, 1).run(|| {
        let state = Arc::new((AtomicU32::new(0), WaitQueue::new()));
        let waiters = [(); 2].map(|()| {
            let state = Arc::clone(&state);
            fibers::spawn(move || {
                state
                    .1
                    .wait_until(|| match state.0.load(Ordering::Acquire) {
                        0 => false,
                        1 => true,
                        _ => panic!("expected: a poisoned lock"),
                    });
            })
        });
        eventually(|| Handle::current().unwrap().metrics().parked == 2);
        state.0.store(1, Ordering::Release);
        assert!(state.1.wake_one());
        state.0.store(2, Ordering::Release);
        eventually(|| waiters.iter().any(|waiter| waiter.is_finished()));
        state.0.store(1, Ordering::Release);
        state.1.wake_all();
        let panicked = waiters.map(|waiter| waiter.join().is_err());
        assert_eq!(panicked.iter().filter(|panicked| **panicked).count(), 1);
    });
}

/// A socket that a machine watched already; the peer.
fn watched(machine: &Runtime) -> (UnixStream, UnixStream) {
    machine.run(|| {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let reader = fibers::spawn(move || {
            there.read_exact(&mut [0]).unwrap();
            there
        });
        eventually(|| Handle::current().unwrap().metrics().parked == 1);
        here.write_all(b"x").unwrap();
        (reader.join().unwrap(), here)
    })
}

/// A deterministic run refused to wait for sockets that nobody watched. For others it waited, and took that for a
/// deadlock.
#[test]
fn regression_a_deterministic_run_waits_for_no_socket_that_another_machine_watches() {
    let test = Test::new(20);
    let machine = test.machine(Mode::Pinned, 1);
    let (mut watched, _peer) = watched(&machine);
    let read = Check::new().run(move || watched.read(&mut [0]).map_err(|error| error.kind()));
    assert_eq!(read, Err(io::ErrorKind::Unsupported));
}

/// Forks. The child, which has nearly as long as its test, runs `f` and ends well if that returns true.
fn fork(f: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child's one thread goes on here, and ends without destructors.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: a child that hangs is a red test, not a hanging one; alarm takes no pointers.
        unsafe { libc::alarm(common::limit(50).as_secs() as u32) };
        let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(false);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if right { 0 } else { 1 }) };
    }
    pid
}

fn ended_well(pid: i32) {
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child's status");
}

fn machine_of_a_child() -> Runtime {
    Runtime::builder().workers(2).build().unwrap()
}

/// `blocking` in a forked child gave its job to a thread that only the parent had.
#[test]
fn regression_a_forked_child_has_offload_threads_of_its_own() {
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 1);
    // Now a thread is idle.
    assert_eq!(machine.run(|| fibers::blocking(|| 4)), 4);
    ended_well(fork(|| {
        machine_of_a_child().run(|| fibers::blocking(|| 5)) == 5
    }));
}

/// A forked child's fibers waited for what its parent's machine watched, where only the parent looks.
#[test]
fn regression_a_forked_child_watches_for_itself() {
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 1);
    let (mut watched, mut peer) = watched(&machine);
    ended_well(fork(move || {
        let machine = machine_of_a_child();
        let reader = machine.spawn(move || watched.read_exact(&mut [0]).is_ok());
        eventually(|| machine.metrics().parked == 1);
        peer.write_all(b"y").unwrap();
        reader.join().unwrap()
    }));
}

/// A forked child took over records of workers that had ended, with bells that it shared with its parent. It silenced
/// what the parent rang, and the parent's worker slept on.
#[test]
fn regression_a_forked_child_silences_no_bell_of_its_parent() {
    let test = Test::new(60);
    // Not watched: the watchdog would keep its records.
    drop(Runtime::builder().workers(2).build().unwrap());
    let (mut here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let other_end = here.as_raw_fd();
    let child = fork(|| {
        // SAFETY: the child's copy, which it does not use.
        unsafe { libc::close(other_end) };
        let machine = machine_of_a_child();
        let mut there = &there;
        // Idle until the parent is done.
        let idled = there.write_all(b"x").is_ok() && matches!(there.read(&mut [0]), Ok(0));
        drop(machine);
        idled
    });
    drop(there);
    here.read_exact(&mut [0]).unwrap();
    let machine = test.machine(Mode::Pinned, 1);
    let handle = machine.handle();
    for _ in 0..scaled(10_000, 100_000) {
        eventually(|| handle.metrics().idle_workers == 1);
        handle.spawn(|| ()).join().unwrap();
    }
    drop(here);
    ended_well(child);
}

/// A worker that looked into the shared reactor in passing took back the ring for another, which was on its way into
/// it, or out of it: that one slept on, and nobody woke it a second time.
#[test]
fn regression_a_look_silences_no_sleepers_bell() {
    let test = Test::new(120);
    // Where fibers float all bells are in the one reactor.
    let machine = test.machine(Mode::Floating, 2);
    let (mut socket, mut peer) = UnixStream::pair().unwrap();
    let reader = machine.spawn(move || socket.read(&mut [0]).unwrap());
    for _ in 0..scaled(2_000, 20_000) {
        // Both sleep by then, one of them in the reactor; and both are woken at once.
        std::thread::sleep(Duration::from_micros(200));
        let (_, silent) = machine.handle().fibers(Duration::from_secs(20));
        assert_eq!(silent, [0; 0]);
    }
    // By a thread: nothing else happened in the reactor before.
    peer.write_all(&[1]).unwrap();
    assert_eq!(reader.join().unwrap(), 1);
}
