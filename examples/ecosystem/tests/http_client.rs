//! ureq over our sockets, by the program `http_client`.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "it is a program too")]
#[path = "../http_client.rs"]
mod http_client;
mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use common::{Gate, in_both_modes, joined_as_cancelled, scaled};
use fibers::net::unix::UnixStream;
use fibers::net::{Shutdown, SocketAddr};
use fibers::time::{Duration, timeout};
use http_client::http_server;
use http_client::tls_echo::Tls;
use support::{Server, alone, descriptors, listen, until_closed};
use ureq::{Agent, Error};

/// Longer than any watchdog waits.
const LONG: Duration = Duration::from_secs(5000);
const SHORT: Duration = Duration::from_millis(50);

fn get(client: &Agent, url: &str) -> Result<String, Error> {
    client.get(url).call()?.body_mut().read_to_string()
}

fn page(client: &Agent, address: SocketAddr, number: usize) {
    let page = get(client, &format!("http://{address}/page/{number}")).unwrap();
    assert_eq!(page, format!("This is page {number}.\n"));
}

/// How far a server comes before it says nothing more. `https`: who stalls in the handshake says nothing at all.
const STALLS: [(&str, &str); 5] = [
    ("http", ""),
    ("https", ""),
    ("http", "HTTP/1.1 200 OK\r\nContent-"),
    ("http", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    (
        "http",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ),
];

/// Serves until it is cancelled: says that much, and no more, until the client goes away.
fn stall(listener: &fibers::net::TcpListener, said: &str, seen: &Gate) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
        stream.write_all(said.as_bytes()).unwrap();
        seen.open();
        until_closed(&stream);
    }
}

#[test]
fn time_outs() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Tls::new().unwrap();
            let patient = http_client::client(&tls.certificate, LONG);
            let hasty = http_client::client(&tls.certificate, SHORT);
            let good = Server::start(http_server::serve);
            for (scheme, said) in STALLS {
                let bad = Server::start(move |listener| stall(listener, said, &Gate::new()));
                let url = format!("{scheme}://localhost:{}/page/0", bad.address.port());
                fibers::scope(|s| {
                    let late = s.spawn(|| get(&hasty, &url).unwrap_err());
                    for number in 0..20 {
                        let (patient, address) = (&patient, good.address);
                        s.spawn(move || page(patient, address, number));
                    }
                    let error = late.join().unwrap();
                    println!("{scheme} {said:?}: {error}");
                    // In a TLS handshake it comes wrapped.
                    let error = match error {
                        Error::Io(error) => error.downcast().unwrap(),
                        error => error,
                    };
                    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
                });
                bad.stop();
            }
            good.stop();
            drop(patient);
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn cancelled_and_late() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Tls::new().unwrap();
            let client = http_client::client(&tls.certificate, LONG);
            let good = Server::start(http_server::serve);
            for (scheme, said) in STALLS {
                let seen = Arc::new(Gate::new());
                let bad = {
                    let seen = Arc::clone(&seen);
                    Server::start(move |listener| stall(listener, said, &seen))
                };
                let url = format!("{scheme}://localhost:{}/page/0", bad.address.port());
                let fiber = {
                    let (client, url) = (client.clone(), url.clone());
                    fibers::spawn(move || get(&client, &url))
                };
                seen.wait();
                fiber.cancel().unwrap();
                joined_as_cancelled(fiber);
                // The stalled server serves one at a time: it has seen the first one go.
                timeout(SHORT, || get(&client, &url)).unwrap_err();
                // Nothing of the client's was left locked, or poisoned.
                page(&client, good.address, 1);
                bad.stop();
            }
            good.stop();
            drop(client);
            assert_eq!(descriptors(), before);
        });
    });
}

/// ureq looks through its pool, and asks each connection whether it is open, while it holds a mutex of std's. A wait
/// in there would let others run, who want the same mutex, and block their worker for good.
#[test]
fn a_pool_that_many_use() {
    const FIBERS: usize = 32;
    let _alone = alone();
    in_both_modes(120, 1, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Tls::new().unwrap();
            let client = http_client::client(&tls.certificate, LONG);
            let server = Server::start(http_server::serve);
            fibers::scope(|s| {
                for _ in 0..FIBERS {
                    let (client, address) = (&client, server.address);
                    s.spawn(move || {
                        let (mut stream, _other) = UnixStream::pair().unwrap();
                        stream.shutdown(Shutdown::Read).unwrap();
                        for number in 0..scaled(2000, 20_000) {
                            // Calls that do not wait, until it is their caller's turn to let others run.
                            for _ in 0..number % 64 {
                                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                            }
                            page(client, address, number);
                        }
                    });
                }
            });
            server.stop();
            drop(client);
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn connections_are_used_again() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Tls::new().unwrap();
            let client = http_client::client(&tls.certificate, LONG);
            let (listener, address) = listen();
            // The second connection is not served, and nobody hears of it.
            let server = fibers::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                drop(listener);
                http_server::converse(&mut stream).unwrap();
            });
            for number in 0..10 {
                page(&client, address, number);
            }
            drop(client);
            server.join().unwrap();
            assert_eq!(descriptors(), before);
        });
    });
}

/// A pooled connection that the server has closed, or that holds bytes nobody asked for, is not used again.
#[test]
fn connections_that_went_bad() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Tls::new().unwrap();
            let client = http_client::client(&tls.certificate, LONG);
            let (listener, address) = listen();
            for more in ["", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"] {
                let (close, closed) = (Gate::new(), Gate::new());
                fibers::scope(|s| {
                    s.spawn(|| {
                        let mut stream = listener.accept().unwrap().0;
                        assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
                        stream.write_all(answer.as_bytes()).unwrap();
                        close.wait();
                        stream.write_all(more.as_bytes()).unwrap();
                        drop(stream);
                        closed.open();
                    });
                    assert_eq!(get(&client, &format!("http://{address}/")).unwrap(), "good");
                    close.open();
                    closed.wait();
                });
            }
            let server = fibers::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                http_server::converse(&mut stream).unwrap();
            });
            page(&client, address, 7);
            drop(client);
            server.join().unwrap();
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn refused_and_shut_down() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Tls::new().unwrap();
            let client = http_client::client(&tls.certificate, LONG);
            let nobody = listen().1;
            let error = get(&client, &format!("http://{nobody}/page/1")).unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error:?}");
            // Whoever waits is woken by the client's own shutdown.
            let seen = Arc::new(Gate::new());
            let bad = {
                let seen = Arc::clone(&seen);
                Server::start(move |listener| stall(listener, "", &seen))
            };
            let url = format!("http://{}/page/0", bad.address);
            let fiber = {
                let client = client.clone();
                fibers::spawn(move || get(&client, &url))
            };
            seen.wait();
            client.shutdown();
            let error = fiber.join().unwrap().unwrap_err();
            assert!(!matches!(error, Error::Timeout(_)), "{error:?}");
            bad.stop();
            assert_eq!(descriptors(), before);
        });
    });
}

/// Both servers of the program, and clients of both at once.
#[test]
fn plain_and_secret_at_once() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let tls = Arc::new(Tls::new().unwrap());
            let client = http_client::client(&tls.certificate, LONG);
            let plain = Server::start(http_server::serve);
            let secret = Server::start(move |listener| http_client::serve_tls(listener, &tls));
            let bases = [("http", plain.address), ("https", secret.address)];
            fibers::scope(|s| {
                for number in 0..100 {
                    let (scheme, address) = bases[number % 2];
                    let url = format!("{scheme}://localhost:{}/page/{number}", address.port());
                    let client = &client;
                    s.spawn(move || {
                        let page = get(client, &url).unwrap();
                        assert_eq!(page, format!("This is page {number}.\n"));
                    });
                }
            });
            drop(client);
            plain.stop();
            secret.stop();
            assert_eq!(descriptors(), before);
        });
    });
}
