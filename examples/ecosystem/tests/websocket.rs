//! tungstenite over our sockets, by the program `websocket`.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod support;
#[allow(dead_code, reason = "it is a program too")]
#[path = "../websocket.rs"]
mod websocket;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::{Random, eventually, in_both_modes, joined_as_cancelled};
use fibers::net::{Shutdown, SocketAddr, TcpStream};
use fibers::time::{Duration, timeout};
use support::{Server, alone, descriptors, reset_at_close, until_closed};
use tungstenite::{Bytes, Message};

fn start(errors: &Arc<AtomicUsize>) -> Server {
    let errors = Arc::clone(errors);
    Server::start(move |listener| {
        websocket::serve(listener, |error| {
            println!("server: {error}");
            errors.fetch_add(1, SeqCst);
        });
    })
}

fn any_message(random: &mut Random) -> Message {
    let len_max = 1 << random.below(17);
    let len = random.below(len_max + 1) as usize;
    match random.below(3) {
        0 => Message::text("é".repeat(len / 2)),
        1 => Message::binary(vec![random.next() as u8; len]),
        _ => Message::Ping(Bytes::from(vec![random.next() as u8; len % 126])),
    }
}

#[test]
fn many_clients() {
    const CLIENTS: usize = 50;
    const MESSAGES: usize = 100;
    let _alone = alone();
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let seeds: Vec<u64> = (0..CLIENTS).map(|_| random.next()).collect();
        machine.run(move || {
            let before = descriptors();
            let errors = Arc::default();
            let server = start(&errors);
            let address = server.address;
            fibers::scope(|s| {
                for seed in seeds {
                    s.spawn(move || {
                        let mut random = Random::of(seed);
                        let mut socket = websocket::connect(address).unwrap();
                        for _ in 0..MESSAGES {
                            let message = any_message(&mut random);
                            socket.send(message.clone()).unwrap();
                            let answer = socket.read().unwrap();
                            assert!(answer == websocket::answer(message), "another answer");
                        }
                        websocket::close(socket).unwrap();
                    });
                }
            });
            server.stop();
            assert_eq!(errors.load(SeqCst), 0);
            assert_eq!(descriptors(), before);
        });
    });
}

const HELLO: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Sends that, and sees to it that the server has read it.
fn says(address: SocketAddr, hello: &[u8], frames: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(hello).unwrap();
    if hello == HELLO {
        assert_ne!(stream.peek(&mut [0]).unwrap(), 0);
    }
    stream.write_all(frames).unwrap();
    stream
}

#[test]
fn who_breaks_off_or_lies_harms_nobody_else() {
    let all: [(&str, &[u8], &[u8]); 9] = [
        ("nothing", b"", b""),
        ("half a handshake", &HELLO[..40], b""),
        ("no handshake", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        ("no HTTP", b"\0\xff\0\xff\r\n\r\n", b""),
        ("no goodbye", HELLO, b""),
        ("half a head", HELLO, &[0x82, 0xfe, 1]),
        ("half a message", HELLO, &[0x82, 0x85, 1, 2, 3, 4, 5]),
        ("no mask", HELLO, &[0x82, 1, 0]),
        ("a reserved code", HELLO, &[0x83, 0x80, 1, 2, 3, 4]),
    ];
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(move || {
            let before = descriptors();
            let errors = Arc::default();
            let server = start(&errors);
            let mut other = websocket::connect(server.address).unwrap();
            let mut number = 0;
            for (what, hello, frames) in all {
                for by_reset in [false, true] {
                    let stream = says(server.address, hello, frames);
                    if by_reset {
                        reset_at_close(&stream);
                    } else {
                        stream.shutdown(Shutdown::Write).unwrap();
                        until_closed(&stream);
                    }
                    drop(stream);
                    number += 1;
                    println!("{what}, reset: {by_reset}");
                    eventually(|| errors.load(SeqCst) == number);
                    other.send(Message::text(what)).unwrap();
                    assert_eq!(other.read().unwrap(), Message::text(what));
                }
            }
            websocket::close(other).unwrap();
            server.stop();
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn cancelled_and_late() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(move || {
            let before = descriptors();
            let errors = Arc::default();
            let server = start(&errors);
            let address = server.address;
            let reached = Arc::new(AtomicUsize::new(0));
            let client = {
                let reached = Arc::clone(&reached);
                move || {
                    let mut socket = websocket::connect(address).unwrap();
                    socket.send(Message::text("hello")).unwrap();
                    assert_eq!(socket.read().unwrap(), Message::text("hello"));
                    reached.fetch_add(1, SeqCst);
                    // Nothing more comes.
                    drop(socket.read());
                }
            };
            let fiber = fibers::spawn(client.clone());
            eventually(|| reached.load(SeqCst) == 1);
            fiber.cancel().unwrap();
            joined_as_cancelled(fiber);
            eventually(|| errors.load(SeqCst) == 1);
            timeout(Duration::from_millis(100), client).unwrap_err();
            // The server is cancelled while it serves.
            let mut other = websocket::connect(address).unwrap();
            server.stop();
            other.read().unwrap_err();
            drop(other);
            assert_eq!(descriptors(), before);
        });
    });
}
