//! An HTTP/1.1 server by httparse: keep-alive, pipelining, bodies, limits, and a status for what it does not take. It
//! serves whatever can be read and written, so TLS too (`http_client`).
//!
//! `cargo run --release -p ecosystem --bin http_server`
//!
//! **Stacks:** the default does, and so do 32 KiB.

use std::error::Error;
use std::io::{self, Read, Write};

use fibers::net::{Shutdown, TcpListener, TcpStream};
use fibers::time::{Duration, timeout};
use httparse::{EMPTY_HEADER, Request, Status};

const HEAD_MAX: usize = 8 << 10;
const BODY_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 32;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(30);

/// A request of so many bytes, and its answer.
struct Exchange {
    len: usize,
    answer: String,
    keep_alive: bool,
}

/// `None`: more is to come. An error is the status to be sent before the connection is closed.
fn exchange(bytes: &[u8]) -> Result<Option<Exchange>, &'static str> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    let head_len = match request.parse(bytes) {
        Ok(Status::Complete(len)) if len <= HEAD_MAX => len,
        Ok(Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err("431 Request Header Fields Too Large");
        }
        Err(_) => return Err("400 Bad Request"),
    };
    let mut keep_alive = request.version == Some(1);
    let mut body_len = None;
    for header in request.headers.iter() {
        let value = str::from_utf8(header.value).map_err(|_| "400 Bad Request")?;
        let has = |word| {
            let mut words = value.split(',');
            words.any(|it| it.trim().eq_ignore_ascii_case(word))
        };
        match &*header.name.to_ascii_lowercase() {
            "connection" => keep_alive = has("keep-alive") || (keep_alive && !has("close")),
            // Two lengths, or `+1`: somebody on the way may have read it otherwise.
            "content-length" if body_len.is_none() && !value.starts_with('+') => {
                body_len = Some(value.parse().map_err(|_| "400 Bad Request")?);
            }
            "content-length" => return Err("400 Bad Request"),
            "transfer-encoding" => return Err("501 Not Implemented"),
            _ => {}
        }
    }
    let body_len = body_len.unwrap_or(0);
    if body_len > BODY_MAX {
        return Err("413 Content Too Large");
    }
    let len = head_len + body_len;
    let method = request.method.unwrap_or_default();
    let page = request.path.unwrap_or_default().strip_prefix("/page/");
    let (status, page) = match (method, page) {
        ("GET" | "HEAD" | "POST", Some(page)) => ("200 OK", format!("This is page {page}.\n")),
        ("GET" | "HEAD" | "POST", None) => ("404 Not Found", "No such page.\n".to_owned()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let mut answer = head(status, page.len(), keep_alive);
    if method != "HEAD" {
        answer += &page;
    }
    Ok((bytes.len() >= len).then_some(Exchange {
        len,
        answer,
        keep_alive,
    }))
}

fn head(status: &str, len: usize, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: {connection}\r\n\r\n")
}

/// Serves one connection. Requests that have come together are answered by one write.
///
/// # Errors
/// The stream's.
pub fn converse(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let (mut bytes, mut answers) = (Vec::new(), String::new());
    // Not an array: big buffers belong on the heap, a fiber's stack is small.
    let mut chunk = vec![0; 4 << 10];
    let mut goes_on = true;
    while goes_on {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
        while goes_on {
            match exchange(&bytes) {
                Ok(None) => break,
                Ok(Some(done)) => {
                    bytes.drain(..done.len);
                    answers += &done.answer;
                    goes_on = done.keep_alive;
                }
                Err(status) => {
                    answers += &head(status, 0, false);
                    goes_on = false;
                }
            }
        }
        stream.write_all(answers.as_bytes())?;
        answers.clear();
    }
    stream.flush()
}

/// Serves until it is cancelled. A connection that fails ends alone.
pub fn serve(listener: &TcpListener) {
    fibers::scope(|s| {
        for stream in listener.incoming().flatten() {
            s.spawn(move || {
                let _ = stream.set_read_timeout(Some(IDLE));
                let _ = converse(&mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
                // What the client still sends would turn our close into a reset, which may eat the last answer.
                let rest = || io::copy(&mut &stream, &mut io::sink());
                let _ = timeout(Duration::from_secs(1), rest);
            });
        }
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = fibers::spawn(move || serve(&listener));
    let answers = timeout(Duration::from_secs(60), || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /page/1 HTTP/1.1\r\n\r\n")?;
        stream.write_all(b"GET /page/2 HTTP/1.1\r\nConnection: close\r\n\r\n")?;
        io::read_to_string(&mut stream)
    })??;
    assert!(answers.contains("page 1.\n") && answers.contains("page 2.\n"));
    println!("two requests on one connection, and their answers:\n{answers}");
    server.cancel()?;
    let _ = server.join();
    Ok(())
}
