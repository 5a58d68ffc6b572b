// UDP. Included in several modules.
use net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

fn here() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

pub fn bind_error() -> Vec<String> {
    vec![told("not ours", UdpSocket::bind("192.0.2.1:1"))]
}

pub fn smoke() -> Vec<String> {
    let (a, a_address) = here();
    let (b, b_address) = here();
    let sender = thread::spawn(move || a.send_to(&[99], b_address));
    let mut buffer = [0; 4];
    let (bytes, from) = b.recv_from(&mut buffer).unwrap();
    assert_eq!(from, a_address);
    vec![
        said("sent", sender.join().unwrap()),
        format!("{:?}", &buffer[..bytes]),
        told("to nowhere", b.send_to(&[1], &[][..])),
        told("no port", b.send_to(&[1], "127.0.0.1")),
    ]
}

pub fn connected() -> Vec<String> {
    let (a, a_address) = here();
    let (b, b_address) = here();
    let mut told = vec![self::told("not connected", a.send(&[1]))];
    told.push(self::told("no peer", a.peer_addr()));
    a.connect(b_address).unwrap();
    assert_eq!(a.peer_addr().unwrap(), b_address);
    b.connect(a_address).unwrap();
    let (stranger, _) = here();
    stranger.send_to(b"no", b_address).unwrap();
    told.push(said("sent", a.send(b"hello")));
    let mut buffer = [0; 16];
    told.push(said("received", b.recv(&mut buffer)));
    told.push(format!("{:?}", &buffer[..5]));
    told
}

pub fn clones() -> Vec<String> {
    let (a, _) = here();
    let (b, b_address) = here();
    let other = b.try_clone().unwrap();
    a.send_to(&[1], b_address).unwrap();
    let mut told = vec![said("clone", other.recv(&mut [0; 2]))];
    drop(b);
    a.send_to(&[1, 2], b_address).unwrap();
    told.push(said("clone", other.recv(&mut [0; 2])));
    told
}

pub fn two_readers() -> Vec<String> {
    let (a, _) = here();
    let (b, b_address) = here();
    let other = b.try_clone().unwrap();
    let readers = [b, other].map(|socket| {
        thread::spawn(move || {
            let mut byte = [0];
            socket.recv_from(&mut byte).unwrap();
            byte[0]
        })
    });
    a.send_to(&[1], b_address).unwrap();
    a.send_to(&[2], b_address).unwrap();
    let sum: u8 = readers.map(|reader| reader.join().unwrap()).iter().sum();
    vec![format!("{sum}")]
}

pub fn timeouts() -> Vec<String> {
    let (a, _) = here();
    let mut told = vec![
        said("none", a.read_timeout()),
        said("none", a.write_timeout()),
    ];
    a.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    a.set_write_timeout(Some(Duration::from_secs(16))).unwrap();
    told.extend([
        said("read", a.read_timeout()),
        said("write", a.write_timeout()),
        self::told("zero", a.set_read_timeout(Some(ms(0)))),
        self::told("zero", a.set_write_timeout(Some(ms(0)))),
    ]);
    told
}

pub fn time_outs_that_pass() -> Vec<String> {
    let (a, a_address) = here();
    a.set_read_timeout(Some(ms(15))).unwrap();
    let mut buffer = [0; 4];
    let mut told = vec![
        self::told("from", a.recv_from(&mut buffer)),
        self::told("peek", a.peek_from(&mut buffer)),
        self::told("peek", a.peek(&mut buffer)),
        self::told("recv", a.recv(&mut buffer)),
    ];
    a.send_to(b"foo", a_address).unwrap();
    until_there(&a);
    told.push(said("then", a.recv(&mut buffer)));
    told
}

pub fn options() -> Vec<String> {
    let (a, _) = here();
    a.set_ttl(100).unwrap();
    a.set_broadcast(true).unwrap();
    a.set_multicast_loop_v4(false).unwrap();
    a.set_multicast_ttl_v4(9).unwrap();
    let mut told = vec![
        said("ttl", a.ttl()),
        said("broadcast", a.broadcast()),
        said("loop", a.multicast_loop_v4()),
        said("group ttl", a.multicast_ttl_v4()),
        said("error", a.take_error().map(|error| error.is_some())),
        said("v6", a.multicast_loop_v6()),
        self::told("v6", a.set_multicast_loop_v6(true)),
    ];
    a.set_broadcast(false).unwrap();
    told.push(said("broadcast", a.broadcast()));
    told
}

pub fn groups() -> Vec<String> {
    let (a, _) = here();
    let (group, any) = (Ipv4Addr::new(239, 1, 2, 3), Ipv4Addr::LOCALHOST);
    let group_v6 = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);
    vec![
        told("not joined", a.leave_multicast_v4(&group, &any)),
        told("join", a.join_multicast_v4(&group, &any)),
        told("twice", a.join_multicast_v4(&group, &any)),
        told("leave", a.leave_multicast_v4(&group, &any)),
        told("no group", a.join_multicast_v4(&Ipv4Addr::LOCALHOST, &any)),
        told("v6", a.join_multicast_v6(&group_v6, 1)),
        told("v6", a.leave_multicast_v6(&group_v6, 1)),
    ]
}

/// What the network says of a datagram comes with the next call.
pub fn refused() -> Vec<String> {
    // Nobody else is given the port of one that talks to itself alone.
    let (lonely, nobody) = here();
    lonely.connect(nobody).unwrap();
    let (a, _) = here();
    a.connect(nobody).unwrap();
    a.send(&[1]).unwrap();
    let mut said = vec![told("recv", a.recv(&mut [0]))];
    a.send(&[1]).unwrap();
    until_there(&a);
    said.push(told("send", a.send(&[1])));
    a.send(&[1]).unwrap();
    until_there(&a);
    let error = a.take_error().map(|error| error.map(|error| error.kind()));
    said.push(self::said("error", error));
    said
}

pub fn peek() -> Vec<String> {
    let (a, a_address) = here();
    let (b, b_address) = here();
    a.send_to(b"hello", b_address).unwrap();
    let mut buffer = [0; 16];
    let (bytes, from) = b.peek_from(&mut buffer).unwrap();
    assert_eq!(from, a_address);
    b.connect(a_address).unwrap();
    vec![
        format!("{bytes}"),
        said("again", b.peek(&mut buffer)),
        said("short", b.peek(&mut [0; 2])),
        said("whole", b.recv(&mut buffer)),
    ]
}

pub fn truncated() -> Vec<String> {
    let (a, a_address) = here();
    a.send_to(b"hello", a_address).unwrap();
    a.send_to(b"you", a_address).unwrap();
    a.send_to(b"", a_address).unwrap();
    let mut two = [0; 2];
    let mut told = vec![said("cut", a.recv(&mut two)), format!("{two:?}")];
    told.push(said("next", a.recv(&mut [0; 9])));
    told.push(said("empty", a.recv(&mut [0; 9])));
    told
}

pub fn non_blocking() -> Vec<String> {
    let (a, a_address) = here();
    a.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4];
    let mut told = vec![
        self::told("from", a.recv_from(&mut buffer)),
        self::told("peek", a.peek_from(&mut buffer)),
        self::told("recv", a.recv(&mut buffer)),
    ];
    a.send_to(&[1], a_address).unwrap();
    until_there(&a);
    told.push(said("there", a.recv(&mut buffer)));
    told.push(said("nothing", a.recv(&mut buffer)));
    told
}

pub fn debug() -> Vec<String> {
    use std::os::fd::AsRawFd;
    let (a, address) = here();
    let text = format!("{a:?}").replace(&address.to_string(), "ADDRESS");
    vec![text.replace(&format!("fd: {}", a.as_raw_fd()), "fd: FD")]
}

pub fn too_long() -> Vec<String> {
    let (a, a_address) = here();
    vec![
        told("too long", a.send_to(&vec![0; 70_000], a_address)),
        told("broadcast", a.send_to(&[0], "255.255.255.255:9")),
    ]
}
