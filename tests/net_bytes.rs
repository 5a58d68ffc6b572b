//! Every byte arrives, once and in order: whatever kinds of short reads there are, whoever else reads or writes, and
//! however loud others are.

mod common;

use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Latch, Random, everywhere, in_both_modes, on_all_machines, scaled};
use fibers::net::{Shutdown, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use fibers::{spawn, timeout, yield_now};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Gives it little room, so that writes come in many parts.
fn narrow(socket: &impl AsRawFd) {
    let bytes: i32 = 20_000;
    // SAFETY: a live descriptor, and an option of that size.
    let set = unsafe {
        let value = (&raw const bytes).cast();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            value,
            4,
        )
    };
    assert_eq!(set, 0);
}

fn raw_send(socket: &impl AsRawFd, bytes: &[u8], flags: i32) {
    // SAFETY: a live descriptor and a live buffer.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    assert_eq!(sent, bytes.len() as isize);
}

/// A read ends at the mark of urgent data: it is short, though more is there.
#[test]
fn what_follows_urgent_data_is_not_forgotten() {
    in_both_modes(30, 1, |_, machine, _| {
        let (mut client, mut server) = pair();
        let reader = machine.spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 64];
            while all.len() < 7 {
                let read = server.read(&mut buffer).unwrap();
                all.extend_from_slice(&buffer[..read]);
            }
            all
        });
        let all = machine.run(move || {
            client.write_all(b"1").unwrap();
            yield_now();
            // All of it is there before the reader looks again.
            raw_send(&client, b"abc", 0);
            raw_send(&client, b"!", libc::MSG_OOB);
            raw_send(&client, b"def", 0);
            reader.join().unwrap()
        });
        assert_eq!(all, b"1abcdef");
    });
}

/// A read ends where a message does that carries descriptors.
#[test]
fn what_follows_a_message_with_descriptors_is_not_forgotten() {
    fn send_with_descriptor(socket: &impl AsRawFd, bytes: &[u8]) {
        let mut control = [0_u64; 8];
        let mut piece = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: all of it is integers and pointers that may be null.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: only computes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
        // SAFETY: the message has room for this header and one descriptor after it.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(header).cast::<i32>().write_unaligned(2);
        }
        // SAFETY: all that it points to is alive.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) };
        assert_eq!(sent, bytes.len() as isize);
    }
    in_both_modes(30, 1, |_, machine, _| {
        let (mut client, mut server) = UnixStream::pair().unwrap();
        let reader = machine.spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 64];
            while all.len() < 7 {
                let read = server.read(&mut buffer).unwrap();
                all.extend_from_slice(&buffer[..read]);
            }
            all
        });
        let all = machine.run(move || {
            client.write_all(b"1").unwrap();
            yield_now();
            send_with_descriptor(&client, b"abc");
            raw_send(&client, b"def", 0);
            reader.join().unwrap()
        });
        assert_eq!(all, b"1abcdef");
    });
}

/// Records of writers on one socket and its clones, by all the ways to write.
#[test]
fn records_of_several_writers_are_not_torn() {
    const RECORD: usize = 64 << 10;
    const WRITERS: u8 = 6;
    let records = scaled(30, 500);
    on_all_machines(120, |_, machine| {
        let (client, mut server) = pair();
        narrow(&client);
        let client = Arc::new(client);
        for writer in 0..WRITERS {
            let socket = Arc::clone(&client);
            machine.spawn(move || {
                let clone = socket.try_clone().unwrap();
                let record = vec![writer; RECORD];
                for number in 0..records {
                    let mut target: &TcpStream = if number % 2 == 0 { &socket } else { &clone };
                    match number % 3 {
                        0 => target.write_all(&record).unwrap(),
                        1 => assert_eq!(target.write(&record).unwrap(), RECORD),
                        _ => {
                            let pieces: Vec<_> = record.chunks(1_000).map(IoSlice::new).collect();
                            assert_eq!(target.write_vectored(&pieces).unwrap(), RECORD);
                        }
                    }
                }
            });
        }
        drop(client);
        let counts = machine.run(move || {
            let mut counts = [0; WRITERS as usize];
            let mut record = vec![0; RECORD];
            for _ in 0..records * usize::from(WRITERS) {
                server.read_exact(&mut record).unwrap();
                let writer = record[0];
                assert!(record.iter().all(|byte| *byte == writer), "a torn record");
                counts[usize::from(writer)] += 1;
            }
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            counts
        });
        assert_eq!(counts, [records; WRITERS as usize]);
    });
}

/// Writers take turns: one that writes all the time does not keep the others away.
#[test]
fn the_turn_goes_round() {
    in_both_modes(60, 2, |_, machine, _| {
        let (client, mut server) = pair();
        let client = Arc::new(client);
        let done = Arc::new(AtomicBool::new(false));
        let loud = machine.spawn({
            let (client, done) = (Arc::clone(&client), Arc::clone(&done));
            move || {
                while !done.load(Ordering::Relaxed) {
                    (&*client).write_all(&[0; 100_000]).unwrap();
                }
            }
        });
        let drain = machine.spawn(move || {
            let mut buffer = vec![0; 30_000];
            while server.read(&mut buffer).unwrap() != 0 {}
        });
        machine.run({
            let client = Arc::clone(&client);
            move || (0..200).for_each(|_| (&*client).write_all(&[1; 10]).unwrap())
        });
        done.store(true, Ordering::Relaxed);
        loud.join().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        drain.join().unwrap();
    });
}

/// A writer that is cancelled, late or panics, while it writes or waits for its turn, gives the turn on.
#[test]
fn a_writer_that_is_unwound_gives_the_turn_on() {
    let rounds = scaled(300, 20_000);
    in_both_modes(120, 2, |_, machine, _| {
        common::silence_panics();
        let mut random = Random::new();
        let seed = random.next();
        machine.run(move || {
            let mut random = Random::of(seed);
            for _ in 0..rounds {
                let (client, mut server) = UnixStream::pair().unwrap();
                let client = Arc::new(client);
                // Fills the socket, and holds the turn.
                let first = spawn({
                    let client = Arc::clone(&client);
                    move || (&*client).write_all(&vec![0; 2 << 20])
                });
                let others: Vec<_> = (0..4)
                    .map(|_| {
                        let client = Arc::clone(&client);
                        let late = random.below(2) == 0;
                        spawn(move || {
                            let mut write = move || (&*client).write_all(&[1; 1_000]);
                            if late {
                                let _ = timeout(Duration::from_micros(50), &mut write);
                                panic!("expected");
                            }
                            write()
                        })
                    })
                    .collect();
                for _ in 0..random.below(6) {
                    yield_now();
                }
                let last = spawn({
                    let client = Arc::clone(&client);
                    move || (&*client).write_all(&[2; 5])
                });
                for fiber in others.iter().chain([&first]) {
                    if random.below(2) == 0 {
                        fiber.cancel().unwrap();
                        yield_now();
                    }
                }
                let drain = spawn(move || {
                    let mut all = Vec::new();
                    server.read_to_end(&mut all).unwrap();
                    all
                });
                for fiber in others {
                    let _ = fiber.join();
                }
                let _ = first.join();
                last.join().unwrap().unwrap();
                drop(client);
                let all = drain.join().unwrap();
                // However much of the others came through, the last is in one piece.
                let twos = all.iter().position(|byte| *byte == 2).unwrap();
                assert_eq!(all[twos..twos + 5], [2; 5]);
            }
        });
    });
}

/// A time-out ends the wait for the turn too.
#[test]
fn the_wait_for_the_turn_ends_by_the_write_timeout() {
    fn promise() {
        let (client, server) = UnixStream::pair().unwrap();
        let client = Arc::new(client);
        let first = spawn({
            let client = Arc::clone(&client);
            move || (&*client).write_all(&vec![0; 8 << 20])
        });
        // Until nothing more goes in, whoever writes.
        client.set_nonblocking(true).unwrap();
        common::eventually(|| (&*client).write(&[0; 1]).is_err());
        client.set_nonblocking(false).unwrap();
        client
            .set_write_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let error = (&*client).write_all(&[1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        drop(server);
        assert!(first.join().unwrap().is_err());
    }
    everywhere(30, promise);
}

/// Eight fibers read one socket, some through clones, with buffers of all sizes.
#[test]
fn eight_readers_share_every_byte() {
    let bytes = scaled(2_000_000, 200_000_000);
    on_all_machines(120, |_, machine| {
        let (mut client, server) = pair();
        let server = Arc::new(server);
        let readers: Vec<_> = (1..=8)
            .map(|number| {
                let server = Arc::clone(&server);
                machine.spawn(move || {
                    let own = (number % 2 == 0).then(|| server.try_clone().unwrap());
                    let mut socket = own.as_ref().unwrap_or(&server);
                    let mut buffer = vec![0; number * 97];
                    let mut sum = 0_u64;
                    loop {
                        let read = socket.read(&mut buffer).unwrap();
                        if read == 0 {
                            return sum;
                        }
                        sum += buffer[..read]
                            .iter()
                            .map(|byte| u64::from(*byte))
                            .sum::<u64>();
                    }
                })
            })
            .collect();
        let sum = machine.run(move || {
            let mut random = Random::of(7);
            let mut sum = 0_u64;
            let mut left = bytes;
            while left > 0 {
                let len = (random.below(3_000) as usize + 1).min(left);
                let piece: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
                sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                client.write_all(&piece).unwrap();
                left -= len;
                if random.below(4) == 0 {
                    yield_now();
                }
            }
            sum
        });
        let read: u64 = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        assert_eq!(read, sum);
    });
}

/// Eight fibers accept on one listener and its clones.
#[test]
fn eight_acceptors_share_every_connection() {
    let connections = scaled(4_000, 40_000);
    on_all_machines(120, |_, machine| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicUsize::new(connections));
        let acceptors: Vec<_> = (0..8)
            .map(|number| {
                let (listener, left) = (Arc::clone(&listener), Arc::clone(&left));
                machine.spawn(move || {
                    let own = (number % 2 == 0).then(|| listener.try_clone().unwrap());
                    let listener = own.as_ref().unwrap_or(&listener);
                    let mut sum = 0_u64;
                    loop {
                        let (mut stream, _) = listener.accept().unwrap();
                        let mut word = [0; 8];
                        stream.read_exact(&mut word).unwrap();
                        let word = u64::from_le_bytes(word);
                        if word == u64::MAX {
                            return sum;
                        }
                        sum += word;
                        stream.write_all(&[1]).unwrap();
                        left.fetch_sub(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let say = move |word: u64| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&word.to_le_bytes()).unwrap();
            let _ = stream.read(&mut [0]).unwrap();
        };
        machine.run(move || {
            fibers::scope(|scope| {
                for client in 0..16 {
                    scope.spawn(move || {
                        (client..connections)
                            .step_by(16)
                            .for_each(|at| say(at as u64));
                    });
                }
            });
            (0..8).for_each(|_| say(u64::MAX));
        });
        let sum: u64 = acceptors.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(sum, (0..connections as u64).sum());
        assert_eq!(left.load(Ordering::Relaxed), 0);
    });
}

/// A fiber whose calls all find something ready lets others run now and then, and can be cancelled.
#[test]
fn calls_that_never_wait_let_others_run() {
    in_both_modes(30, 1, |_, machine, _| {
        let other_ran = Arc::new(AtomicBool::new(false));
        let busy = machine.spawn({
            let other_ran = Arc::clone(&other_ran);
            move || {
                let (mut one, mut other) = UnixStream::pair().unwrap();
                let mut calls = 0;
                while !other_ran.load(Ordering::Relaxed) {
                    one.write_all(&[1]).unwrap();
                    other.read_exact(&mut [0]).unwrap();
                    calls += 2;
                }
                println!("{calls} calls");
                loop {
                    one.write_all(&[1]).unwrap();
                    other.read_exact(&mut [0]).unwrap();
                }
            }
        });
        machine.run(move || other_ran.store(true, Ordering::Relaxed));
        busy.cancel().unwrap();
        common::joined_as_cancelled(busy);
    });
}

/// One peer that never stops sending, beside a hundred that ask a question now and then.
#[test]
fn a_firehose_does_not_keep_quiet_peers_waiting() {
    let questions = scaled(100, 5_000);
    on_all_machines(120, |_, machine| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (mut hose, mut sink) = pair();
        let sender = machine.spawn({
            let over = Arc::clone(&over);
            move || {
                let piece = vec![0; 1 << 16];
                while !over.load(Ordering::Relaxed) {
                    hose.write_all(&piece).unwrap();
                }
            }
        });
        let receiver = machine.spawn(move || {
            let mut buffer = vec![0; 1 << 12];
            let mut all = 0;
            loop {
                match sink.read(&mut buffer).unwrap() {
                    0 => return all,
                    bytes => all += bytes,
                }
            }
        });
        let server = machine.spawn(move || {
            fibers::scope(|scope| {
                for stream in listener.incoming().take(100) {
                    let mut stream = stream.unwrap();
                    scope.spawn(move || {
                        let mut byte = [0];
                        while stream.read(&mut byte).unwrap() != 0 {
                            stream.write_all(&byte).unwrap();
                        }
                    });
                }
            });
        });
        let all_here = Arc::new(Latch::new(100));
        let clients: Vec<_> = (0..100_u8)
            .map(|number| {
                let all_here = Arc::clone(&all_here);
                machine.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    all_here.meet();
                    for _ in 0..questions / 10 + 1 {
                        stream.write_all(&[number]).unwrap();
                        let mut byte = [0];
                        stream.read_exact(&mut byte).unwrap();
                        assert_eq!(byte[0], number);
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        server.join().unwrap();
        over.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        println!("the firehose sent {} bytes", receiver.join().unwrap());
    });
}

/// Datagrams to one socket from several senders; those of a Unix socket are never lost.
#[test]
fn unix_datagrams_all_arrive() {
    use std::os::linux::net::SocketAddrExt;
    let each = scaled(2_000, 100_000);
    on_all_machines(60, |_, machine| {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("fibers-bytes-{}-{number}", std::process::id());
        let name = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let receiver = UnixDatagram::bind_addr(&name).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let name = name.clone();
                machine.spawn(move || {
                    let socket = UnixDatagram::unbound().unwrap();
                    if sender % 2 == 0 {
                        socket.connect_addr(&name).unwrap();
                    }
                    for number in 0..each {
                        let bytes = (number as u64).to_le_bytes();
                        let sent = if sender % 2 == 0 {
                            socket.send(&bytes)
                        } else {
                            socket.send_to_addr(&bytes, &name)
                        };
                        assert_eq!(sent.unwrap(), 8);
                    }
                })
            })
            .collect();
        let sum = machine.run(move || {
            let mut sum = 0;
            for _ in 0..4 * each {
                let mut bytes = [0; 9];
                assert_eq!(receiver.recv(&mut bytes).unwrap(), 8);
                sum += u64::from_le_bytes(bytes[..8].try_into().unwrap());
            }
            sum
        });
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(sum, 4 * (0..each as u64).sum::<u64>());
    });
}

/// Every datagram that a fiber waits for finds it, one at a time, so that none is dropped for lack of room.
#[test]
fn udp_ping_pong() {
    let rounds = scaled(3_000, 200_000);
    on_all_machines(60, |_, machine| {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        a.connect(b.local_addr().unwrap()).unwrap();
        b.connect(a.local_addr().unwrap()).unwrap();
        let echo = machine.spawn(move || {
            let mut bytes = [0; 8];
            for _ in 0..rounds {
                b.recv(&mut bytes).unwrap();
                b.send(&bytes).unwrap();
            }
        });
        machine.run(move || {
            let mut bytes = [0; 8];
            for round in 0..rounds as u64 {
                a.send(&round.to_le_bytes()).unwrap();
                a.recv(&mut bytes).unwrap();
                assert_eq!(u64::from_le_bytes(bytes), round);
            }
        });
        echo.join().unwrap();
    });
}

/// The reply of a socket finds its fiber among a hundred that do nothing but yield: after so many turns of theirs,
/// however long those take.
#[test]
fn yielding_fibers_do_not_keep_a_reply_waiting() {
    in_both_modes(60, 1, |_, machine, _| {
        let (mut client, mut server) = pair();
        let over = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicUsize::new(0));
        let spinners: Vec<_> = (0..100)
            .map(|_| {
                let (over, turns) = (Arc::clone(&over), Arc::clone(&turns));
                machine.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        turns.fetch_add(1, Ordering::Relaxed);
                        yield_now();
                    }
                })
            })
            .collect();
        let echo = machine.spawn(move || {
            let mut byte = [0];
            while server.read(&mut byte).unwrap() != 0 {
                server.write_all(&byte).unwrap();
            }
        });
        let mut waits: Vec<usize> = machine.run({
            let turns = Arc::clone(&turns);
            move || {
                let wait = |_| {
                    let before = turns.load(Ordering::Relaxed);
                    client.write_all(&[1]).unwrap();
                    client.read_exact(&mut [0]).unwrap();
                    turns.load(Ordering::Relaxed) - before
                };
                (0..101).map(wait).collect()
            }
        });
        waits.sort_unstable();
        let (median, worst) = (waits[50], waits[100]);
        over.store(true, Ordering::Relaxed);
        echo.join().unwrap();
        for spinner in spinners {
            spinner.join().unwrap();
        }
        println!("{median} turns of the others, {worst} at the most");
        // A busy worker looks into the reactor every 50 microseconds: some thousand turns. Not of every single reply:
        // on a loaded machine the system carries some bytes milliseconds later, or takes the processor from the
        // polling thread just when it has the event.
        assert!(median < 50_000, "{median} turns");
    });
}
