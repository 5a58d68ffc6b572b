//! Files and directories: `std::fs` for fibers. Write `use fibers::fs;` where a program says `use std::fs;`.
//!
//! Signatures, results and errors are std's. Each call is made on an offload thread ([`blocking`](crate::blocking)),
//! so it *blocks* the calling fiber only (a plain thread makes it in place). Linux has no readiness for files: a read
//! waits for the disk in the system call, and would hold up the worker and all of its fibers.
//!
//! ```
//! use fibers::fs::{self, File};
//! use std::io::{BufRead, BufReader, BufWriter, Write};
//!
//! let dir = std::env::temp_dir().join(format!("fibers-fs-{}", std::process::id()));
//! fs::create_dir_all(&dir)?;
//! let mut file = BufWriter::new(File::create(dir.join("numbers"))?);
//! for number in 0..1000 {
//!     writeln!(file, "{number}")?;
//! }
//! file.flush()?;
//! let lines = BufReader::new(File::open(dir.join("numbers"))?).lines();
//! assert_eq!(lines.count(), 1000);
//! fs::remove_dir_all(&dir)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A call costs about a microsecond more than std's, and more where the machine is busy: use `BufReader` and
//! `BufWriter`, or [`read`] and [`write()`] of a whole file. A longer piece of work on files is best put into one
//! [`blocking`](crate::blocking) with `std::fs` in it; so are the few calls that are not mirrored here (links and
//! owners of `std::os::unix::fs`).
//!
//! *Cancellation*, and deadlines ([`timeout`](crate::timeout)): a call that begins when they have come unwinds before it
//! does anything. One that has begun is not ended: the kernel may be writing into your buffer. It returns when it is
//! done, and the next wait unwinds. So a deadline does not help against a file system that hangs.
//!
//! A [`File`] that is no file on a disk (a FIFO, a terminal) may wait for long: each such call keeps one offload thread,
//! of which there are 512. In place run only duplicating and closing a file, and what needs no system call.

// | file | what it holds |
// |---|---|
// | `file` | `File`, and the traits of std that it implements |
// | `options` | `OpenOptions`, `DirBuilder`: how files and directories are made |
// | `dir` | `ReadDir`, `DirEntry` |

mod dir;
mod file;
mod options;

use std::io;
use std::path::{Path, PathBuf};

pub use std::fs::{FileTimes, FileType, Metadata, Permissions, TryLockError};

pub use dir::{DirEntry, ReadDir};
pub use file::File;
pub use options::{DirBuilder, OpenOptions};

use crate::blocking::blocking;

/// The whole file. As [`std::fs::read`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn read<P: AsRef<Path>>(path: P) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    blocking(|| std::fs::read(path))
}

/// The whole file as text. As [`std::fs::read_to_string`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's; one is that the file is not UTF-8.
pub fn read_to_string<P: AsRef<Path>>(path: P) -> io::Result<String> {
    let path = path.as_ref();
    blocking(|| std::fs::read_to_string(path))
}

/// Makes these the contents of the file. As [`std::fs::write`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn write<P: AsRef<Path>, C: AsRef<[u8]>>(path: P, contents: C) -> io::Result<()> {
    let (path, contents) = (path.as_ref(), contents.as_ref());
    blocking(|| std::fs::write(path, contents))
}

/// Copies a file with its permissions; how many bytes. As [`std::fs::copy`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn copy<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    blocking(|| std::fs::copy(from, to))
}

/// Renames, and replaces what has the new name. As [`std::fs::rename`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn rename<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    blocking(|| std::fs::rename(from, to))
}

/// A second name for a file. As [`std::fs::hard_link`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn hard_link<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    let (original, link) = (original.as_ref(), link.as_ref());
    blocking(|| std::fs::hard_link(original, link))
}

/// Makes a directory. As [`std::fs::create_dir`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn create_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref();
    blocking(|| std::fs::create_dir(path))
}

/// Makes a directory and what is missing above it. As [`std::fs::create_dir_all`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn create_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref();
    blocking(|| std::fs::create_dir_all(path))
}

/// Removes a file. As [`std::fs::remove_file`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn remove_file<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref();
    blocking(|| std::fs::remove_file(path))
}

/// Removes an empty directory. As [`std::fs::remove_dir`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn remove_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref();
    blocking(|| std::fs::remove_dir(path))
}

/// Removes a directory with all that is in it. As [`std::fs::remove_dir_all`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn remove_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref();
    blocking(|| std::fs::remove_dir_all(path))
}

/// The absolute path, without links. As [`std::fs::canonicalize`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn canonicalize<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    let path = path.as_ref();
    blocking(|| std::fs::canonicalize(path))
}

/// Where a symbolic link points. As [`std::fs::read_link`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn read_link<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    let path = path.as_ref();
    blocking(|| std::fs::read_link(path))
}

/// What is known of a file; follows links. As [`std::fs::metadata`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    let path = path.as_ref();
    blocking(|| std::fs::metadata(path))
}

/// What is known of a file, or of a link itself. As [`std::fs::symlink_metadata`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn symlink_metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    let path = path.as_ref();
    blocking(|| std::fs::symlink_metadata(path))
}

/// Changes the permissions of a file. As [`std::fs::set_permissions`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn set_permissions<P: AsRef<Path>>(path: P, perm: Permissions) -> io::Result<()> {
    let path = path.as_ref();
    blocking(|| std::fs::set_permissions(path, perm))
}

/// Whether there is such a file; follows links. As [`std::fs::exists`]. *Blocks* the fiber only.
///
/// # Errors
/// As std's.
pub fn exists<P: AsRef<Path>>(path: P) -> io::Result<bool> {
    let path = path.as_ref();
    blocking(|| std::fs::exists(path))
}

/// The entries of a directory. As [`std::fs::read_dir`]. *Blocks* the fiber only, here and in the iteration.
///
/// # Errors
/// As std's.
pub fn read_dir<P: AsRef<Path>>(path: P) -> io::Result<ReadDir> {
    let path = path.as_ref();
    blocking(|| ReadDir::open(path))
}
