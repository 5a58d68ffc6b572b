//! The server of the io suite: one task for each connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::io::protocol::{Conversation, Protocol};
use crate::io::server::{ANY_PORT, Service};

/// Serves until something fails.
pub(in crate::peers) fn serve(service: &Service) -> io::Result<()> {
    let runtime = super::runtime(service.workers);
    let acceptor = runtime.spawn(accept(*service));
    runtime.block_on(acceptor)?
}

async fn accept(service: Service) -> io::Result<()> {
    let listener = TcpListener::bind(ANY_PORT).await?;
    service.announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, service.protocol));
    }
}

/// A connection that fails has ended, no more.
async fn converse(mut stream: TcpStream, protocol: Protocol) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut conversation = Conversation::new(protocol);
    loop {
        match stream.read(conversation.room()).await? {
            0 => return Ok(()),
            read => stream.write_all(conversation.answer(read)).await?,
        }
    }
}
