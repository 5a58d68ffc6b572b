//! One thread of the load: a closed loop over epoll.
//!
//! Each connection has one exchange under way. When its answer is complete the next request is sent
//! at once, on the same connection or, for `churn`, on a new one. Level-triggered: an exchange is one
//! read, one write and a share of an `epoll_wait`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::sockopt::set_socket_linger;

use super::histogram::Histogram;
use super::observed::Observed;
use super::protocol::Exchange;

/// A server that lets all connections wait for longer than this has failed.
const PATIENCE_S: i64 = 5;

/// Bounds the loop should the clock not.
const EXCHANGES_MAX: u64 = 100_000_000;

/// More than the longest answer: what is too much must be noticed.
const SCRATCH_BYTES: usize = 16 * 1024;

/// What counts, and what is only warming up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) start: Instant,
    pub(super) end: Instant,
}

/// What one thread has measured within the window.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) exchanges: u64,
    pub(super) latencies: Histogram,
    /// What the server used meanwhile.
    pub(super) used: Observed,
}

/// What the threads of a load have in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) server: SocketAddr,
    pub(super) server_pid: u32,
    pub(super) exchange: Exchange,
    /// A new connection for each exchange.
    pub(super) churn: bool,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// When the present exchange began.
    begin: Instant,
    /// How much of its answer has come.
    received: usize,
}

/// The connections of one thread.
#[derive(Debug)]
pub(super) struct Client<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
}

impl<'a> Client<'a> {
    /// Opens `count` connections, and does one exchange on each before the next is opened: the
    /// server accepts them one by one then, whatever its backlog is.
    pub(super) fn connect(plan: &'a Plan, count: usize) -> io::Result<Client<'a>> {
        let mut client = Client {
            plan,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(count),
            scratch: vec![0; SCRATCH_BYTES],
        };
        for index in 0..count {
            let connection = client.open(index)?;
            client.connections.push(connection);
            client.send(index)?;
            client.first_answer(index)?;
        }
        Ok(client)
    }

    fn first_answer(&mut self, index: usize) -> io::Result<()> {
        let mut events = Vec::with_capacity(1);
        loop {
            self.wait(&mut events)?;
            if self.receive(index)?.is_some() {
                return Ok(());
            }
        }
    }

    fn open(&self, index: usize) -> io::Result<Connection> {
        let begin = Instant::now();
        // Over the loopback a connect is done when it returns, so it needs no event.
        let stream = TcpStream::connect(self.plan.server)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        // Closing by a reset leaves no TIME_WAIT behind, which would use up the ports.
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        epoll::add(
            &self.epoll,
            &stream,
            EventData::new_u64(index as u64),
            EventFlags::IN,
        )?;
        Ok(Connection {
            stream,
            begin,
            received: 0,
        })
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let request = &self.plan.exchange.request;
        let written = self.connections[index].stream.write(request)?;
        // A closed loop of small requests never fills the socket's buffer.
        if written == request.len() {
            Ok(())
        } else {
            Err(wrong("the kernel took a part of a request only"))
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let patience = Timespec {
            tv_sec: PATIENCE_S,
            tv_nsec: 0,
        };
        events.clear();
        epoll::wait(&self.epoll, spare_capacity(events), Some(&patience))?;
        if events.is_empty() {
            return Err(wrong(&format!("no answer for {PATIENCE_S} s")));
        }
        Ok(())
    }

    /// Reads once; returns the time if the answer is complete.
    fn receive(&mut self, index: usize) -> io::Result<Option<Instant>> {
        let connection = &mut self.connections[index];
        let read = match connection.stream.read(&mut self.scratch) {
            Ok(0) => return Err(wrong("the server has closed a connection")),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let rest = &self.plan.exchange.reply[connection.received..];
        if !rest.starts_with(&self.scratch[..read]) {
            return Err(wrong("the answer is wrong"));
        }
        connection.received += read;
        Ok((read == rest.len()).then(Instant::now))
    }

    /// Starts the next exchange, at the end of the one before.
    fn next(&mut self, index: usize, now: Instant) -> io::Result<()> {
        if self.plan.churn {
            self.connections[index] = self.open(index)?;
        } else {
            let connection = &mut self.connections[index];
            connection.begin = now;
            connection.received = 0;
        }
        self.send(index)
    }

    /// Drives all connections until the window ends.
    pub(super) fn run(mut self, window: Window) -> io::Result<Tally> {
        let mut latencies = Histogram::new();
        let mut exchanges = 0;
        let mut before = None;
        let mut events = Vec::with_capacity(self.connections.len());
        let now = Instant::now();
        for index in 0..self.connections.len() {
            self.next(index, now)?;
        }
        for _ in 0..EXCHANGES_MAX {
            self.wait(&mut events)?;
            for event in &events {
                let index = event.data.u64() as usize;
                let Some(now) = self.receive(index)? else {
                    continue;
                };
                if now >= window.end {
                    let before = before.ok_or_else(|| wrong("no answer within the window"))?;
                    let used = Observed::read(self.plan.server_pid)?.since(before);
                    return Ok(Tally {
                        exchanges,
                        latencies,
                        used,
                    });
                }
                if now >= window.start {
                    if before.is_none() {
                        before = Some(Observed::read(self.plan.server_pid)?);
                    }
                    let latency = now - self.connections[index].begin;
                    latencies.record(latency.as_nanos() as u64);
                    exchanges += 1;
                }
                self.next(index, now)?;
            }
        }
        Err(wrong("more exchanges than the clock should allow"))
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}
