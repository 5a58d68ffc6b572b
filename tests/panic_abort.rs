//! What a program with `panic = "abort"` may count on: what would have to unwind says so, everything else works.
//!
//! The program is `panic_abort/program.rs`. It is built with a profile of its own, and the library with it: some
//! seconds in a fresh target folder.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use common::Test;

/// Builds the program if need be, and runs that case of it.
fn run(case: &str) -> Output {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic_abort");
    std::fs::create_dir_all(&build).expect("a folder to build in");
    let manifest = format!(
        r#"
        [package]
        name = "panic-abort"
        version = "0.0.0"
        edition = "2024"
        publish = false
        [workspace]
        [[bin]]
        name = "panic-abort"
        path = {:?}
        [dependencies]
        tiny-fibers = {{ path = {source:?} }}
        [profile.dev]
        panic = "abort"
        debug = 0
        "#,
        source.join("tests/panic_abort/program.rs"),
    );
    // The same versions, and nothing from the net.
    let lock = std::fs::read_to_string(source.join("Cargo.lock")).expect("the lock file");
    for (name, text) in [("Cargo.toml", manifest), ("Cargo.lock", lock)] {
        // Renamed, so that no other run reads half of it.
        let draft = build.join(format!("{name}.{}", std::process::id()));
        std::fs::write(&draft, text).expect("a file");
        std::fs::rename(&draft, build.join(name)).expect("a file");
    }
    // It crashes on purpose: no core.
    Command::new("sh")
        .args(["-c", r#"ulimit -c 0; exec "$0" "$@""#, env!("CARGO")])
        .args(["run", "--quiet", "--offline", "--manifest-path"])
        .arg(build.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(build.join("target"))
        .args(["--", case])
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("cargo runs")
}

#[test]
fn what_does_not_unwind_works() {
    let _test = Test::new(300);
    for case in ["cancel", "waits", "shutdown"] {
        let ended = run(case);
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && text.contains("came to its end"),
            "{case}: {ended:?}"
        );
    }
}

#[test]
fn a_deadline_ends_the_process_with_the_reason() {
    let _test = Test::new(300);
    for case in ["timeout", "deadline", "timeout in a fiber"] {
        let ended = run(case);
        let (out, err) = (
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr),
        );
        assert_eq!(
            ended.status.signal(),
            Some(libc::SIGABRT),
            "{case}: {ended:?}"
        );
        let why = "fibers: timeout and deadline unwind the stack; build with panic = \"unwind\"";
        assert!(err.contains(why), "{case}: {err}");
        assert!(out.is_empty(), "{case}: it had begun: {out}");
    }
}
