//! The load process: warms a server up, measures it, prints what it found.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::capacity;
use super::client::{Client, Plan, Tally, Window};
use super::histogram::Histogram;
use super::lifetime;
use super::placement::Side;
use super::rows::{Placement, Workload};
use crate::machine;
use crate::usage::{ProcessClock, Usage};

/// What to do to which server.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    pub(super) workload: Workload,
    pub(super) placement: Placement,
    #[arg(long)]
    pub(super) connections: usize,
    #[arg(long)]
    pub(super) port: u16,
    #[arg(long)]
    pub(super) server_pid: u32,
    #[arg(long)]
    pub(super) warm_ms: u64,
    #[arg(long)]
    pub(super) window_ms: u64,
}

/// What one measurement has found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Answered within the window.
    pub(super) requests: u64,
    pub(super) window_ns: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) server_cpu_ns: u64,
    pub(super) server_switches: u64,
    pub(super) server_threads: u64,
    pub(super) server_peak_bytes: u64,
    /// CPU time of the load itself per time: 1 is one core.
    pub(super) load_cores: f64,
    /// That of everybody but the server and the load.
    pub(super) other_cores: f64,
}

/// Runs the load in this process.
pub(crate) fn run(args: &LoadArgs) -> io::Result<Found> {
    args.placement.pin(Side::Load)?;
    capacity::raise_descriptors()?;
    lifetime::end_with_parent();
    let plan = Plan {
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)),
        server_pid: args.server_pid,
        exchange: args.workload.protocol().exchange(args.workload.batch()),
        churn: args.workload == Workload::Churn,
    };
    let clients = clients(&plan, args.connections, args.placement.load_threads())?;
    let window_length = Duration::from_millis(args.window_ms);
    let begin = Instant::now();
    let start = begin + Duration::from_millis(args.warm_ms);
    let window = Window {
        start,
        end: start + window_length,
    };
    let server = ProcessClock::of(plan.server_pid)?;
    let (busy, server_cpu, load) = (machine::busy(), server.read()?, Usage::read());
    let tallies = drive(clients, window)?;
    let load = load.spent();
    let load = load.user + load.system;
    let busy = machine::busy().saturating_sub(busy);
    let others = busy.saturating_sub(load + server.read()?.saturating_sub(server_cpu));
    let elapsed = begin.elapsed();
    let mut latencies = Histogram::new();
    tallies
        .iter()
        .for_each(|tally| latencies.merge(&tally.latencies));
    let exchanges: u64 = tallies.iter().map(|tally| tally.exchanges).sum();
    // All threads have seen the same server for the same time.
    let used = tallies[0].used;
    Ok(Found {
        requests: exchanges * args.workload.batch() as u64,
        window_ns: nanos(window_length),
        p50_ns: latencies.quantile(500),
        p99_ns: latencies.quantile(990),
        p999_ns: latencies.quantile(999),
        server_cpu_ns: nanos(used.cpu),
        server_switches: used.switches,
        server_threads: used.threads,
        server_peak_bytes: used.peak_bytes,
        load_cores: load.div_duration_f64(elapsed),
        other_cores: others.div_duration_f64(elapsed),
    })
}

/// Connections are shared evenly among at most `threads` clients.
fn clients(plan: &Plan, connections: usize, threads: usize) -> io::Result<Vec<Client<'_>>> {
    let threads = threads.min(connections);
    let share = |thread| connections * (thread + 1) / threads - connections * thread / threads;
    (0..threads)
        .map(|thread| Client::connect(plan, share(thread)))
        .collect()
}

/// Runs each client on a thread of its own.
fn drive(clients: Vec<Client<'_>>, window: Window) -> io::Result<Vec<Tally>> {
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || client.run(window)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a client does not panic"))
            .collect()
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
