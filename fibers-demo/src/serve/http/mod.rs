//! HTTP/1.1: requests in, answers out, any number on one connection.
//!
//! | path | answer |
//! |---|---|
//! | `/plaintext` | `Hello, World!` |
//! | `/echo` | the body of a POST |
//! | any other | a file below the folder; without one, or where it has no `index.html`, `/` is a greeting |
//!
//! A request that makes no sense, is too large or too slow is told so, and its connection is closed:
//! nobody can say where the next one begins. `head`, `body`, `date` and `answer` are pure, `files` is
//! the only one that touches the disk.

mod answer;
mod body;
mod date;
mod files;
mod head;
mod status;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::time::Duration;

use crate::serve::http::answer::{Answer, TEXT, line_about};
use crate::serve::http::body::Fault;
use crate::serve::http::date::Date;
use crate::serve::http::files::Found;
use crate::serve::http::head::{Framing, HEAD_MAX, Head, Method};
use crate::serve::http::status::Status;
use crate::serve::os::{blocking, fs::File};
use crate::serve::wire::{End, Patience, Protocol, Transport, Wire};

pub use crate::serve::http::files::Folder;

const GREETING: &str = "This is fibers-demo, a fiber for each connection.\n\
     Try /plaintext, or POST something to /echo.\n";
/// A body that fits may take so many times as long to arrive as a head.
const BODY_TIMES: u32 = 6;
/// Files are read in pieces of this size, into the output: a stack has no room for them.
const PIECE: usize = 64 << 10;

/// The server's side of HTTP.
#[derive(Debug)]
pub struct Http {
    pub folder: Option<Folder>,
    /// So long may a head take to arrive, and the first byte of the first one.
    pub head_time_max: Duration,
    /// So long may a connection be silent between two requests.
    pub idle_time_max: Duration,
}

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

impl Protocol for Http {
    const INPUT_MAX: usize = HEAD_MAX;

    fn serve<T: Transport>(&self, wire: &mut Wire<T>) -> io::Result<End> {
        let mut date = Date::default();
        let mut limit = self.head_time_max;
        while wire.await_request(Some(limit))? {
            // Empty lines between requests are an old mistake of clients, and forgiven.
            while let [b'\r' | b'\n', ..] = wire.input() {
                wire.consume(1);
            }
            if wire.input().is_empty() {
                continue;
            }
            limit = self.idle_time_max;
            let status = match self.exchange(wire, &mut date) {
                Ok(Next::Request) => continue,
                Ok(Next::Close) => return Ok(End::Ours),
                Err(Fault::Broken(error)) => return Err(error),
                // It was our stop that ended it: no fault of the peer.
                Err(Fault::Cut) if wire.is_stopping() => return Ok(End::Theirs),
                // Who has ended its half may still listen.
                Err(Fault::Cut) => Status::BAD_REQUEST,
                Err(Fault::Refused(status)) => status,
            };
            wire.complain();
            refuse(wire, &mut date, status);
            return Ok(End::Ours);
        }
        Ok(End::Theirs)
    }
}

impl Http {
    /// One request, of which at least one byte is there, and its answer.
    fn exchange<T: Transport>(&self, wire: &mut Wire<T>, date: &mut Date) -> Result<Next, Fault> {
        let head = read_head(wire, self.head_time_max)?;
        let kept = read_body(wire, &head, self.head_time_max * BODY_TIMES)?;
        let next = if head.keep_alive && !is_last(wire) {
            Next::Request
        } else {
            Next::Close
        };
        let mut reply = Reply {
            with_body: head.method != Method::Head,
            connection: match next {
                Next::Close => Some("close"),
                Next::Request => head.is_old.then_some("keep-alive"),
            },
            wire,
            date,
        };
        match (head.method, head.path.as_str()) {
            (Method::Get | Method::Head, "/plaintext") => {
                reply.whole(Status::OK, "text/plain", b"Hello, World!", None)
            }
            (Method::Post, "/echo") => {
                reply.whole(Status::OK, "application/octet-stream", &kept, None)
            }
            (Method::Get | Method::Head, "/echo") => reply.not_allowed("POST"),
            (Method::Get | Method::Head, path) => {
                self.file(&mut reply, path).map_err(Fault::Broken)?
            }
            (Method::Unknown, _) => reply.error(Status::NOT_IMPLEMENTED),
            (_, "/echo") => reply.not_allowed("POST"),
            _ => reply.not_allowed("GET, HEAD"),
        }
        wire.answered().map_err(Fault::Broken)?;
        Ok(next)
    }

    /// A file below the folder, or the greeting in its place.
    fn file<T: Transport>(&self, reply: &mut Reply<T>, path: &str) -> io::Result<()> {
        let found = match &self.folder {
            Some(folder) => {
                let beginning_max = if reply.with_body { PIECE } else { 0 };
                blocking(|| folder.find(path, beginning_max))
            }
            None => Err(Status::NOT_FOUND),
        };
        match found {
            Ok(Found::File {
                file,
                length,
                content_type,
                beginning,
            }) => {
                reply.head(Status::OK, content_type, length, None);
                if reply.with_body {
                    reply.wire.output().extend_from_slice(&beginning);
                    let rest = length - beginning.len() as u64;
                    return reply.rest(file.into(), rest);
                }
            }
            Ok(Found::Folder) => {
                let place = format!("{path}/");
                let body = line_about(Status::MOVED);
                let extra = Some(("Location", place.as_str()));
                reply.whole(Status::MOVED, TEXT, body.as_bytes(), extra);
            }
            Err(Status::NOT_FOUND) if path == "/" => {
                reply.whole(Status::OK, TEXT, GREETING.as_bytes(), None);
            }
            Err(status) => reply.error(status),
        }
        Ok(())
    }
}

/// An answer that can be begun.
struct Reply<'a, T> {
    wire: &'a mut Wire<T>,
    date: &'a mut Date,
    connection: Option<&'a str>,
    /// The answer to a HEAD has the head of the answer to a GET, and nothing more.
    with_body: bool,
}

impl<T: Transport> Reply<'_, T> {
    fn head(
        &mut self,
        status: Status,
        content_type: &str,
        length: u64,
        extra: Option<(&str, &str)>,
    ) {
        let answer = Answer {
            status,
            content_type,
            length,
            connection: self.connection,
            extra,
        };
        answer.write_head(self.wire.output(), self.date);
    }

    /// An answer whose body is in memory.
    fn whole(
        &mut self,
        status: Status,
        content_type: &str,
        body: &[u8],
        extra: Option<(&str, &str)>,
    ) {
        self.head(status, content_type, body.len() as u64, extra);
        if self.with_body {
            self.wire.output().extend_from_slice(body);
        }
    }

    fn error(&mut self, status: Status) {
        self.whole(status, TEXT, line_about(status).as_bytes(), None);
    }

    fn not_allowed(&mut self, allowed: &str) {
        let status = Status::METHOD_NOT_ALLOWED;
        let body = line_about(status);
        self.whole(status, TEXT, body.as_bytes(), Some(("Allow", allowed)));
    }

    /// The rest of a file; as much of it as was announced, whatever happens to the file meanwhile.
    fn rest(&mut self, mut file: File, mut rest: u64) -> io::Result<()> {
        while rest > 0 {
            self.wire.relieve()?;
            let output = self.wire.output();
            let before = output.len();
            output.resize(before + PIECE.min(rest as usize), 0);
            let count = file.read(&mut output[before..])?;
            output.truncate(before + count);
            if count == 0 {
                // It has become shorter. The peer must not take the next answer for the rest of it.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            rest -= count as u64;
        }
        Ok(())
    }
}

/// Reads a head; when it returns, the input begins with the body.
fn read_head<T: Transport>(wire: &mut Wire<T>, time_max: Duration) -> Result<Head, Fault> {
    let mut patience = Patience::of(time_max);
    loop {
        // Once for each piece that comes: a head in single bytes costs its sender more than us.
        if let Some((head, length)) = head::parse(wire.input())? {
            wire.consume(length);
            return Ok(head);
        }
        wire.fill(&mut patience)?;
    }
}

/// Reads the body, and keeps it if it will be asked for.
fn read_body<T: Transport>(
    wire: &mut Wire<T>,
    head: &Head,
    time_max: Duration,
) -> Result<Vec<u8>, Fault> {
    let mut kept = Vec::new();
    if head.framing == Framing::Length(0) {
        return Ok(kept);
    }
    if let Framing::Length(length) = head.framing {
        body::fits(length)?; // before the peer is told to go on
    }
    if head.expects_continue {
        let line = b"HTTP/1.1 100 Continue\r\n\r\n";
        wire.output().extend_from_slice(line);
    }
    let is_wanted = head.method == Method::Post && head.path == "/echo";
    let mut patience = Patience::of(time_max);
    body::read(wire, head.framing, &mut patience, |piece| {
        if is_wanted {
            kept.extend_from_slice(piece);
        }
    })?;
    Ok(kept)
}

/// Whether the server stops and this is the last request that has come.
fn is_last<T: Transport>(wire: &Wire<T>) -> bool {
    wire.is_stopping() && wire.input().is_empty()
}

/// The last answer on a connection.
fn refuse<T: Transport>(wire: &mut Wire<T>, date: &mut Date, status: Status) {
    let mut reply = Reply {
        wire,
        date,
        connection: Some("close"),
        with_body: true,
    };
    reply.error(status);
}
