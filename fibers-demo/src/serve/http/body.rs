//! The body of a request: read to its end, so that the next request is found, and kept or thrown away.

use std::io::{self, ErrorKind};

use crate::serve::http::head::Framing;
use crate::serve::http::status::Status;
use crate::serve::wire::{Patience, Transport, Wire};

/// A body is no longer than this, however it is framed.
pub const BODY_MAX: usize = 1 << 20;
/// A line between chunks, or of the trailer, is no longer than this.
const LINE_MAX: usize = 256;
/// Trailers are read over, but not for ever.
const TRAILER_LINES_MAX: usize = 64;

/// Why there is no request to answer.
#[derive(Debug)]
pub enum Fault {
    /// The connection broke.
    Broken(io::Error),
    /// The peer ended in the middle of it.
    Cut,
    /// The peer is told this, and the connection closed.
    Refused(Status),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            ErrorKind::TimedOut => Fault::Refused(Status::REQUEST_TIMEOUT),
            ErrorKind::UnexpectedEof => Fault::Cut,
            _ => Fault::Broken(error),
        }
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Fault {
        Fault::Refused(status)
    }
}

/// Reads a body and gives its pieces to `piece`. Memory grows with what comes, not with what is announced.
pub fn read<T: Transport>(
    wire: &mut Wire<T>,
    framing: Framing,
    patience: &mut Patience,
    mut piece: impl FnMut(&[u8]),
) -> Result<(), Fault> {
    match framing {
        Framing::Length(length) => {
            let length = fits(length)?;
            Ok(wire.take(length, patience, piece)?)
        }
        Framing::Chunked => {
            let mut total = 0;
            loop {
                let size = line(wire, patience, chunk_size)?.ok_or(Status::BAD_REQUEST)?;
                if size == 0 {
                    return trailer(wire, patience);
                }
                total = fits(size.saturating_add(total as u64))?;
                wire.take(size as usize, patience, &mut piece)?;
                if !line(wire, patience, <[u8]>::is_empty)? {
                    return Err(Status::BAD_REQUEST.into());
                }
            }
        }
    }
}

/// Whether a body of that length is read at all.
pub fn fits(length: u64) -> Result<usize, Status> {
    match usize::try_from(length) {
        Ok(length) if length <= BODY_MAX => Ok(length),
        _ => Err(Status::BODY_TOO_LARGE),
    }
}

/// Waits for a line, has it read without its end, and goes on behind it.
fn line<T: Transport, R>(
    wire: &mut Wire<T>,
    patience: &mut Patience,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, Fault> {
    let length = wire.line(LINE_MAX, patience)?.ok_or(Status::BAD_REQUEST)?;
    // A bare line feed is no end of a line here: proxies disagree about it.
    let line = wire.input()[..length].strip_suffix(b"\r\n");
    let found = read(line.ok_or(Status::BAD_REQUEST)?);
    wire.consume(length);
    Ok(found)
}

fn trailer<T: Transport>(wire: &mut Wire<T>, patience: &mut Patience) -> Result<(), Fault> {
    for _ in 0..TRAILER_LINES_MAX {
        if line(wire, patience, <[u8]>::is_empty)? {
            return Ok(());
        }
    }
    Err(Status::FIELDS_TOO_LARGE.into())
}

/// The size in front of a chunk, hexadecimal; what follows a `;` is an extension and means nothing here.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
