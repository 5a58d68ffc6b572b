//! TLS: a rustls echo server and twenty clients, a fiber for each side of each connection. `rustls::StreamOwned` takes
//! our `TcpStream` as it takes std's.
//!
//! `cargo run --release -p ecosystem --bin tls_echo`
//!
//! **Stacks:** the default does. 32 KiB do in a release build, 96 KiB in a debug build.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;

use fibers::net::{SocketAddr, TcpListener, TcpStream};
use fibers::time::{Duration, timeout};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls::{RootCertStore, StreamOwned};

const CLIENTS: usize = 20;
const MESSAGES: usize = 50;

/// Whatever goes wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What the two sides know.
#[derive(Debug)]
pub struct Tls {
    /// The server's: its certificate and its key.
    pub server: Arc<ServerConfig>,
    /// The clients': whom they trust.
    pub client: Arc<ClientConfig>,
    /// Signed by itself, and all that clients trust.
    pub certificate: CertificateDer<'static>,
}

impl Tls {
    /// With a new certificate, for `localhost`.
    pub fn new() -> Result<Self, Failure> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut trusted = RootCertStore::empty();
        trusted.add(certificate.clone())?;
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)?;
        let client = ClientConfig::builder()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
            certificate,
        })
    }
}

/// Serves until it is cancelled. A connection that fails, in its handshake or later, ends alone; `told` hears why.
pub fn serve(listener: &TcpListener, tls: &Tls, told: impl Fn(io::Error) + Sync) {
    fibers::scope(|s| {
        for stream in listener.incoming() {
            let told = &told;
            s.spawn(move || {
                if let Err(error) = stream.and_then(|stream| echo(stream, tls)) {
                    told(error);
                }
            });
        }
    });
}

fn echo(stream: TcpStream, tls: &Tls) -> io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(&tls.server)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    // Not an array: big buffers belong on the heap, a fiber's stack is small.
    let mut bytes = vec![0; 16 << 10];
    loop {
        match stream.read(&mut bytes)? {
            0 => break,
            n => stream.write_all(&bytes[..n])?,
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// A connection of a client.
pub fn connect(
    address: SocketAddr,
    tls: &Tls,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
    let name = ServerName::try_from("localhost")?;
    let connection = ClientConnection::new(Arc::clone(&tls.client), name)?;
    Ok(StreamOwned::new(connection, TcpStream::connect(address)?))
}

fn client(number: usize, address: SocketAddr, tls: &Tls) -> Result<usize, Failure> {
    let mut stream = connect(address, tls)?;
    let mut bytes = 0;
    for message in 0..MESSAGES {
        let sent = vec![(number + message) as u8; 100 * (message + 1)];
        stream.write_all(&sent)?;
        let mut echoed = vec![0; sent.len()];
        stream.read_exact(&mut echoed)?;
        assert_eq!(echoed, sent);
        bytes += sent.len();
    }
    // Both sides say goodbye, so that neither takes a torn connection for the end.
    stream.conn.send_close_notify();
    stream.flush()?;
    assert_eq!(stream.read(&mut [0])?, 0);
    Ok(bytes)
}

fn run() -> Result<(), Failure> {
    let tls = Arc::new(Tls::new()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = {
        let tls = Arc::clone(&tls);
        fibers::spawn(move || serve(&listener, &tls, |error| eprintln!("{error}")))
    };
    let bytes = fibers::scope(|s| {
        let tls = &*tls;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| s.spawn(move || client(number, address, tls)))
            .collect();
        let clients = clients.into_iter();
        clients
            .map(|client| client.join().unwrap())
            .sum::<Result<usize, _>>()
    })?;
    server.cancel()?;
    let _ = server.join();
    println!("{CLIENTS} clients, {MESSAGES} messages each: {bytes} bytes there and back by TLS");
    Ok(())
}

fn main() -> Result<(), Failure> {
    timeout(Duration::from_secs(60), run)?
}
