// Unix sockets. Included in several modules.
use net::Shutdown;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use unix::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

/// A folder of one program's own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        // Two modules count for themselves.
        let name = format!("fibers-{}-{number}-{}", std::process::id(), line_of());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

fn line_of() -> &'static str {
    if module_path!().ends_with("std") {
        "s"
    } else {
        "f"
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn basic() -> Vec<String> {
    let folder = Folder::new();
    let path = folder.path("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        assert!(peer.is_unnamed());
        let mut word = [0; 5];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(b"world!").unwrap();
        (listener, word)
    });
    let mut stream = UnixStream::connect(&path).unwrap();
    assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(&*path));
    stream.write_all(b"hello").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (listener, word) = server.join().unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    vec![
        answer,
        format!("{word:?}"),
        said("unnamed", stream.local_addr().map(|it| it.is_unnamed())),
        told("in use", UnixListener::bind(&path)),
    ]
}

pub fn vectored() -> Vec<String> {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let sent = a.write_vectored(&[
        IoSlice::new(b"hello"),
        IoSlice::new(b" "),
        IoSlice::new(b"world!"),
    ]);
    let (mut one, mut two) = ([0; 7], [0; 8]);
    let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    let got = b.read_vectored(&mut buffers);
    vec![
        said("sent", sent),
        said("got", got),
        format!("{one:?} {two:?}"),
    ]
}

pub fn pairs() -> Vec<String> {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let other = thread::spawn(move || {
        let mut all = String::new();
        a.read_to_string(&mut all).unwrap();
        a.write_all(b"back").unwrap();
        all
    });
    b.write_all(b"there").unwrap();
    b.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    b.read_to_string(&mut answer).unwrap();
    vec![other.join().unwrap(), answer]
}

pub fn try_clone() -> Vec<String> {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let mut other = b.try_clone().unwrap();
    a.write_all(b"helloworld").unwrap();
    let (mut one, mut two) = ([0; 5], [0; 5]);
    b.read_exact(&mut one).unwrap();
    other.read_exact(&mut two).unwrap();
    vec![format!("{one:?} {two:?}")]
}

pub fn iterated() -> Vec<String> {
    let folder = Folder::new();
    let path = folder.path("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let mut words = Vec::new();
        for stream in listener.incoming().take(1) {
            let mut word = String::new();
            stream.unwrap().read_to_string(&mut word).unwrap();
            words.push(word);
        }
        for stream in (&listener).into_iter().take(1) {
            let mut word = String::new();
            stream.unwrap().read_to_string(&mut word).unwrap();
            words.push(word);
        }
        words.push(format!("{:?}", listener.incoming().size_hint()));
        words
    });
    for word in ["one", "two"] {
        UnixStream::connect(&path)
            .unwrap()
            .write_all(word.as_bytes())
            .unwrap();
    }
    server.join().unwrap()
}

pub fn paths() -> Vec<String> {
    let long = "x".repeat(108);
    vec![
        told("long", UnixStream::connect(&long)),
        told("long", UnixListener::bind(&long)),
        told("long", UnixDatagram::bind(&long)),
        told("zero", UnixStream::connect("a\0b")),
        told(
            "zero",
            UnixDatagram::unbound().unwrap().send_to(&[], "a\0b"),
        ),
        told("zero", UnixDatagram::unbound().unwrap().connect("a\0b")),
        said("named", SocketAddr::from_pathname("/x")),
    ]
}

pub fn no_such_path() -> Vec<String> {
    let folder = Folder::new();
    let path = folder.path("none");
    let gone = folder.path("gone");
    drop(UnixListener::bind(&gone).unwrap());
    vec![
        told("connect", UnixStream::connect(&path)),
        told("gone", UnixStream::connect(&gone)),
        told(
            "send",
            UnixDatagram::unbound().unwrap().send_to(&[1], &path),
        ),
        told(
            "gone",
            UnixDatagram::unbound().unwrap().send_to(&[1], &gone),
        ),
        told("connect", UnixDatagram::unbound().unwrap().connect(&path)),
    ]
}

pub fn timeouts() -> Vec<String> {
    let (a, _b) = UnixStream::pair().unwrap();
    let mut told = vec![
        said("none", a.read_timeout()),
        said("none", a.write_timeout()),
    ];
    a.set_read_timeout(Some(Duration::from_secs(15_410)))
        .unwrap();
    a.set_write_timeout(Some(Duration::from_secs(15))).unwrap();
    told.extend([
        said("read", a.read_timeout()),
        said("write", a.write_timeout()),
        self::told("zero", a.set_read_timeout(Some(ms(0)))),
        self::told("zero", a.set_write_timeout(Some(ms(0)))),
    ]);
    told
}

pub fn time_outs_that_pass() -> Vec<String> {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    a.set_read_timeout(Some(ms(15))).unwrap();
    let mut byte = [0];
    let mut told = vec![said("read", a.read(&mut byte))];
    b.write_all(&[1]).unwrap();
    told.push(said("then", a.read(&mut byte)));
    a.set_write_timeout(Some(ms(15))).unwrap();
    told.push(said("full", a.write_all(&vec![0; 16 << 20])));
    told.push(said("full", a.write(&[1; 1 << 18])));
    told
}

pub fn non_blocking() -> Vec<String> {
    let folder = Folder::new();
    let path = folder.path("sock");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut told = vec![self::told("nobody", listener.accept())];
    let (mut a, mut b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    let mut byte = [0];
    told.push(said("nothing", a.read(&mut byte)));
    b.write_all(&[1]).unwrap();
    told.push(said("there", a.read(&mut byte)));
    a.set_nonblocking(false).unwrap();
    b.write_all(&[1]).unwrap();
    told.push(said("there", a.read(&mut byte)));
    told.push(said("error", a.take_error().map(|error| error.is_some())));
    told.push(said(
        "error",
        listener.take_error().map(|error| error.is_some()),
    ));
    told
}

pub fn shut_down() -> Vec<String> {
    let (a, mut b) = UnixStream::pair().unwrap();
    let mut other = a.try_clone().unwrap();
    let reader = thread::spawn(move || other.read(&mut [0]));
    a.shutdown(Shutdown::Read).unwrap();
    let mut told = vec![said("read", reader.join().unwrap())];
    told.push(self::told("peer writes", b.write(&[1])));
    a.shutdown(Shutdown::Write).unwrap();
    told.push(said("peer reads", b.read(&mut [0])));
    told.push(self::told("write", (&a).write(&[1])));
    told.push(self::told("twice", a.shutdown(Shutdown::Both)));
    told
}

pub fn datagrams() -> Vec<String> {
    let folder = Folder::new();
    let (one, two) = (folder.path("one"), folder.path("two"));
    let a = UnixDatagram::bind(&one).unwrap();
    let b = UnixDatagram::bind(&two).unwrap();
    let sender = thread::spawn({
        let two = two.clone();
        move || {
            let sent = a.send_to(b"hello", &two);
            (a, sent)
        }
    });
    let mut buffer = [0; 11];
    let (bytes, from) = b.recv_from(&mut buffer).unwrap();
    assert_eq!(from.as_pathname(), Some(&*one));
    assert_eq!(b.local_addr().unwrap().as_pathname(), Some(&*two));
    let (a, sent) = sender.join().unwrap();
    b.send_to_addr(b"back", &from).unwrap();
    vec![
        said("sent", sent),
        format!("{:?}", &buffer[..bytes]),
        said("back", a.recv(&mut buffer)),
        told("in use", UnixDatagram::bind(&one)),
        told("no peer", a.peer_addr()),
    ]
}

pub fn datagrams_unnamed() -> Vec<String> {
    let folder = Folder::new();
    let path = folder.path("sock");
    let a = UnixDatagram::bind(&path).unwrap();
    let b = UnixDatagram::unbound().unwrap();
    b.send_to(b"hello", &path).unwrap();
    let mut buffer = [0; 2];
    let (bytes, from) = a.recv_from(&mut buffer).unwrap();
    vec![
        format!("{bytes} {} {from:?}", from.is_unnamed()),
        said("unnamed", b.local_addr().map(|it| it.is_unnamed())),
        told("nowhere", b.send(&[1])),
    ]
}

pub fn datagrams_connected() -> Vec<String> {
    let folder = Folder::new();
    let (one, two) = (folder.path("one"), folder.path("two"));
    let a = UnixDatagram::bind(&one).unwrap();
    let b = UnixDatagram::bind(&two).unwrap();
    a.connect(&two).unwrap();
    a.send(b"hello").unwrap();
    let mut buffer = [0; 16];
    let mut told = vec![said("received", b.recv(&mut buffer))];
    assert_eq!(a.peer_addr().unwrap().as_pathname(), Some(&*two));
    b.connect_addr(&SocketAddr::from_pathname(&one).unwrap())
        .unwrap();
    b.send(b"hi").unwrap();
    told.push(said("received", a.recv(&mut buffer)));
    let other = a.try_clone().unwrap();
    b.send(b"you").unwrap();
    told.push(said("clone", other.recv(&mut buffer)));
    told
}

pub fn datagram_pairs() -> Vec<String> {
    let (a, b) = UnixDatagram::pair().unwrap();
    let other = thread::spawn(move || {
        let mut buffer = [0; 20];
        let bytes = a.recv(&mut buffer).unwrap();
        a.send(&buffer[..bytes]).unwrap();
    });
    b.send(b"hello").unwrap();
    let mut buffer = [0; 20];
    let told = vec![
        said("back", b.recv(&mut buffer)),
        format!("{:?}", &buffer[..5]),
    ];
    other.join().unwrap();
    told
}

pub fn datagrams_shut_down() -> Vec<String> {
    let (a, b) = UnixDatagram::pair().unwrap();
    let other = a.try_clone().unwrap();
    let reader = thread::spawn(move || other.recv(&mut [0]));
    a.shutdown(Shutdown::Read).unwrap();
    let mut told = vec![said("recv", reader.join().unwrap())];
    told.push(self::told("from", a.recv_from(&mut [0])));
    a.set_nonblocking(true).unwrap();
    told.push(said("non-blocking", a.recv(&mut [0])));
    told.push(self::told("peer sends", b.send(&[1])));
    told.push(said("error", a.take_error().map(|error| error.is_some())));
    told
}

pub fn datagram_timeouts() -> Vec<String> {
    let folder = Folder::new();
    let path = folder.path("sock");
    let a = UnixDatagram::bind(&path).unwrap();
    a.set_read_timeout(Some(ms(15))).unwrap();
    let mut told = vec![
        self::told("recv", a.recv(&mut [0])),
        self::told("from", a.recv_from(&mut [0])),
        said("read", a.read_timeout().map(|timeout| timeout.is_some())),
        self::told("zero", a.set_write_timeout(Some(ms(0)))),
    ];
    // A receiver whose queue is full, by one that is connected and one that is not.
    let b = UnixDatagram::unbound().unwrap();
    b.set_write_timeout(Some(ms(15))).unwrap();
    let full = |send: &dyn Fn() -> io::Result<usize>| loop {
        match send() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let error = full(&|| b.send_to(&[0; 100], &path));
    told.push(self::told("full", Err::<(), _>(error)));
    b.connect(&path).unwrap();
    told.push(self::told("full", b.send(&[0; 100])));
    b.set_nonblocking(true).unwrap();
    told.push(self::told("full", b.send(&[0; 100])));
    told.push(self::told("full", b.send_to(&[0; 100], &path)));
    told
}

pub fn abstract_names() -> Vec<String> {
    use std::os::linux::net::SocketAddrExt;
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("fibers-{}-{number}-{}", std::process::id(), line_of());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let local = listener.local_addr().unwrap();
    assert_eq!(local.as_abstract_name(), Some(name.as_bytes()));
    let server = thread::spawn(move || listener.accept().unwrap().0);
    let client = UnixStream::connect_addr(&address).unwrap();
    let peer = client.peer_addr().unwrap();
    assert_eq!(peer.as_abstract_name(), Some(name.as_bytes()));
    server.join().unwrap();
    // The listener is gone, so the name is free.
    let a = UnixDatagram::bind_addr(&address).unwrap();
    let b = UnixDatagram::unbound().unwrap();
    b.send_to_addr(b"hello", &address).unwrap();
    a.send_to_addr(b"me", &address).unwrap();
    let mut told = vec![said("received", a.recv(&mut [0; 9]))];
    let (_, from) = a.recv_from(&mut [0; 9]).unwrap();
    assert_eq!(from.as_abstract_name(), Some(name.as_bytes()));
    drop(a);
    told.push(self::told("gone", b.send_to_addr(&[], &address)));
    told
}

/// A blocking write is over when all is written.
pub fn big_writes() -> Vec<String> {
    const BIG: usize = 4 << 20;
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        b.read_to_end(&mut all).unwrap();
        all.iter().map(|byte| u64::from(*byte)).sum::<u64>()
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

pub fn closed() -> Vec<String> {
    let (mut a, b) = UnixStream::pair().unwrap();
    drop(b);
    let mut told = vec![
        said("read", a.read(&mut [0])),
        self::told("write", a.write(&[1])),
        self::told("all", a.write_all(&[1])),
    ];
    // With something unread the peer's end is a reset.
    let (mut a, mut b) = UnixStream::pair().unwrap();
    b.write_all(&[1]).unwrap();
    a.write_all(&[1]).unwrap();
    drop(b);
    told.push(said("read", a.read(&mut [0])));
    told.push(said("read", a.read(&mut [0])));
    told
}

pub fn debug() -> Vec<String> {
    use std::os::fd::AsRawFd;
    let (a, _b) = UnixStream::pair().unwrap();
    let (c, _d) = UnixDatagram::pair().unwrap();
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.path("sock")).unwrap();
    vec![
        format!("{a:?}").replace(&format!("fd: {}", a.as_raw_fd()), "fd: FD"),
        format!("{c:?}").replace(&format!("fd: {}", c.as_raw_fd()), "fd: FD"),
        format!("{listener:?}")
            .replace(&format!("fd: {}", listener.as_raw_fd()), "fd: FD")
            .replace(&*folder.0.to_string_lossy(), "FOLDER"),
    ]
}
