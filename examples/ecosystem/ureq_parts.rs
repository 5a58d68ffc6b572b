//! What ureq needs to run over our sockets: a part that connects and a part that looks names up. To be copied.
//!
//! ureq opens sockets of std's, which would hold up the worker, so here changing `use` lines is not enough. But it
//! takes parts of the user's own (by an interface that may change between its versions). Its pool, its time-outs and
//! its TLS stay as they are.

use std::io::{self, ErrorKind, Read, Write};
use std::net;
use std::os::fd::AsFd;
use std::sync::Arc;

use fibers::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use fibers::time::{Duration, timeout};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers};
use ureq::unversioned::transport::{NextTimeout, RustlsConnector, ShutdownHandle, Transport};
use ureq::{Agent, Error};

/// As many as ureq keeps.
const ADDRESSES_MAX: usize = 16;

/// A client whose calls let other fibers run while they wait.
pub fn client(config: Config) -> Agent {
    Agent::with_parts(config, Tcp.chain(RustlsConnector::default()), Names)
}

/// Looks names up in a fiber of its own, so that the time-out counts. (ureq's own would block the worker.)
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        next: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Error::BadUri(uri.to_string()));
        };
        let name = DefaultResolver::host_and_port(scheme, authority).ok_or(Error::HostNotFound)?;
        let found = fibers::spawn(move || name.to_socket_addrs());
        let Ok(found) = found.join_timeout(limit(next)) else {
            return Err(Error::Timeout(next.reason));
        };
        let found = found.expect("a look-up does not panic")?;
        let mut addresses = self.empty();
        for address in config.ip_family().keep_wanted(found).take(ADDRESSES_MAX) {
            addresses.push(address);
        }
        if addresses.is_empty() {
            Err(Error::HostNotFound)
        } else {
            Ok(addresses)
        }
    }
}

/// Opens connections.
#[derive(Debug)]
struct Tcp;

impl Connector for Tcp {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let addresses: &[SocketAddr] = &details.addrs;
        // For all addresses together.
        let connected = timeout(limit(details.timeout), || TcpStream::connect(addresses));
        let stream = connected.map_err(|_| Error::Timeout(details.timeout.reason))??;
        stream.set_nodelay(details.config.no_delay())?;
        let socket = Arc::new(Socket(stream));
        let handle = Arc::downgrade(&socket);
        (details.register_shutdown)(handle)?;
        let (input, output) = (
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Connection {
            socket,
            buffers: LazyBuffers::new(input, output),
        }))
    }
}

/// By which `Agent::shutdown` ends calls that wait.
#[derive(Debug)]
struct Socket(TcpStream);

impl ShutdownHandle for Socket {
    fn shutdown(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[derive(Debug)]
struct Connection {
    socket: Arc<Socket>,
    buffers: LazyBuffers,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, next: NextTimeout) -> Result<(), Error> {
        let next = next.for_write();
        let mut stream = &self.socket.0;
        stream.set_write_timeout(Some(limit(next)))?;
        let written = stream.write_all(&self.buffers.output()[..amount]);
        written.map_err(|error| told(error, next))
    }

    fn await_input(&mut self, next: NextTimeout) -> Result<bool, Error> {
        let next = next.for_read();
        let mut stream = &self.socket.0;
        stream.set_read_timeout(Some(limit(next)))?;
        let read = stream.read(self.buffers.input_append_buf());
        let read = read.map_err(|error| told(error, next))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    /// ureq asks while it holds a mutex of std's. So nothing here may let other fibers run, who may want it too; and
    /// ours does so now and then, even in non-blocking mode. std's, of the same open socket, never waits.
    fn is_open(&mut self) -> bool {
        let stream = self.socket.0.as_fd().try_clone_to_owned();
        let stream = stream.map(net::TcpStream::from);
        let found = stream.and_then(|stream| stream.peek(&mut [0]));
        found.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

fn limit(next: NextTimeout) -> Duration {
    next.not_zero().map_or(Duration::MAX, |limit| *limit)
}

fn told(error: io::Error, next: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock => Error::Timeout(next.reason),
        _ => error.into(),
    }
}
