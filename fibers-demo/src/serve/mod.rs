//! Servers: a fiber for each connection, code that reads as if it had a thread.
//!
//! `os` is the only file that says what the servers run on. `server` lets connections in and stops
//! gracefully, `wire` buffers one conversation, `echo`, `http` and `kv` are what is spoken on it, and
//! `check` talks to all three. What is spoken knows nothing of sockets.

mod check;
mod echo;
mod http;
mod kv;
pub mod os;
#[cfg(test)]
mod script;
pub mod server;
pub mod wire;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped, short_bytes};
use crate::screen::Screen;
use crate::serve::http::{Folder, Http};
use crate::serve::kv::Kv;
use crate::serve::os::{Signal, Signals};
use crate::serve::server::{Server, Tally};
use crate::serve::wire::Protocol;

pub use crate::serve::echo::Echo;

/// An hour: who wants more has mistaken the unit.
const MS_MAX: u64 = 3_600_000;

/// Options of this part.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// HTTP/1.1: /plaintext, POST /echo, and files; until SIGTERM or ctrl-c
    Http(HttpArgs),
    /// Whatever comes goes back; until SIGTERM or ctrl-c
    Echo(Door),
    /// Keys and values for Redis clients, in memory only; until SIGTERM or ctrl-c
    Kv(KvArgs),
    /// Start all three, talk to each of them, stop them, and count
    Check,
}

/// What all servers are asked.
#[derive(Debug, clap::Args)]
struct Door {
    /// Address and port to listen at; port 0 takes any that is free
    /// [default: 127.0.0.1, http at 8080, echo at 7007, kv at 6379]
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Milliseconds that requests under way get after a stop, 0 to 3600000
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = milliseconds)]
    grace: u64,
    /// Connections at once, 1 to 1000000; one more is closed when it comes
    #[arg(long, value_name = "N", default_value = "10000",
          value_parser = |text: &str| options::whole(text, 1, 1_000_000))]
    connections: u64,
}

#[derive(Debug, clap::Args)]
struct HttpArgs {
    #[command(flatten)]
    door: Door,
    /// Serve the files below this folder; names that begin with a dot are kept back
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Milliseconds in which the head of a request must arrive, 1 to 3600000; its body (1 MiB at the most) gets six
    /// times as long
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = some_milliseconds)]
    patience: u64,
    /// Milliseconds that a connection may be silent between requests, 1 to 3600000
    #[arg(long, value_name = "MS", default_value = "60000", value_parser = some_milliseconds)]
    idle: u64,
}

#[derive(Debug, clap::Args)]
struct KvArgs {
    #[command(flatten)]
    door: Door,
    /// Bytes that keys and values may take, 1M to 65536M
    #[arg(long, value_name = "N", default_value = "1024M",
          value_parser = |text: &str| options::bytes(text, 1 << 20, 1 << 36))]
    memory: u64,
}

fn milliseconds(text: &str) -> Result<u64, String> {
    options::whole(text, 0, MS_MAX)
}

fn some_milliseconds(text: &str) -> Result<u64, String> {
    options::whole(text, 1, MS_MAX)
}

impl Args {
    /// What the tour runs.
    pub fn tour() -> Args {
        Args { what: What::Check }
    }

    /// The part's name.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Http(_) => "serve http",
            What::Echo(_) => "serve echo",
            What::Kv(_) => "serve kv",
            What::Check => "serve check",
        }
    }
}

/// Runs one server until it is told to stop, or checks all of them.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let name = args.name();
    match &args.what {
        What::Check => check::run(common, screen),
        What::Echo(door) => serve(name, door, "127.0.0.1:7007", common, screen, || Ok(Echo)),
        What::Http(args) => {
            let (dir, idle) = (args.dir.clone(), Duration::from_millis(args.idle));
            let patience = Duration::from_millis(args.patience);
            let start = move || http(dir, patience, idle);
            serve(name, &args.door, "127.0.0.1:8080", common, screen, start)
        }
        What::Kv(args) => {
            let bytes_max = args.memory as usize;
            let start = move || Kv::start(bytes_max);
            serve(name, &args.door, "127.0.0.1:6379", common, screen, start)
        }
    }
}

fn http(dir: Option<PathBuf>, head_time_max: Duration, idle: Duration) -> Result<Http, String> {
    let open = |path: PathBuf| {
        Folder::open(&path)
            .map_err(|error| format!("--dir {}: {error}: give a folder", path.display()))
    };
    Ok(Http {
        folder: dir.map(open).transpose()?,
        head_time_max,
        idle_time_max: idle,
    })
}

/// One server, from its start to the report of what it did.
fn serve<P: Protocol>(
    name: &'static str,
    door: &Door,
    address: &str,
    common: &Common,
    screen: &Screen,
    protocol: impl FnOnce() -> Result<P, String> + Send + 'static,
) -> Result<Report, String> {
    let address = door.addr.clone().unwrap_or_else(|| address.to_string());
    let connections = door.connections as usize;
    let grace = Duration::from_millis(door.grace);
    let machine = common.machine("serve", None)?;
    let start = Instant::now();
    let on_screen = *screen;
    let (address, signal, tally) = machine.run(move || {
        // Before the address is told: whoever reads it may send a signal at once.
        let watching = |error| format!("watching for signals: {error}");
        let signals = Signals::new([Signal::TERM, Signal::INT]).map_err(watching)?;
        let server = Server::start(protocol()?, &address, connections)?;
        let address = server.address();
        on_screen.announce(&format!("{name}: listening on {address}"));
        let signal = signals.wait().map_err(watching)?;
        // From here on a signal ends the process, as it ends any other: for who cannot wait.
        drop(signals);
        on_screen.say(&format!(
            "{signal}: no more connections, {grace:?} for the rest"
        ));
        Ok::<_, String>((address, signal.to_string(), server.stop(grace)?))
    })?;
    let time = start.elapsed();
    let workers = options::stop(machine)?.workers;
    screen.say(&format!("stopped: {}", tally.line()));
    let mut facts = vec![
        ("address", address.to_string().into()),
        ("stopped_by", signal.into()),
    ];
    facts.extend(tally.facts());
    Ok(Report {
        part: name,
        size: tally.connections.load(Ordering::Relaxed),
        workers,
        rows: vec![Row {
            what: "requests".into(),
            operations: tally.requests.load(Ordering::Relaxed),
            unit: "requests",
            time,
            memory: Memory::None,
        }],
        facts,
    })
}

impl Tally {
    /// All of it in one line.
    pub fn line(&self) -> String {
        let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let mut line = format!(
            "{} connections, {} requests, {} in, {} out, {} cut off",
            grouped(of(&self.connections)),
            grouped(of(&self.requests)),
            short_bytes(of(&self.bytes_in)),
            short_bytes(of(&self.bytes_out)),
            grouped(of(&self.cut_off)),
        );
        for (count, what) in [
            (&self.faults, "bad requests"),
            (&self.broken, "connections broken"),
            (&self.refused, "connections refused"),
        ] {
            if of(count) > 0 {
                line.push_str(&format!(", {} {what}", grouped(of(count))));
            }
        }
        line
    }

    /// All of it for JSON.
    pub fn facts(&self) -> Vec<(&'static str, Value)> {
        [
            ("connections", &self.connections),
            ("refused", &self.refused),
            ("requests", &self.requests),
            ("faults", &self.faults),
            ("broken", &self.broken),
            ("cut_off", &self.cut_off),
            ("bytes_in", &self.bytes_in),
            ("bytes_out", &self.bytes_out),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed).into()))
        .to_vec()
    }
}
