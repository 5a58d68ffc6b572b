//! A closed loop against an echo server: each client sends, waits until all of it has come back, compares
//! it byte for byte, and sends again.
//!
//! Without `--addr` the server runs in the same process, on the same machine of fibers: its workers
//! serve both sides.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bench::latencies::Latencies;
use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped, short_bytes};
use crate::screen::{Gauge, Screen};
use crate::serve::Echo;
use crate::serve::os::{TcpStream, thread};
use crate::serve::server::Server;

/// A server that is silent for so long is none.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);
/// What a client sends whole before it reads must fit into what the kernel holds for both sides.
const SIZE_MAX: u64 = 64 << 10;

/// Options of this part.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// The server to load, HOST:PORT [default: one in this process]
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Connections, each with a fiber, 1 to 100000 [default: 64]
    #[arg(long, value_name = "N", value_parser = |text: &str| options::whole(text, 1, 100_000))]
    connections: Option<u64>,
    /// Bytes of one message, 1 to 64K [default: 64]
    #[arg(long, value_name = "BYTES", value_parser = |text: &str| options::bytes(text, 1, SIZE_MAX))]
    size: Option<u64>,
    /// Seconds to go on for, 1 to 3600 [default: 5; 1 in the tour; a fifth with --quick]
    #[arg(long, value_name = "S", value_parser = |text: &str| options::whole(text, 1, 3_600))]
    seconds: Option<u64>,
    /// Messages of all connections together, in place of a time, 1 to 1000000000
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = |text: &str| options::whole(text, 1, 1_000_000_000))]
    requests: Option<u64>,
    #[arg(skip)]
    is_in_tour: bool,
}

/// When a client has done enough.
#[derive(Clone, Copy, Debug)]
enum Until {
    Time(Duration),
    Requests(u64),
}

/// What all clients share.
#[derive(Debug)]
struct Load {
    size: usize,
    until: Until,
    connections: u64,
    done: AtomicU64,
}

impl Args {
    /// What the tour runs: a load that does not keep the other parts waiting.
    pub fn tour() -> Args {
        Args {
            is_in_tour: true,
            ..Args::default()
        }
    }

    fn until(&self, common: &Common) -> Until {
        let full = if self.is_in_tour { 1_000 } else { 5_000 };
        match self.requests {
            Some(requests) => Until::Requests(requests),
            None => {
                let given_ms = self.seconds.map(|seconds| seconds * 1_000);
                Until::Time(Duration::from_millis(common.size(given_ms, full, 200)))
            }
        }
    }
}

/// Runs the part.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    let load = Arc::new(Load {
        size: args.size.unwrap_or(64) as usize,
        until: args.until(common),
        connections: args.connections.unwrap_or(64),
        done: AtomicU64::new(0),
    });
    let count = grouped(load.connections);
    screen.heading(
        &format!(
            "bench echo: {count} clients send {} and wait for it",
            short_bytes(load.size as u64)
        ),
        &[match &args.addr {
            Some(_) => "Every byte that comes back is compared.",
            None => "The server runs on the same workers. Every byte that comes back is compared.",
        }],
    );
    let machine = common.machine("bench", None)?;
    let watch = screen.watch(vec![gauge(&load)]);
    let (shared, address) = (load.clone(), args.addr.clone());
    let measured = machine.run(move || match address {
        Some(address) => measure(&shared, &address),
        None => with_server(&shared),
    });
    let peak_bytes = watch.finish();
    let (latencies, time) = measured?;
    let workers = options::stop(machine)?.workers;

    let requests = latencies.count();
    screen.say(&format!(
        "{} echoes, {}/s; each in {} (p50), {} (p99), {} (p99.9), {} at most",
        grouped(requests),
        grouped((requests as f64 / time.as_secs_f64()) as u64),
        latencies.text(0.5),
        latencies.text(0.99),
        latencies.text(0.999),
        latencies.text(1.0)
    ));
    Ok(Report {
        part: "bench echo",
        size: load.size as u64,
        workers,
        rows: vec![Row {
            what: format!("{count} clients"),
            operations: requests,
            unit: "requests",
            time,
            memory: Memory::PeakBytes(peak_bytes),
        }],
        facts: vec![
            ("connections", load.connections.into()),
            ("own_server", args.addr.is_none().into()),
            ("latency", latencies.to_json()),
        ],
    })
}

fn gauge(load: &Arc<Load>) -> Gauge {
    let read = load.clone();
    let gauge = match load.until {
        Until::Requests(requests) => Gauge::new("echoes", requests, move || {
            read.done.load(Ordering::Relaxed)
        }),
        Until::Time(time) => {
            let start = Instant::now();
            let ms = time.as_millis() as u64;
            Gauge::new("ms", ms, move || start.elapsed().as_millis() as u64)
        }
    };
    let note = load.clone();
    gauge.with_note(move || format!("{} echoes", grouped(note.done.load(Ordering::Relaxed))))
}

/// The load against a server of our own, which must have counted as we did.
fn with_server(load: &Arc<Load>) -> Result<(Latencies, Duration), String> {
    let server = Server::start(Echo, "127.0.0.1:0", load.connections as usize)?;
    let measured = measure(load, &server.address().to_string());
    let tally = server.stop(GRACE)?;
    let measured = measured?;
    let bytes = measured.0.count() * load.size as u64;
    let counted = [&tally.bytes_in, &tally.bytes_out].map(|count| count.load(Ordering::Relaxed));
    if counted != [bytes; 2] {
        return Err(format!(
            "{bytes} bytes were sent and came back; the server counted {}",
            tally.line()
        ));
    }
    Ok(measured)
}

/// Connects all clients, lets them go, and adds up what they measured.
fn measure(load: &Arc<Load>, address: &str) -> Result<(Latencies, Duration), String> {
    let mut streams = Vec::new();
    for client in 0..load.connections {
        streams.push(connect(address).map_err(|error| {
            format!(
                "client {client} of --connections {}, to --addr {address}: {error} \
                 (is the server there, under that name? a client takes a file descriptor, two with its \
                 own server: see `ulimit -n`)",
                load.connections
            )
        })?);
    }
    let start = Instant::now();
    let mut fibers = Vec::new();
    for (client, stream) in (0..).zip(streams) {
        let load = load.clone();
        let builder = thread::Builder::new().name(format!("client {client}"));
        let fiber = builder.spawn(move || load.client(client, stream, start));
        fibers.push(fiber.map_err(|error| format!("client {client}: {error}"))?);
    }
    let mut latencies = Latencies::new();
    for fiber in fibers {
        let measured = fiber.join().map_err(|_| "a client panicked".to_string())?;
        latencies.merge(&measured?);
    }
    Ok((latencies, start.elapsed()))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIME_MAX))?;
    Ok(stream)
}

impl Load {
    /// One client: it sends what no other sends, and nothing twice.
    fn client(
        &self,
        client: u64,
        mut stream: TcpStream,
        start: Instant,
    ) -> Result<Latencies, String> {
        let mut latencies = Latencies::new();
        let mut sent = vec![0; self.size];
        let mut came = vec![0; self.size];
        for number in 0.. {
            let before = Instant::now();
            let is_enough = match self.until {
                Until::Time(time) => before - start >= time,
                Until::Requests(all) => number >= self.share(client, all),
            };
            if is_enough {
                break;
            }
            write_pattern(&mut sent, client, number);
            let before = Instant::now();
            let echoed = (stream.write_all(&sent)).and_then(|()| stream.read_exact(&mut came));
            latencies.add(before.elapsed().as_nanos());
            echoed.map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    format!("client {client}, echo {number}: the server closed the connection")
                }
                _ => format!("client {client}, echo {number}: {error}"),
            })?;
            if let Some(at) = (0..self.size).find(|at| sent[*at] != came[*at]) {
                return Err(format!(
                    "client {client}, echo {number}: byte {at} was {} and came back as {}",
                    sent[at], came[at]
                ));
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(latencies)
    }

    /// How many of all requests are this client's.
    fn share(&self, client: u64, all: u64) -> u64 {
        all / self.connections + u64::from(client < all % self.connections)
    }
}

/// Fills a message with bytes that depend on who sends it and when.
fn write_pattern(message: &mut [u8], client: u64, number: u64) {
    let first = client.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number;
    for (place, chunk) in (0_u64..).zip(message.chunks_mut(8)) {
        let word = first
            .wrapping_add(place)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9);
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_clients_are_all_requests() {
        for (connections, requests) in [(1, 5), (3, 10), (7, 7), (8, 3)] {
            let load = Load {
                size: 1,
                until: Until::Requests(requests),
                connections,
                done: AtomicU64::new(0),
            };
            let shares = (0..connections).map(|client| load.share(client, requests));
            assert_eq!(shares.sum::<u64>(), requests);
        }
    }

    #[test]
    fn messages_differ_by_client_and_number() {
        let pattern = |client, number| {
            let mut message = [0; 21];
            write_pattern(&mut message, client, number);
            message
        };
        assert_ne!(pattern(1, 1), pattern(1, 2));
        assert_ne!(pattern(1, 1), pattern(2, 1));
        assert_eq!(pattern(1, 1), pattern(1, 1));
    }
}
