//! Options that cannot be: refused with the option, the value and a way out.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

fn refused(arguments: &[&str], parts: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_fibers-demo"))
        .args(arguments)
        .output()
        .expect("the demo starts");
    assert!(!output.status.success(), "{arguments:?} was accepted");
    let said = String::from_utf8_lossy(&output.stderr);
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
}

#[test]
fn addresses_that_cannot_be_listened_at() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    refused(
        &["serve", "echo", "--addr", &taken],
        &["--addr", &taken, "another port, or 0"],
    );
    refused(
        &["serve", "kv", "--addr", "nonsense"],
        &["--addr", "nonsense", "127.0.0.1:0"],
    );
    refused(
        &["serve", "http", "--addr", "192.0.2.1:80"],
        &["--addr", "192.0.2.1:80", "this host"],
    );
}

#[test]
fn folders_that_are_none() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for dir in ["/no/such/folder", file] {
        let arguments = ["serve", "http", "--addr", "127.0.0.1:0", "--dir", dir];
        refused(&arguments, &["--dir", dir, "give a folder"]);
    }
}

#[test]
fn numbers_out_of_range() {
    for (arguments, range) in [
        (&["serve", "http", "--patience", "0"][..], "1 to 3600000"),
        (&["serve", "http", "--idle", "x"], "1 to 3600000"),
        (&["serve", "echo", "--grace", "3600001"], "0 to 3600000"),
        (&["serve", "echo", "--connections", "0"], "1 to 1000000"),
        (&["serve", "kv", "--memory", "1k"], "1048576 to 68719476736"),
        (&["bench", "echo", "--size", "65K"], "1 to 65536"),
        (&["bench", "echo", "--connections", "0"], "1 to 100000"),
        (&["bench", "echo", "--requests", "0"], "1 to 1000000000"),
    ] {
        refused(arguments, &[arguments[2], arguments[3], range]);
    }
    let two_ends = ["bench", "echo", "--requests", "1", "--seconds", "1"];
    refused(
        &two_ends,
        &["--requests", "--seconds", "cannot be used with"],
    );
}

#[test]
fn a_bench_without_a_server_says_where_it_looked() {
    // One end of a connection has the port, so nobody listens at it, and nobody is given it meanwhile.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let end = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let address = end.local_addr().expect("an address").to_string();
    refused(
        &["bench", "echo", "--addr", &address],
        &["--addr", &address, "refused", "is the server there"],
    );
}
