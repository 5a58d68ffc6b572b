//! The server of the io suite: one coroutine for each connection.

use std::io;

use may::net::{TcpListener, TcpStream};

use super::{join, spawn};
use crate::io::protocol::{Protocol, converse};
use crate::io::server::{ANY_PORT, Service};

/// Serves until something fails.
pub(in crate::peers) fn serve(service: &Service) -> io::Result<()> {
    may::config().set_workers(service.workers);
    let service = *service;
    join(spawn(move || accept(&service)))
}

fn accept(service: &Service) -> io::Result<()> {
    let listener = TcpListener::bind(ANY_PORT)?;
    service.announce(listener.local_addr()?);
    let protocol = service.protocol;
    loop {
        let (stream, _) = listener.accept()?;
        spawn(move || serve_one(stream, protocol));
    }
}

/// A connection that fails has ended, no more.
fn serve_one(stream: TcpStream, protocol: Protocol) -> io::Result<()> {
    stream.set_nodelay(true)?;
    converse(stream, protocol)
}
