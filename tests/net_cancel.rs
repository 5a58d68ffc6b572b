//! Waits on sockets that end early, at random moments: what others are to get they get, whole, and no descriptor
//! stays behind. Each test runs in a process of its own, as it counts the descriptors.

mod common;

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use common::{MODES, Random, Test, child_case, child_for, scaled};
use fibers::net::unix::SocketAddr;
use fibers::net::{
    Shutdown, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
use fibers::{JoinHandle, Runtime, spawn, timeout, yield_now};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn abstract_name() -> SocketAddr {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from_abstract_name(format!("fibers-cancel-{}-{number}", std::process::id()))
        .unwrap()
}

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs `body` in a child, in both modes, and looks whether all descriptors are closed afterwards.
fn in_a_child(name: &str, body: fn(&Runtime, u64)) {
    if child_case().is_none() {
        let ended = child_for(name, "run", &[], 120);
        println!("{}{}", ended.stdout, ended.stderr);
        return ended.passed();
    }
    let mut random = Random::new();
    for mode in MODES {
        for workers in [1, 3] {
            let test = Test::new(100);
            let machine = test.machine(mode, workers);
            let before = descriptors();
            body(&machine, random.next());
            assert_eq!(descriptors(), before);
        }
    }
}

/// Waits that a deadline ends after a random time, again and again, until `over`; `f` is to return then.
fn impatient<R>(random: &mut Random, mut f: impl FnMut() -> R) -> R {
    loop {
        let patience = Duration::from_micros(random.below(60));
        if let Ok(result) = timeout(patience, &mut f) {
            return result;
        }
    }
}

/// Cancels those fibers at random moments.
fn cancel_some<T>(random: &mut Random, fibers: &[JoinHandle<T>]) {
    for fiber in fibers {
        for _ in 0..random.below(4) {
            yield_now();
        }
        if random.below(2) == 0 {
            fiber.cancel().unwrap();
        }
    }
}

/// Readers that are cut short all the time, and some for good: every byte is read once by somebody.
#[test]
fn readers_that_are_unwound_lose_no_byte() {
    in_a_child("readers_that_are_unwound_lose_no_byte", |machine, seed| {
        let rounds = scaled(100, 3_000);
        machine.run(move || {
            let mut random = Random::of(seed);
            for round in 0..rounds {
                let (client, server) = if round % 2 == 0 { tcp() } else { unix() };
                let sum = Arc::new(AtomicU64::new(0));
                let read = |seed: u64| {
                    let (mut server, sum) = (server.clone(), Arc::clone(&sum));
                    spawn(move || {
                        let mut random = Random::of(seed);
                        let mut buffer = [0; 33];
                        loop {
                            let read = impatient(&mut random, || server.read(&mut buffer).unwrap());
                            if read == 0 {
                                return;
                            }
                            let bytes = buffer[..read].iter().map(|byte| u64::from(*byte)).sum();
                            sum.fetch_add(bytes, Ordering::Relaxed);
                        }
                    })
                };
                let victims: Vec<_> = (0..3).map(|_| read(random.next())).collect();
                let survivors: Vec<_> = (0..2).map(|_| read(random.next())).collect();
                let mut sent = 0;
                let mut writer = client.clone();
                for _ in 0..20 {
                    let piece: Vec<u8> = (0..random.below(100)).map(|at| at as u8).collect();
                    sent += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                    writer.write_all(&piece).unwrap();
                    if random.below(3) == 0 {
                        yield_now();
                    }
                }
                cancel_some(&mut random, &victims);
                client.end();
                for fiber in survivors {
                    fiber.join().unwrap();
                }
                for fiber in victims {
                    let _ = fiber.join();
                }
                assert_eq!(sum.load(Ordering::Relaxed), sent);
            }
        });
    });
}

/// Either kind of stream.
#[derive(Clone)]
enum Stream {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
}

fn tcp() -> (Stream, Stream) {
    let (one, other) = pair();
    (Stream::Tcp(Arc::new(one)), Stream::Tcp(Arc::new(other)))
}

fn unix() -> (Stream, Stream) {
    let (one, other) = UnixStream::pair().unwrap();
    (Stream::Unix(Arc::new(one)), Stream::Unix(Arc::new(other)))
}

impl Stream {
    fn end(&self) {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&**stream).read(buffer),
            Self::Unix(stream) => (&**stream).read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&**stream).write(bytes),
            Self::Unix(stream) => (&**stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Acceptors that are cut short: every connection is accepted once.
#[test]
fn acceptors_that_are_unwound_lose_no_connection() {
    in_a_child(
        "acceptors_that_are_unwound_lose_no_connection",
        |machine, seed| {
            let rounds = scaled(60, 2_000);
            machine.run(move || {
                let mut random = Random::of(seed);
                for _ in 0..rounds {
                    let name = abstract_name();
                    let tcp = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
                    let unix = Arc::new(UnixListener::bind_addr(&name).unwrap());
                    let address = tcp.local_addr().unwrap();
                    let accepted = Arc::new(AtomicUsize::new(0));
                    let over = Arc::new(AtomicBool::new(false));
                    let accept = |seed: u64| {
                        let (tcp, unix) = (Arc::clone(&tcp), Arc::clone(&unix));
                        let (accepted, over) = (Arc::clone(&accepted), Arc::clone(&over));
                        spawn(move || {
                            let mut random = Random::of(seed);
                            while !over.load(Ordering::Relaxed) {
                                let patience = Duration::from_micros(random.below(80));
                                let found = if random.below(2) == 0 {
                                    timeout(patience, || tcp.accept().map(drop)).is_ok()
                                } else {
                                    timeout(patience, || unix.accept().map(drop)).is_ok()
                                };
                                accepted.fetch_add(usize::from(found), Ordering::Relaxed);
                            }
                        })
                    };
                    let victims: Vec<_> = (0..2).map(|_| accept(random.next())).collect();
                    let survivors: Vec<_> = (0..2).map(|_| accept(random.next())).collect();
                    let mut clients = Vec::new();
                    for _ in 0..10 {
                        let tcp = TcpStream::connect(address).unwrap();
                        let unix = UnixStream::connect_addr(&name).unwrap();
                        clients.push((tcp, unix));
                        if random.below(3) == 0 {
                            yield_now();
                        }
                    }
                    cancel_some(&mut random, &victims);
                    // The watchdog ends this if one is lost.
                    while accepted.load(Ordering::Relaxed) < 20 {
                        yield_now();
                    }
                    over.store(true, Ordering::Relaxed);
                    for fiber in survivors {
                        fiber.join().unwrap();
                    }
                    for fiber in victims {
                        let _ = fiber.join();
                    }
                    assert_eq!(accepted.load(Ordering::Relaxed), 20);
                }
            });
        },
    );
}

/// Receivers that are cut short: every datagram is received once.
#[test]
fn receivers_that_are_unwound_lose_no_datagram() {
    in_a_child(
        "receivers_that_are_unwound_lose_no_datagram",
        |machine, seed| {
            let rounds = scaled(100, 3_000);
            machine.run(move || {
                let mut random = Random::of(seed);
                for _ in 0..rounds {
                    let (one, other) = UnixDatagram::pair().unwrap();
                    let other = Arc::new(other);
                    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
                    let there = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
                    let address = there.local_addr().unwrap();
                    let sum = Arc::new(AtomicU64::new(0));
                    let over = Arc::new(AtomicBool::new(false));
                    let receive = |seed: u64| {
                        let (other, there) = (Arc::clone(&other), Arc::clone(&there));
                        let (sum, over) = (Arc::clone(&sum), Arc::clone(&over));
                        spawn(move || {
                            let mut random = Random::of(seed);
                            while !over.load(Ordering::Relaxed) {
                                let mut byte = [0];
                                let patience = Duration::from_micros(random.below(60));
                                let found = timeout(patience, || match random.below(3) {
                                    0 => other.recv(&mut byte).unwrap(),
                                    1 => other.recv_from(&mut byte).unwrap().0,
                                    _ => there.recv_from(&mut byte).unwrap().0,
                                });
                                if found == Ok(1) {
                                    sum.fetch_add(byte[0].into(), Ordering::Relaxed);
                                }
                            }
                        })
                    };
                    let victims: Vec<_> = (0..2).map(|_| receive(random.next())).collect();
                    let survivors: Vec<_> = (0..2).map(|_| receive(random.next())).collect();
                    for number in 1..=20_u8 {
                        one.send(&[number]).unwrap();
                        here.send_to(&[number], address).unwrap();
                        if random.below(3) == 0 {
                            yield_now();
                        }
                    }
                    cancel_some(&mut random, &victims);
                    while sum.load(Ordering::Relaxed) < 420 {
                        yield_now();
                    }
                    over.store(true, Ordering::Relaxed);
                    for fiber in survivors {
                        fiber.join().unwrap();
                    }
                    for fiber in victims {
                        let _ = fiber.join();
                    }
                    assert_eq!(sum.load(Ordering::Relaxed), 420);
                }
            });
        },
    );
}

/// Senders that are cut short while the receiver's queue is full: a datagram whose call was unwound was not sent.
#[test]
fn senders_that_are_unwound_have_not_sent() {
    in_a_child("senders_that_are_unwound_have_not_sent", |machine, seed| {
        let rounds = scaled(30, 1_000);
        machine.run(move || {
            let mut random = Random::of(seed);
            for _ in 0..rounds {
                let name = abstract_name();
                let receiver = UnixDatagram::bind_addr(&name).unwrap();
                let sum = Arc::new(AtomicU64::new(0));
                let senders: Vec<_> = (0..4)
                    .map(|sender| {
                        let (name, sum) = (name.clone(), Arc::clone(&sum));
                        let seed = random.next();
                        spawn(move || {
                            let mut random = Random::of(seed);
                            let socket = UnixDatagram::unbound().unwrap();
                            socket.connect_addr(&name).unwrap();
                            for number in 0..60_u8 {
                                impatient(&mut random, || {
                                    if sender % 2 == 0 {
                                        socket.send(&[number]).unwrap();
                                    } else {
                                        socket.send_to_addr(&[number], &name).unwrap();
                                    }
                                });
                                sum.fetch_add(number.into(), Ordering::Relaxed);
                            }
                        })
                    })
                    .collect();
                cancel_some(&mut random, &senders[2..]);
                let drain = spawn(move || {
                    let mut sum = 0;
                    loop {
                        let mut byte = [0];
                        receiver.recv(&mut byte).unwrap();
                        if byte[0] == u8::MAX {
                            return sum;
                        }
                        sum += u64::from(byte[0]);
                    }
                });
                for sender in senders {
                    let _ = sender.join();
                }
                let last = UnixDatagram::unbound().unwrap();
                last.send_to_addr(&[u8::MAX], &name).unwrap();
                assert_eq!(drain.join().unwrap(), sum.load(Ordering::Relaxed));
            }
        });
    });
}

/// Whole conversations, cut short anywhere: connecting, writing, reading. The server goes on, nothing stays open.
#[test]
fn conversations_that_are_unwound_leave_nothing_open() {
    in_a_child(
        "conversations_that_are_unwound_leave_nothing_open",
        |machine, seed| {
            let conversations = scaled(1_500, 40_000);
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let address = listener.local_addr().unwrap();
            let server = machine.spawn({
                let listener = Arc::clone(&listener);
                move || {
                    fibers::scope(|scope| {
                        for stream in listener.incoming() {
                            let Ok(mut stream) = stream else { return };
                            scope.spawn(move || {
                                let mut buffer = [0; 1000];
                                // Whoever is cut short may be gone with a reset.
                                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                                    if stream.write_all(&buffer[..read]).is_err() {
                                        return;
                                    }
                                }
                            });
                        }
                    });
                }
            });
            let whole = machine.run(move || {
                let mut random = Random::of(seed);
                let mut whole = 0;
                for _ in 0..conversations / 10 {
                    let clients: Vec<_> = (0..10)
                        .map(|_| {
                            let seed = random.next();
                            spawn(move || {
                                let mut random = Random::of(seed);
                                let patience = match random.below(3) {
                                    0 => Duration::MAX,
                                    _ => Duration::from_micros(random.below(400)),
                                };
                                timeout(patience, || {
                                    let mut stream = TcpStream::connect(address).unwrap();
                                    let question = vec![seed as u8; random.below(60_000) as usize];
                                    let mut clone = stream.try_clone().unwrap();
                                    fibers::scope(|scope| {
                                        scope.spawn(|| {
                                            clone.write_all(&question).unwrap();
                                            clone.shutdown(Shutdown::Write).unwrap();
                                        });
                                        let mut answer = Vec::new();
                                        stream.read_to_end(&mut answer).unwrap();
                                        assert_eq!(answer, question);
                                    });
                                })
                                .is_ok()
                            })
                        })
                        .collect();
                    cancel_some(&mut random, &clients[7..]);
                    for (number, client) in clients.into_iter().enumerate() {
                        match client.join() {
                            Ok(ended) => whole += usize::from(ended),
                            Err(payload) => {
                                assert!(
                                    number >= 7 && payload.is::<fibers::Cancelled>(),
                                    "a panic"
                                );
                            }
                        }
                    }
                }
                whole
            });
            println!("{whole} of {conversations} conversations came to their end");
            // SAFETY: a live descriptor.
            unsafe { libc::shutdown(std::os::fd::AsRawFd::as_raw_fd(&*listener), libc::SHUT_RDWR) };
            server.join().unwrap();
        },
    );
}
