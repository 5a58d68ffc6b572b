//! Sockets where the system is short of something or in the way: no descriptors, signals all the time; and how many
//! system calls a connection takes. Each test runs in a process of its own.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net as std_net;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{
    MODES, Mode, Test, child_case, child_for, child_under, cpu_time, eventually, scaled, stress,
};
use fibers::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The lowest number that a new descriptor would get.
fn next_descriptor() -> u64 {
    let file = std::fs::File::open("/dev/null").unwrap();
    file.as_raw_fd() as u64
}

fn limit_descriptors(descriptors: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a live struct of the kernel's shape.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(done, 0);
    limit.rlim_cur = descriptors.min(limit.rlim_max);
    // SAFETY: as above.
    let done = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(done, 0);
}

/// Loops that try again and again to accept: the errors reach them, but they do not compute all the time; and once
/// there are descriptors again, all that waited are served.
#[test]
fn no_more_descriptors_at_accept() {
    const CLIENTS: usize = 60;
    const ERRORS: usize = 40;
    const ACCEPTORS: usize = 3;
    if child_case().is_none() {
        let ended = child_for("no_more_descriptors_at_accept", "run", &[], 60);
        println!("{}", ended.stdout);
        return ended.passed();
    }
    for mode in MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 2);
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| std_net::TcpStream::connect(address).unwrap())
            .collect();
        limit_descriptors(next_descriptor() + 5);
        let errors = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (before, start) = (cpu_time(), Instant::now());
        let acceptors: Vec<_> = (0..ACCEPTORS)
            .map(|_| {
                let (listener, errors) = (Arc::clone(&listener), Arc::clone(&errors));
                let accepted = Arc::clone(&accepted);
                machine.spawn(move || {
                    let mut streams = Vec::new();
                    while accepted.load(Ordering::Relaxed) < CLIENTS {
                        // Else one of them would wait for more clients than there are.
                        match fibers::timeout(Duration::from_millis(200), || listener.accept()) {
                            Ok(Ok(it)) => {
                                accepted.fetch_add(1, Ordering::Relaxed);
                                streams.push(it);
                            }
                            Ok(Err(error)) => {
                                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                                errors.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(_) => {}
                        }
                    }
                })
            })
            .collect();
        // Seldom: to look costs something as well.
        while errors.load(Ordering::Relaxed) < ERRORS {
            std::thread::sleep(Duration::from_millis(20));
        }
        let (used, passed) = (cpu_time() - before, start.elapsed());
        println!("{mode:?}: {used:?} of CPU time in {passed:?}, for {ERRORS} errors");
        assert!(used * 20 <= passed, "more than 5 % of a processor");
        // Service goes on after one more rest, so after one more error of each acceptor at the most. Of those that
        // came before this thread has raised the limit it knows nothing.
        limit_descriptors(1_000);
        let before = errors.load(Ordering::Relaxed);
        for acceptor in acceptors {
            acceptor.join().unwrap();
        }
        assert_eq!(accepted.load(Ordering::Relaxed), CLIENTS);
        let more = errors.load(Ordering::Relaxed) - before;
        assert!(
            more <= ACCEPTORS,
            "{more} errors after there were descriptors again"
        );
        drop(clients);
    }
}

/// A rest after such an error is a wait like others: a deadline and a cancellation end it, and non-blocking mode has
/// none.
#[test]
fn the_rest_after_an_error_can_be_ended() {
    if child_case().is_none() {
        return child_for("the_rest_after_an_error_can_be_ended", "run", &[], 60).passed();
    }
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = std_net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    machine.run(move || {
        limit_descriptors(0);
        let code = |result: std::io::Result<_>| result.map(drop).unwrap_err().raw_os_error();
        assert_eq!(code(listener.accept()), Some(libc::EMFILE));
        // Again where the rest was over before it was waited for: it is not long.
        let accept = || fibers::timeout(Duration::from_millis(1), || listener.accept());
        while let Ok(accepted) = accept() {
            assert_eq!(code(accepted), Some(libc::EMFILE));
        }
        listener.set_nonblocking(true).unwrap();
        for _ in 0..1_000 {
            assert_eq!(code(listener.accept()), Some(libc::EMFILE));
        }
        listener.set_nonblocking(false).unwrap();
        limit_descriptors(1_000);
        listener.accept().unwrap();
    });
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Signals with a handler that does not ask for calls to be repeated, as many as the system takes, while fibers and
/// threads talk: none of them sees an error.
#[test]
fn a_storm_of_signals_is_not_seen() {
    if child_case().is_none() {
        let ended = child_for("a_storm_of_signals_is_not_seen", "run", &[], 100);
        println!("{}", ended.stdout);
        return ended.passed();
    }
    let storm = scaled(20_000, 200_000);
    // SAFETY: all of it is integers and pointers that may be null.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count_signal as *const () as usize;
    // SAFETY: a valid action, whose handler only counts.
    let done = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(done, 0);
    for mode in MODES {
        let test = Test::new(90);
        let machine = test.machine(mode, 2);
        let over = Arc::new(AtomicBool::new(false));
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let server = machine.spawn({
            let listener = Arc::clone(&listener);
            move || {
                fibers::scope(|scope| {
                    for stream in listener.incoming().take(6) {
                        let mut stream = stream.unwrap();
                        scope.spawn(move || {
                            let mut buffer = [0; 64];
                            loop {
                                match stream.read(&mut buffer).unwrap() {
                                    0 => break,
                                    read => stream.write_all(&buffer[..read]).unwrap(),
                                }
                            }
                        });
                    }
                });
            }
        });
        let talk = move |over: &AtomicBool| {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut rounds = 0_u64;
            while !over.load(Ordering::Relaxed) {
                stream.write_all(&rounds.to_le_bytes()).unwrap();
                let mut back = [0; 8];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(u64::from_le_bytes(back), rounds);
                rounds += 1;
                if rounds.is_multiple_of(64) {
                    // A wait that is ended by time.
                    stream
                        .set_read_timeout(Some(Duration::from_micros(200)))
                        .unwrap();
                    let late = stream.read(&mut back).unwrap_err();
                    assert_eq!(late.kind(), ErrorKind::WouldBlock);
                    stream.set_read_timeout(None).unwrap();
                }
            }
            rounds
        };
        let fibers: Vec<_> = (0..4)
            .map(|_| {
                let over = Arc::clone(&over);
                machine.spawn(move || talk(&over))
            })
            .collect();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let over = Arc::clone(&over);
                std::thread::spawn(move || talk(&over))
            })
            .collect();
        SIGNALS.store(0, Ordering::Relaxed);
        let own = std::process::id();
        // To each thread in turn: whatever it is in is interrupted.
        let mut sent = 0;
        while sent < storm {
            for thread in std::fs::read_dir("/proc/self/task").unwrap() {
                let name = thread.unwrap().file_name();
                let thread: i32 = name.to_string_lossy().parse().unwrap();
                // SAFETY: a signal that this process handles, to a thread of its own.
                unsafe { libc::syscall(libc::SYS_tgkill, own, thread, libc::SIGUSR1) };
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        over.store(true, Ordering::Relaxed);
        let mut rounds = 0;
        for fiber in fibers {
            rounds += fiber.join().unwrap();
        }
        for thread in threads {
            rounds += thread.join().unwrap();
        }
        server.join().unwrap();
        eventually(|| SIGNALS.load(Ordering::Relaxed) > 0);
        let handled = SIGNALS.load(Ordering::Relaxed);
        println!("{mode:?}: {rounds} rounds, {sent} signals sent, {handled} handled");
        assert!(rounds > 0);
    }
}

/// One connection, many messages: its descriptor is registered once, and after a read that found less than it asked
/// for nobody asks the kernel for more before there is some.
#[test]
fn a_connection_is_registered_once_and_read_only_when_ready() {
    const NAME: &str = "a_connection_is_registered_once_and_read_only_when_ready";
    let messages = if stress() { 100_000 } else { 10_000 };
    if child_case().is_some() {
        let test = Test::new(110);
        let machine = test.machine(Mode::Pinned, 1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std_net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = machine.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            println!("descriptor={}", stream.as_raw_fd());
            let mut buffer = [0; 64];
            loop {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    read => stream.write_all(&buffer[..read]).unwrap(),
                }
            }
        });
        for number in 0..messages as u64 {
            client.write_all(&number.to_le_bytes()).unwrap();
            let mut back = [0; 8];
            client.read_exact(&mut back).unwrap();
            assert_eq!(u64::from_le_bytes(back), number);
        }
        drop(client);
        return server.join().unwrap();
    }
    let trace = std::env::temp_dir().join(format!("fibers-trace-{}", std::process::id()));
    let path = trace.to_string_lossy().into_owned();
    let tool = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=epoll_ctl,recvfrom",
        "-o",
        &path,
    ];
    let works = std::process::Command::new(tool[0])
        .args(&tool[1..])
        .arg("true")
        .stderr(std::process::Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        println!("skipped: strace is not there, or may not trace");
        return;
    }
    let ended = child_under(&tool, NAME, "run", 110);
    let text = std::fs::read_to_string(&trace).unwrap();
    let _ = std::fs::remove_file(&trace);
    ended.passed();
    let number: u32 = ended
        .stdout
        .lines()
        .find_map(|line| line.split("descriptor=").nth(1)?.trim().parse().ok())
        .expect("the child says which");
    let added = text
        .lines()
        .filter(|line| line.contains("EPOLL_CTL_ADD") && line.contains(&format!(", {number}, ")))
        .count();
    assert_eq!(added, 1, "registrations");
    let (mut reads, mut for_nothing, mut short) = (0, 0, false);
    let call = format!("recvfrom({number},");
    for line in text.lines().filter(|line| line.contains(&call)) {
        let result = line.rsplit(" = ").next().unwrap_or_default();
        if result.starts_with("-1 EAGAIN") {
            for_nothing += usize::from(short);
            short = false;
        } else {
            reads += 1;
            short = true;
        }
    }
    println!("{reads} reads, {for_nothing} that found nothing after a short one");
    assert!(reads >= messages, "the trace has them all");
    assert_eq!(for_nothing, 0);
}

/// Unix sockets are read until they have nothing more, but registered once like all.
#[test]
fn listeners_of_both_kinds_serve_under_a_low_limit() {
    if child_case().is_none() {
        return child_for(
            "listeners_of_both_kinds_serve_under_a_low_limit",
            "run",
            &[],
            60,
        )
        .passed();
    }
    let test = Test::new(60);
    let machine = test.machine(Mode::Floating, 2);
    let unnamed = fibers::net::unix::SocketAddr::from_pathname("").unwrap();
    let listener = UnixListener::bind_addr(&unnamed).unwrap();
    let address = listener.local_addr().unwrap();
    let room = next_descriptor() + 6;
    limit_descriptors(room);
    let served = machine.spawn(move || {
        let mut served = 0;
        while served < 200 {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(&[1]).unwrap();
                served += 1;
            }
        }
        served
    });
    machine.run(move || {
        let mut done = 0;
        while done < 200 {
            // Its own end of a connection needs a descriptor too.
            if let Ok(mut stream) = UnixStream::connect_addr(&address) {
                stream.read_exact(&mut [0]).unwrap();
                done += 1;
            }
        }
    });
    assert_eq!(served.join().unwrap(), 200);
}

/// A process may give up all further descriptors (`RLIMIT_NOFILE` of 0, as sandboxes do). `poll` refuses two at once
/// then: who had the baton no longer learned what happened in either reactor, and computed all the time.
#[test]
fn regression_sockets_go_on_without_any_further_descriptor() {
    const NAME: &str = "regression_sockets_go_on_without_any_further_descriptor";
    if child_case().is_none() {
        return child_for(NAME, "run", &[], 60).passed();
    }
    for mode in MODES {
        let test = Test::new(50);
        let machine = test.machine(mode, 2);
        let (shared, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let shared = Arc::new(UnixStream::from(shared));
        let started = Arc::new(AtomicUsize::new(0));
        let got = Arc::new(AtomicUsize::new(0));
        // One on each worker, so that the socket is both workers' to look for.
        let readers = [(); 2].map(|()| {
            let (shared, got) = (Arc::clone(&shared), Arc::clone(&got));
            let started = Arc::clone(&started);
            machine.spawn(move || {
                started.fetch_add(1, Ordering::Relaxed);
                while started.load(Ordering::Relaxed) < 2 {
                    std::thread::yield_now();
                }
                while (&*shared).read(&mut [0]).unwrap() != 0 {
                    got.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        eventually(|| machine.metrics().parked == 2);
        limit_descriptors(0);
        for sent in 1..=20 {
            peer.write_all(&[1]).unwrap();
            eventually(|| got.load(Ordering::Relaxed) == sent);
            eventually(|| machine.metrics().parked == 2);
        }
        // What comes by a bell, and by time.
        assert_eq!(machine.spawn(|| 5).join().unwrap(), 5);
        machine.run(|| fibers::sleep(Duration::from_millis(2)));
        let (before, start) = (cpu_time(), Instant::now());
        machine.run(|| fibers::sleep(Duration::from_millis(300)));
        let (used, passed) = (cpu_time() - before, start.elapsed());
        println!("{mode:?}: {used:?} of CPU time in {passed:?}");
        drop(peer);
        for reader in readers {
            reader.join().unwrap();
        }
        limit_descriptors(1_000);
    }
}
