//! An HTTP client: ureq fetches a hundred pages at once from `http_server`, by HTTP and by HTTPS, a fiber for each.
//!
//! ureq opens sockets of std's. So that its calls let other fibers run, its client is built from the two parts in
//! `ureq_parts.rs`; how it is used does not change.
//!
//! `cargo run --release -p ecosystem --bin http_client`
//!
//! **Stacks:** the default does. 64 KiB do in a release build; 192 KiB in a debug build, where HTTPS goes deepest.

use std::io::Write;
use std::sync::Arc;

use fibers::net::TcpListener;
use fibers::time::{Duration, timeout};
use rustls::{ServerConnection, StreamOwned};
use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

#[allow(dead_code, reason = "it is a program too")]
pub mod http_server;
#[allow(dead_code, reason = "it is a program too")]
pub mod tls_echo;
pub mod ureq_parts;
use tls_echo::{Failure, Tls};

const PAGES: usize = 100;

/// A client that trusts this certificate.
pub fn client(certificate: &[u8], limit: Duration) -> Agent {
    let trusted = [Certificate::from_der(certificate).to_owned()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&trusted))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Config::builder()
        .tls_config(tls)
        .timeout_global(Some(limit))
        .proxy(None)
        .build();
    ureq_parts::client(config)
}

/// `http_server` by TLS, until it is cancelled.
pub fn serve_tls(listener: &TcpListener, tls: &Tls) {
    fibers::scope(|s| {
        for stream in listener.incoming().flatten() {
            s.spawn(move || -> Result<(), Failure> {
                let connection = ServerConnection::new(Arc::clone(&tls.server))?;
                let mut stream = StreamOwned::new(connection, stream);
                http_server::converse(&mut stream)?;
                stream.conn.send_close_notify();
                Ok(stream.flush()?)
            });
        }
    });
}

fn fetch(client: &Agent, url: String) -> Result<usize, Failure> {
    let page = client.get(&url).call()?.body_mut().read_to_string()?;
    let number = url.rsplit('/').next().unwrap_or_default();
    assert_eq!(page, format!("This is page {number}.\n"));
    Ok(page.len())
}

fn run() -> Result<(), Failure> {
    let tls = Arc::new(Tls::new()?);
    let client = client(&tls.certificate, Duration::from_secs(30));
    let plain = TcpListener::bind("127.0.0.1:0")?;
    let secret = TcpListener::bind("127.0.0.1:0")?;
    let http = format!("http://localhost:{}/page", plain.local_addr()?.port());
    let https = format!("https://localhost:{}/page", secret.local_addr()?.port());
    let servers = [
        fibers::spawn(move || http_server::serve(&plain)),
        fibers::spawn(move || serve_tls(&secret, &tls)),
    ];
    for base in [http, https] {
        let bytes = fibers::scope(|s| {
            let pages: Vec<_> = (0..PAGES)
                .map(|page| (&client, format!("{base}/{page}")))
                .map(|(client, url)| s.spawn(move || fetch(client, url)))
                .collect();
            let pages = pages.into_iter().map(|page| page.join().unwrap());
            pages.sum::<Result<usize, _>>()
        })?;
        println!("{PAGES} pages from {base}: {bytes} bytes");
    }
    for server in servers {
        server.cancel()?;
        let _ = server.join();
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    timeout(Duration::from_secs(60), run)?
}
