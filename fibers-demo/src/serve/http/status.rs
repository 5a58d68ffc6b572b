//! The statuses that this server answers with, and their words.

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    pub const OK: Status = Status(200);
    pub const MOVED: Status = Status(301);
    pub const BAD_REQUEST: Status = Status(400);
    pub const NOT_FOUND: Status = Status(404);
    pub const METHOD_NOT_ALLOWED: Status = Status(405);
    pub const REQUEST_TIMEOUT: Status = Status(408);
    pub const BODY_TOO_LARGE: Status = Status(413);
    pub const TARGET_TOO_LONG: Status = Status(414);
    pub const EXPECTATION_FAILED: Status = Status(417);
    pub const FIELDS_TOO_LARGE: Status = Status(431);
    pub const INTERNAL_ERROR: Status = Status(500);
    pub const NOT_IMPLEMENTED: Status = Status(501);
    pub const VERSION_NOT_SUPPORTED: Status = Status(505);

    /// The words behind the number, as RFC 9110 has them.
    pub fn reason(self) -> &'static str {
        match self {
            Status::OK => "OK",
            Status::MOVED => "Moved Permanently",
            Status::BAD_REQUEST => "Bad Request",
            Status::NOT_FOUND => "Not Found",
            Status::METHOD_NOT_ALLOWED => "Method Not Allowed",
            Status::REQUEST_TIMEOUT => "Request Timeout",
            Status::BODY_TOO_LARGE => "Content Too Large",
            Status::TARGET_TOO_LONG => "URI Too Long",
            Status::EXPECTATION_FAILED => "Expectation Failed",
            Status::FIELDS_TOO_LARGE => "Request Header Fields Too Large",
            Status::INTERNAL_ERROR => "Internal Server Error",
            Status::NOT_IMPLEMENTED => "Not Implemented",
            Status::VERSION_NOT_SUPPORTED => "HTTP Version Not Supported",
            Status(_) => "",
        }
    }
}
