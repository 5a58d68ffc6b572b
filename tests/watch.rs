//! What `fibers::io` promises for descriptors and pipes: who waits is woken, nobody spins, no byte is lost.
//!
//! The standard streams are in `stdio.rs`.

mod common;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{
    Gate, Latch, MODES, Random, Test, alone, comes_to_rest, descriptors, eventually, everywhere,
    in_both_modes, interrupt_system_calls, scaled,
};
use fibers::io::{self, PipeReader, PipeWriter, Watch, pipe};
use fibers::{sleep, timeout};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

fn eventfd() -> Watch<File> {
    // SAFETY: makes a descriptor, which is ours.
    let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
    Watch::new(File::from(fd)).expect("a descriptor")
}

fn add(eventfd: &Watch<File>, number: u64) {
    let mut file = eventfd.get_ref();
    assert_eq!(file.write(&number.to_ne_bytes()).unwrap(), 8);
}

fn take(mut eventfd: &Watch<File>) -> u64 {
    let mut number = [0; 8];
    assert_eq!(eventfd.read(&mut number).unwrap(), 8);
    u64::from_ne_bytes(number)
}

fn is_nonblocking(fd: &impl AsRawFd) -> bool {
    // SAFETY: asks only.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

/// Waits until a fiber waits for a descriptor, as far as can be seen.
fn until_parked(machine: &fibers::Runtime, fibers: u64) {
    eventually(|| machine.metrics().parked >= fibers);
}

#[test]
fn all_of_it_goes_where_std_s_goes() {
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn goes<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    goes::<PipeReader>();
    goes::<PipeWriter>();
    goes::<Watch<File>>();
    goes::<fibers::process::Child>();
    goes::<fibers::process::ChildHandle>();
    goes::<fibers::process::ChildStdout>();
    goes::<fibers::process::ChildStdin>();
    goes::<fibers::signal::Signals>();
    goes::<io::Stdin>();
    goes::<io::Stdout>();
}

#[test]
fn an_eventfd_is_waited_for() {
    everywhere(60, || {
        let event = Arc::new(eventfd());
        let number = fibers::spawn({
            let event = Arc::clone(&event);
            move || (take(&event), take(&event))
        });
        add(&event, 3);
        eventually(|| {
            !number.is_finished() && event.readable_timeout(Duration::ZERO).is_ok_and(|is| !is)
        });
        add(&event, 4);
        assert_eq!(number.join().unwrap(), (3, 4));
    });
}

#[test]
fn a_timerfd_is_waited_for() {
    everywhere(60, || {
        // SAFETY: makes a descriptor, which is ours.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::timerfd_create(libc::CLOCK_MONOTONIC, 0)) };
        let timer = Watch::new(File::from(fd)).unwrap();
        let mut setting: libc::itimerspec =
            // SAFETY: a plain C struct.
            unsafe { std::mem::zeroed() };
        setting.it_value.tv_nsec = 1_000_000;
        // SAFETY: a live struct.
        unsafe {
            libc::timerfd_settime(
                timer.as_raw_fd(),
                0,
                &raw const setting,
                std::ptr::null_mut(),
            )
        };
        timer.readable().unwrap();
        assert_eq!(take(&timer), 1);
    });
}

#[test]
fn an_inotify_is_waited_for() {
    everywhere(60, || {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "fibers-inotify-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        // SAFETY: makes a descriptor, which is ours.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::inotify_init1(0)) };
        let watch = Watch::new(File::from(fd)).unwrap();
        let path = std::ffi::CString::new(dir.to_str().unwrap()).unwrap();
        // SAFETY: a live string.
        unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), libc::IN_CREATE) };
        let made = fibers::spawn(move || {
            let mut event = [0; 512];
            (&watch)
                .read(&mut event)
                .map(|bytes| String::from_utf8_lossy(&event[..bytes]).into_owned())
        });
        std::fs::write(dir.join("made"), "").unwrap();
        assert!(made.join().unwrap().unwrap().contains("made"));
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn both_directions_of_a_socket_are_waited_for_at_once() {
    in_both_modes(60, 2, |_, machine, _| {
        let (one, other) = UnixStream::pair().unwrap();
        let one = Arc::new(Watch::new(one).unwrap());
        let other = Watch::new(other).unwrap();
        // Full, so that a writer waits.
        while one
            .write_with_timeout(Duration::ZERO, |mut socket| socket.write(&[7; 4096]))
            .is_ok()
        {}
        assert!(!one.writable_timeout(SHORT).unwrap());
        let writer = machine.spawn({
            let one = Arc::clone(&one);
            move || one.writable()
        });
        let reader = machine.spawn({
            let one = Arc::clone(&one);
            move || {
                let mut byte = [0];
                (&*one).read_exact(&mut byte).map(|()| byte[0])
            }
        });
        until_parked(machine, 2);
        (&other).write_all(&[9]).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 9);
        let mut room = vec![0; 1 << 20];
        while other
            .read_with_timeout(Duration::ZERO, |mut socket| socket.read(&mut room))
            .is_ok()
        {}
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn files_and_folders_are_always_ready() {
    everywhere(60, || {
        for path in ["/proc/self/exe", "/", "/dev/null"] {
            let watch = Watch::new(File::open(path).unwrap()).unwrap();
            watch.readable().unwrap();
            watch.writable().unwrap();
            assert!(watch.readable_timeout(Duration::ZERO).unwrap());
        }
        let mut start = [0; 4];
        let watch = Watch::new(File::open("/proc/self/exe").unwrap()).unwrap();
        (&watch).read_exact(&mut start).unwrap();
        assert_eq!(&start, b"\x7fELF");
    });
}

#[test]
fn a_file_whose_call_would_block_is_an_error_and_no_loop() {
    in_both_modes(60, 1, |_, machine, _| {
        let error = machine.run(|| {
            let watch = Watch::new(File::open("/proc/self/exe").unwrap()).unwrap();
            let mut calls = 0;
            let lies = |_: &File| {
                calls += 1;
                assert!(calls < 10);
                Err::<(), _>(ErrorKind::WouldBlock.into())
            };
            watch.read_with(lies).unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(
            error.to_string().contains("cannot be waited for"),
            "{error}"
        );
    });
}

#[test]
fn a_watch_sets_the_mode_or_leaves_it_alone() {
    let (one, other) = UnixStream::pair().unwrap();
    assert!(!is_nonblocking(&one));
    let as_is = Watch::new_as_is(one);
    assert!(!is_nonblocking(&as_is));
    assert!(!as_is.readable_timeout(SHORT).unwrap());
    (&other).write_all(b"x").unwrap();
    as_is.readable().unwrap();
    let one = Watch::new(as_is.into_inner()).unwrap().into_inner();
    assert!(is_nonblocking(&one));
    assert!(format!("{:?}", Watch::new(one).unwrap()).contains("UnixStream"));
}

#[test]
fn time_is_kept_and_calls_are_repeated() {
    everywhere(60, || {
        let event = eventfd();
        assert!(!event.readable_timeout(Duration::ZERO).unwrap());
        assert!(!event.readable_timeout(SHORT).unwrap());
        assert!(event.writable_timeout(SHORT).unwrap());
        let mut number = [0; 8];
        for time in [Duration::ZERO, SHORT] {
            let late = event.read_with_timeout(time, |mut file| file.read(&mut number));
            assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        }
        // Interrupted, then it would block although it is ready: again.
        add(&event, 1);
        let mut calls = 0;
        let read = event.read_with(|mut file| {
            calls += 1;
            match calls {
                1 => Err(ErrorKind::Interrupted.into()),
                _ => file.read(&mut number),
            }
        });
        assert_eq!((read.unwrap(), calls), (8, 2));
        // Other errors come out, and panics.
        let error = event.write_with(|_| Err::<(), _>(ErrorKind::NotFound.into()));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn all_that_wait_for_one_descriptor_are_woken() {
    for mode in MODES {
        let test = Test::new(60);
        let machines = [test.machine(mode, 2), test.machine(mode, 1)];
        let event = Arc::new(eventfd());
        let wait = || {
            let event = Arc::clone(&event);
            move || event.readable().unwrap()
        };
        let fibers: Vec<_> = (0..100)
            .map(|index| machines[index % 2].spawn(wait()))
            .collect();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(wait())).collect();
        for machine in &machines {
            until_parked(machine, 50);
        }
        add(&event, 1);
        for fiber in fibers {
            fiber.join().unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_descriptor_outlives_the_machine_that_watched_it() {
    for mode in MODES {
        let test = Test::new(60);
        let event = Arc::new(eventfd());
        for round in 1..=5 {
            let machine = test.machine(mode, 1);
            let fiber = machine.spawn({
                let event = Arc::clone(&event);
                move || take(&event)
            });
            until_parked(&machine, 1);
            add(&event, round);
            assert_eq!(fiber.join().unwrap(), round);
        }
    }
}

/// A reader whose other end is gone: what the kernel reports of it for ever must not keep anybody busy.
#[test]
fn ends_that_are_gone_keep_nobody_busy() {
    alone("ends_that_are_gone_keep_nobody_busy", 120, || {
        in_both_modes(100, 2, |_, machine, _| {
            let (reader, writer) = pipe().unwrap();
            let (one, other) = UnixStream::pair().unwrap();
            let one = Watch::new(one).unwrap();
            // Nothing more can be written, nor read: a fiber waits for room nevertheless.
            while one
                .write_with_timeout(Duration::ZERO, |mut socket| socket.write(&[7; 4096]))
                .is_ok()
            {}
            let gate = Arc::new(Gate::new());
            let reads = machine.spawn({
                let gate = Arc::clone(&gate);
                let mut reader = reader;
                move || {
                    let mut byte = [0];
                    assert_eq!(reader.read(&mut byte).unwrap(), 0, "the end");
                    gate.wait();
                    assert_eq!(reader.read(&mut byte).unwrap(), 0, "still the end");
                }
            });
            let writes = machine.spawn(move || (&one).write(b"more"));
            until_parked(machine, 2);
            drop(writer);
            other.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(comes_to_rest(Duration::from_millis(100)));
            let before = machine.metrics();
            assert!(before.io_events < 20, "{before:?}");
            assert!(comes_to_rest(Duration::from_millis(100)));
            let after = machine.metrics();
            assert_eq!(after.io_events, before.io_events, "{after:?}");
            assert!(!writes.is_finished() && !reads.is_finished());
            gate.open();
            reads.join().unwrap();
            drop(other);
            assert_eq!(
                writes.join().unwrap().unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );
        });
    });
}

#[test]
fn a_pipe_carries_all_bytes_in_order() {
    everywhere(100, || {
        let bytes = scaled(4 << 20, 64 << 20);
        let (reader, mut writer) = pipe().unwrap();
        let sum = fibers::spawn(move || {
            let (mut reader, mut expected, mut chunk) = (reader, 0_usize, vec![0; 5000]);
            loop {
                let read = reader.read(&mut chunk).unwrap();
                if read == 0 {
                    return expected;
                }
                for byte in &chunk[..read] {
                    assert_eq!(*byte, expected as u8);
                    expected += 1;
                }
            }
        });
        let all: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
        for part in all.chunks(70_001) {
            writer.write_all(part).unwrap();
        }
        drop(writer);
        assert_eq!(sum.join().unwrap(), bytes);
    });
}

#[test]
fn pipes_are_cloned_and_given_away() {
    everywhere(60, || {
        let (reader, writer) = pipe().unwrap();
        assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
        let (mut second, mut third) = (writer.try_clone().unwrap(), reader.try_clone().unwrap());
        (&writer).write_all(b"ab").unwrap();
        second.write_all(b"cd").unwrap();
        drop((writer, second));
        let mut text = String::new();
        let mut byte = [0];
        (&reader).read_exact(&mut byte).unwrap();
        third.read_to_string(&mut text).unwrap();
        assert_eq!((byte[0], text.as_str()), (b'a', "bcd"));

        let std: io::Result<(std::io::PipeReader, std::io::PipeWriter)> = std::io::pipe();
        let (reader, writer) = std.unwrap();
        let (reader, writer) = (
            PipeReader::from(reader),
            PipeWriter::from(OwnedFd::from(writer)),
        );
        assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
        let writer = std::io::PipeWriter::from(writer);
        assert!(!is_nonblocking(&writer));
        let reader = OwnedFd::from(reader);
        assert!(!is_nonblocking(&reader));
        drop(writer);
        let mut reader = PipeReader::from(reader);
        assert_eq!(reader.read(&mut byte).unwrap(), 0);
        drop(Stdio::from(reader));
        // Nobody reads any more.
        let (reader, mut writer) = pipe().unwrap();
        drop(reader);
        assert_eq!(
            writer.write(b"x").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        writer.flush().unwrap();
        assert!(writer.as_fd().as_raw_fd() > 2 && format!("{writer:?}").contains("PipeWriter"));
    });
}

#[test]
fn waits_cut_short_lose_no_byte() {
    in_both_modes(100, 2, |_, machine, mode| {
        let mut random = Random::new();
        let (reader, writer) = pipe().unwrap();
        let total = scaled(20_000, 200_000);
        let pauses = random.next();
        let writes = machine.spawn(move || {
            let (mut writer, mut random) = (writer, Random::of(pauses));
            for index in 0..total {
                writer.write_all(&[index as u8]).unwrap();
                if random.below(4) == 0 {
                    sleep(Duration::from_nanos(random.below(40_000)));
                }
            }
        });
        let reader = Arc::new(reader);
        let taken = Arc::new(AtomicUsize::new(0));
        let (mut cut, mut cancelled) = (0, 0);
        while taken.load(Ordering::SeqCst) < total {
            let (time, way) = (Duration::from_nanos(random.below(60_000)), random.below(3));
            let fiber = machine.spawn({
                let (reader, taken) = (Arc::clone(&reader), Arc::clone(&taken));
                move || {
                    let mut bytes = [0; 16];
                    let read = |bytes: &mut [u8]| {
                        let read = (&*reader).read(bytes).unwrap();
                        // Before anything that could unwind.
                        let first = taken.fetch_add(read, Ordering::SeqCst);
                        for (index, byte) in bytes[..read].iter().enumerate() {
                            assert_eq!(*byte, (first + index) as u8);
                        }
                        read
                    };
                    match way {
                        0 => timeout(time, || read(&mut bytes)).is_err(),
                        _ => read(&mut bytes) == usize::MAX,
                    }
                }
            });
            if way == 2 {
                for _ in 0..random.below(3_000) {
                    std::hint::spin_loop();
                }
                let _ = fiber.cancel();
            }
            match fiber.join() {
                Ok(was_cut) => cut += usize::from(was_cut),
                Err(payload) => {
                    assert!(
                        payload.is::<fibers::Cancelled>(),
                        "a byte was lost or moved"
                    );
                    cancelled += 1;
                }
            }
        }
        writes.join().unwrap();
        println!("{mode:?}: {cut} reads ran out of time, {cancelled} were cancelled");
    });
}

#[test]
fn every_wait_can_be_cut_short() {
    type Wait = (&'static str, fn());
    const WAITS: [Wait; 6] = [
        ("readable", || eventfd().readable().unwrap()),
        ("readable for a time", || {
            drop(eventfd().readable_timeout(LONG))
        }),
        ("read", || assert_eq!(take(&eventfd()), 0)),
        ("read for a time", || {
            let _ = eventfd().read_with_timeout(LONG, |mut file| file.read(&mut [0; 8]));
        }),
        ("a pipe's read", || {
            let (mut reader, _writer) = pipe().unwrap();
            let _ = reader.read(&mut [0]);
        }),
        ("a pipe's write", || {
            let (_reader, mut writer) = pipe().unwrap();
            let _ = writer.write_all(&[0; 1 << 20]);
        }),
    ];
    alone("every_wait_can_be_cut_short", 120, || {
        in_both_modes(100, 2, |_, machine, _| {
            for (name, wait) in WAITS {
                let fiber = machine.spawn(wait);
                until_parked(machine, 1);
                fiber.cancel().unwrap();
                common::joined_as_cancelled(fiber);
                assert!(machine.run(move || timeout(SHORT, wait)).is_err(), "{name}");
                // A plain thread, too.
                assert!(timeout(SHORT, wait).is_err(), "{name}");
            }
            assert_eq!(machine.metrics().io_sources, 0);
        });
        assert!(descriptors().len() < 10, "{:?}", descriptors());
    });
}

#[test]
fn interruptions_reach_nobody() {
    alone("interruptions_reach_nobody", 120, || {
        interrupt_system_calls();
        in_both_modes(100, 2, |_, machine, _| {
            let ends = Arc::new(AtomicBool::new(false));
            let left = Arc::new(Latch::new(9));
            let rounds = scaled(20_000, 100_000);
            let turn = |rounds: usize, mut reader: PipeReader, mut writer: PipeWriter| {
                let left = Arc::clone(&left);
                move || {
                    for _ in 0..rounds {
                        writer.write_all(b"x").unwrap();
                        reader.read_exact(&mut [0]).unwrap();
                    }
                    left.arrive();
                }
            };
            let mut threads = Vec::new();
            for index in 0..4 {
                let ((here, there), (back, forth)) = (pipe().unwrap(), pipe().unwrap());
                machine.spawn(turn(rounds, here, forth));
                if index == 0 {
                    threads.push(std::thread::spawn(turn(rounds, back, there)));
                } else {
                    machine.spawn(turn(rounds, back, there));
                }
            }
            machine.spawn({
                let (ends, left) = (Arc::clone(&ends), Arc::clone(&left));
                move || {
                    while !ends.load(Ordering::SeqCst) {
                        assert!(
                            !eventfd()
                                .readable_timeout(Duration::from_micros(300))
                                .unwrap()
                        );
                    }
                    left.arrive();
                }
            });
            eventually(|| left.missing() == 1);
            ends.store(true, Ordering::SeqCst);
            left.wait();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn a_deterministic_run_says_that_it_waits_for_no_descriptor() {
    let error = fibers::testing::Check::new().run(|| {
        let (mut reader, _writer) = pipe().unwrap();
        reader.read(&mut [0]).unwrap_err().kind()
    });
    assert_eq!(error, ErrorKind::Unsupported);
}
