//! RESP2, the language of Redis: commands from bytes, answers to bytes. Errors are worded as Redis words
//! them, because clients look at the words.
//!
//! A command is an array of bulk strings, or one line of words ("inline", what a person types).

use std::io::{self, ErrorKind, Write};
use std::ops::Index;
use std::time::Duration;

use crate::serve::wire::{Patience, Transport, Wire};

/// A line, so also an inline command, is no longer than this; as in Redis.
pub const LINE_MAX: usize = 64 << 10;
/// A string is no longer than this. Redis has 512 MiB.
pub const BULK_MAX: usize = 16 << 20;
/// And all strings of one command together. Redis knows no such limit.
pub const COMMAND_MAX: usize = 64 << 20;
/// A command has no more strings than this.
const ARGUMENTS_MAX: i64 = 1 << 20;
/// A command of which the first byte has come may take so long. Redis waits for ever.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);
/// Memory that a command leaves behind for the next one.
const KEPT_MAX: usize = 64 << 10;

/// The strings of one command, one behind the other: the memory serves for the next one again.
#[derive(Debug, Default)]
pub struct Command {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Why there is no command.
#[derive(Debug)]
pub enum Fault {
    Broken(io::Error),
    /// The peer ended in the middle of one.
    Cut,
    /// What Redis says behind `-ERR Protocol error: ` before it closes.
    Protocol(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            ErrorKind::UnexpectedEof => Fault::Cut,
            ErrorKind::TimedOut => protocol("timeout in the middle of a command"),
            _ => Fault::Broken(error),
        }
    }
}

fn protocol(what: &str) -> Fault {
    Fault::Protocol(what.to_owned())
}

impl Command {
    /// How many strings it has; 0 if it is no command but an empty line or array.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// All strings from that one on.
    pub fn from(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        (first..self.len()).map(|index| &self[index])
    }

    /// Reads the next command, of which at least one byte is there.
    pub fn read<T: Transport>(&mut self, wire: &mut Wire<T>) -> Result<(), Fault> {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        self.ends.clear();
        self.ends.shrink_to(KEPT_MAX / 8);
        let mut patience = Patience::of(COMMAND_TIME_MAX);
        if wire.input().first() != Some(&b'*') {
            return self.read_inline(wire, &mut patience);
        }
        let count = number(wire, &mut patience, "too big mbulk count string")?
            .filter(|count| *count <= ARGUMENTS_MAX)
            .ok_or_else(|| protocol("invalid multibulk length"))?;
        for _ in 0..count {
            self.read_bulk(wire, &mut patience)?;
        }
        Ok(())
    }

    fn read_bulk<T: Transport>(
        &mut self,
        wire: &mut Wire<T>,
        patience: &mut Patience,
    ) -> Result<(), Fault> {
        if wire.input().is_empty() {
            wire.fill(patience)?;
        }
        match wire.input()[0] {
            b'$' => {}
            other => {
                let shown = (other as char).escape_default();
                return Err(Fault::Protocol(format!("expected '$', got '{shown}'")));
            }
        }
        let length = number(wire, patience, "too big bulk count string")?
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= BULK_MAX)
            .ok_or_else(|| protocol("invalid bulk length"))?;
        if self.bytes.len() + length > COMMAND_MAX {
            return Err(protocol("too big command"));
        }
        wire.take(length, patience, |piece| {
            self.bytes.extend_from_slice(piece)
        })?;
        self.ends.push(self.bytes.len());
        // The end of the line; as in Redis, nobody looks what it is.
        Ok(wire.take(2, patience, |_| {})?)
    }

    fn read_inline<T: Transport>(
        &mut self,
        wire: &mut Wire<T>,
        patience: &mut Patience,
    ) -> Result<(), Fault> {
        let length = wire
            .line(LINE_MAX, patience)?
            .ok_or_else(|| protocol("too big inline request"))?;
        let words = self.split(&wire.input()[..length]);
        wire.consume(length);
        words.ok_or_else(|| protocol("unbalanced quotes in request"))
    }

    /// Takes a line of words apart, as Redis does: `"..."` with escapes, `'...'` with `\'` only.
    fn split(&mut self, line: &[u8]) -> Option<()> {
        let mut rest = line.trim_ascii();
        while !rest.is_empty() {
            rest = self.word(rest)?.trim_ascii_start();
            self.ends.push(self.bytes.len());
        }
        Some(())
    }

    /// Takes one word and returns what is behind it. A quote may begin within it, and must end it.
    fn word<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            rest = match rest {
                [b'"', quoted @ ..] => return ended(self.double_quoted(quoted)?),
                [b'\'', quoted @ ..] => return ended(self.single_quoted(quoted)?),
                [byte, next @ ..] if !byte.is_ascii_whitespace() => {
                    self.bytes.push(*byte);
                    next
                }
                _ => return Some(rest),
            };
        }
    }

    fn double_quoted<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let (byte, length) = match rest {
                [b'"', rest @ ..] => return Some(rest),
                [b'\\', b'x', high, low, ..]
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    (hex(*high) * 16 + hex(*low), 4)
                }
                [b'\\', escaped, ..] => (unescaped(*escaped), 2),
                [byte, ..] => (*byte, 1),
                [] => return None,
            };
            self.bytes.push(byte);
            rest = &rest[length..];
        }
    }

    fn single_quoted<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let (byte, length) = match rest {
                [b'\'', rest @ ..] => return Some(rest),
                [b'\\', b'\'', ..] => (b'\'', 2),
                [byte, ..] => (*byte, 1),
                [] => return None,
            };
            self.bytes.push(byte);
            rest = &rest[length..];
        }
    }
}

impl Index<usize> for Command {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// What is behind a word, if the word ends here.
fn ended(rest: &[u8]) -> Option<&[u8]> {
    let goes_on = rest.first().is_some_and(|byte| !byte.is_ascii_whitespace());
    (!goes_on).then_some(rest)
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).unwrap_or(0) as u8
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

/// The number behind the first byte of a line; `None` if it is none.
fn number<T: Transport>(
    wire: &mut Wire<T>,
    patience: &mut Patience,
    too_long: &str,
) -> Result<Option<i64>, Fault> {
    let length = wire
        .line(LINE_MAX, patience)?
        .ok_or_else(|| protocol(too_long))?;
    let line = &wire.input()[1..length - 1];
    let number = integer(line.strip_suffix(b"\r").unwrap_or(line));
    wire.consume(length);
    Ok(number)
}

/// A whole number as Redis takes it: no `+`, no spaces, no leading zeros.
pub fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = matches!(digits, [b'1'..=b'9', ..]) || text == b"0";
    if !is_plain || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// Appends answers. What is written to is memory, so nothing here fails or waits.
pub struct Reply<'a>(pub &'a mut Vec<u8>);

impl Reply<'_> {
    /// A short success, such as `OK`.
    pub fn simple(&mut self, text: &str) {
        self.line('+', text);
    }

    /// An error; its first word is its kind.
    pub fn error(&mut self, text: &str) {
        // A line: what a peer sent must not begin another one.
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.line('-', &text);
    }

    pub fn integer(&mut self, number: i64) {
        let _ = write!(self.0, ":{number}\r\n");
    }

    pub fn array(&mut self, length: usize) {
        let _ = write!(self.0, "*{length}\r\n");
    }

    /// A string, or that there is none.
    pub fn bulk(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => {
                let _ = write!(self.0, "${}\r\n", bytes.len());
                self.0.extend_from_slice(bytes);
                self.0.extend_from_slice(b"\r\n");
            }
            None => self.0.extend_from_slice(b"$-1\r\n"),
        }
    }

    fn line(&mut self, kind: char, text: &str) {
        let _ = write!(self.0, "{kind}{text}\r\n");
    }
}
