//! What a child inherits: the standard streams, and no blocked signals.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{alone, in_both_modes, stress};
use crate::shell;
use fibers::process::Stdio;
use fibers::signal::{self, Signal, Signals};

#[test]
fn children_inherit_the_standard_streams_only() {
    // Whatever else is open for children from the start is not ours.
    let list =
        "i=3; while [ $i -lt 400 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; exit 0";
    alone(
        "inherit::children_inherit_the_standard_streams_only",
        120,
        || {
            let inherited = |output: Vec<u8>| -> BTreeSet<String> {
                String::from_utf8(output)
                    .unwrap()
                    .lines()
                    .map(str::to_owned)
                    .collect()
            };
            let std = std::process::Command::new("/bin/sh")
                .args(["-c", list])
                .output()
                .unwrap();
            let from_the_start = inherited(std.stdout);
            println!("inherited by ourselves: {from_the_start:?}");
            in_both_modes(100, 2, |_, machine, _| {
                let ends = Arc::new(AtomicBool::new(false));
                // Everything that has descriptors, all the time.
                let load: Vec<_> = (0..4)
                    .map(|index| {
                        let ends = Arc::clone(&ends);
                        machine.spawn(move || {
                            let listener = fibers::net::TcpListener::bind("127.0.0.1:0").unwrap();
                            while !ends.load(Ordering::SeqCst) {
                                let signals = Signals::new([Signal::WINCH]).unwrap();
                                let (mut reader, writer) = fibers::io::pipe().unwrap();
                                let clone = writer.try_clone().unwrap();
                                let stream =
                                    fibers::net::TcpStream::connect(listener.local_addr().unwrap())
                                        .unwrap();
                                let (other, _) = listener.accept().unwrap();
                                if index == 0 {
                                    shell("exit 0").stdin(Stdio::piped()).output().unwrap();
                                }
                                drop((writer, clone, stream, other, signals));
                                assert_eq!(reader.read(&mut [0]).unwrap(), 0);
                            }
                        })
                    })
                    .collect();
                for _ in 0..if stress() { 500 } else { 20 } {
                    let output = machine.run(|| shell(list).output().unwrap());
                    let inherited = inherited(output.stdout);
                    let ours: Vec<_> = inherited.difference(&from_the_start).collect();
                    assert!(ours.is_empty(), "{ours:?}");
                }
                ends.store(true, Ordering::SeqCst);
                for fiber in load {
                    fiber.join().unwrap();
                }
            });
        },
    );
}

#[test]
fn what_is_blocked_here_is_open_in_a_child() {
    alone(
        "inherit::what_is_blocked_here_is_open_in_a_child",
        60,
        || {
            let to_itself = || shell("kill -TERM $$; exit 0").status().unwrap();
            signal::block([Signal::TERM, Signal::USR1]).unwrap();
            assert_eq!(to_itself().signal(), Some(libc::SIGTERM));
            in_both_modes(60, 2, |_, machine, _| {
                assert_eq!(machine.run(to_itself).signal(), Some(libc::SIGTERM));
            });
            // Nor does it inherit a handler.
            let _signals = Signals::new([Signal::TERM]).unwrap();
            assert_eq!(to_itself().signal(), Some(libc::SIGTERM));
        },
    );
}
