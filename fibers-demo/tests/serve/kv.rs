//! Conversations in RESP over raw sockets, and the echo.

use std::io::Write;
use std::net::Shutdown;

use crate::running::{Running, eventually};

#[test]
fn commands_come_in_batches_and_byte_by_byte() {
    let server = Running::start(&["kv"]);
    let mut peer = server.connect();
    let increment = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    peer.say(&increment.repeat(16));
    (1..=16).for_each(|number| peer.hear(&format!(":{number}\r\n")));
    for byte in increment.chars() {
        peer.say(&byte.to_string());
    }
    peer.hear(":17\r\n");
    peer.say("get n\r\nquit\r\n");
    assert_eq!(peer.hear_all(), "$2\r\n17\r\n+OK\r\n");
    assert_eq!(server.stop()["requests"], 19);
}

#[test]
fn all_connections_see_one_store() {
    let server = Running::start(&["kv"]);
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for _ in 0..50 {
        peers.iter_mut().for_each(|peer| peer.say("INCR n\r\n"));
        peers.iter_mut().for_each(|peer| drop(peer.line()));
    }
    peers[0].say("GET n\r\n");
    peers[0].hear("$4\r\n1000\r\n");
}

#[test]
fn bad_bytes_end_their_own_conversation_only() {
    let server = Running::start(&["kv"]);
    let mut good = server.connect();
    let mut bad = server.connect();
    bad.say("*1\r\n$x\r\n");
    assert_eq!(
        bad.hear_all(),
        "-ERR Protocol error: invalid bulk length\r\n"
    );
    good.say("PING\r\n");
    good.hear("+PONG\r\n");
    assert_eq!(server.stop()["faults"], 1);
}

#[test]
fn expired_keys_are_swept_out_though_nobody_asks_for_them() {
    let server = Running::start(&["kv"]);
    let mut peer = server.connect();
    for key in 0..1_000 {
        peer.say(&format!("SET {key} x PX 1\r\n"));
    }
    peer.say("SET stays x\r\n");
    (0..=1_000).for_each(|_| peer.hear("+OK\r\n"));
    eventually(|| {
        peer.say("DBSIZE\r\n");
        peer.line() == ":1"
    });
}

#[test]
fn an_echo_gives_back_what_came_until_the_end() {
    let server = Running::start(&["echo"]);
    let mut peer = server.connect();
    peer.say("one");
    peer.hear("one");
    let long: String = (0..50_000).map(|number| format!("{number} ")).collect();
    let mut writer = peer.stream.try_clone().expect("a second handle");
    let sent = long.clone();
    // At the same time, or both sides would wait until the other reads.
    let writing = std::thread::spawn(move || {
        writer.write_all(sent.as_bytes()).expect("it listens");
        writer.shutdown(Shutdown::Write).expect("it is open");
    });
    assert!(peer.hear_all() == long);
    writing.join().expect("the writer ends");
    let report = server.stop();
    assert_eq!(report["bytes_in"], report["bytes_out"]);
    assert_eq!(report["bytes_in"], 3 + long.len());
}
