//! The servers' check of themselves: fibers talk to each of the three, byte for byte, and then the
//! counts must be what was said, with nothing cut off.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::options::{self, Common};
use crate::report::{Memory, Report, Row, grouped};
use crate::screen::Screen;
use crate::serve::http::Http;
use crate::serve::kv::Kv;
use crate::serve::os::{TcpStream, thread};
use crate::serve::server::Server;
use crate::serve::wire::Protocol;
use crate::serve::{Echo, Tally};

/// Requests of one round; all of them are sent before an answer is read.
const BATCH: u64 = 16;
/// A server that says nothing for so long does not work.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);
const HELLO: &str = "HTTP/1.1 200 OK\r\nServer: fibers-demo\r\nContent-Type: text/plain\r\n\
     Content-Length: 13\r\n\r\nHello, World!";

/// One round of a client: its number, its connection.
type Round = fn(u64, &mut TcpStream) -> Result<(), String>;

/// Runs the part.
pub fn run(common: &Common, screen: &Screen) -> Result<Report, String> {
    let clients = common.size(None, 50, 10);
    let rounds = common.size(None, 100, 10);
    screen.heading(
        &format!(
            "serve: {clients} clients talk to each of three servers, {} times",
            grouped(rounds)
        ),
        &["Batches of 16 requests: echoes, pages over HTTP, counters that are counted up."],
    );
    let machine = common.machine("serve", None)?;
    let rows = machine.run(move || {
        let http = Http {
            folder: None,
            head_time_max: READ_TIME_MAX,
            idle_time_max: READ_TIME_MAX,
        };
        Ok::<_, String>(vec![
            talk("echo", Echo, clients, rounds, 1, echo)?,
            talk("http", http, clients, rounds, BATCH, pages)?,
            talk("kv", Kv::start(1 << 20)?, clients, rounds, BATCH, counters)?,
        ])
    })?;
    let workers = options::stop(machine)?.workers;
    Ok(Report {
        part: "serve check",
        size: clients,
        workers,
        rows,
        facts: vec![("clients", clients.into()), ("rounds", rounds.into())],
    })
}

/// One server and its clients. Each round makes `requests` of them, or more where reads come in pieces.
fn talk<P: Protocol>(
    name: &str,
    protocol: P,
    clients: u64,
    rounds: u64,
    requests: u64,
    round: Round,
) -> Result<Row, String> {
    let server = Server::start(protocol, "127.0.0.1:0", clients as usize)?;
    let address = server.address();
    let start = Instant::now();
    let fibers: Vec<_> = (0..clients)
        .map(|client| thread::spawn(move || visit(address, client, rounds, round)))
        .collect();
    for fiber in fibers {
        let said = fiber
            .join()
            .map_err(|_| format!("{name}: a client panicked"))?;
        said.map_err(|error| format!("{name}: {error}"))?;
    }
    let time = start.elapsed();
    let tally = server.stop(GRACE)?;
    check(&tally, clients, clients * rounds * requests)
        .map_err(|why| format!("{name}: {why}; it counted {}", tally.line()))?;
    Ok(Row {
        what: format!("{name}, {clients} clients"),
        operations: tally.requests.load(Ordering::Relaxed),
        unit: "requests",
        time,
        memory: Memory::None,
    })
}

fn check(tally: &Tally, clients: u64, requests: u64) -> Result<(), String> {
    let zero = [&tally.faults, &tally.broken, &tally.refused, &tally.cut_off];
    let is_clean = zero.iter().all(|count| count.load(Ordering::Relaxed) == 0);
    if tally.connections.load(Ordering::Relaxed) != clients || !is_clean {
        return Err(format!("{clients} clients were to be served and none lost"));
    }
    if tally.requests.load(Ordering::Relaxed) < requests {
        return Err(format!("{requests} requests were to be answered"));
    }
    Ok(())
}

fn visit(address: SocketAddr, client: u64, rounds: u64, round: Round) -> Result<(), String> {
    let connected = TcpStream::connect(address).and_then(|stream| {
        stream.set_read_timeout(Some(READ_TIME_MAX))?;
        Ok(stream)
    });
    let mut stream = connected.map_err(|error| format!("connecting to {address}: {error}"))?;
    for _ in 0..rounds {
        round(client, &mut stream)?;
    }
    (stream.shutdown(Shutdown::Write)).map_err(|error| format!("ending: {error}"))?;
    match stream.read(&mut [0; 16]) {
        Ok(0) => Ok(()),
        other => Err(format!(
            "expected the end of the conversation, got {other:?}"
        )),
    }
}

/// Sends `question`; what `read` makes of the bytes that come must be `answer`.
fn ask(
    stream: &mut TcpStream,
    question: &[u8],
    answer: &[u8],
    read: impl FnOnce(&mut TcpStream) -> std::io::Result<Vec<u8>>,
) -> Result<(), String> {
    let came = stream.write_all(question).and_then(|()| read(stream));
    let came = came.map_err(|error| format!("no answer: {error}"))?;
    if came != answer {
        return Err(format!(
            "expected {:?}, got {:?}",
            String::from_utf8_lossy(answer),
            String::from_utf8_lossy(&came)
        ));
    }
    Ok(())
}

fn exactly(length: usize) -> impl FnOnce(&mut TcpStream) -> std::io::Result<Vec<u8>> {
    move |stream| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).map(|()| bytes)
    }
}

fn echo(client: u64, stream: &mut TcpStream) -> Result<(), String> {
    let bytes: Vec<u8> = (0..1_000).map(|at| (client + at) as u8).collect();
    ask(stream, &bytes, &bytes, exactly(bytes.len()))
}

fn pages(_client: u64, stream: &mut TcpStream) -> Result<(), String> {
    let question = "GET /plaintext HTTP/1.1\r\nHost: check\r\n\r\n".repeat(BATCH as usize);
    let answer = HELLO.repeat(BATCH as usize);
    // The date has always the same length, and is all that cannot be known beforehand.
    let date = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".len();
    let length = answer.len() + BATCH as usize * date;
    ask(stream, question.as_bytes(), answer.as_bytes(), |stream| {
        let came = exactly(length)(stream)?;
        let text = String::from_utf8_lossy(&came);
        let lines = text.split_inclusive("\r\n");
        let kept: String = lines.filter(|line| !line.starts_with("Date: ")).collect();
        Ok(kept.into_bytes())
    })
}

/// Each client counts a key of its own up and reads it; it is removed at the end of the round.
fn counters(client: u64, stream: &mut TcpStream) -> Result<(), String> {
    let key = format!("count:{client}");
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let mut question = String::new();
    let mut answer = String::new();
    for count in 1..BATCH {
        question.push_str(&format!("*2\r\n{}{}", bulk("INCR"), bulk(&key)));
        answer.push_str(&format!(":{count}\r\n"));
    }
    question.push_str(&format!("*2\r\n{}{}", bulk("DEL"), bulk(&key)));
    answer.push_str(":1\r\n");
    ask(
        stream,
        question.as_bytes(),
        answer.as_bytes(),
        exactly(answer.len()),
    )
}
