//! The stages before the merge: sources write lines, the parser reads them, lanes work on what it read.

use std::hint::black_box;

use fibers::channel::{Receiver, Sender, select};

use crate::pipeline::meter::{Meter, Meters};

/// Turns of a small loop that make up the work on a message: some tens of nanoseconds.
const TURNS: u32 = 16;

/// A message, once it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who sent it.
    pub source: u64,
    /// Its place among what that one sent.
    pub place: u64,
    /// What was sent.
    pub value: u64,
    /// What the work so far has made of it.
    pub result: u64,
}

/// Who writes lines.
#[derive(Debug)]
pub struct Source {
    /// Its number.
    pub number: u64,
    /// How many lines it writes.
    pub count: u64,
    /// Where they go.
    pub lines: Sender<String>,
    /// Orders to stop, each with a channel: when that has no senders any more, it goes on.
    pub stopped: Receiver<Receiver<()>>,
}

impl Source {
    /// Writes its lines, and stands still when it is told to.
    pub fn run(&self, meters: &Meters) {
        let mut place = 0;
        while place < self.count {
            select! {
                // The line is not written before there is room for it.
                send(self.lines, line(self.number, place)) -> sent => {
                    if sent.is_err() {
                        return; // nobody reads: the check will say how much is missing
                    }
                    meters.note_sent(value(self.number, place));
                    place += 1;
                }
                recv(self.stopped) -> order => {
                    let Ok(go_on) = order else { return };
                    let _ = go_on.recv();
                }
            }
        }
    }
}

/// Reads lines until there are none.
pub fn parse(lines: &Receiver<String>, records: &Sender<Record>, meter: &Meter) {
    for line in lines {
        let record = read(&line).expect("a source wrote it");
        meter.count_and_look(|| lines.len());
        if records.send(record).is_err() {
            return;
        }
    }
}

/// One lane: takes what comes, whichever source it is from, and works on it.
pub fn work(from: &Receiver<Record>, done: &Sender<Record>, meter: &Meter) {
    for mut record in from {
        record.result = worked(record.result);
        meter.count_and_look(|| from.len());
        if done.send(record).is_err() {
            return;
        }
    }
}

/// What a source sends.
pub fn value(source: u64, place: u64) -> u64 {
    (source << 32 | place).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What a stage makes of it: a xorshift generator, because the compiler finds no short cut through it.
pub fn worked(value: u64) -> u64 {
    let mut state = black_box(value);
    for _ in 0..TURNS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    state
}

fn line(source: u64, place: u64) -> String {
    format!("{source} {place} {}", value(source, place))
}

fn read(line: &str) -> Option<Record> {
    let mut numbers = line.split(' ').map(|number| number.parse().ok());
    let (source, place, value) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(Record {
        source,
        place,
        value,
        result: value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let record = read(&line(7, 123)).unwrap();
        assert_eq!((record.source, record.place), (7, 123));
        assert_eq!(record.value, value(7, 123));
        assert_eq!(read("7 x 1"), None);
        assert_eq!(read("7 1"), None);
    }
}
