//! Where sockets may be used: on plain threads, by fibers of several machines, after the machine that watched them
//! is gone; and how they become std's and back.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net as std_net;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net as std_unix;
use std::sync::Arc;
use std::time::Duration;

use common::{MODES, Mode, Test, eventually, everywhere, in_both_modes};
use fibers::net::{
    Shutdown, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
use fibers::{Elapsed, spawn, timeout};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn sockets_are_as_free_as_stds() {
    fn free<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    free::<TcpListener>();
    free::<TcpStream>();
    free::<UdpSocket>();
    free::<UnixListener>();
    free::<UnixStream>();
    free::<UnixDatagram>();
}

/// A deadline ends each call that waits, in fibers and on threads, and the socket is as good as before.
#[test]
fn deadlines_end_every_wait() {
    fn promise() {
        fn ends<R>(what: &str, call: impl FnOnce() -> R) {
            assert_eq!(timeout(ms(3), call).err(), Some(Elapsed), "{what}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        ends("accept", || listener.accept());
        ends("incoming", || listener.incoming().next());
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut byte = [0];
        ends("read", || server.read(&mut byte));
        ends("peek", || server.peek(&mut byte));
        ends("exact", || server.read_exact(&mut byte));
        client.write_all(&[5]).unwrap();
        assert_eq!(server.read(&mut byte).unwrap(), 1);
        ends("write", || client.write_all(&vec![0; 64 << 20]));
        ends("write", || {
            loop {
                let _ = client.write(&[0; 1 << 16]).unwrap();
            }
        });
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        ends("recv", || udp.recv(&mut byte));
        ends("recv_from", || udp.recv_from(&mut byte));
        ends("peek", || udp.peek(&mut byte));
        ends("peek_from", || udp.peek_from(&mut byte));
        udp.send_to(&[7], udp.local_addr().unwrap()).unwrap();
        assert_eq!(udp.recv(&mut byte).unwrap(), 1);
        let (mut one, _other) = UnixStream::pair().unwrap();
        ends("unix read", || one.read(&mut byte));
        ends("unix write", || one.write_all(&vec![0; 16 << 20]));
        let (one, other) = UnixDatagram::pair().unwrap();
        ends("datagram", || one.recv(&mut byte));
        ends("datagram from", || one.recv_from(&mut byte));
        ends("datagram full", || {
            loop {
                let _ = one.send(&[0; 100]).unwrap();
            }
        });
        assert_eq!(other.recv(&mut byte).unwrap(), 1);
    }
    everywhere(60, promise);
}

/// A connection that nobody answers: a listener whose queue is full.
#[test]
fn connecting_ends_by_a_time_out_a_deadline_and_a_cancellation() {
    fn promise() {
        let listener = full_listener();
        let address = listener.local_addr().unwrap();
        let late = std_like_fill(address);
        let connected = TcpStream::connect_timeout(&address, ms(5));
        assert_eq!(connected.unwrap_err().kind(), ErrorKind::TimedOut);
        let connected = timeout(ms(5), || TcpStream::connect(address));
        assert_eq!(connected.err(), Some(Elapsed));
        let fiber = spawn(move || TcpStream::connect(address).map(drop));
        // Each call ends its wait, but does not connect it.
        for _ in 0..3 {
            let call = fiber.fiber().call(|| ()).unwrap();
            call.wait().unwrap();
        }
        assert!(!fiber.is_finished());
        fiber.cancel().unwrap();
        assert!(fiber.join().unwrap_err().is::<fibers::Cancelled>());
        drop(late);
    }
    /// Listens with the shortest queue there is.
    fn full_listener() -> std_net::TcpListener {
        let listener = std_net::TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: a valid descriptor.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        listener
    }
    /// Connects until nobody answers any more. One that is not answered in time may just be unlucky.
    fn std_like_fill(address: std_net::SocketAddr) -> Vec<std_net::TcpStream> {
        let mut streams = Vec::new();
        let mut late = 0;
        while late < 3 {
            match std_net::TcpStream::connect_timeout(&address, ms(50)) {
                Ok(stream) => {
                    streams.push(stream);
                    late = 0;
                }
                Err(_) => late += 1,
            }
        }
        streams
    }
    everywhere(60, promise);
}

/// A Unix listener with a full queue: whoever connects waits until it accepts.
#[test]
fn a_full_unix_listener_is_waited_for() {
    fn promise() {
        use std::os::linux::net::SocketAddrExt;
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("fibers-full-{}-{number}", std::process::id());
        let name = std_unix::SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&name).unwrap();
        // SAFETY: a valid descriptor.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let first = UnixStream::connect_addr(&name).unwrap();
        let late = timeout(ms(5), || UnixStream::connect_addr(&name));
        assert_eq!(late.err(), Some(Elapsed));
        let waiting = spawn(move || UnixStream::connect_addr(&name).map(drop));
        let accepted = listener.accept().unwrap();
        waiting.join().unwrap().unwrap();
        drop((first, accepted));
    }
    everywhere(60, promise);
}

#[test]
fn threads_and_fibers_of_two_machines_share_a_socket() {
    for (one, other) in [
        (Mode::Pinned, Mode::Floating),
        (Mode::Floating, Mode::Pinned),
    ] {
        let test = Test::new(60);
        let machines = [test.machine(one, 2), test.machine(other, 1)];
        let (client, server) = pair();
        let (client, server) = (Arc::new(client), Arc::new(server));
        const EACH: usize = 500;
        let readers: Vec<_> = (0..4)
            .map(|at| {
                let server = Arc::clone(&server);
                machines[at % 2].spawn(move || {
                    let mut sum = 0_usize;
                    let mut bytes = [0; 7];
                    loop {
                        let read = (&*server).read(&mut bytes).unwrap();
                        if read == 0 {
                            return sum;
                        }
                        sum += bytes[..read]
                            .iter()
                            .map(|byte| usize::from(*byte))
                            .sum::<usize>();
                    }
                })
            })
            .collect();
        let on_a_thread = std::thread::spawn({
            let client = Arc::clone(&client);
            move || (0..EACH).for_each(|_| (&*client).write_all(&[1; 3]).unwrap())
        });
        let in_fibers: Vec<_> = machines
            .iter()
            .map(|machine| {
                let client = Arc::clone(&client);
                machine.spawn(move || {
                    for _ in 0..EACH {
                        (&*client).write_all(&[1; 5]).unwrap();
                        fibers::yield_now();
                    }
                })
            })
            .collect();
        on_a_thread.join().unwrap();
        for writer in in_fibers {
            writer.join().unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
        let sum: usize = readers.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(sum, EACH * 13);
    }
}

/// A socket that was first waited for on one machine is waited for on another, when the first one is gone too.
#[test]
fn a_socket_outlives_the_machine_that_watched_it() {
    for mode in MODES {
        let test = Test::new(60);
        let (client, server) = pair();
        let (client, server) = (Arc::new(client), Arc::new(server));
        let first = test.machine(mode, 1);
        let second = test.machine(mode, 1);
        let read = |server: &Arc<TcpStream>| {
            let server = Arc::clone(server);
            move || {
                let mut byte = [0];
                (&*server).read_exact(&mut byte).unwrap();
                byte[0]
            }
        };
        // Registers it with the first machine.
        let fiber = first.spawn(read(&server));
        eventually(|| first.metrics().io_sources == 1);
        (&*client).write_all(&[1]).unwrap();
        assert_eq!(fiber.join().unwrap(), 1);
        // A fiber of the second waits for what is registered with the first, as that ends.
        let fiber = second.spawn(read(&server));
        eventually(|| is_waiting(&second));
        // A worker that polls has it moved to its own reactor; else it stays.
        let dedicated = std::env::var("FIBERS_POLLER").is_ok_and(|poller| poller == "dedicated");
        let moves = mode == Mode::Pinned && !dedicated;
        assert_eq!(second.metrics().io_sources, u64::from(moves));
        drop(first);
        eventually(|| second.metrics().io_sources == 1);
        (&*client).write_all(&[2]).unwrap();
        assert_eq!(fiber.join().unwrap(), 2);
        drop(second);
        // And now a thread.
        (&*client).write_all(&[3]).unwrap();
        assert_eq!(read(&server)(), 3);
        let third = test.machine(mode, 2);
        let fiber = third.spawn(read(&server));
        (&*client).write_all(&[4]).unwrap();
        assert_eq!(fiber.join().unwrap(), 4);
    }
}

/// True if a fiber of the machine waits for something to read.
fn is_waiting(machine: &fibers::Runtime) -> bool {
    let (fibers, _) = machine.handle().fibers(ms(500));
    fibers
        .iter()
        .any(|fiber| fiber.to_string().contains("READABLE"))
}

#[test]
fn sockets_move_between_machines() {
    in_both_modes(60, 2, |test, machine, mode| {
        let other = test.machine(mode, 1);
        let (mut client, mut server) = pair();
        for round in 0..50 {
            let (a, b) = if round % 2 == 0 {
                (machine, &other)
            } else {
                (&other, machine)
            };
            let fiber = a.spawn(move || {
                let mut byte = [0];
                server.read_exact(&mut byte).unwrap();
                server.write_all(&[byte[0] + 1]).unwrap();
                server
            });
            client = b.run(move || {
                client.write_all(&[round]).unwrap();
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                assert_eq!(byte[0], round + 1);
                client
            });
            server = fiber.join().unwrap();
        }
    });
}

/// A name is looked up while the only worker does something else; an address is no name.
#[test]
fn names_are_looked_up_off_the_worker() {
    use fibers::net::ToSocketAddrs;
    use std::sync::atomic::{AtomicBool, Ordering};
    in_both_modes(60, 1, |_, machine, _| {
        machine.run(|| {
            let other_ran = Arc::new(AtomicBool::new(false));
            let other = spawn({
                let other_ran = Arc::clone(&other_ran);
                move || other_ran.store(true, Ordering::Relaxed)
            });
            assert_eq!("127.0.0.1:1".to_socket_addrs().unwrap().count(), 1);
            assert_eq!(("::1", 1).to_socket_addrs().unwrap().count(), 1);
            assert!(!other_ran.load(Ordering::Relaxed));
            while !other_ran.load(Ordering::Relaxed) {
                assert!(("localhost", 80).to_socket_addrs().unwrap().count() > 0);
            }
            other.join().unwrap();
        });
    });
}

/// What the kernel knows of a descriptor: its mode and time-outs.
fn kernels_view(fd: impl AsFd) -> (bool, Option<Duration>, Option<Duration>) {
    let fd = fd.as_fd();
    // SAFETY: a valid descriptor; this command has no argument.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    let socket = std_net::TcpStream::from(fd.try_clone_to_owned().unwrap());
    let timeouts = (
        socket.read_timeout().unwrap(),
        socket.write_timeout().unwrap(),
    );
    (flags & libc::O_NONBLOCK != 0, timeouts.0, timeouts.1)
}

#[test]
fn conversions_from_and_into_std_carry_the_settings() {
    fn promise() {
        let listener = std_net::TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = std_net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        theirs
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let fd = theirs.as_raw_fd();
        let mut ours = TcpStream::from(theirs);
        assert_eq!(ours.as_raw_fd(), fd);
        assert!(kernels_view(&ours).0);
        assert_eq!(ours.read_timeout().unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(ours.write_timeout().unwrap(), None);
        ours.set_read_timeout(None).unwrap();
        ours.set_write_timeout(Some(Duration::from_secs(3)))
            .unwrap();
        peer.write_all(&[1]).unwrap();
        ours.read_exact(&mut [0]).unwrap();
        let mut theirs = std_net::TcpStream::from(ours);
        assert_eq!(theirs.as_raw_fd(), fd);
        assert_eq!(
            kernels_view(&theirs),
            (false, None, Some(Duration::from_secs(3)))
        );
        peer.write_all(&[1]).unwrap();
        theirs.read_exact(&mut [0]).unwrap();
        // The mode that the user has chosen goes along into std's type, and is left behind on the way back.
        let ours = TcpStream::from(theirs);
        ours.set_nonblocking(true).unwrap();
        let theirs = std_net::TcpStream::from(ours);
        assert!(kernels_view(&theirs).0);
        let ours = TcpStream::from(theirs);
        ours.set_read_timeout(Some(ms(1))).unwrap();
        assert_eq!(
            (&ours).read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let theirs = OwnedFd::from(ours);
        assert!(!kernels_view(&theirs).0);
    }
    everywhere(60, promise);
}

#[test]
fn every_type_converts() {
    fn promise() {
        fn round<Ours, Theirs>(ours: Ours)
        where
            Ours: From<Theirs> + From<OwnedFd> + Into<OwnedFd> + AsFd + FromRawFd + IntoRawFd,
            Theirs: From<Ours>,
        {
            let number = ours.as_fd().as_raw_fd();
            let ours = Ours::from(Theirs::from(ours));
            let fd: OwnedFd = ours.into();
            let raw = Ours::from(fd).into_raw_fd();
            // SAFETY: just given away.
            let ours = unsafe { Ours::from_raw_fd(raw) };
            assert_eq!(ours.as_fd().as_raw_fd(), number);
            drop(ours);
            // SAFETY: any number may be asked about; nobody reuses it, as it was just closed.
            let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
            let _ = flags;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        round::<_, std_net::TcpStream>(TcpStream::connect(address).unwrap());
        round::<_, std_net::TcpListener>(listener);
        round::<_, std_net::UdpSocket>(UdpSocket::bind("127.0.0.1:0").unwrap());
        let (one, other) = UnixStream::pair().unwrap();
        round::<_, std_unix::UnixStream>(one);
        drop(other);
        let (one, _) = UnixDatagram::pair().unwrap();
        round::<_, std_unix::UnixDatagram>(one);
        let unnamed = std_unix::SocketAddr::from_pathname("").unwrap();
        if let Ok(listener) = UnixListener::bind_addr(&unnamed) {
            round::<_, std_unix::UnixListener>(listener);
        }
    }
    everywhere(60, promise);
}

/// A descriptor that is no socket converts as it does in std: its calls say so.
#[test]
fn a_descriptor_that_is_no_socket_fails_when_used() {
    fn promise() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut stream = TcpStream::from(OwnedFd::from(file));
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        let error = stream.write_all(&[0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }
    everywhere(60, promise);
}

/// Somebody else takes the non-blocking mode of a shared open socket away: no worker is held up by it.
#[test]
fn the_mode_of_the_open_file_does_not_hold_up_a_worker() {
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 1);
        let (mut client, server) = pair();
        let other = std_net::TcpStream::from(server.as_fd().try_clone_to_owned().unwrap());
        other.set_nonblocking(false).unwrap();
        let reader = machine.spawn(move || {
            let mut server = server;
            server.read_exact(&mut [0]).unwrap();
        });
        // The only worker has time for this.
        machine.run(|| ());
        client.write_all(&[1]).unwrap();
        reader.join().unwrap();
    }
}
