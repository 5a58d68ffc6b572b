//! httparse over our sockets, by the program `http_server`.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "it is a program too")]
#[path = "../http_server.rs"]
mod http_server;
mod support;

use std::io::{self, Read, Write};

use common::in_both_modes;
use fibers::net::{SocketAddr, TcpStream};
use support::{Server, alone, descriptors};

/// A stream whose reads bring these pieces, one each.
struct Pieces<'a> {
    pieces: Vec<&'a [u8]>,
    written: Vec<u8>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pieces.is_empty() {
            return Ok(0);
        }
        let piece = self.pieces.remove(0);
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Four requests, one of them with a body that looks like a fifth.
const REQUESTS: &[u8] = b"GET /page/1 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /page/2 HTTP/1.1\r\nContent-Length: 24\r\n\r\nGET /page/9 HTTP/1.1\r\n\r\n\
    HEAD /page/3 HTTP/1.1\r\n\r\n\
    GET /page/4 HTTP/1.1\r\nConnection: close\r\n\r\n";

const ANSWERS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\nThis is page 1.\n\
    HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\nThis is page 2.\n\
    HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\n\
    HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\nThis is page 4.\n";

fn converse(pieces: Vec<&[u8]>) -> String {
    let mut stream = Pieces {
        pieces,
        written: Vec::new(),
    };
    http_server::converse(&mut stream).unwrap();
    String::from_utf8(stream.written).unwrap()
}

/// What a server says to these pieces, until it closes.
fn ask(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
        fibers::yield_now();
    }
    io::read_to_string(&mut stream).unwrap()
}

#[test]
fn split_at_every_byte() {
    assert_eq!(converse(vec![REQUESTS]), ANSWERS);
    for at in 1..REQUESTS.len() {
        let (first, second) = REQUESTS.split_at(at);
        assert_eq!(converse(vec![first, second]), ANSWERS, "split at {at}");
    }
    assert_eq!(converse(REQUESTS.chunks(1).collect()), ANSWERS);
    // Ends early: nothing is said to what is not complete.
    for len in 0..REQUESTS.len() {
        let said = converse(vec![&REQUESTS[..len]]);
        assert!(ANSWERS.starts_with(&said), "{len} bytes: {said}");
    }
}

#[test]
fn split_at_every_byte_over_sockets() {
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        machine.run(|| {
            let before = descriptors();
            let server = Server::start(http_server::serve);
            let address = server.address;
            fibers::scope(|s| {
                for at in 0..REQUESTS.len() {
                    let (first, second) = REQUESTS.split_at(at);
                    s.spawn(move || {
                        assert_eq!(ask(address, &[first, second]), ANSWERS, "split at {at}");
                    });
                }
            });
            let bytes: Vec<&[u8]> = REQUESTS.chunks(1).collect();
            assert_eq!(ask(address, &bytes), ANSWERS);
            server.stop();
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn bad_bytes() {
    let long_path = format!("GET /page/{} HTTP/1.1\r\n\r\n", "a".repeat(9000));
    let endless = format!("GET /page/1 HTTP/1.1\r\nA: {}", "a".repeat(9000));
    let many = format!("GET /page/1 HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(33));
    let lengths = |value| format!("POST /page/1 HTTP/1.1\r\nContent-Length: {value}\r\n\r\n");
    let (huge, beyond) = (lengths("65537"), lengths("99999999999999999999999"));
    let (plus, minus, none) = (lengths("+1"), lengths("-1"), lengths(""));
    let twice = lengths("1\r\nContent-Length: 1");
    let table: [(&str, &[u8], &str); 19] = [
        ("no HTTP", b"\0\x01\x02\x03\r\n\r\n", "400"),
        ("TLS", &[0x16, 3, 1, 0, 200, 1, 0, 0], "400"),
        ("no version", b"GET /page/1\r\n\r\n", "400"),
        ("version 2", b"GET /page/1 HTTP/2.0\r\n\r\n", "400"),
        ("bad name", b"GET /page/1 HTTP/1.1\r\nA b: c\r\n\r\n", "400"),
        (
            "not UTF-8",
            b"GET /page/1 HTTP/1.1\r\nA: \xff\r\n\r\n",
            "400",
        ),
        ("NUL", b"GET /page/1 HTTP/1.1\r\nA: \0\r\n\r\n", "400"),
        ("long path", long_path.as_bytes(), "431"),
        ("endless head", endless.as_bytes(), "431"),
        ("many headers", many.as_bytes(), "431"),
        ("huge body", huge.as_bytes(), "413"),
        ("beyond numbers", beyond.as_bytes(), "400"),
        ("plus", plus.as_bytes(), "400"),
        ("minus", minus.as_bytes(), "400"),
        ("no number", none.as_bytes(), "400"),
        ("two lengths", twice.as_bytes(), "400"),
        (
            "chunks",
            b"POST /page/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "501",
        ),
        (
            "no such page",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            "404",
        ),
        ("a method", b"PUT /page/1 HTTP/1.0\r\n\r\n", "405"),
    ];
    let table: Vec<_> = table
        .map(|(what, bytes, status)| (what, bytes.to_vec(), status))
        .into();
    let _alone = alone();
    in_both_modes(60, 2, |_, machine, _| {
        let table = table.clone();
        machine.run(move || {
            let before = descriptors();
            let server = Server::start(http_server::serve);
            for (what, bytes, status) in table {
                let said = ask(server.address, &[&bytes]);
                let status = format!("HTTP/1.1 {status} ");
                assert!(said.starts_with(&status), "{what}: {said}");
                assert!(said.contains("Connection: close\r\n"), "{what}: {said}");
                assert_eq!(ask(server.address, &[REQUESTS]), ANSWERS);
            }
            server.stop();
            assert_eq!(descriptors(), before);
        });
    });
}
