//! Conversations in HTTP without a socket: good ones, bad ones, and ones that bad luck has changed.

mod files;

use std::io::ErrorKind;

use super::*;
use crate::serve::script::{BadLuck, Heard, Script, Then, check_splits, play};

fn server() -> Http {
    Http {
        folder: None,
        head_time_max: Duration::from_secs(1),
        idle_time_max: Duration::from_secs(1),
    }
}

/// The statuses that were heard, in order.
fn statuses(heard: &Heard) -> Vec<u16> {
    let text = heard.text();
    let after = |line: &str| line.get(..3)?.parse().ok();
    text.split("HTTP/1.1 ").skip(1).filter_map(after).collect()
}

/// What was heard, without what changes with time.
fn dateless(heard: &Heard) -> String {
    let text = heard.text();
    let lines = text.split_inclusive("\r\n");
    let kept = lines.filter(|line| !line.starts_with("Date: "));
    kept.chain([format!("{:?}", heard.end).as_str()]).collect()
}

/// What is said, and the statuses of the answers. Whatever is refused ends the conversation.
const GOOD: &[(&str, &[u16])] = &[
    ("", &[]),
    ("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    ("GET / HTTP/1.1\r\nhOsT: a\r\n\r\n", &[200]),
    ("HEAD /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    ("GET /plaintext?a=/../b HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    ("GET http://a/plaintext HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    ("GET HTTP://a?x HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    ("GET /plaintext HTTP/1.0\r\n\r\n", &[200]),
    ("GET /none HTTP/1.1\r\nHost: a\r\n\r\n", &[404]),
    ("GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", &[404]),
    (
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        &[405],
    ),
    ("POST /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
    ("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
    ("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", &[501]),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", &[200]),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200, 200],
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n000\r\nTrailer: 1\r\n\r\n\
         GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200, 404],
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        &[100, 200],
    ),
    (
        // HTTP/1.0 knows no 100.
        "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        &[200],
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200],
    ),
    ("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", &[200]),
    (
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        &[200, 200],
    ),
];

/// What is said, and the status with which it is refused.
const BAD: &[(&str, u16)] = &[
    ("\0", 400),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", 400), // somebody tries TLS
    ("GET\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1", 400), // and then the end
    ("GET / HTTP/1.1\r\nHost: a\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
    ("GET gopher://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
        400,
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        501,
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
        400,
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n",
        413,
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
        413,
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n",
        417,
    ),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("GET / ICY/1.1\r\nHost: a\r\n\r\n", 400),
];

/// Bodies in chunks that are no such bodies.
const BAD_CHUNKS: &[(&str, u16)] = &[
    ("\r\n", 400),
    ("x\r\n", 400),
    ("-1\r\n", 400),
    ("0x1\r\na\r\n", 400),
    ("1\na\r\n0\r\n\r\n", 400),
    ("1\r\nab\r\n0\r\n\r\n", 400),
    ("1\r\na0\r\n\r\n", 400),
    ("11111111111111111\r\n", 400),
    ("ffffffffffffffff\r\n", 413),
    ("100001\r\n", 413),
    ("fffff\r\n", 400), // and then the end
    ("0\r\n", 400),
];

fn chunked(body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[test]
fn good_requests_are_answered() {
    for (said, expected) in GOOD {
        let heard = play(&server(), said.as_bytes());
        assert_eq!(statuses(&heard), *expected, "{said:?}");
        let answered = expected.iter().filter(|status| **status != 100).count();
        assert_eq!(heard.requests, answered as u64, "{said:?}");
        assert_eq!(heard.complaints, 0, "{said:?}");
    }
}

#[test]
fn bad_requests_are_refused_and_the_connection_closed() {
    let chunks = BAD_CHUNKS
        .iter()
        .map(|(body, status)| (chunked(body), *status));
    let bad = BAD.iter().map(|(said, status)| (said.to_string(), *status));
    for (said, expected) in bad.chain(chunks) {
        let heard = play(&server(), said.as_bytes());
        assert_eq!(statuses(&heard), [expected], "{said:?}");
        assert!(heard.text().contains("Connection: close\r\n"), "{said:?}");
        assert_eq!(heard.end, Some(Ok(End::Ours)), "{said:?}");
        assert_eq!((heard.requests, heard.complaints), (0, 1), "{said:?}");
    }
}

#[test]
fn the_pieces_in_which_it_comes_do_not_matter() {
    let chunks = BAD_CHUNKS.iter().map(|(body, _)| chunked(body));
    let good = GOOD.iter().map(|(said, _)| said.to_string());
    let bad = BAD.iter().map(|(said, _)| said.to_string());
    for said in good.chain(bad).chain(chunks) {
        check_splits(server, said.as_bytes(), dateless);
    }
}

#[test]
fn a_batch_is_answered_by_one_write() {
    let batch = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n".repeat(16);
    let heard = play(&server(), batch.as_bytes());
    assert_eq!(statuses(&heard), [200; 16]);
    assert_eq!((heard.writes, heard.requests), (1, 16));
}

#[test]
fn plaintext_is_answered_to_the_letter() {
    let heard = play(&server(), b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = heard.text();
    let date = text
        .lines()
        .find(|line| line.starts_with("Date: "))
        .unwrap();
    let expected = format!(
        "HTTP/1.1 200 OK\r\nServer: fibers-demo\r\n{date}\r\nContent-Type: text/plain\r\n\
         Content-Length: 13\r\n\r\nHello, World!"
    );
    assert_eq!(text, expected);
    let head = play(&server(), b"HEAD /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        head.text().ends_with("Content-Length: 13\r\n\r\n"),
        "{}",
        head.text()
    );
}

#[test]
fn an_echo_is_the_body_however_it_was_framed() {
    let length = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\nabc0123456789";
    assert!(
        play(&server(), length)
            .text()
            .ends_with("\r\n\r\nabc0123456789")
    );
    let chunks = chunked("3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n");
    let heard = play(&server(), chunks.as_bytes());
    assert!(
        heard
            .text()
            .ends_with("Content-Length: 13\r\n\r\nabc0123456789")
    );
}

#[test]
fn a_head_and_a_body_of_the_greatest_size_fit_and_no_more() {
    let head = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
    };
    assert_eq!(statuses(&play(&server(), head(HEAD_MAX).as_bytes())), [200]);
    assert_eq!(
        statuses(&play(&server(), head(HEAD_MAX + 1).as_bytes())),
        [431]
    );
    let target = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_MAX));
    assert_eq!(statuses(&play(&server(), target.as_bytes())), [414]);
    let fields = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(statuses(&play(&server(), fields(64).as_bytes())), [200]);
    assert_eq!(statuses(&play(&server(), fields(65).as_bytes())), [431]);

    let body = "b".repeat(body::BODY_MAX);
    let said = format!(
        "POST /echo HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let heard = play(&server(), said.as_bytes());
    assert!(heard.text().ends_with(&body));
    let chunks = chunked(&format!(
        "80000\r\n{0}\r\n80000\r\n{0}\r\n1\r\nx\r\n0\r\n\r\n",
        &body[..0x80000]
    ));
    assert_eq!(statuses(&play(&server(), chunks.as_bytes())), [413]);
}

#[test]
fn who_is_slow_is_told_so_and_who_is_silent_is_left() {
    for (said, expected) in [
        ("GET / HTTP/1.1\r\nHo", vec![408]),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
            vec![408],
        ),
        ("", vec![]),
        ("\r\n", vec![]),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", vec![200]),
    ] {
        let heard = Script::new(&[said.as_bytes()], Then::IsSilent).play(&server());
        assert_eq!(statuses(&heard), expected, "{said:?}");
    }
}

#[test]
fn a_reset_is_no_fault_of_anybody() {
    let heard = Script::new(&[b"GET / HTT"], Then::Resets).play(&server());
    assert_eq!(heard.end, Some(Err(ErrorKind::ConnectionReset)));
    assert_eq!((heard.bytes.len(), heard.complaints), (0, 0));
}

#[test]
fn a_stop_answers_what_has_come_and_says_that_it_closes() {
    let one = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";
    let script = Script::new(&[one.repeat(3).as_bytes()], Then::IsSilent);
    let heard = script.stopping().play(&server());
    assert_eq!(statuses(&heard), [200; 3]);
    assert_eq!(heard.text().matches("Connection: close").count(), 1);
    let last = heard.text().rfind("HTTP/1.1 200").unwrap();
    assert!(heard.text()[last..].contains("Connection: close"));
    // Half a request when the stop has ended the reads: no blame.
    let heard = Script::new(&[b"GET / HT"], Then::Ends)
        .stopping()
        .play(&server());
    assert_eq!((heard.bytes.len(), heard.complaints), (0, 0));
}

#[test]
fn bad_luck_breaks_nothing() {
    let chunks: Vec<String> = (BAD_CHUNKS.iter().map(|(body, _)| chunked(body)))
        .chain([chunked(
            "3\r\nabc\r\nA;x\r\n0123456789\r\n000\r\nTrailer: 1\r\n\r\n",
        )])
        .collect();
    let good = GOOD.iter().map(|(said, _)| said.as_bytes());
    let bad = BAD.iter().map(|(said, _)| said.as_bytes());
    let corpus = good.chain(bad).chain(chunks.iter().map(String::as_bytes));
    let corpus: Vec<&[u8]> = corpus.filter(|said| !said.is_empty()).collect();
    let words: [&[u8]; 15] = [
        b"fffffffffffffffff",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\0",
        b" ",
        b":",
        b"%2e%2e",
        b"..",
        b"-1",
        b"HTTP/1.1",
        b"18446744073709551616",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\xff",
    ];
    let mut luck = BadLuck::new();
    let server = server();
    for round in 0..BadLuck::rounds() {
        let said = luck.mutated(&corpus, &words);
        let heard = luck.play(&server, &said);
        // Each answer is a head and a line, or an echo of what was said. There may be a 100 before it.
        let most = 512 * (heard.requests as usize + 2) + said.len();
        assert!(heard.bytes.len() <= most, "round {round}: {said:?}");
        assert!(
            heard.requests as usize <= 1 + said.len() / 16,
            "round {round}: {said:?}"
        );
    }
}
