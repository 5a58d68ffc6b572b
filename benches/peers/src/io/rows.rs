//! Workloads, placements, the rows of the io suite and their bars. Data, no measuring.

use std::fmt;

use clap::ValueEnum;

use super::protocol::Protocol;
use crate::bars::{Bar, Better};
use crate::peers::Peer;

/// Who takes part, in the order of a round. The first is the yardstick.
pub(super) const PEERS: [Peer; 6] = [
    Peer::Epoll,
    Peer::Ours,
    Peer::Tokio,
    Peer::May,
    Peer::Monoio,
    Peer::Go,
];

/// What the ratios are against.
pub(super) const YARDSTICK: Peer = Peer::Epoll;

/// What is done on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// 64 bytes there and back, again and again.
    Echo,
    /// A small HTTP request and its answer.
    Http,
    /// The same, sixteen requests at a time.
    #[value(name = "http16")]
    HttpPipelined,
    /// Connect, one echo, close: a new connection each time.
    Churn,
}

impl Workload {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        name(&self)
    }

    /// What a server must speak.
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Workload::Echo | Workload::Churn => Protocol::Echo,
            Workload::Http | Workload::HttpPipelined => Protocol::Http,
        }
    }

    /// How many requests are sent at once.
    pub(super) fn batch(self) -> usize {
        match self {
            Workload::HttpPipelined => 16,
            _ => 1,
        }
    }
}

/// Which side runs on which core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Placement {
    /// The server has one core and one worker, the load has another core.
    Split,
    /// Two cores, two workers, two load threads: each of them may run on either.
    Both,
}

impl Placement {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        name(&self)
    }

    /// Workers of the server.
    pub(crate) fn workers(self) -> usize {
        match self {
            Placement::Split => 1,
            Placement::Both => 2,
        }
    }

    /// Threads of the load.
    pub(super) fn load_threads(self) -> usize {
        self.workers()
    }
}

fn name(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("no value is skipped");
    value.get_name().to_string()
}

/// One block of the report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// What is done.
    pub(crate) workload: Workload,
    /// On how many connections at a time.
    pub(crate) connections: usize,
    /// On which cores.
    pub(crate) placement: Placement,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (workload, placement) = (self.workload.name(), self.placement.name());
        write!(f, "{workload} {} {placement}", self.connections)
    }
}

/// A bar over one of a row's figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct FigureBar {
    /// The figure's name in the report.
    pub(super) figure: &'static str,
    /// The figure's name for readers.
    pub(super) title: &'static str,
    /// What is better.
    pub(super) better: Better,
    /// What is promised.
    pub(super) bar: Bar,
}

impl Row {
    /// What is promised for the row: no runtime is ahead, and for some rows more.
    pub(super) fn bars(&self) -> Vec<FigureBar> {
        let cpu = |bar| FigureBar {
            figure: "server_cpu_us",
            title: "CPU us",
            better: Better::Less,
            bar,
        };
        let latency = |figure, title, limit| FigureBar {
            figure,
            title,
            better: Better::Less,
            bar: Bar::BestOf(limit, &[YARDSTICK]),
        };
        let mut bars = vec![
            cpu(Bar::BestPeer(1.0)),
            FigureBar {
                figure: "requests_per_s",
                title: "requests/s",
                better: Better::More,
                bar: Bar::BestPeer(1.0),
            },
        ];
        let close = [
            cpu(Bar::BestOf(1.1, &[YARDSTICK])),
            cpu(Bar::BestOf(1.0, &[Peer::Tokio, Peer::Go])),
        ];
        match (self.workload, self.connections, self.placement) {
            (Workload::Echo, 1, Placement::Split) => bars.push(latency("p50_us", "p50", 1.1)),
            (Workload::Echo, 64, Placement::Split) => bars.extend(close),
            (Workload::Echo, 1000, Placement::Split) => {
                bars.extend(close);
                bars.push(latency("p99_us", "p99", 1.5));
            }
            // Requests per CPU second are the inverse of the CPU time for each.
            (Workload::HttpPipelined, ..) => bars.push(cpu(Bar::BestOf(1.0, &[Peer::May]))),
            _ => {}
        }
        bars
    }
}

/// All rows.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let workloads = [
        (Workload::Echo, 1),
        (Workload::Echo, 64),
        (Workload::Echo, 1000),
        (Workload::Http, 64),
        (Workload::HttpPipelined, 64),
        (Workload::Churn, 8),
    ];
    workloads.into_iter().flat_map(|(workload, connections)| {
        [Placement::Split, Placement::Both].map(|placement| Row {
            workload,
            connections,
            placement,
        })
    })
}
