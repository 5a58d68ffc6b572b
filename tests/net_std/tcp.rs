// TCP. Included in several modules.
use net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::io::{IoSlice, IoSliceMut, Read, Write};

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let client = TcpStream::connect(address).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A port that nobody listens at, nor is given meanwhile: a socket is bound to it. (Not one end of a connection's: the
/// kernel may connect from there, and whoever is to find nobody would then be connected with himself.)
fn nobody() -> (std::os::fd::OwnedFd, SocketAddr) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let holder = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&holder, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = getsockname(&holder).unwrap().try_into().unwrap();
    (holder, address)
}

pub fn bind_errors() -> Vec<String> {
    vec![
        told("not ours", TcpListener::bind("192.0.2.1:1")),
        told("no address", TcpListener::bind("127.0.0.1")),
    ]
}

pub fn connect_errors() -> Vec<String> {
    let (_holds_it, nobody) = nobody();
    let (listener, address) = listen();
    let both = [nobody, address];
    vec![
        told("port 0", TcpStream::connect("0.0.0.0:0")),
        told("nobody", TcpStream::connect(nobody)),
        told("the second", TcpStream::connect(&both[..])),
        told("accepted", listener.accept()),
        told("neither", TcpStream::connect(&[nobody, nobody][..])),
        told("broadcast", TcpStream::connect("255.255.255.255:1")),
    ]
}

pub fn connect_timeouts() -> Vec<String> {
    let (listener, address) = listen();
    let (_holds_it, nobody) = nobody();
    let said = vec![
        told("in time", TcpStream::connect_timeout(&address, ms(20_000))),
        told("nobody", TcpStream::connect_timeout(&nobody, ms(20_000))),
        told("zero", TcpStream::connect_timeout(&address, ms(0))),
        told(
            "for ever",
            TcpStream::connect_timeout(&address, Duration::MAX),
        ),
    ];
    drop(listener);
    said
}

pub fn smoke() -> Vec<String> {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        assert_eq!(peer, stream.peer_addr().unwrap());
        stream.write_all(&[99]).unwrap();
    });
    let mut stream = TcpStream::connect(address).unwrap();
    let mut byte = [0];
    let mut told = vec![said("read", stream.read(&mut byte)), format!("{byte:?}")];
    server.join().unwrap();
    told.push(said("end", stream.read(&mut byte)));
    told
}

pub fn end_of_file() -> Vec<String> {
    let (a, mut b) = pair();
    drop(a);
    let mut byte = [0];
    vec![
        said("first", b.read(&mut byte)),
        said("second", b.read(&mut byte)),
        said("peek", b.peek(&mut byte)),
        said("to the end", b.read_to_end(&mut Vec::new())),
        told("exact", b.read_exact(&mut byte)),
    ]
}

pub fn write_to_a_closed_peer() -> Vec<String> {
    let (a, mut b) = pair();
    drop(a);
    // How many it takes until the peer's reset is here is nobody's promise.
    let error = loop {
        match b.write(&[1]) {
            Ok(1) => thread::yield_now(),
            other => break other,
        }
    };
    let kind = error.unwrap_err().kind();
    assert!(
        [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&kind),
        "{kind}"
    );
    vec![told("again", b.write_all(&[1]))]
}

pub fn many_connections_at_once() -> Vec<String> {
    const MANY: u8 = 40;
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut handlers = Vec::new();
        for stream in listener.incoming().take(MANY.into()) {
            let mut stream = stream.unwrap();
            handlers.push(thread::spawn(move || {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                byte[0]
            }));
        }
        let mut bytes: Vec<u8> = handlers.into_iter().map(|it| it.join().unwrap()).collect();
        bytes.sort_unstable();
        bytes
    });
    let mut streams: Vec<_> = (0..MANY)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // The last to come is the first to speak.
    for (number, stream) in streams.iter_mut().enumerate().rev() {
        stream.write_all(&[number as u8]).unwrap();
    }
    vec![format!("{:?}", server.join().unwrap())]
}

pub fn names() -> Vec<String> {
    let (listener, address) = listen();
    let client = TcpStream::connect(address).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
    assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());
    assert_eq!(client.peer_addr().unwrap(), address);
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return vec!["no IP version 6 here".to_owned()];
    };
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    vec![said("ip", client.local_addr().map(|address| address.ip()))]
}

pub fn short_reads() -> Vec<String> {
    let (mut a, mut b) = pair();
    a.write_all(b"abcde").unwrap();
    let mut buffer = [0; 3];
    let mut told = vec![said("full", b.read(&mut buffer))];
    told.push(said("the rest", b.read(&mut buffer)));
    a.write_all(b"f").unwrap();
    told.push(said("new", b.read(&mut buffer)));
    a.write_all(b"gh").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    told.push(said("all", b.read_to_string(&mut rest)));
    told.push(rest);
    told
}

pub fn vectored() -> Vec<String> {
    let (mut a, mut b) = pair();
    let sent = a.write_vectored(&[
        IoSlice::new(b""),
        IoSlice::new(&[1]),
        IoSlice::new(&[2, 3]),
        IoSlice::new(&[4, 5, 6]),
    ]);
    let mut buffers = ([], [0; 1], [0; 2], [0; 4]);
    let got = b.read_vectored(&mut [
        IoSliceMut::new(&mut buffers.0),
        IoSliceMut::new(&mut buffers.1),
        IoSliceMut::new(&mut buffers.2),
        IoSliceMut::new(&mut buffers.3),
    ]);
    let pieces = vec![IoSlice::new(b"xy"); 5_000];
    let many = a.write_vectored(&pieces).unwrap();
    // As many as the kernel takes, and of those all.
    let mut rest = vec![0; many];
    b.read_exact(&mut rest).unwrap();
    vec![
        said("sent", sent),
        said("got", got),
        format!("{buffers:?} {many}"),
        said("none", a.write_vectored(&[])),
    ]
}

pub fn options() -> Vec<String> {
    let (listener, address) = listen();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut told = vec![said("nodelay", stream.nodelay())];
    stream.set_nodelay(false).unwrap();
    stream.set_ttl(77).unwrap();
    listener.set_ttl(100).unwrap();
    told.extend([
        said("nodelay", stream.nodelay()),
        said("ttl", stream.ttl()),
        said("listener's", listener.ttl()),
        told_error(stream.take_error()),
        told_error(listener.take_error()),
        self::told("bad", stream.set_ttl(1_000)),
    ]);
    told
}

fn told_error(error: io::Result<Option<io::Error>>) -> String {
    said("error", error.map(|error| error.map(|error| error.kind())))
}

pub fn double_bind() -> Vec<String> {
    let (listener, address) = listen();
    let second = told("second", TcpListener::bind(address));
    drop(listener);
    vec![second, told("after", TcpListener::bind(address))]
}

pub fn clones() -> Vec<String> {
    let (mut a, mut b) = pair();
    let mut other = b.try_clone().unwrap();
    let answer = thread::spawn(move || {
        let mut byte = [0];
        a.read_exact(&mut byte).unwrap();
        a.write_all(&[byte[0] + 1]).unwrap();
        a
    });
    other.write_all(&[1]).unwrap();
    let mut byte = [0];
    b.read_exact(&mut byte).unwrap();
    drop(b);
    // The other is as good as ever.
    let mut a = answer.join().unwrap();
    a.write_all(&[7]).unwrap();
    let mut last = [0];
    other.read_exact(&mut last).unwrap();
    drop(other);
    vec![format!("{byte:?} {last:?}"), said("end", a.read(&mut last))]
}

pub fn clones_read() -> Vec<String> {
    let (mut a, mut b) = pair();
    let mut other = b.try_clone().unwrap();
    let second = thread::spawn(move || {
        let mut byte = [0];
        other.read_exact(&mut byte).unwrap();
        byte[0]
    });
    a.write_all(&[1]).unwrap();
    a.write_all(&[2]).unwrap();
    let mut byte = [0];
    b.read_exact(&mut byte).unwrap();
    vec![format!("{}", byte[0] + second.join().unwrap())]
}

pub fn clones_write() -> Vec<String> {
    let (mut a, mut b) = pair();
    let mut other = b.try_clone().unwrap();
    let second = thread::spawn(move || other.write_all(&[1]).unwrap());
    b.write_all(&[2]).unwrap();
    let mut bytes = [0; 2];
    a.read_exact(&mut bytes).unwrap();
    second.join().unwrap();
    bytes.sort_unstable();
    vec![format!("{bytes:?}")]
}

pub fn shut_down() -> Vec<String> {
    let (mut a, mut b) = pair();
    let mut byte = [0];
    a.shutdown(Shutdown::Write).unwrap();
    let mut said_ = vec![
        told("write", a.write(&[1])),
        said("peer reads", b.read(&mut byte)),
    ];
    b.write_all(&[1]).unwrap();
    said_.push(said("read", a.read(&mut byte)));
    a.shutdown(Shutdown::Read).unwrap();
    said_.push(said("read", a.read(&mut byte)));
    let other = a.try_clone().unwrap();
    said_.push(said("clone", (&other).read(&mut byte)));
    b.shutdown(Shutdown::Both).unwrap();
    said_.push(told("twice", shut_down_again(&b)));
    said_
}

/// The connection is over when the other side has heard of its end.
fn shut_down_again(stream: &TcpStream) -> io::Result<()> {
    loop {
        match stream.shutdown(Shutdown::Both) {
            Ok(()) => thread::yield_now(),
            error => return error,
        }
    }
}

pub fn half_closed() -> Vec<String> {
    let (mut a, mut b) = pair();
    let server = thread::spawn(move || {
        let mut all = String::new();
        b.read_to_string(&mut all).unwrap();
        b.write_all(all.to_uppercase().as_bytes()).unwrap();
    });
    a.write_all(b"question").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    a.read_to_string(&mut answer).unwrap();
    server.join().unwrap();
    vec![answer]
}

pub fn shut_down_wakes_readers() -> Vec<String> {
    let (a, b) = pair();
    let mut other = a.try_clone().unwrap();
    let reader = thread::spawn(move || other.read(&mut [0]));
    let mut third = a.try_clone().unwrap();
    let writer = thread::spawn(move || {
        let kind = third.write_all(&vec![0; 64 << 20]).unwrap_err().kind();
        // The one if it was writing, the other if it had not begun.
        assert!([io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&kind));
    });
    a.shutdown(Shutdown::Both).unwrap();
    let read = reader.join().unwrap();
    writer.join().unwrap();
    drop(b);
    vec![said("read", read)]
}

pub fn clone_while_reading() -> Vec<String> {
    let (mut a, b) = pair();
    let mut reading = b.try_clone().unwrap();
    let reader = thread::spawn(move || reading.read_exact(&mut [0; 2]));
    for _ in 0..20 {
        let other = b.try_clone().unwrap();
        thread::yield_now();
        drop(other);
    }
    a.write_all(&[1, 2]).unwrap();
    vec![said("read", reader.join().unwrap())]
}

pub fn accept_on_clones() -> Vec<String> {
    let (listener, address) = listen();
    let other = listener.try_clone().unwrap();
    let acceptors = [listener, other].map(|listener| {
        thread::spawn(move || listener.accept().map(|(stream, _)| (listener, stream)))
    });
    let clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    let accepted = acceptors.map(|acceptor| acceptor.join().unwrap());
    drop(clients);
    accepted.map(|it| told("accepted", it)).to_vec()
}

pub fn incoming() -> Vec<String> {
    let (listener, address) = listen();
    let clients: Vec<_> = (0..3)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut peers: Vec<_> = listener
        .incoming()
        .take(3)
        .map(|stream| stream.unwrap().peer_addr().unwrap())
        .collect();
    let mut locals: Vec<_> = clients.iter().map(|it| it.local_addr().unwrap()).collect();
    peers.sort();
    locals.sort();
    assert_eq!(peers, locals);
    vec![format!("{:?}", listener.incoming().size_hint())]
}

pub fn debug() -> Vec<String> {
    use std::os::fd::AsRawFd;
    let (listener, address) = listen();
    let text = format!("{listener:?}").replace(&address.to_string(), "ADDRESS");
    let text = text.replace(&format!("fd: {}", listener.as_raw_fd()), "fd: FD");
    let stream = TcpStream::connect(address).unwrap();
    let local = stream.local_addr().unwrap().to_string();
    let said = format!("{stream:?}")
        .replace(&address.to_string(), "ADDRESS")
        .replace(&local, "LOCAL");
    let said = said.replace(&format!("fd: {}", stream.as_raw_fd()), "fd: FD");
    vec![text, said]
}

pub fn timeouts() -> Vec<String> {
    let (a, _b) = pair();
    let mut told = vec![
        said("none", a.read_timeout()),
        said("none", a.write_timeout()),
    ];
    a.set_read_timeout(Some(Duration::from_secs(15_410)))
        .unwrap();
    a.set_write_timeout(Some(Duration::from_secs(77))).unwrap();
    told.extend([
        said("read", a.read_timeout()),
        said("write", a.write_timeout()),
    ]);
    told.extend([
        self::told("zero", a.set_read_timeout(Some(ms(0)))),
        self::told("zero", a.set_write_timeout(Some(ms(0)))),
        said("read", a.read_timeout()),
    ]);
    a.set_read_timeout(None).unwrap();
    told.push(said("none", a.read_timeout()));
    told
}

pub fn time_outs_that_pass() -> Vec<String> {
    let (mut a, mut b) = pair();
    a.set_read_timeout(Some(ms(15))).unwrap();
    let mut byte = [0];
    let mut told = vec![
        said("read", a.read(&mut byte)),
        said("peek", a.peek(&mut byte)),
    ];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    told.push(said("vectored", a.read_vectored(&mut buffers)));
    // Nothing is lost by it.
    b.write_all(&[1]).unwrap();
    until_there(&a);
    told.push(said("then", a.read(&mut byte)));
    a.set_write_timeout(Some(ms(15))).unwrap();
    told.push(said("full", a.write_all(&vec![0; 64 << 20])));
    // What is there can still be read.
    let drained = b.read(&mut vec![0; 1 << 20]).map(|bytes| bytes != 0);
    told.push(said("drained", drained));
    told
}

pub fn timeouts_are_shared() -> Vec<String> {
    let (a, _b) = pair();
    let mut other = a.try_clone().unwrap();
    a.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut told = vec![said("clone's", other.read_timeout())];
    a.set_nonblocking(true).unwrap();
    told.push(said("clone", other.read(&mut [0])));
    a.set_nonblocking(false).unwrap();
    a.set_read_timeout(Some(ms(8))).unwrap();
    told.push(said("clone", other.read(&mut [0])));
    told
}

pub fn non_blocking() -> Vec<String> {
    let (listener, address) = listen();
    listener.set_nonblocking(true).unwrap();
    let mut told = vec![self::told("nobody there", listener.accept())];
    let mut client = TcpStream::connect(address).unwrap();
    until_there(&listener);
    let (mut server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let mut byte = [0];
    told.push(said("nothing there", server.read(&mut byte)));
    told.push(said("peek", server.peek(&mut byte)));
    client.write_all(&[5]).unwrap();
    until_there(&server);
    told.push(said("there", server.read(&mut byte)));
    told.push(said("nothing there", server.read(&mut byte)));
    let mut sent = 1;
    while sent != 0 {
        let full = server.write(&[0; 1 << 16]);
        sent = *full.as_ref().unwrap_or(&0);
        if sent == 0 {
            told.push(self::told("full", full));
        }
    }
    // More than there can be room for, whatever has left meanwhile.
    told.push(said("all", server.write_all(&vec![0; 64 << 20])));
    server.set_nonblocking(false).unwrap();
    client.write_all(&[6]).unwrap();
    told.push(said("waits again", server.read(&mut byte)));
    listener.set_nonblocking(false).unwrap();
    let _second = TcpStream::connect(address).unwrap();
    told.push(self::told("accepts", listener.accept()));
    told
}

pub fn peek() -> Vec<String> {
    let (mut a, mut b) = pair();
    a.write_all(&[1, 2, 3]).unwrap();
    let mut bytes = [0; 2];
    let mut told = vec![said("peek", b.peek(&mut bytes)), format!("{bytes:?}")];
    told.push(said("again", b.peek(&mut [0; 2])));
    let mut all = [0; 3];
    told.push(said("read", b.read_exact(&mut all)));
    told.push(format!("{all:?}"));
    b.set_nonblocking(true).unwrap();
    told.push(said("nothing", b.peek(&mut bytes)));
    told
}

/// A blocking write is over when all is written.
pub fn big_writes() -> Vec<String> {
    const BIG: usize = 8 << 20;
    let (mut a, mut b) = pair();
    let reader = thread::spawn(move || {
        let mut sum = 0_u64;
        let mut buffer = vec![0; 10_000];
        loop {
            let bytes = b.read(&mut buffer).unwrap();
            if bytes == 0 {
                break sum;
            }
            sum += buffer[..bytes]
                .iter()
                .map(|byte| u64::from(*byte))
                .sum::<u64>();
        }
    });
    let bytes: Vec<u8> = (0..BIG).map(|at| at as u8).collect();
    let mut told = vec![said("write", a.write(&bytes))];
    let pieces: Vec<_> = bytes.chunks(300_000).map(IoSlice::new).collect();
    told.push(said("vectored", a.write_vectored(&pieces)));
    told.push(said("all", a.write_all(&bytes)));
    drop(a);
    told.push(format!("{}", reader.join().unwrap()));
    told
}

/// A peer that goes with something unread resets the connection.
pub fn reset() -> Vec<String> {
    let (mut a, b) = pair();
    a.write_all(&[1]).unwrap();
    let mut byte = [0];
    assert_eq!(b.peek(&mut byte).unwrap(), 1);
    drop(b);
    vec![
        said("read", a.read(&mut byte)),
        said("then", a.read(&mut byte)),
        told("write", a.write(&byte)),
    ]
}

pub fn blocked_by_a_slow_reader() -> Vec<String> {
    let (mut a, mut b) = pair();
    let writer = thread::spawn(move || {
        for number in 0..2_000_u32 {
            a.write_all(&[number as u8; 1_000]).unwrap();
        }
    });
    let mut buffer = [0; 1_000];
    for number in 0..2_000_u32 {
        b.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer, [number as u8; 1_000]);
        if number % 64 == 0 {
            thread::yield_now();
        }
    }
    writer.join().unwrap();
    vec![said("end", b.read(&mut buffer))]
}

pub fn not_connected() -> Vec<String> {
    let (a, b) = pair();
    drop(b);
    let mut byte = [0];
    let end = said("end", (&a).read(&mut byte));
    a.shutdown(Shutdown::Both).unwrap();
    vec![end, told("again", shut_down_again(&a))]
}

pub fn reads_of_nothing() -> Vec<String> {
    let (mut a, mut b) = pair();
    a.write_all(&[1]).unwrap();
    let mut byte = [0];
    assert_eq!(b.peek(&mut byte).unwrap(), 1);
    vec![
        said("read", b.read(&mut [])),
        said("write", a.write(&[])),
        said("write all", a.write_all(&[])),
        said("exact", b.read_exact(&mut [])),
        said("flush", a.flush()),
    ]
}
