//! How each server is started, and what has to be there before.

use std::env;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use super::attached;
use super::rows::{Server, Tool};
use crate::io::placement::Side;
use crate::io::rows::{Placement, Row, Workload};
use crate::io::server::{ANY_PORT, Server as Running};
use crate::peers::{GoTool, Peer};

const REDIS_SERVER: &str = "redis-server";
const DEMO: &str = "fibers-demo";

/// The demo is a member of it, as this crate is.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");

/// Makes sure that a server can be started. Returns its version.
///
/// # Errors
///
/// One line that says why it is left out.
pub(super) fn prepare(server: Server) -> Result<String, String> {
    match server {
        Server::Http(Peer::Go) => GoTool::prepare().map(|go| go.version),
        Server::Http(peer) => Ok(peer.version()),
        Server::Kv => build_demo().map(|()| Peer::Ours.version()),
        Server::Redis => version(REDIS_SERVER, "--version", REDIS_SERVER),
    }
}

/// The version of a tool, if it is here.
///
/// # Errors
///
/// As [`prepare`].
pub(super) fn prepare_tool(tool: Tool) -> Result<String, String> {
    let option = match tool {
        Tool::Wrk => "-v",
        Tool::RedisBenchmark => "--version",
    };
    version(tool.name(), option, tool.package())
}

/// The name and the version of a program, from what it says first.
fn version(program: &str, option: &str, package: &str) -> Result<String, String> {
    // wrk fails when it is asked for its version, but it tells it.
    let output = Command::new(program).arg(option).output();
    let said = output.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "it is not on the PATH".to_string(),
            _ => error.to_string(),
        };
        format!("{program} is left out: {why}; on Debian: apt-get install {package}")
    })?;
    let said = String::from_utf8_lossy(&said.stdout);
    Ok(format!("{program} {}", version_in(&said).unwrap_or("?")))
}

/// `redis-benchmark 7.0.15`, `Redis server v=7.0.15 sha=0`, `wrk debian/4.1.0 [epoll]`: the first word with a digit.
fn version_in(said: &str) -> Option<&str> {
    let mut words = said.split_whitespace();
    let word = words.find(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    Some(word.trim_start_matches(|c: char| !c.is_ascii_digit()))
}

/// Builds the demo, which has the store: what lies there may be older than the library.
fn build_demo() -> Result<(), String> {
    let why = |what: &str| format!("{DEMO} is left out, its build failed: {what}");
    let build = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--release", "--package", DEMO])
        .args(["--manifest-path", WORKSPACE])
        .arg("--target-dir")
        .arg(target_dir().map_err(|error| why(&error.to_string()))?)
        .output()
        .map_err(|error| why(&error.to_string()))?;
    match build.status.success() {
        true => Ok(()),
        false => Err(why(String::from_utf8_lossy(&build.stderr).trim())),
    }
}

/// Ours, which is two levels above this program.
fn target_dir() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2);
    target
        .map(PathBuf::from)
        .ok_or(io::Error::other("this program is in no target directory"))
}

/// Starts a server on the first core and waits until it listens.
pub(super) fn start(server: Server) -> Result<Running, String> {
    match server {
        Server::Http(peer) => {
            let row = Row {
                workload: Workload::Http,
                connections: Tool::Wrk.connections(),
                placement: Placement::Split,
            };
            Running::start(peer, &row)
        }
        Server::Kv => {
            let demo = target_dir().map(|target| target.join("release").join(DEMO));
            let demo = demo.map_err(|error| error.to_string())?;
            start_program(&demo.to_string_lossy(), |port| {
                let address = format!("--addr=127.0.0.1:{port}");
                ["serve", "kv", &address, "--workers=1", "--json"].map(str::to_string)
            })
        }
        Server::Redis => start_program(REDIS_SERVER, |port| {
            let port = port.to_string();
            let options = ["--port", &port, "--bind", "127.0.0.1"].map(str::to_string);
            // In memory only, as the store that it stands beside.
            let memory = ["--save", "", "--appendonly", "no"].map(str::to_string);
            [options, memory].concat()
        }),
    }
}

/// Starts a program that has to be told its port.
fn start_program<A: AsRef<[String]>>(
    program: &str,
    arguments: impl FnOnce(u16) -> A,
) -> Result<Running, String> {
    // Free just now, and the kernel gives it to nobody else so soon.
    let port = TcpListener::bind(ANY_PORT).and_then(|listener| listener.local_addr());
    let port = port.map_err(|error| error.to_string())?.port();
    let command = attached::command(Side::Server, program, arguments(port).as_ref());
    Running::start_program(&mut command.map_err(|error| error.to_string())?, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_wherever_it_stands() {
        for (said, version) in [
            ("redis-benchmark 7.0.15\n", "7.0.15"),
            ("Redis server v=7.0.15 sha=00000000:0 bits=64", "7.0.15"),
            (
                "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012",
                "4.1.0-3+b2",
            ),
        ] {
            assert_eq!(version_in(said), Some(version));
        }
        assert_eq!(version_in("nothing"), None);
    }

    #[test]
    fn what_is_not_here_is_left_out_with_its_package() {
        let why = version("no-such-program", "-v", "some-package").expect_err("there is none");
        assert!(why.contains("left out: it is not on the PATH"), "{why}");
        assert!(why.ends_with("apt-get install some-package"), "{why}");
    }
}
