//! For tests: a peer that follows a script, so that conversations need no socket; and bad luck, by which
//! what it says is changed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::chance;
use crate::serve::wire::{End, Protocol, Transport, Wire};

/// What the peer does when it has said everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It ends its half and listens.
    Ends,
    /// It says nothing more, until whoever waits for it loses patience.
    IsSilent,
    /// It resets the connection.
    Resets,
}

/// The peer.
#[derive(Debug)]
pub struct Script {
    pieces: VecDeque<Vec<u8>>,
    then: Then,
    is_stopping: bool,
    heard: Heard,
}

/// What the peer heard, and the server counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub bytes: Vec<u8>,
    pub writes: usize,
    pub requests: u64,
    pub complaints: u64,
    /// The server ended the conversation, or said that it broke.
    pub end: Option<Result<End, ErrorKind>>,
}

impl Heard {
    /// What was heard, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Script {
    /// A peer that sends these pieces, each in a segment of its own.
    pub fn new(pieces: &[&[u8]], then: Then) -> Script {
        Script {
            pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
            then,
            is_stopping: false,
            heard: Heard::default(),
        }
    }

    /// The server is told to stop before anything is said.
    pub fn stopping(mut self) -> Script {
        self.is_stopping = true;
        self
    }

    /// The whole conversation.
    pub fn play<P: Protocol>(self, protocol: &P) -> Heard {
        let mut wire = Wire::new(self, P::INPUT_MAX);
        let mut end = protocol.serve(&mut wire);
        let last = match end {
            Ok(End::Theirs) => wire.flush(),
            Ok(End::Ours) => wire.linger(),
            Err(_) => Ok(()),
        };
        if let Err(error) = last {
            end = Err(error);
        }
        let mut heard = wire.into_transport().heard;
        heard.end = Some(end.map_err(|error| error.kind()));
        heard
    }
}

/// The conversation with a peer that says it all at once and ends its half.
pub fn play<P: Protocol>(protocol: &P, said: &[u8]) -> Heard {
    Script::new(&[said], Then::Ends).play(protocol)
}

/// Checks that the pieces in which something is said do not change the answer: cut at each position, and
/// byte by byte. `fresh` makes the protocol; `kept` removes what changes with time.
pub fn check_splits<P: Protocol>(
    fresh: impl Fn() -> P,
    said: &[u8],
    kept: impl Fn(&Heard) -> String,
) {
    let whole = kept(&play(&fresh(), said));
    let shown = String::from_utf8_lossy(&said[..said.len().min(200)]);
    for at in 1..said.len() {
        let (left, right) = said.split_at(at);
        let heard = Script::new(&[left, right], Then::Ends).play(&fresh());
        assert_eq!(kept(&heard), whole, "{shown:?} cut at {at}");
    }
    let bytes: Vec<&[u8]> = said.chunks(1).collect();
    let heard = Script::new(&bytes, Then::Ends).play(&fresh());
    assert_eq!(kept(&heard), whole, "{shown:?} byte by byte");
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a read without room");
        let Some(piece) = self.pieces.front_mut() else {
            return match self.then {
                Then::Ends => Ok(0),
                Then::IsSilent => Err(ErrorKind::WouldBlock.into()),
                Then::Resets => Err(ErrorKind::ConnectionReset.into()),
            };
        };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(count)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.bytes.extend_from_slice(bytes);
        self.heard.writes += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Script {
    fn limit_reads(&mut self, _limit: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_idle(&mut self, _is_idle: bool) {}

    fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    fn answered(&mut self, requests: u64) {
        self.heard.requests += requests;
    }

    fn complain(&mut self) {
        self.heard.complaints += 1;
    }

    fn end_writes(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bad luck that can be repeated: `TEST_SEED=n` replays what a failed test has printed.
#[derive(Debug)]
pub struct BadLuck {
    seed: u64,
    place: u64,
}

impl BadLuck {
    /// The seed of the environment, else a new one. It is printed, and shown when the test fails.
    pub fn new() -> BadLuck {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seed = match std::env::var("TEST_SEED") {
            Ok(text) => text.parse().expect("TEST_SEED is a whole number"),
            Err(_) => now.map_or(1, |now| now.subsec_nanos().into()),
        };
        println!("TEST_SEED={seed}");
        BadLuck { seed, place: 0 }
    }

    /// How many times such a test tries its luck.
    pub fn rounds() -> u64 {
        if cfg!(debug_assertions) {
            20_000
        } else {
            200_000
        }
    }

    /// A number below that one.
    pub fn below(&mut self, limit: usize) -> usize {
        self.place += 1;
        (chance::unit(self.seed, self.place) * limit as f64) as usize
    }

    /// One of the corpus, changed in some places by bytes and words that hurt.
    pub fn mutated(&mut self, corpus: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(12)).min(bytes.len());
            match self.below(7) {
                0 => bytes.insert(at, self.below(256) as u8),
                1 => drop(bytes.splice(at..at, words[self.below(words.len())].to_vec())),
                2 if at < end => {
                    drop(bytes.splice(at..end, words[self.below(words.len())].to_vec()))
                }
                3 if at < end => bytes[at] ^= 1 << self.below(8),
                4 if at < end => drop(bytes.drain(at..end)),
                5 if at < end => {
                    let copy = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, copy.repeat(1 + self.below(3))));
                }
                6 => {
                    let other = corpus[self.below(corpus.len())];
                    let from = self.below(other.len());
                    drop(bytes.splice(at.., other[from..].to_vec()));
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    }

    /// The conversation with a peer that says this in pieces, and ends in one way or another.
    pub fn play<P: Protocol>(&mut self, protocol: &P, said: &[u8]) -> Heard {
        let mut pieces = Vec::new();
        let mut rest = said;
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(1 + self.below(rest.len()));
            pieces.push(piece);
            rest = next;
        }
        let then = [Then::Ends, Then::IsSilent, Then::Resets][self.below(3)];
        Script::new(&pieces, then).play(protocol)
    }
}
