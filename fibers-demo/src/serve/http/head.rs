//! The head of a request: from bytes to what must be done about it. Pure.
//!
//! Stricter than it might be: whatever two programs on the way could read in two ways (two lengths, a
//! length and chunks, a bare `Transfer-Encoding` of HTTP/1.0) is refused, because that is how requests
//! are smuggled past a proxy.

use httparse::{EMPTY_HEADER, Header, Request};

use crate::serve::http::status::Status;

/// A head is no longer than this, request line included.
pub const HEAD_MAX: usize = 16 << 10;
/// And has no more fields than this.
const FIELDS_MAX: usize = 64;

/// What the request line asks to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    /// One of RFC 9110 that nothing here can do.
    Useless,
    /// None that anybody has heard of.
    Unknown,
}

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// A head that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub method: Method,
    /// The path as it came, without query, scheme and host.
    pub path: String,
    pub framing: Framing,
    /// The peer wants to go on after this request.
    pub keep_alive: bool,
    /// The answer must say that it goes on: HTTP/1.0 does not take it for granted.
    pub is_old: bool,
    /// The peer waits for a `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// What the fields say, before they are put together.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    is_chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

/// Reads a head from the front of `input`: the head and its length in bytes, or `None` if there is more
/// to come.
///
/// # Errors
/// The status to answer with, before the connection is closed.
pub fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, Status> {
    let window = &input[..input.len().min(HEAD_MAX)];
    let mut slots = [EMPTY_HEADER; FIELDS_MAX];
    let mut request = Request::new(&mut slots);
    let length = match request.parse(window) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if input.len() < HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(too_large(window)),
        Err(error) => return Err(refusal(error, window)),
    };
    let is_old = request.version == Some(0);
    let fields = Fields::read(request.headers)?;
    if !is_old && fields.hosts == 0 {
        return Err(Status::BAD_REQUEST);
    }
    if is_old && fields.is_chunked {
        return Err(Status::BAD_REQUEST);
    }
    let framing = match (fields.is_chunked, fields.length) {
        (true, Some(_)) => return Err(Status::BAD_REQUEST),
        (true, None) => Framing::Chunked,
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    let head = Head {
        method: method(request.method.unwrap_or_default()),
        path: path(request.path.unwrap_or_default())?,
        framing,
        keep_alive: !fields.close && (!is_old || fields.keep_alive),
        is_old,
        expects_continue: !is_old && fields.expects_continue,
    };
    Ok(Some((head, length)))
}

impl Fields {
    fn read(headers: &[Header]) -> Result<Fields, Status> {
        let mut fields = Fields::default();
        for Header { name, value } in headers {
            let value = value.trim_ascii();
            if name.eq_ignore_ascii_case("host") {
                fields.hosts += 1;
            } else if name.eq_ignore_ascii_case("content-length") {
                let length = decimal(value).ok_or(Status::BAD_REQUEST)?;
                if fields.length.replace(length).is_some() {
                    return Err(Status::BAD_REQUEST);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if fields.is_chunked {
                    return Err(Status::BAD_REQUEST);
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Status::NOT_IMPLEMENTED);
                }
                fields.is_chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    fields.close |= word.eq_ignore_ascii_case(b"close");
                    fields.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if name.eq_ignore_ascii_case("expect") {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Status::EXPECTATION_FAILED);
                }
                fields.expects_continue = true;
            }
        }
        (fields.hosts <= 1)
            .then_some(fields)
            .ok_or(Status::BAD_REQUEST)
    }
}

/// A number of digits only: `parse` would take a sign as well.
fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => Method::Useless,
        _ => Method::Unknown,
    }
}

/// The path of a target: `/a?b`, or `http://host/a?b` as a proxy is sent it. Other forms (`*`, `host:443`)
/// belong to methods that nothing here can do; they are kept and found nowhere.
fn path(target: &str) -> Result<String, Status> {
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(Status::BAD_REQUEST);
            }
            rest.find(['/', '?']).map_or("", |at| &rest[at..])
        }
        _ => target,
    };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    Ok(if path.is_empty() { "/" } else { path }.to_owned())
}

/// A target alone that is too long has a status of its own.
fn too_large(window: &[u8]) -> Status {
    if window.contains(&b'\n') {
        Status::FIELDS_TOO_LARGE
    } else {
        Status::TARGET_TOO_LONG
    }
}

fn refusal(error: httparse::Error, window: &[u8]) -> Status {
    match error {
        httparse::Error::TooManyHeaders => Status::FIELDS_TOO_LARGE,
        httparse::Error::Version if names_other_version(window) => Status::VERSION_NOT_SUPPORTED,
        _ => Status::BAD_REQUEST,
    }
}

/// Whether the third word is `HTTP/` and a digit: it is HTTP, but not ours.
fn names_other_version(window: &[u8]) -> bool {
    let line = window.trim_ascii_start();
    let version = line.split(|byte| *byte == b' ').nth(2).unwrap_or_default();
    let digit = version.strip_prefix(b"HTTP/").and_then(<[u8]>::first);
    digit.is_some_and(u8::is_ascii_digit)
}
