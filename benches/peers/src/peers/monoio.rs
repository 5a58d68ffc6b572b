//! monoio: one thread, one ring and one listener for each worker; the kernel spreads the connections.
//!
//! It takes io_uring where the kernel offers it, and epoll elsewhere or if `MONOIO_FORCE_LEGACY_DRIVER`
//! is 1 in the environment.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{FusionDriver, RuntimeBuilder};

use crate::io::protocol::{Conversation, Protocol};
use crate::io::server::{ANY_PORT, Service};

/// The driver that is used here.
pub(super) fn driver() -> &'static str {
    if monoio::utils::detect_uring() {
        "io_uring"
    } else {
        "epoll"
    }
}

/// Serves until something fails.
pub(super) fn serve(service: &Service) -> io::Result<()> {
    let service = *service;
    start(async move {
        let listener = TcpListener::bind(ANY_PORT)?;
        let address = listener.local_addr()?;
        // Nobody connects before all listen, or the first worker would get them all.
        let bound = Arc::new(Barrier::new(service.workers));
        for _ in 1..service.workers {
            let bound = bound.clone();
            thread::spawn(move || further_worker(service, address, &bound));
        }
        bound.wait();
        service.announce(address);
        accept(listener, service.protocol).await
    })
}

fn further_worker(service: Service, address: SocketAddr, bound: &Barrier) {
    let serving = start(async {
        let listener = TcpListener::bind(address)?;
        bound.wait();
        accept(listener, service.protocol).await
    });
    serving.expect("a further worker listens where the first does");
}

fn start(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    RuntimeBuilder::<FusionDriver>::new()
        .build()?
        .block_on(work)
}

async fn accept(listener: TcpListener, protocol: Protocol) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        monoio::spawn(converse(stream, protocol));
    }
}

/// A connection that fails has ended, no more.
async fn converse(mut stream: TcpStream, protocol: Protocol) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut conversation = Conversation::new(protocol);
    // monoio owns the buffers of an operation under way. Copying costs some nanoseconds.
    let mut input = vec![0; conversation.room().len()];
    let mut output = Vec::new();
    loop {
        input.truncate(0);
        input.reserve(conversation.room().len());
        let (read, filled) = stream.read(input).await;
        input = filled;
        let read = read?;
        if read == 0 {
            return Ok(());
        }
        conversation.room()[..read].copy_from_slice(&input);
        output.clear();
        output.extend_from_slice(conversation.answer(read));
        let (written, emptied) = stream.write_all(output).await;
        output = emptied;
        written?;
    }
}
