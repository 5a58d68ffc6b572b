//! Which tool loads whom, and how. Data, no measuring.

use clap::ValueEnum;

use crate::peers::Peer;

/// A load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    /// HTTP requests.
    Wrk,
    /// Commands to a key-value store.
    RedisBenchmark,
}

impl Tool {
    /// The program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Wrk => "wrk",
            Tool::RedisBenchmark => "redis-benchmark",
        }
    }

    /// Its package, on Debian and the like.
    pub(super) fn package(self) -> &'static str {
        match self {
            Tool::Wrk => "wrk",
            Tool::RedisBenchmark => "redis-tools",
        }
    }

    /// Connections at a time.
    pub(super) fn connections(self) -> usize {
        match self {
            Tool::Wrk => 64,
            Tool::RedisBenchmark => 50,
        }
    }
}

/// A program that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// The HTTP server of the io suite.
    Http(Peer),
    /// Our key-value store: the demo's.
    Kv,
    /// redis-server, without persistence.
    Redis,
}

impl Server {
    /// What the report calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Server::Http(peer) => peer.name(),
            Server::Kv => Peer::Ours.name(),
            Server::Redis => "redis",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// `GET /plaintext`.
    Page,
    /// `SET` of three bytes, always by the same key.
    Set,
    /// `GET` of that key.
    Get,
}

/// One block of the report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) tool: Tool,
    pub(super) request: Request,
    /// Requests that are sent at once.
    pub(super) depth: u64,
    /// Who takes part, in the order of a round.
    pub(super) servers: &'static [Server],
}

const HTTP: &[Server] = &[
    Server::Http(Peer::Epoll),
    Server::Http(Peer::Ours),
    Server::Http(Peer::Tokio),
    Server::Http(Peer::May),
    Server::Http(Peer::Monoio),
    Server::Http(Peer::Go),
];
const STORES: &[Server] = &[Server::Redis, Server::Kv];

/// How many requests are sent at once where it is more than one.
pub(super) const PIPELINED: u64 = 16;

/// All rows.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    let kinds = [
        (Tool::Wrk, Request::Page, HTTP),
        (Tool::RedisBenchmark, Request::Set, STORES),
        (Tool::RedisBenchmark, Request::Get, STORES),
    ];
    kinds.into_iter().flat_map(|(tool, request, servers)| {
        [1, PIPELINED].map(|depth| Row {
            tool,
            request,
            depth,
            servers,
        })
    })
}

impl Row {
    /// What is done, for people.
    pub(super) fn title(&self) -> String {
        let what = match self.request {
            Request::Page => "GET /plaintext",
            Request::Set => "SET",
            Request::Get => "GET",
        };
        let connections = self.tool.connections();
        let pipelined = match self.depth {
            1 => String::new(),
            depth => format!(", {depth} at once"),
        };
        format!("{what}, {connections} connections{pipelined}")
    }
}
