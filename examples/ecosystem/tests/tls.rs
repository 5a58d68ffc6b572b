//! rustls over our sockets, by the program `tls_echo`.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod support;
#[allow(dead_code, reason = "it is a program too")]
#[path = "../tls_echo.rs"]
mod tls_echo;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::{Random, eventually, in_both_modes, joined_as_cancelled};
use fibers::net::TcpStream;
use fibers::time::{Duration, timeout};
use rustls::{ClientConnection, StreamOwned};
use support::{Server, alone, descriptors, listen, until_closed};
use tls_echo::Tls;

type Client = StreamOwned<ClientConnection, TcpStream>;

fn start(tls: &Arc<Tls>, errors: &Arc<AtomicUsize>) -> Server {
    let (tls, errors) = (Arc::clone(tls), Arc::clone(errors));
    Server::start(move |listener| {
        tls_echo::serve(listener, &tls, |error| {
            println!("server: {error}");
            errors.fetch_add(1, SeqCst);
        });
    })
}

fn echoes(client: &mut Client, sent: &[u8]) {
    client.write_all(sent).unwrap();
    let mut echoed = vec![0; sent.len()];
    client.read_exact(&mut echoed).unwrap();
    assert!(echoed == sent, "{} bytes came back otherwise", sent.len());
}

fn close(mut client: Client) {
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn messages_of_all_sizes() {
    const CONNECTIONS: usize = 20;
    const MESSAGES: usize = 50;
    let _alone = alone();
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let seeds: Vec<u64> = (0..CONNECTIONS).map(|_| random.next()).collect();
        machine.run(move || {
            let before = descriptors();
            let (tls, errors) = (Arc::new(Tls::new().unwrap()), Arc::default());
            let server = start(&tls, &errors);
            let address = server.address;
            fibers::scope(|s| {
                for seed in seeds {
                    let tls = &tls;
                    s.spawn(move || {
                        let mut random = Random::of(seed);
                        let mut client = tls_echo::connect(address, tls).unwrap();
                        for _ in 0..MESSAGES {
                            // Up to several records; most are small.
                            let len_max = 1 << random.below(17);
                            let len = random.below(len_max + 1);
                            let sent: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
                            echoes(&mut client, &sent);
                        }
                        close(client);
                    });
                }
            });
            server.stop();
            assert_eq!(errors.load(SeqCst), 0);
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn what_is_no_handshake_harms_nobody_else() {
    // A client's hello that promises more than comes.
    let short: &[u8] = &[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    let all: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"",
        short,
        &[0x16, 3, 1, 0xff, 0xff, 1],
        &[0x17, 3, 3, 0, 1, 0],
    ];
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(move || {
            let before = descriptors();
            let (tls, errors) = (Arc::new(Tls::new().unwrap()), Arc::default());
            let server = start(&tls, &errors);
            let mut other = tls_echo::connect(server.address, &tls).unwrap();
            echoes(&mut other, b"before");
            for (index, bytes) in all.into_iter().enumerate() {
                let mut plain = TcpStream::connect(server.address).unwrap();
                plain.write_all(bytes).unwrap();
                plain.shutdown(std::net::Shutdown::Write).unwrap();
                until_closed(&plain);
                eventually(|| errors.load(SeqCst) == index + 1);
                echoes(&mut other, b"in between");
            }
            // Nor does one whom the client does not trust.
            let stranger = Tls::new().unwrap();
            let mut client = tls_echo::connect(server.address, &stranger).unwrap();
            let refused = client.write_all(b"hello").and_then(|()| client.flush());
            let refused = refused.and_then(|()| client.read_exact(&mut [0]));
            println!("client: {}", refused.unwrap_err());
            drop(client);
            eventually(|| errors.load(SeqCst) == all.len() + 1);
            echoes(&mut other, b"after");
            close(other);
            server.stop();
            assert_eq!(descriptors(), before);
        });
    });
}

/// What a client waits in.
type Waits = fn(&mut Client);

#[test]
fn cancelled_and_late() {
    // Against a server that reads and never answers, and against one that echoes.
    let in_handshake: Waits = |client| client.write_all(b"hello").unwrap();
    let in_read: Waits = |client| {
        echoes(client, b"hello");
        client.read_exact(&mut [0]).unwrap();
    };
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(move || {
            let before = descriptors();
            let (tls, errors) = (Arc::new(Tls::new().unwrap()), Arc::default());
            let server = start(&tls, &errors);
            let (silent, nobody) = listen();
            for (address, waits) in [(nobody, in_handshake), (server.address, in_read)] {
                let accept = || {
                    let accepted = (address == nobody).then(|| silent.accept().unwrap().0);
                    accepted.inspect(|stream| assert_eq!(stream.peek(&mut [0]).unwrap(), 1))
                };
                let client = {
                    let tls = Arc::clone(&tls);
                    move || waits(&mut tls_echo::connect(address, &tls).unwrap())
                };
                // Wherever it is by then: the handshake's answer is not there for `nobody`.
                let fiber = fibers::spawn(client.clone());
                let accepted = accept();
                fiber.cancel().unwrap();
                joined_as_cancelled(fiber);
                drop(accepted.inspect(|stream| assert!(!until_closed(stream).is_empty())));

                let mut patience = Duration::from_millis(50);
                loop {
                    let client = client.clone();
                    let late = fibers::spawn(move || timeout(patience, client));
                    late.join().unwrap().unwrap_err();
                    let accept = || silent.accept().unwrap().0;
                    let heard = |stream: TcpStream| !until_closed(&stream).is_empty();
                    if address != nobody || timeout(patience, accept).is_ok_and(heard) {
                        break;
                    }
                    // It was over before the client had said anything: with more time.
                    patience *= 2;
                }
            }
            // Those that it served were gone without a goodbye.
            drop(silent);
            let mut other = tls_echo::connect(server.address, &tls).unwrap();
            echoes(&mut other, b"after");
            // The server is cancelled while it serves: the client finds a torn connection.
            server.stop();
            other.read_exact(&mut [0]).unwrap_err();
            drop(other);
            assert_eq!(descriptors(), before);
        });
    });
}
