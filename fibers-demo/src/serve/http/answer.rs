//! The head of an answer, and the answers that are a line of text.

use std::io::Write;

use crate::serve::http::date::Date;
use crate::serve::http::status::Status;

/// What kind of text a line is.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Everything about an answer but its body.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: Status,
    pub content_type: &'a str,
    pub length: u64,
    /// What the `Connection` field says, where it must be there.
    pub connection: Option<&'a str>,
    /// One more field, complete with its name.
    pub extra: Option<(&'a str, &'a str)>,
}

impl Answer<'_> {
    /// Appends the head to `output`.
    pub fn write_head(&self, output: &mut Vec<u8>, date: &mut Date) {
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| output.extend(part.as_bytes()));
        match self.status {
            Status::OK => put(&["HTTP/1.1 200 OK\r\n"]),
            other => put(&[
                "HTTP/1.1 ",
                &other.0.to_string(),
                " ",
                other.reason(),
                "\r\n",
            ]),
        }
        put(&["Server: fibers-demo\r\nDate: ", date.now(), "\r\n"]);
        put(&["Content-Type: ", self.content_type, "\r\n"]);
        if let Some(word) = self.connection {
            put(&["Connection: ", word, "\r\n"]);
        }
        if let Some((name, value)) = self.extra {
            put(&[name, ": ", value, "\r\n"]);
        }
        // Nothing is written to but memory: this cannot fail.
        let _ = write!(output, "Content-Length: {}\r\n\r\n", self.length);
    }
}

/// The body of an answer that is no success.
pub fn line_about(status: Status) -> String {
    format!("{} {}\n", status.0, status.reason())
}
