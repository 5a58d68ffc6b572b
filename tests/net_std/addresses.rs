// What names addresses. Included in several modules.
use net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

fn all(what: &str, addresses: impl ToSocketAddrs) -> String {
    let mut found = addresses
        .to_socket_addrs()
        .map(|addresses| addresses.collect::<Vec<_>>());
    if let Ok(found) = &mut found {
        // The resolver may give one address several times, in any order.
        found.sort();
        found.dedup();
    }
    said(what, found)
}

#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "it is what is tested"
)]
pub fn addresses() -> Vec<String> {
    let v4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
    let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 1, 2);
    let several = [SocketAddr::from(v4), SocketAddr::from(v6)];
    vec![
        all("v4", v4),
        all("v6", v6),
        all("any", several[1]),
        all("by reference", &"10.0.0.1:1"),
        all("slice", &several[..]),
        all("ip, port", (IpAddr::V4(Ipv4Addr::LOCALHOST), 1)),
        all("v4, port", (Ipv4Addr::LOCALHOST, 2)),
        all("v6, port", (Ipv6Addr::LOCALHOST, 3)),
        all("host, port", ("10.0.0.1", 4)),
        all("host v6, port", ("::1", 4)),
        all("owned host, port", ("10.0.0.1".to_owned(), 5)),
        all("text", "10.0.0.1:6"),
        all("text v6", "[2a02:6b8:0:1::1]:53"),
        all("owned text", "10.0.0.1:7".to_owned()),
        all("name", "localhost:80"),
        all("name, port", ("localhost", 81)),
        all("no port", "10.0.0.1"),
        all("no number", "10.0.0.1:x"),
        all("too big", "10.0.0.1:65536"),
        all("empty", ""),
        all("empty slice", &[][..]),
        told("nothing to connect to", net::TcpStream::connect(&[][..])),
        told("nothing to bind", net::TcpListener::bind(&[][..])),
        told("no name", net::TcpStream::connect("::")),
        "127.0.0.1".parse::<IpAddr>().map_or_else(
            |error: net::AddrParseError| error.to_string(),
            |ip| ip.to_string(),
        ),
    ]
}
