//! Directories: read on an offload thread, many entries at a time.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use crate::blocking::blocking;
use crate::fs::{FileType, Metadata};

/// How many entries are read ahead: enough that the way to the offload thread does not count.
const BATCH: usize = 128;

/// The entries of a directory. As [`std::fs::ReadDir`]; made by [`read_dir`](crate::fs::read_dir).
///
/// Entries are read some hundred at a time, ahead of the iteration, so a change of the directory meanwhile may
/// go unseen; std's reads ahead too, by the kernel's buffer. *Blocks* the fiber only.
pub struct ReadDir {
    /// `None`: read to the end.
    source: Option<std::fs::ReadDir>,
    ready: VecDeque<io::Result<DirEntry>>,
}

impl ReadDir {
    /// On an offload thread: opens the directory and reads the first entries.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut dir = Self {
            source: Some(std::fs::read_dir(path)?),
            ready: VecDeque::new(),
        };
        dir.fill();
        Ok(dir)
    }

    /// On an offload thread.
    fn fill(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        self.ready.extend(
            source
                .by_ref()
                .take(BATCH)
                .map(|entry| entry.map(DirEntry::new)),
        );
        if self.ready.len() < BATCH {
            self.source = None;
        }
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        if self.ready.is_empty() && self.source.is_some() {
            blocking(|| self.fill());
        }
        self.ready.pop_front()
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir")
            .field("source", &self.source)
            .field("ready", &self.ready.len())
            .finish()
    }
}

/// An entry of a directory. As [`std::fs::DirEntry`].
pub struct DirEntry {
    entry: std::fs::DirEntry,
    /// As the directory knows it. Some file systems do not tell, or the entry was gone already.
    file_type: Option<FileType>,
}

impl DirEntry {
    /// On an offload thread: the type may have to be asked for.
    fn new(entry: std::fs::DirEntry) -> Self {
        Self {
            file_type: entry.file_type().ok(),
            entry,
        }
    }

    /// The directory's path with the entry's name. As [`std::fs::DirEntry::path`]. Never blocks.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The entry's name. As [`std::fs::DirEntry::file_name`]. Never blocks.
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// What is known of the file, or of a link itself. As [`std::fs::DirEntry::metadata`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        blocking(|| self.entry.metadata())
    }

    /// What the entry was when the directory was read. As [`std::fs::DirEntry::file_type`]. *Blocks* the fiber, only
    /// if it could not be told then.
    ///
    /// # Errors
    /// As std's.
    pub fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => blocking(|| self.entry.file_type()),
        }
    }
}

impl DirEntryExt for DirEntry {
    fn ino(&self) -> u64 {
        self.entry.ino()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}
