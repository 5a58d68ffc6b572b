//! Sockets: what the library adds to the system calls. What the kernel does is not counted.

use std::io::{Read, Write};

use fibers::net::UnixStream;

use super::end;

/// A write and a read of what was written, on a connected pair: nobody waits.
pub(super) fn echo(operations: u64) {
    let (mut here, mut there) = UnixStream::pair().expect("two descriptors");
    let mut buffer = [0; 64];
    for i in 0..operations {
        here.write_all(&[i as u8; 64]).expect("there is room");
        there.read_exact(&mut buffer).expect("it was written");
        assert_eq!(buffer, [i as u8; 64]);
    }
}

/// A round trip of two fibers over a connected pair: each waits for the other in the reactor.
pub(super) fn wait(operations: u64) {
    let (mut here, mut there) = UnixStream::pair().expect("two descriptors");
    let second = fibers::spawn(move || {
        let mut byte = [0];
        for _ in 0..operations {
            there.read_exact(&mut byte).expect("the first writes");
            there.write_all(&byte).expect("there is room");
        }
    });
    let mut byte = [0];
    for i in 0..operations {
        here.write_all(&[i as u8]).expect("there is room");
        here.read_exact(&mut byte).expect("the second writes");
        assert_eq!(byte, [i as u8]);
    }
    end(second);
}
