//! The programs that people point at such servers. Whichever is not installed is not tried, and the test
//! says so.

use std::process::{Command, Output};

use crate::running::Running;

/// What the program said; `None`, with a line about it, if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_gets_posts_and_fails_as_it_should() {
    let server = Running::start(&["http", "--dir", env!("CARGO_MANIFEST_DIR")]);
    let url = |path: &str| format!("http://{}{path}", server.address);
    let body = "b".repeat(200_000);
    let data = std::env::temp_dir().join(format!("fibers-demo-curl-{}", std::process::id()));
    std::fs::write(&data, &body).expect("a file");
    let data_option = format!("@{}", data.display());
    for (arguments, path, expected) in [
        (&["-sf"][..], "/plaintext", "Hello, World!"),
        (&["-sf", "--http1.0"], "/plaintext", "Hello, World!"),
        // curl asks first whether it may send so much.
        (&["-sf", "--data-binary", &data_option], "/echo", &body),
        (
            &[
                "-sf",
                "-H",
                "Transfer-Encoding: chunked",
                "--data-binary",
                &data_option,
            ],
            "/echo",
            &body,
        ),
        (
            &[
                "-sf",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} %{content_type}",
            ],
            "/Cargo.toml",
            "200 text/plain; charset=utf-8",
        ),
        (
            &["-sfL", "-o", "/dev/null", "-w", "%{http_code}"],
            "/src/main.rs",
            "200",
        ),
        (
            &[
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--path-as-is",
            ],
            "/../Cargo.lock",
            "404",
        ),
        (
            &[
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-X",
                "DELETE",
            ],
            "/",
            "405",
        ),
        (
            &["-sI", "-o", "/dev/null", "-w", "%{http_code}"],
            "/none",
            "404",
        ),
    ] {
        let url = url(path);
        let Some(output) = run("curl", &[arguments, &["-m", "60", &url]].concat()) else {
            break;
        };
        assert_eq!(text(&output), *expected, "{arguments:?} {path}: {output:?}");
    }
    let _ = std::fs::remove_file(&data);
}

#[test]
fn redis_cli_sets_and_gets() {
    let server = Running::start(&["kv"]);
    let port = server.address.port().to_string();
    for (arguments, expected) in [
        (&["SET", "a", "hello", "EX", "100"][..], "OK\n"),
        (&["GET", "a"], "hello\n"),
        (&["TTL", "a"], "100\n"),
        (&["INCRBY", "n", "41"], "41\n"),
        (&["MGET", "a", "n", "none"], "hello\n41\n\n"),
        (&["DBSIZE"], "2\n"),
        (
            &["NONSENSE"],
            "ERR unknown command 'NONSENSE', with args beginning with: \n\n",
        ),
        (&["FLUSHALL"], "OK\n"),
    ] {
        let arguments = [&["-h", "127.0.0.1", "-p", &port], arguments].concat();
        let Some(output) = run("redis-cli", &arguments) else {
            return;
        };
        assert_eq!(text(&output), expected, "{arguments:?}: {output:?}");
    }
}

#[test]
fn redis_benchmark_runs_through() {
    let server = Running::start(&["kv"]);
    let port = server.address.port().to_string();
    let arguments = [
        "-p",
        &port,
        "-t",
        "ping,set,get,incr,mset",
        "-n",
        "10000",
        "-c",
        "50",
        "-P",
        "16",
        "-q",
        "-r",
        "1000",
    ];
    let Some(output) = run("redis-benchmark", &arguments) else {
        return;
    };
    let said = text(&output) + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for test in [
        "PING_INLINE",
        "PING_MBULK",
        "SET",
        "GET",
        "INCR",
        "MSET (10 keys)",
    ] {
        assert!(said.contains(&format!("{test}: ")), "{test}: {said}");
    }
    assert!(
        !said.contains("WARNING") && !said.contains("Error"),
        "{said}"
    );
    let report = server.stop();
    assert!(report["requests"].as_u64() >= Some(60_000), "{report}");
    assert_eq!(
        (&report["faults"], &report["cut_off"]),
        (&0.into(), &0.into())
    );
}
