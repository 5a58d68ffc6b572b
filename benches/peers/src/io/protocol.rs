//! What is said on a connection. No IO: all peers in Rust share this, `go/io.go` says the same.

use std::io::{self, Read, Write};

use memchr::memmem;

/// Bytes of a request of echo.
const ECHO_BYTES: usize = 64;

/// Room for what a connection has read and not answered. A batch of requests fits.
const INPUT_BYTES: usize = 4096;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

const HTTP_REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    User-Agent: peers\r\n\
    Accept: text/plain\r\n\
    Connection: keep-alive\r\n\r\n";

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 13\r\n\r\n\
    Hello, World!";

const NOT_GET: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\n\
    Allow: GET\r\n\
    Content-Length: 0\r\n\r\n";

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// By what it has read.
    Echo,
    /// By "Hello, World!" to each request head. Requests have no bodies.
    Http,
}

impl Protocol {
    /// The name on Go's command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Echo => "echo",
            Protocol::Http => "http",
        }
    }

    /// `batch` requests, and the answers to them.
    pub(super) fn exchange(self, batch: usize) -> Exchange {
        let (request, reply) = match self {
            // Not all the same byte: a shifted echo would go unnoticed.
            Protocol::Echo => {
                let bytes: Vec<u8> = (0..ECHO_BYTES as u8).collect();
                (bytes.clone(), bytes)
            }
            Protocol::Http => (HTTP_REQUEST.to_vec(), HELLO.to_vec()),
        };
        Exchange {
            request: request.repeat(batch),
            reply: reply.repeat(batch),
        }
    }
}

/// What the load sends, and what must come back.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: Vec<u8>,
    pub(super) reply: Vec<u8>,
}

/// A server's side of one connection: read into `room`, write what `answer` returns.
#[derive(Debug)]
pub(crate) struct Conversation {
    protocol: Protocol,
    input: Box<[u8]>,
    /// So much of `input` is the beginning of a head whose end is still to come.
    kept: usize,
    output: Vec<u8>,
}

impl Conversation {
    /// A conversation in which nothing was said yet.
    pub(crate) fn new(protocol: Protocol) -> Conversation {
        Conversation {
            protocol,
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            kept: 0,
            output: Vec::new(),
        }
    }

    /// Where to read to. A head that is too long leaves no room: the read returns 0 then, which ends
    /// the connection.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.input[self.kept..]
    }

    /// What to write after `read` bytes have come into the room. May be nothing.
    pub(crate) fn answer(&mut self, read: usize) -> &[u8] {
        match self.protocol {
            Protocol::Echo => &self.input[..read],
            Protocol::Http => self.answer_http(self.kept + read),
        }
    }

    fn answer_http(&mut self, filled: usize) -> &[u8] {
        self.output.clear();
        let mut start = 0;
        while let Some(head) = memmem::find(&self.input[start..filled], END_OF_HEAD) {
            let is_get = self.input[start..].starts_with(b"GET ");
            self.output
                .extend_from_slice(if is_get { HELLO } else { NOT_GET });
            start += head + END_OF_HEAD.len();
        }
        self.input.copy_within(start..filled, 0);
        self.kept = filled - start;
        &self.output
    }
}

/// Serves one connection of a peer that reads and writes as std does, until the client closes it.
pub(crate) fn converse(mut stream: impl Read + Write, protocol: Protocol) -> io::Result<()> {
    let mut conversation = Conversation::new(protocol);
    loop {
        match stream.read(conversation.room())? {
            0 => return Ok(()),
            read => stream.write_all(conversation.answer(read))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says when `input` arrives in pieces of `piece` bytes.
    fn answers(protocol: Protocol, input: &[u8], piece: usize) -> Vec<u8> {
        let mut conversation = Conversation::new(protocol);
        let mut said = Vec::new();
        for piece in input.chunks(piece) {
            conversation.room()[..piece.len()].copy_from_slice(piece);
            said.extend_from_slice(conversation.answer(piece.len()));
        }
        said
    }

    #[test]
    fn the_answer_does_not_depend_on_how_a_request_is_cut() {
        for protocol in [Protocol::Echo, Protocol::Http] {
            let exchange = protocol.exchange(16);
            for piece in 1..INPUT_BYTES {
                let said = answers(protocol, &exchange.request, piece);
                assert_eq!(said, exchange.reply, "pieces of {piece} bytes");
            }
        }
    }

    #[test]
    fn a_batch_fits_into_the_room() {
        assert!(Protocol::Http.exchange(16).request.len() < INPUT_BYTES);
    }

    #[test]
    fn other_methods_are_refused() {
        let said = answers(Protocol::Http, b"POST / HTTP/1.1\r\n\r\n", 100);
        assert_eq!(said, NOT_GET);
    }

    #[test]
    fn a_head_too_long_leaves_no_room() {
        let mut conversation = Conversation::new(Protocol::Http);
        let room = conversation.room().len();
        assert!(conversation.answer(room).is_empty());
        assert!(conversation.room().is_empty());
    }
}
