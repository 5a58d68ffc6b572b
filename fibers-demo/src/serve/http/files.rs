//! Files below one folder, and nothing else: what may be asked for, and what it is called.
//!
//! A path is decoded once and taken apart. No name may be empty in the middle, begin with a dot (that
//! keeps `..` out, and `.git` as well) or hold a `/` or a zero byte. What is found is asked for its real
//! path, with all symlinks followed, and must still be below the folder's own. Whoever may write into
//! the folder while files are served can win a race against that check: this guards against visitors,
//! not against the folder's owner.
//!
//! All of this waits for the disk, in five calls for a small file. So it is written for `std::fs`, and
//! done in one `blocking`, in place of a call of `fibers::fs` for each.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::serve::http::status::Status;

/// A folder whose files are served.
#[derive(Debug)]
pub struct Folder {
    /// Its real path.
    root: PathBuf,
}

/// What is at a path.
#[derive(Debug)]
pub enum Found {
    File {
        file: File,
        length: u64,
        content_type: &'static str,
        /// Its first bytes, which have been read.
        beginning: Vec<u8>,
    },
    /// A folder, asked for without the `/` at the end: links in its pages would lead nowhere.
    Folder,
}

impl Folder {
    /// The folder at that path.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let root = fs::canonicalize(path)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Folder { root })
    }

    /// Finds what a path of a request stands for, and begins to read it.
    pub fn find(&self, path: &str, beginning_max: usize) -> Result<Found, Status> {
        let relative = relative(path).ok_or(Status::NOT_FOUND)?;
        let mut real = self.real(&self.root.join(&relative))?;
        let mut metadata = fs::metadata(&real).map_err(status_of)?;
        if metadata.is_dir() {
            // Without an index there is nothing to be sent to either.
            real = self.real(&real.join("index.html"))?;
            metadata = fs::metadata(&real).map_err(status_of)?;
            if !path.ends_with('/') {
                return Ok(Found::Folder);
            }
        } else if path.ends_with('/') {
            return Err(Status::NOT_FOUND);
        }
        // To open a pipe would wait for who writes into it.
        if !metadata.is_file() {
            return Err(Status::NOT_FOUND);
        }
        let mut file = File::open(&real).map_err(status_of)?;
        let length = metadata.len();
        let beginning_length = length.min(beginning_max as u64);
        let mut beginning = Vec::with_capacity(beginning_length as usize);
        let read = (&mut file)
            .take(beginning_length)
            .read_to_end(&mut beginning);
        read.map_err(status_of)?;
        Ok(Found::File {
            file,
            length,
            content_type: content_type(&real),
            beginning,
        })
    }

    /// The real path, if it is below the folder.
    fn real(&self, path: &Path) -> Result<PathBuf, Status> {
        // Also a name that is too long, or links that go round in a circle.
        let real = fs::canonicalize(path).map_err(|_| Status::NOT_FOUND)?;
        real.starts_with(&self.root)
            .then_some(real)
            .ok_or(Status::NOT_FOUND)
    }
}

/// Visitors are not told the difference between what is not there and what they may not see.
fn status_of(error: io::Error) -> Status {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | PermissionDenied | NotADirectory => Status::NOT_FOUND,
        _ => Status::INTERNAL_ERROR,
    }
}

/// The path below the folder, or `None` for one that nobody has a reason to ask for.
fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    if path == "/" {
        return Some(relative);
    }
    let names = path.strip_prefix('/')?;
    let names = names.strip_suffix('/').unwrap_or(names);
    for name in names.split('/') {
        let name = decoded(name)?;
        let is_safe = !name.is_empty()
            && name[0] != b'.'
            && !name.iter().any(|byte| matches!(byte, b'/' | 0));
        if !is_safe {
            return None;
        }
        relative.push(OsStr::from_bytes(&name));
    }
    Some(relative)
}

/// Undoes percent-encoding, once; `None` if a `%` has no two digits behind it.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || (bytes.next()? as char).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit()? * 16 + digit()?) as u8,
            other => other,
        });
    }
    Some(decoded)
}

/// By the ending of the name; a browser is not left to guess what an unknown one is.
fn content_type(path: &Path) -> &'static str {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "rs" | "toml" | "log" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_the_folder_are_taken_apart() {
        for (path, expected) in [
            ("/", ""),
            ("/a", "a"),
            ("/a/b.txt", "a/b.txt"),
            ("/a/", "a"),
            ("/%61%2e", "a."),
            ("/a%20b", "a b"),
            ("/a+b", "a+b"),
            ("/%C3%A9", "é"),
            ("/a%252e", "a%2e"), // once, not twice
            ("/a..b", "a..b"),
        ] {
            assert_eq!(relative(path), Some(PathBuf::from(expected)), "{path}");
        }
    }

    #[test]
    fn ways_out_of_the_folder_are_no_paths() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/.",
            "/./a",
            "/.git/config",
            "/%2e%2e/a",
            "/%2E%2e%2fa",
            "/a/.%2e/b",
            "/a%2fb",
            "/a%2F..%2F..%2Fetc",
            "/a%00.txt",
            "/a//b",
            "//etc/passwd",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
        ] {
            assert_eq!(relative(path), None, "{path}");
        }
    }

    #[test]
    fn endings_of_any_case_have_their_types() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.JPG", "image/jpeg"),
            ("a.tar.gz", "application/gzip"),
            ("a", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("html", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
    }
}
