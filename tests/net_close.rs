//! Sockets that are shut down, closed, and whose numbers are used again, while somebody waits: whoever waits is told,
//! and nobody else.

mod common;

use std::io::{Read, Write};
use std::net as std_net;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc;

use common::{MODES, Random, Test, eventually, in_both_modes, on_all_machines, scaled};
use fibers::net::{Shutdown, TcpListener, TcpStream, UnixDatagram, UnixListener, UnixStream};
use fibers::{spawn, yield_now};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// `shutdown` on whatever has a descriptor: std's listeners have no such method.
fn shut_down(socket: &impl AsRawFd) {
    // SAFETY: a live descriptor.
    let done = unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
    assert_eq!(done, 0);
}

/// Shut down and closed back to back, while another fiber reads: by a fiber of the same worker or another, and by a
/// thread.
#[test]
fn shutdown_and_close_end_a_read() {
    let rounds = scaled(10_000, 100_000);
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        // A thread that closes what it gets.
        let (to_thread, in_thread) = mpsc::channel::<UnixStream>();
        let closer = std::thread::spawn(move || {
            for socket in in_thread {
                socket.shutdown(Shutdown::Both).unwrap();
            }
        });
        let seed = random.next();
        let to_thread = machine.run(move || {
            let mut random = Random::of(seed);
            for _ in 0..rounds {
                let (one, other) = UnixStream::pair().unwrap();
                let mut reading = one.try_clone().unwrap();
                let reader = spawn(move || reading.read(&mut [0; 8]).unwrap());
                for _ in 0..random.below(3) {
                    yield_now();
                }
                match random.below(3) {
                    0 => to_thread.send(one).unwrap(),
                    1 => drop(spawn(move || one.shutdown(Shutdown::Both).unwrap())),
                    _ => one.shutdown(Shutdown::Both).unwrap(),
                }
                assert_eq!(reader.join().unwrap(), 0);
                drop(other);
            }
            to_thread
        });
        drop(to_thread);
        closer.join().unwrap();
    });
}

/// As above, for TCP, both directions at once.
#[test]
fn shutdown_ends_a_read_and_a_write() {
    let rounds = scaled(2_000, 50_000);
    in_both_modes(120, 2, |_, machine, _| {
        let seed = Random::new().next();
        machine.run(move || {
            let mut random = Random::of(seed);
            let big = Arc::new(vec![0; 8 << 20]);
            for round in 0..rounds {
                let (one, _other) = pair();
                let one = Arc::new(one);
                let reader = spawn({
                    let one = Arc::clone(&one);
                    move || (&*one).read(&mut [0; 8])
                });
                // Expensive, so not always.
                let writer = (round % 16 == 0).then(|| {
                    let (one, big) = (Arc::clone(&one), Arc::clone(&big));
                    spawn(move || (&*one).write_all(&big))
                });
                for _ in 0..random.below(3) {
                    yield_now();
                }
                one.shutdown(Shutdown::Both).unwrap();
                drop(one);
                assert_eq!(reader.join().unwrap().unwrap(), 0);
                if let Some(writer) = writer {
                    writer.join().unwrap().unwrap_err();
                }
            }
        });
    });
}

/// All that wait for connections learn that there will be none, fibers and threads, on clones too.
#[test]
fn shutdown_ends_every_accept() {
    let rounds = scaled(1_000, 20_000);
    in_both_modes(120, 2, |_, machine, _| {
        for round in 0..rounds {
            let tcp = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let unnamed = std::os::unix::net::SocketAddr::from_pathname("").unwrap();
            let unix = Arc::new(UnixListener::bind_addr(&unnamed).unwrap());
            let fibers: Vec<_> = (0..4)
                .map(|number| {
                    let (tcp, unix) = (Arc::clone(&tcp), Arc::clone(&unix));
                    machine.spawn(move || match number {
                        0 => tcp.accept().map(drop),
                        1 => tcp.try_clone().unwrap().accept().map(drop),
                        2 => unix.accept().map(drop),
                        _ => unix.try_clone().unwrap().accept().map(drop),
                    })
                })
                .collect();
            let thread = (round % 8 == 0).then(|| {
                let tcp = Arc::clone(&tcp);
                std::thread::spawn(move || tcp.accept().map(drop))
            });
            if round % 2 == 0 {
                eventually(|| machine.metrics().parked >= 4);
            }
            shut_down(&*tcp);
            shut_down(&*unix);
            for fiber in fibers {
                let error = fiber.join().unwrap().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            }
            if let Some(thread) = thread {
                thread.join().unwrap().unwrap_err();
            }
        }
    });
}

/// As std's `close_read_wakes_up`, for datagrams: a fiber that receives finds the end.
#[test]
fn shutdown_ends_a_receive() {
    in_both_modes(60, 2, |_, machine, _| {
        for _ in 0..scaled(2_000, 20_000) {
            let (one, _other) = UnixDatagram::pair().unwrap();
            let receiving = one.try_clone().unwrap();
            let receiver = machine.spawn(move || receiving.recv(&mut [0]));
            one.shutdown(Shutdown::Read).unwrap();
            assert_eq!(receiver.join().unwrap().unwrap(), 0);
        }
    });
}

/// The number of a closed socket is used again at once, while events of the old one are on their way, and duplicates
/// keep what was behind it alive: they reach nobody.
#[test]
fn a_number_that_is_used_again_gets_no_old_events() {
    let rounds = scaled(10_000, 100_000);
    if std::env::var("FIBERS_POLLER").is_ok_and(|poller| poller == "dedicated") {
        println!("skipped: it counts the workers' looks, and the dedicated thread alone looks");
        return;
    }
    for mode in MODES {
        let test = Test::new(120);
        let machine = test.machine(mode, 1);
        let before = machine.metrics();
        let handle = machine.handle();
        let registered = move || {
            while handle.metrics().io_sources != 1 {
                yield_now();
            }
        };
        let handle = machine.handle();
        // Until whatever has happened outside is known.
        let look = move || {
            let before = handle.metrics().polls;
            while handle.metrics().polls < before + 2 {
                yield_now();
            }
        };
        let same = machine.run(move || {
            let mut kept: Option<(OwnedFd, UnixStream)> = None;
            let mut same = 0;
            for round in 0..rounds {
                let byte = round as u8;
                let (mut old, mut old_peer) = UnixStream::pair().unwrap();
                let duplicate = old.as_fd().try_clone_to_owned().unwrap();
                // Registered, as its reader has waited.
                let reader = spawn(move || {
                    old.read_exact(&mut [0]).unwrap();
                    old
                });
                registered();
                old_peer.write_all(&[99]).unwrap();
                let old = reader.join().unwrap();
                let number = old.as_raw_fd();
                // More to read, and an event of it that nobody has seen yet.
                old_peer.write_all(&[99; 3]).unwrap();
                drop(old);
                let (mut new, mut new_peer) = UnixStream::pair().unwrap();
                let reused = [&new, &new_peer].iter().any(|it| it.as_raw_fd() == number);
                same += usize::from(reused);
                let reader = spawn(move || {
                    let mut byte = [0];
                    new.read_exact(&mut byte).unwrap();
                    byte[0]
                });
                registered();
                // The old one is alive in its duplicate, and goes on having events.
                old_peer.write_all(&[99]).unwrap();
                if let Some((_, mut peer)) = kept.take() {
                    peer.write_all(&[99]).unwrap();
                }
                look();
                assert!(!reader.is_finished());
                new_peer.write_all(&[byte]).unwrap();
                assert_eq!(reader.join().unwrap(), byte);
                kept = Some((duplicate, old_peer));
            }
            same
        });
        assert!(same > rounds / 2, "numbers were used again {same} times");
        let spurious = machine.metrics().io_spurious - before.io_spurious;
        assert_eq!(spurious, 0, "waits that ended for nothing");
        assert_eq!(machine.metrics().io_sources, 0);
    }
}

/// Half of a connection at a time, in either order, with everything delivered first.
#[test]
fn half_closed_connections_deliver_everything() {
    on_all_machines(60, |_, machine| {
        for round in 0..scaled(300, 10_000) {
            let (mut client, mut server) = pair();
            let len = round * 37 % 100_000;
            let echo = machine.spawn(move || {
                let mut all = Vec::new();
                server.read_to_end(&mut all).unwrap();
                server.write_all(&all).unwrap();
                server.shutdown(Shutdown::Write).unwrap();
                assert_eq!(server.read(&mut [0]).unwrap(), 0);
            });
            let back = machine.run(move || {
                client.write_all(&vec![7; len]).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut back = Vec::new();
                client.read_to_end(&mut back).unwrap();
                back
            });
            assert_eq!(back, vec![7; len]);
            echo.join().unwrap();
        }
    });
}

/// A fiber that waits for a peer that has gone does not compute meanwhile, and one whose wait is over does not
/// either (K37: hang-ups that are reported again and again).
#[test]
fn a_hang_up_is_no_reason_to_spin() {
    let test = Test::new(60);
    let machine = test.machine(common::Mode::Pinned, 1);
    let (mut client, server) = pair();
    // The peer has gone; nobody reads, but somebody waits on the same descriptor for something else.
    let reader = machine.spawn(move || {
        client.read_exact(&mut [0]).unwrap_err();
        let listener = std_net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::from(listener);
        let _ = fibers::timeout(std::time::Duration::from_millis(200), || listener.accept());
        client
    });
    eventually(|| machine.metrics().io_sources == 1);
    drop(server);
    let before = machine.metrics().polls;
    let client = reader.join().unwrap();
    let polls = machine.metrics().polls - before;
    drop(client);
    // No count of looks is promised, but spinning makes hundreds of thousands of them.
    assert!(polls < 5_000, "{polls} looks into the reactor");
}
