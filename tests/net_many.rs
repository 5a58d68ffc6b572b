//! Many connections: in one burst, at the same time, one after the other.

mod common;

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::{
    Latch, MODES, Mode, Test, child, child_case, child_for, comes_to_rest, eventually,
    on_all_machines, scaled, stress,
};
use fibers::io::Watch;
use fibers::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use fibers::{JoinHandle, Runtime};

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Lets this process have so many descriptors. False if it may not.
fn raise_limit(descriptors: u64) -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a live struct of the kernel's shape.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(done, 0);
    limit.rlim_cur = limit.rlim_cur.max(descriptors.min(limit.rlim_max));
    // SAFETY: as above.
    let done = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(done, 0);
    limit.rlim_cur >= descriptors
}

/// A server that sends back what it gets, until its listener is shut down.
fn echo_server(machine: &Runtime) -> (Arc<TcpListener>, SocketAddr, JoinHandle<usize>) {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let server = machine.spawn({
        let listener = Arc::clone(&listener);
        move || {
            let mut served = 0;
            fibers::scope(|scope| {
                while let Ok((mut stream, _)) = listener.accept() {
                    served += 1;
                    scope.spawn(move || {
                        let mut buffer = [0; 256];
                        loop {
                            match stream.read(&mut buffer).unwrap() {
                                0 => break,
                                read => stream.write_all(&buffer[..read]).unwrap(),
                            }
                        }
                    });
                }
            });
            served
        }
    });
    (listener, address, server)
}

fn end_server(listener: &TcpListener, server: JoinHandle<usize>) -> usize {
    // SAFETY: a live descriptor.
    unsafe { libc::shutdown(std::os::fd::AsRawFd::as_raw_fd(listener), libc::SHUT_RDWR) };
    server.join().unwrap()
}

/// Sends `bytes` and checks that they come back.
fn ask(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

#[test]
fn a_burst_of_connections_is_accepted() {
    const BURST: usize = 256;
    on_all_machines(120, |_, machine| {
        let (listener, address, server) = echo_server(machine);
        let together = Arc::new(Latch::new(BURST));
        let clients: Vec<_> = (0..BURST)
            .map(|number| {
                let together = Arc::clone(&together);
                machine.spawn(move || {
                    together.meet();
                    let mut stream = TcpStream::connect(address).unwrap();
                    ask(&mut stream, &number.to_le_bytes());
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(end_server(&listener, server), BURST);
    });
}

/// All of them are open at the same moment, and each is spoken on twice.
#[test]
fn thousands_of_connections_at_once() {
    let connections = if stress() { 9_000 } else { 1_000 };
    if child_case().is_none() {
        let ended = child_for("thousands_of_connections_at_once", "run", &[], 120);
        println!("{}", ended.stdout);
        return ended.passed();
    }
    if !raise_limit(2 * connections as u64 + 200) {
        println!("skipped: the hard limit of descriptors is too low for {connections} connections");
        return;
    }
    for mode in MODES {
        let test = Test::new(110);
        let machine = test.machine(mode, 2);
        let before = descriptors();
        let (listener, address, server) = echo_server(&machine);
        let here = Arc::new(Latch::new(connections));
        let clients: Vec<_> = (0..connections)
            .map(|number| {
                let here = Arc::clone(&here);
                machine.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    ask(&mut stream, &number.to_le_bytes());
                    here.meet();
                    ask(&mut stream, &(!number).to_le_bytes());
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(end_server(&listener, server), connections);
        drop(listener);
        assert_eq!(descriptors(), before);
        println!("{connections} connections, {mode:?}");
    }
}

/// Connections one after the other, each with bytes to and fro. In a child, which counts its descriptors.
#[test]
fn churned_connections_leave_nothing_open() {
    const CLIENTS: usize = 8;
    let connections = scaled(10_000, 100_000);
    if child_case().is_none() {
        let ended = child_for("churned_connections_leave_nothing_open", "run", &[], 120);
        println!("{}", ended.stdout);
        return ended.passed();
    }
    for mode in MODES {
        let test = Test::new(110);
        let machine = test.machine(mode, 2);
        let before = descriptors();
        let (listener, address, server) = echo_server(&machine);
        let served = machine.run(move || {
            fibers::scope(|scope| {
                for client in 0..CLIENTS {
                    scope.spawn(move || {
                        for number in (client..connections / 2).step_by(CLIENTS) {
                            let mut stream = TcpStream::connect(address).unwrap();
                            let bytes: Vec<u8> = (0..200).map(|at| (at * number) as u8).collect();
                            ask(&mut stream, &bytes);
                            if number % 2 == 0 {
                                stream.shutdown(Shutdown::Write).unwrap();
                                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                            }
                        }
                    });
                }
            });
            end_server(&listener, server)
        });
        assert_eq!(served, connections / 2);
        assert_eq!(descriptors(), before);
        println!("{served} connections, {mode:?}");
    }
}

#[test]
fn five_hundred_workers_share_what_they_wait_for() {
    // The kernel does not let so many epoll instances watch one that watches something.
    const WORKERS: usize = 520;
    const NAME: &str = "five_hundred_workers_share_what_they_wait_for";
    if child_case().is_none() {
        child(NAME, "workers", &[]).passed();
        return;
    }
    if !raise_limit(4 * WORKERS as u64) {
        return;
    }
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, WORKERS);
    let (socket, mut other) = UnixStream::pair().unwrap();
    let socket = Arc::new(fibers::net::UnixStream::from(socket));
    let (inside, mut outside) = UnixStream::pair().unwrap();
    // SAFETY: takes no pointers; the descriptor is new, or -1, which the next call refuses.
    let instance = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 0,
    };
    let (add, fd) = (libc::EPOLL_CTL_ADD, inside.as_raw_fd());
    // SAFETY: two descriptors of ours, and an event that lives.
    let added = unsafe { libc::epoll_ctl(instance.as_raw_fd(), add, fd, &raw mut event) };
    assert_eq!(added, 0);
    let instance = Arc::new(Watch::new_as_is(instance));
    // On two workers: each has its whole worker wait for the other.
    let meet = Arc::new(Barrier::new(2));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (socket, instance, meet) = (socket.clone(), instance.clone(), meet.clone());
            machine.spawn(move || {
                meet.wait();
                instance.readable().unwrap();
                (&*socket).read(&mut [0]).unwrap()
            })
        })
        .collect();
    eventually(|| comes_to_rest(Duration::from_millis(20)));
    outside.write_all(&[1]).unwrap();
    eventually(|| comes_to_rest(Duration::from_millis(20)));
    other.write_all(&[1, 2]).unwrap();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 1);
    }
}
