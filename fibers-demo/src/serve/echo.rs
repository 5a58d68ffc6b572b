//! The simplest protocol: whatever comes goes back.

use std::io;

use crate::serve::wire::{End, Protocol, Transport, Wire};

/// Every read counts as one request.
#[derive(Debug)]
pub struct Echo;

impl Protocol for Echo {
    const INPUT_MAX: usize = 64 << 10;

    fn serve<T: Transport>(&self, wire: &mut Wire<T>) -> io::Result<End> {
        while wire.await_request(None)? {
            let (input, output) = wire.input_and_output();
            output.extend_from_slice(input);
            let count = input.len();
            wire.consume(count);
            wire.answered()?;
        }
        Ok(End::Theirs)
    }
}
