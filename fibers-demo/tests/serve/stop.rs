//! The graceful stop: what runs is finished, who is idle is let go, and nobody waits for ever.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::running::{Peer, Running, eventually, is_reset, requests};

const HELLO: &str = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";
const HALF: &str =
    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";

/// A peer whose request is under way: it has been told to send the body.
fn half_way(server: &Running) -> Peer {
    let mut peer = server.connect();
    peer.say(HALF);
    peer.hear("HTTP/1.1 100 Continue\r\n\r\n");
    peer
}

#[test]
fn idle_connections_are_closed_at_once() {
    for what in ["http", "echo", "kv"] {
        // A grace that would be a hang, if it were waited for.
        let server = Running::start(&[what, "--grace", "3600000"]);
        let silent = server.connect();
        let mut used = server.connect();
        let (question, answer) = match what {
            "kv" => ("PING\r\n", "+PONG\r\n"),
            _ => (HELLO, HELLO),
        };
        used.say(question);
        if what == "http" {
            used.answer();
        } else {
            used.hear(answer);
        }
        server.signal("TERM");
        assert_eq!(silent.hear_all(), "", "{what}");
        assert_eq!(used.hear_all(), "", "{what}");
        let report = server.report();
        assert_eq!(requests(&report), 1);
        assert_eq!(report["stopped_by"], "SIGTERM");
    }
}

#[test]
fn a_request_under_way_is_finished() {
    let server = Running::start(&["http", "--grace", "3600000"]);
    let mut peer = half_way(&server);
    server.signal("INT");
    server.wait_until_closed();
    peer.say("ab");
    peer.say("c");
    let (head, body) = peer.answer();
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert_eq!(body, "abc");
    assert_eq!(peer.hear_all(), "");
    let report = server.report();
    assert_eq!(requests(&report), 1);
    assert_eq!(report["stopped_by"], "SIGINT");
}

#[test]
fn who_is_not_done_after_the_grace_is_cut_off_and_counted() {
    let server = Running::start(&["http", "--grace", "50"]);
    let peers = [half_way(&server), half_way(&server)];
    let idle = server.connect();
    server.signal("TERM");
    assert_eq!(idle.hear_all(), "");
    for peer in peers {
        assert_eq!(peer.hear_all(), "");
    }
    let report = server.report();
    assert_eq!(
        (&report["cut_off"], &report["requests"]),
        (&2.into(), &0.into())
    );
}

#[test]
fn who_does_not_read_its_answers_is_cut_off_too() {
    let server = Running::start(&["kv", "--grace", "50"]);
    let mut peer = server.connect();
    let value = "v".repeat(16 << 20);
    peer.say(&format!(
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n{value}\r\n",
        value.len()
    ));
    peer.hear("+OK\r\n");
    // More than all buffers on the way hold: some of the answer has come, the rest cannot leave.
    peer.say("GET a\r\nGET a\r\n");
    peer.hear("$16777216\r\n");
    assert_eq!(server.stop()["cut_off"], 1);
}

#[test]
fn who_came_before_the_stop_is_served_though_nobody_had_let_it_in() {
    for _ in 0..10 {
        let server = Running::start(&["http"]);
        server.pause();
        let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
        peers.iter_mut().for_each(|peer| peer.say(HELLO));
        server.signal("TERM");
        server.signal("CONT");
        for mut peer in peers {
            assert_eq!(peer.answer().1, "Hello, World!");
        }
        assert_eq!(requests(&server.report()), 20);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Running::start(&["http", "--grace", "3600000"]);
    let _peer = half_way(&server);
    server.signal("TERM");
    server.wait_until_closed();
    server.signal("TERM");
    assert_eq!(server.killed_by(), Some(15));
}

/// Clients that ask in a closed loop until the server is gone. Each answer is whole, and all that the
/// server has counted have arrived.
fn stop_under_load(what: &str, question: &'static str, answer: fn(&mut Peer) -> bool) {
    let server = Running::start(&[what]);
    let answers = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (mut peer, answers) = (server.connect(), answers.clone());
            thread::spawn(move || {
                loop {
                    match peer.stream.write_all(question.as_bytes()) {
                        Err(error) if is_reset(&error) => return,
                        other => other.expect("it listens or is gone"),
                    }
                    if !answer(&mut peer) {
                        return;
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually(|| answers.load(Ordering::Relaxed) > 2_000);
    let report = server.stop();
    clients
        .into_iter()
        .for_each(|client| client.join().expect("whole answers"));
    assert_eq!(
        requests(&report),
        answers.load(Ordering::Relaxed),
        "{report}"
    );
    assert_eq!(report["connections"], 8);
}

#[test]
fn a_stop_under_load_loses_no_page() {
    stop_under_load("http", HELLO, |peer| peer.try_answer().is_some());
}

#[test]
fn a_stop_under_load_loses_no_command() {
    stop_under_load("kv", "PING\r\n", |peer| whole(peer, b"+PONG\r\n"));
}

#[test]
fn a_stop_under_load_loses_no_echo() {
    stop_under_load("echo", "0123456789", |peer| whole(peer, b"0123456789"));
}

/// Whether this came; half of it must not.
fn whole(peer: &mut Peer, expected: &[u8]) -> bool {
    let mut heard = vec![0; expected.len()];
    let first = match peer.read(&mut heard) {
        Ok(count) => count,
        Err(error) if is_reset(&error) => 0,
        Err(error) => panic!("{error}"),
    };
    if first == 0 {
        return false;
    }
    (peer.stream.read_exact(&mut heard[first..])).expect("the rest of an answer");
    assert_eq!(heard, expected);
    true
}
