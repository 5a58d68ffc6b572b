//! WebSockets: a tungstenite echo server and many clients at once, a fiber for each side of each connection.
//! `tungstenite::accept` takes our `TcpStream` as it takes std's.
//!
//! One thing to know: `tungstenite::connect` opens a socket of std's, and would hold up its worker. Connect yourself,
//! and give the stream to `tungstenite::client`, as below.
//!
//! `cargo run --release -p ecosystem --bin websocket`
//!
//! **Stacks:** the default does. 32 KiB do in a release build, 56 KiB in a debug build.

use std::error::Error;
use std::io;

use fibers::net::{SocketAddr, TcpListener, TcpStream};
use fibers::time::{Duration, timeout};
use tungstenite::handshake::HandshakeError;
use tungstenite::{Bytes, Message, WebSocket};

const CLIENTS: usize = 20;
const MESSAGES: usize = 50;

/// Whatever goes wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Serves until it is cancelled. A connection that fails ends alone; `told` hears why.
pub fn serve(listener: &TcpListener, told: impl Fn(tungstenite::Error) + Sync) {
    fibers::scope(|s| {
        for stream in listener.incoming() {
            let told = &told;
            s.spawn(move || {
                if let Err(error) = stream.map_err(Into::into).and_then(echo) {
                    told(error);
                }
            });
        }
    });
}

fn echo(stream: TcpStream) -> tungstenite::Result<()> {
    let mut socket = tungstenite::accept(stream).map_err(|error| match error {
        HandshakeError::Failure(error) => error,
        // Only with a time-out: the stream has said `WouldBlock`.
        HandshakeError::Interrupted(_) => io::Error::from(io::ErrorKind::TimedOut).into(),
    })?;
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message)?,
            // It has answered pings, and the other's goodbye, by itself.
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A connection of a client.
pub fn connect(address: SocketAddr) -> Result<WebSocket<TcpStream>, Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (socket, _) = tungstenite::client(format!("ws://{address}/"), stream)?;
    Ok(socket)
}

/// Says goodbye, and waits until the server has answered and closed.
pub fn close(mut socket: WebSocket<TcpStream>) -> Result<(), Failure> {
    socket.close(None)?;
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a client says: texts, bytes, and pings in between.
pub fn message(number: usize, index: usize) -> Message {
    match index % 3 {
        0 => Message::text(format!("message {index} of client {number}")),
        1 => Message::binary(vec![(number + index) as u8; 100 * index]),
        _ => Message::Ping(Bytes::from(format!("{number}/{index}"))),
    }
}

/// What is to come back.
pub fn answer(message: Message) -> Message {
    match message {
        Message::Ping(bytes) => Message::Pong(bytes),
        same => same,
    }
}

fn client(number: usize, address: SocketAddr) -> Result<(), Failure> {
    let mut socket = connect(address)?;
    for index in 0..MESSAGES {
        let message = message(number, index);
        socket.send(message.clone())?;
        assert_eq!(socket.read()?, answer(message));
    }
    close(socket)
}

fn run() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = fibers::spawn(move || serve(&listener, |error| eprintln!("{error}")));
    fibers::scope(|s| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| s.spawn(move || client(number, address)))
            .collect();
        let mut clients = clients.into_iter();
        clients.try_for_each(|client| client.join().unwrap())
    })?;
    server.cancel()?;
    let _ = server.join();
    println!("{CLIENTS} clients have had {MESSAGES} messages and pings each answered");
    Ok(())
}

fn main() -> Result<(), Failure> {
    timeout(Duration::from_secs(60), run)?
}
