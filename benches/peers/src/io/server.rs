//! A server process: the handle the runner holds, and what the process itself says.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::capacity;
use super::lifetime;
use super::placement::Side;
use super::protocol::Protocol;
use super::rows::{Placement, Row, Workload};
use crate::child;
use crate::peers::{self, Peer};

/// Where servers listen: the kernel chooses the port.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// How long a server may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// After this it is asked again whether a program listens that does not say so.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long a failing server may take to end by itself.
const END_PATIENCE: Duration = Duration::from_millis(200);

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    errors: Option<JoinHandle<String>>,
    pub(crate) port: u16,
}

impl Server {
    /// Starts `peer` for `row` and waits until it listens.
    pub(crate) fn start(peer: Peer, row: &Row) -> Result<Server, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut process = Command::new(program)
            .args(["serve", peer.name(), &row.workload.name()])
            .arg(row.placement.name())
            .env("RUST_BACKTRACE", "0")
            // Never written to: it tells the server that we are alive.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a server: {error}"))?;
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        let mut server = Server {
            process,
            errors: Some(child::keep_errors(stderr)),
            port: 0,
        };
        let (said, listening) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line); // a bad line fails to parse
            let _ = said.send(line); // the parent may have given up
        });
        let line = listening.recv_timeout(START_PATIENCE).unwrap_or_default();
        match line.trim().parse() {
            Ok(port) => server.port = port,
            Err(_) => return Err(server.failure("does not listen")),
        }
        Ok(server)
    }

    /// Starts a program that will listen on `port`, and waits until it does.
    pub(crate) fn start_program(command: &mut Command, port: u16) -> Result<Server, String> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a server: {error}"))?;
        let stderr = process.stderr.take().expect("stderr is piped");
        let mut server = Server {
            process,
            errors: Some(child::keep_errors(stderr)),
            port,
        };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let has_ended = !matches!(server.process.try_wait(), Ok(None));
            if has_ended || start.elapsed() > START_PATIENCE {
                return Err(server.failure("does not listen"));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Why a measurement failed: what the server says, if it has ended by itself, or else `what`.
    pub(crate) fn failure(mut self, what: &str) -> String {
        // A dying server closes its sockets, which the load notices, before it has ended.
        thread::sleep(END_PATIENCE);
        let ended = self.process.try_wait();
        self.end();
        let errors = self.errors.take().map(JoinHandle::join);
        let errors = errors.and_then(Result::ok).unwrap_or_default();
        match ended {
            Ok(Some(status)) => format!("server ended: {}", child::failure(&errors, status)),
            _ => what.to_string(),
        }
    }

    fn end(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait(); // it is our child, so nothing is left to fail
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a peer is asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// How it answers.
    pub(crate) protocol: Protocol,
    /// Its worker threads.
    pub(crate) workers: usize,
}

impl Service {
    /// Tells the parent that `address` is listened on.
    pub(crate) fn announce(&self, address: SocketAddr) {
        println!("{}", address.port());
    }
}

/// Serves until the parent ends this process. Returns only if that fails.
pub(crate) fn serve(peer: Peer, workload: Workload, placement: Placement) -> io::Error {
    let service = Service {
        protocol: workload.protocol(),
        workers: placement.workers(),
    };
    let prepared = placement
        .pin(Side::Server)
        .and_then(|()| capacity::raise_descriptors());
    if let Err(error) = prepared {
        return error;
    }
    lifetime::end_with_parent();
    match peers::serve(peer, &service) {
        Ok(()) => io::Error::other("the server has ended"),
        Err(error) => error,
    }
}
