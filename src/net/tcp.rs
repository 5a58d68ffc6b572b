//! TCP.

use std::io::{self, Read, Write};
use std::net::{self, SocketAddr};

use crate::fiber::alarm::NEVER;
use crate::io::source::Watched;
use crate::os::socket;
use crate::reactor::readiness::Direction;

/// A TCP socket that accepts connections. As [`std::net::TcpListener`].
#[derive(Debug)]
pub struct TcpListener(Watched<net::TcpListener>);

/// A TCP connection. As [`std::net::TcpStream`].
#[derive(Debug)]
pub struct TcpStream(Watched<net::TcpStream>);

impl TcpListener {
    /// As [`std::net::TcpListener::bind`].
    ///
    /// # Errors
    /// As there.
    pub fn bind(address: impl net::ToSocketAddrs) -> io::Result<Self> {
        let listener = net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(Watched::new(listener)?))
    }

    /// As [`std::net::TcpListener::local_addr`].
    ///
    /// # Errors
    /// As there.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().local_addr()
    }

    /// As [`std::net::TcpListener::accept`].
    ///
    /// # Errors
    /// As there.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.0.run(Direction::Read, NEVER, socket::accept_tcp)?;
        Ok((TcpStream(Watched::new(stream)?), address))
    }
}

impl TcpStream {
    /// As [`std::net::TcpStream::connect`].
    ///
    /// # Errors
    /// As there.
    pub fn connect(address: impl net::ToSocketAddrs) -> io::Result<Self> {
        let mut last = None;
        for address in address.to_socket_addrs()? {
            let (stream, connected) = socket::connect_tcp(&address)?;
            let stream = Self(Watched::new(stream)?);
            if connected {
                return Ok(stream);
            }
            let connected = stream.0.run(Direction::Write, NEVER, |stream| {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                match stream.peer_addr() {
                    Ok(_) => Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        Err(io::ErrorKind::WouldBlock.into())
                    }
                    Err(error) => Err(error),
                }
            });
            match connected {
                Ok(()) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
    }
}

impl TcpStream {
    /// As [`std::net::TcpStream::set_nodelay`].
    ///
    /// # Errors
    /// As there.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.get().set_nodelay(nodelay)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .transfer(Direction::Read, NEVER, buffer.len(), |mut stream| {
                stream.read(buffer)
            })
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .transfer(Direction::Write, NEVER, bytes.len(), |mut stream| {
                stream.write(bytes)
            })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
