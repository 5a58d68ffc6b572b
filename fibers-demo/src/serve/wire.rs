//! The conversation with one peer: buffered bytes in, buffered bytes out. All waiting of a protocol is
//! here, and it knows nothing of sockets: tests put a script in place of the transport.
//!
//! Answers gather in `output` and leave just before the next wait for input, or when there are many of
//! them. So a batch of requests that came together is answered by one write, and no protocol has to
//! think of it.
//!
//! A stop: a wait for the next request is *idle* and may be ended by the server; any other wait belongs
//! to a request under way and is left alone. Once the server stops, a wire looks a last time at what has
//! come already, and then says that there are no more requests.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::time::{Duration, Instant};

/// The input buffer starts small, for the many that say little, and grows up to the protocol's limit.
const INPUT_FIRST: usize = 4 << 10;
/// More output than this is not kept waiting for the end of the batch.
const OUTPUT_MAX: usize = 64 << 10;
/// How much of what a peer still sends is thrown away before the connection is closed under it.
const LINGER_BYTES_MAX: usize = 4 << 20;
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// What a wire asks of a connection.
pub trait Transport: Read + Write {
    /// Bounds each read from now on; `None` is without bound.
    fn limit_reads(&mut self, limit: Option<Duration>) -> io::Result<()>;
    /// Nothing is under way, or something is again. A stop ends the reads of who is idle.
    fn set_idle(&mut self, is_idle: bool);
    /// Whether the server is to stop.
    fn is_stopping(&self) -> bool;
    /// The answers to so many requests have been written.
    fn answered(&mut self, requests: u64);
    /// The peer said something that is no request.
    fn complain(&mut self);
    /// Tells the peer that nothing more will come.
    fn end_writes(&mut self) -> io::Result<()>;
}

/// How a protocol came to the end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer will not say more.
    Theirs,
    /// We will not listen to more, though there may be some.
    Ours,
}

/// A language that a server speaks.
pub trait Protocol: Send + Sync + 'static {
    /// The longest piece of input that must be in memory as a whole.
    const INPUT_MAX: usize;

    /// One conversation, from its first byte to its last.
    fn serve<T: Transport>(&self, wire: &mut Wire<T>) -> io::Result<End>;
}

/// The time in which something must have arrived. The clock is not looked at before the first wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    limit: Duration,
    end: Option<Instant>,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Wire<T> {
    transport: T,
    input: Vec<u8>,
    /// What has been read and not consumed: `start..end` of `input`.
    start: usize,
    end: usize,
    input_max: usize,
    output: Vec<u8>,
    /// Requests whose answers are in `output`, or were.
    unsent: u64,
    has_looked_last: bool,
    /// A write failed half way: whatever were written now would not begin where the peer thinks.
    is_broken: bool,
}

impl Patience {
    /// So long from the first wait on.
    pub fn of(limit: Duration) -> Patience {
        Patience { limit, end: None }
    }

    fn remaining(&mut self) -> io::Result<Duration> {
        let now = Instant::now();
        let end = *self.end.get_or_insert(now + self.limit);
        // Zero would mean for ever.
        let remaining = end.saturating_duration_since(now);
        (!remaining.is_zero())
            .then_some(remaining)
            .ok_or_else(|| ErrorKind::TimedOut.into())
    }
}

impl<T: Transport> Wire<T> {
    /// A wire over `transport` whose input buffer never holds more than `input_max` bytes.
    pub fn new(transport: T, input_max: usize) -> Wire<T> {
        Wire {
            transport,
            input: vec![0; INPUT_FIRST.min(input_max)],
            start: 0,
            end: 0,
            input_max,
            output: Vec::new(),
            unsent: 0,
            has_looked_last: false,
            is_broken: false,
        }
    }

    /// What has come and is not consumed.
    pub fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Takes so many bytes from the front of the input.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start);
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where answers go.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Both at once, for who answers from what it reads.
    pub fn input_and_output(&mut self) -> (&[u8], &mut Vec<u8>) {
        (&self.input[self.start..self.end], &mut self.output)
    }

    /// Whether the server is to stop.
    pub fn is_stopping(&self) -> bool {
        self.transport.is_stopping()
    }

    /// Waits until there is input to answer; false if no more will come: the peer has left, was silent
    /// for longer than `limit`, or the server stops.
    pub fn await_request(&mut self, limit: Option<Duration>) -> io::Result<bool> {
        if !self.input().is_empty() {
            return Ok(true);
        }
        self.flush()?;
        if self.is_stopping() && mem::replace(&mut self.has_looked_last, true) {
            return Ok(false);
        }
        self.transport.limit_reads(limit)?;
        self.transport.set_idle(true);
        let count = self.read();
        self.transport.set_idle(false);
        match count {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(false),
            count => count.map(|count| count > 0),
        }
    }

    /// Waits for more input in the middle of a request.
    ///
    /// # Errors
    /// `TimedOut` when the patience is over, `UnexpectedEof` when the peer will not send more.
    pub fn fill(&mut self, patience: &mut Patience) -> io::Result<()> {
        self.flush()?;
        let remaining = patience.remaining()?;
        self.transport.limit_reads(Some(remaining))?;
        match self.read()? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Waits for a whole line; returns its length with its `\n`, or `None` if it is longer than `max`.
    pub fn line(&mut self, max: usize, patience: &mut Patience) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            let new = &self.input()[searched..];
            if let Some(at) = new.iter().position(|byte| *byte == b'\n') {
                let length = searched + at + 1;
                return Ok((length <= max).then_some(length));
            }
            searched += new.len();
            if searched >= max.min(self.input_max) {
                return Ok(None);
            }
            self.fill(patience)?;
        }
    }

    /// Takes the next `count` bytes piece by piece as they come, however many they are.
    pub fn take(
        &mut self,
        mut count: usize,
        patience: &mut Patience,
        mut piece: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while count > 0 {
            if self.input().is_empty() {
                self.fill(patience)?;
            }
            let here = count.min(self.input().len());
            piece(&self.input()[..here]);
            self.consume(here);
            count -= here;
        }
        Ok(())
    }

    /// Ends the answer to one request.
    pub fn answered(&mut self) -> io::Result<()> {
        self.unsent += 1;
        self.relieve()
    }

    /// Sends the output if there is much of it. Long answers call it as they grow.
    pub fn relieve(&mut self) -> io::Result<()> {
        if self.output.len() < OUTPUT_MAX {
            return Ok(());
        }
        self.flush()
    }

    /// Sends the output.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if !self.output.is_empty() {
            self.is_broken = true;
            self.transport.write_all(&self.output).map_err(named)?;
            self.is_broken = false;
            self.output.clear();
            // One huge answer must not be remembered as memory.
            self.output.shrink_to(2 * OUTPUT_MAX);
        }
        if self.unsent > 0 {
            self.transport.answered(mem::take(&mut self.unsent));
        }
        Ok(())
    }

    /// Notes that the peer said something that is no request.
    pub fn complain(&mut self) {
        self.transport.complain();
    }

    /// Ends a conversation to which the peer may still have something to say. To close on unread bytes
    /// would reset the connection, and the peer might lose answers that it has not read yet.
    pub fn linger(&mut self) -> io::Result<()> {
        self.flush()?;
        self.transport.end_writes()?;
        let mut patience = Patience::of(LINGER_TIME_MAX);
        let mut dropped = 0;
        while dropped < LINGER_BYTES_MAX {
            dropped += self.input().len();
            self.consume(self.input().len());
            if self.fill(&mut patience).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Reads once, into a buffer with room.
    fn read(&mut self) -> io::Result<usize> {
        self.make_room();
        loop {
            match self.transport.read(&mut self.input[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    if self.end == self.input.len() {
                        self.grow(); // who says much at once is read in larger pieces
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(named(error)),
            }
        }
    }

    fn make_room(&mut self) {
        if self.end < self.input.len() {
            return;
        }
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            return;
        }
        unreachable!("nobody asks for more than the buffer may hold");
    }

    fn grow(&mut self) {
        let larger = (2 * self.input.len()).min(self.input_max);
        self.input.resize(larger, 0);
    }

    #[cfg(test)]
    pub fn into_transport(self) -> T {
        self.transport
    }
}

/// The system says "would block" when the time for a read or a write is over.
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}
