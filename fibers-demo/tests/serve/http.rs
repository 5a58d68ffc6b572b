//! Conversations in HTTP over raw sockets.

use std::io::Write;

use crate::running::Running;

const HELLO: &str = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";

fn assert_hello((head, body): (String, String)) {
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, "Hello, World!");
}

#[test]
fn sixteen_requests_in_one_segment_get_sixteen_answers() {
    let server = Running::start(&["http"]);
    let mut peer = server.connect();
    for _ in 0..10 {
        peer.say(&HELLO.repeat(16));
        (0..16).for_each(|_| assert_hello(peer.answer()));
    }
    assert_eq!(server.stop()["requests"], 160);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Running::start(&["http"]);
    let mut peer = server.connect();
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    for byte in request.chars() {
        peer.say(&byte.to_string());
    }
    assert_eq!(peer.answer().1, "abcde");
}

#[test]
fn who_has_ended_its_half_still_gets_its_answers() {
    let server = Running::start(&["http"]);
    let mut peer = server.connect();
    peer.say(&HELLO.repeat(3));
    peer.end();
    assert_eq!(peer.hear_all().matches("Hello, World!").count(), 3);
    let mut peer = server.connect();
    peer.say("GET /plaintext HT");
    peer.end();
    assert!(peer.hear_all().starts_with("HTTP/1.1 400 "));
    let report = server.stop();
    assert_eq!(
        (&report["requests"], &report["faults"]),
        (&3.into(), &1.into())
    );
}

#[test]
fn a_reset_ends_its_own_connection_only() {
    let server = Running::start(&["http"]);
    let mut other = server.connect();
    other.say("GET /plaintext HT");
    for _ in 0..20 {
        let mut peer = server.connect();
        peer.say(HELLO);
        // The answer is there and not read: to close now is to reset.
        peer.stream.peek(&mut [0]).expect("an answer");
        drop(peer);
    }
    other.say("TP/1.1\r\nHost: a\r\n\r\n");
    assert_hello(other.answer());
    assert_eq!(server.stop()["connections"], 21);
}

#[test]
fn a_slow_head_is_answered_408_and_closed() {
    let server = Running::start(&["http", "--patience", "100"]);
    let peer = server.connect_and_say("GET /plaintext HTTP/1.1\r\nHost:");
    let said = peer.hear_all();
    assert!(
        said.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{said}"
    );
    assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    // Who says nothing at all is told nothing.
    assert_eq!(server.connect().hear_all(), "");
}

#[test]
fn a_head_that_trickles_is_late_however_alive_its_sender_is() {
    let server = Running::start(&["http", "--patience", "300"]);
    let mut peer = server.connect_and_say("GET /plaintext HTTP/1.1\r\nX: ");
    let mut writer = peer.stream.try_clone().expect("a second handle");
    // A byte whenever the last one has left, for as long as somebody takes them.
    let trickle = std::thread::spawn(move || {
        while writer.write_all(b"x").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let (head, _) = peer.answer();
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    drop(peer);
    trickle.join().expect("the writer ends");
}

#[test]
fn a_silent_connection_is_closed_between_requests() {
    let server = Running::start(&["http", "--idle", "100", "--patience", "3600000"]);
    let mut peer = server.connect();
    peer.say(HELLO);
    assert_hello(peer.answer());
    assert_eq!(peer.hear_all(), "");
}

#[test]
fn what_is_too_large_is_refused_and_the_refusal_arrives() {
    let server = Running::start(&["http"]);
    let head = |field: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
    // All of it is sent, more than the server reads of it: that must not destroy the answer.
    let megabytes = "x".repeat(2 << 20);
    for (said, status) in [
        (head(&format!("X: {}", &megabytes[..100_000])), 431),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", &megabytes[..100_000]),
            414,
        ),
        (head("Content-Length: 2097152") + &megabytes, 413),
        (
            head("Transfer-Encoding: chunked") + "200000\r\n" + &megabytes,
            413,
        ),
    ] {
        let mut peer = server.connect();
        peer.say(&said);
        let heard = peer.hear_all();
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
    }
    assert_eq!(server.stop()["faults"], 4);
}

#[test]
fn who_asks_first_is_told_to_go_on_or_not() {
    let server = Running::start(&["http"]);
    let head = |length: u64| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut peer = server.connect();
    peer.say(&head(3));
    peer.hear("HTTP/1.1 100 Continue\r\n\r\n");
    peer.say("abc");
    assert_eq!(peer.answer().1, "abc");
    peer.say(&head(10_000_000));
    assert!(peer.hear_all().starts_with("HTTP/1.1 413 "));
}

#[test]
fn bad_bytes_do_not_disturb_the_others() {
    let server = Running::start(&["http"]);
    let mut good = server.connect();
    for bytes in ["\0\u{1}\u{2}", "GET / HTTP/9.9\r\n\r\n", "\r\n \r\n", "x"] {
        let mut bad = server.connect();
        bad.say(bytes);
        bad.end();
        assert!(bad.hear_all().contains("Connection: close"));
        good.say(HELLO);
        assert_hello(good.answer());
    }
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_are_served() {
    let server = Running::start(&["http", "--connections", "2"]);
    let mut peers = [server.connect(), server.connect()];
    for peer in &mut peers {
        peer.say(HELLO);
        assert_hello(peer.answer());
    }
    assert_eq!(server.connect().hear_all(), "");
    for peer in &mut peers {
        peer.say(HELLO);
        assert_hello(peer.answer());
    }
    let report = server.stop();
    assert_eq!(
        (&report["connections"], &report["refused"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn more_connections_than_descriptors_wait_for_their_turn() {
    let server = Running::start_with_descriptors(40, &["http"]);
    let mut peers: Vec<_> = (0..60).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.say(HELLO));
    // Each one that leaves makes room for one that waits.
    for mut peer in peers {
        assert_hello(peer.answer());
    }
    assert_eq!(server.stop()["requests"], 60);
}
