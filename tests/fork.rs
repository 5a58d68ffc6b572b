//! A process that forks: the child is told what it cannot use, and the parent notices nothing.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use common::{MODES, Test};
use fibers::net::{TcpListener, TcpStream};

/// Runs `f` in a forked child, which must return true; the parent waits for it with its whole thread.
fn forked(f: impl FnOnce() -> bool) {
    // SAFETY: the child uses what a forked child of this process may use, and ends without destructors.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: a child that hangs is a red test, not a hanging one; alarm takes no pointers.
        unsafe { libc::alarm(common::limit(20).as_secs() as u32) };
        let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(false);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if right { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child's status");
}

#[test]
fn a_forked_child_is_told_that_it_has_no_workers() {
    let test = Test::new(60);
    for mode in MODES {
        let machine = test.machine(mode, 2);
        assert_eq!(machine.run(|| 5), 5);
        let handle = machine.handle();
        forked(move || {
            let refused = handle.try_spawn(|| 5).map(drop).unwrap_err();
            let named = refused.to_string().contains("forked") && (refused.closure)() == 5;
            // Its fibers are the parent's: there is nothing to wait for.
            named && machine.shutdown(Duration::from_secs(60)).is_ok()
        });
    }
}

#[test]
fn a_forked_child_takes_no_event_from_its_parent() {
    let test = Test::new(60);
    for mode in MODES {
        let machine = test.machine(mode, 2);
        machine.run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = fibers::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut byte = [0];
                let mut said = Vec::new();
                while stream.read(&mut byte).unwrap() == 1 {
                    said.push(byte[0]);
                    stream.write_all(&byte).unwrap();
                }
                said
            });
            let mut client = TcpStream::connect(address).unwrap();
            let mut byte = [0];
            for n in 0..3 {
                client.write_all(&[n]).unwrap();
                // The client has waited here, so its socket is registered when the child closes its copy.
                client.read_exact(&mut byte).unwrap();
                assert_eq!(byte[0], n);
                let copy = std::mem::ManuallyDrop::new(&client);
                forked(|| {
                    // SAFETY: the child's own copy; it ends without using it again.
                    drop(unsafe { std::ptr::read::<TcpStream>(&raw const **copy) });
                    // A plain thread by now, on a fiber's stack.
                    fibers::sleep(Duration::from_millis(1));
                    true
                });
            }
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(server.join().unwrap(), [0, 1, 2]);
        });
    }
}
