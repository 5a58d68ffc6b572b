//! Every program runs to its end, on one worker and on several, with stacks of the default size and of the smallest
//! that its head promises.

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::process::Command;

use common::Test;

/// Runs it, and returns what it printed.
fn run(program: &str, workers: &str, stack: &str) -> String {
    let mut command = Command::new(program);
    command.env("FIBERS_WORKERS", workers);
    command.env("FIBERS_STACK_SIZE", stack);
    let output = command.output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", output.status);
    assert_eq!(complaints, "");
    String::from_utf8(output.stdout).unwrap()
}

fn says(program: &str, debug: &str, release: &str, words: &[&str]) {
    let _test = Test::new(120);
    let stack = if cfg!(debug_assertions) {
        debug
    } else {
        release
    };
    for workers in ["1", "2", "4"] {
        for stack in ["256K", stack] {
            let said = run(program, workers, stack);
            for word in words {
                assert!(said.contains(word), "{said}");
            }
        }
    }
}

#[test]
fn tls_echo() {
    let program = env!("CARGO_BIN_EXE_tls_echo");
    let words = ["20 clients, 50 messages each: 2550000 bytes"];
    says(program, "96K", "32K", &words);
}

#[test]
fn websocket() {
    let program = env!("CARGO_BIN_EXE_websocket");
    says(program, "56K", "32K", &["20 clients"]);
}

#[test]
fn http_server() {
    let program = env!("CARGO_BIN_EXE_http_server");
    says(program, "32K", "32K", &["page 1.\n", "page 2.\n"]);
}

#[test]
fn http_client() {
    let program = env!("CARGO_BIN_EXE_http_client");
    let words = ["100 pages from http:", "100 pages from https:"];
    says(program, "192K", "64K", &words);
}
