//! `File`: std's, with every call that may wait for the disk made on an offload thread.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::blocking::blocking;
use crate::fs::{FileTimes, Metadata, OpenOptions, Permissions, TryLockError};
use crate::machine::park;
use crate::time::sleep;

/// How long a fiber that waits for a file's lock sleeps between two tries, at first and at most.
const LOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// An open file. As [`std::fs::File`]: reads and writes through the traits of [`std::io`], on `File` and `&File`, and
/// at offsets through [`FileExt`].
///
/// Every call *blocks* the fiber only. Not buffered: each `read` and `write` is a call to an offload thread. The calls
/// for a whole piece (`read_to_end`, `read_exact`, `write_all`, `write!`) are one each, however large.
/// Dropping it closes it, on the spot; errors of that are ignored, use [`sync_all`](Self::sync_all).
pub struct File(std::fs::File);

impl File {
    /// Opens for reading. As [`std::fs::File::open`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn open<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        blocking(|| std::fs::File::open(path)).map(Self)
    }

    /// Opens for writing, empty, and makes the file if need be. As [`std::fs::File::create`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn create<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        blocking(|| std::fs::File::create(path)).map(Self)
    }

    /// Makes a file that was not there, for reading and writing. As [`std::fs::File::create_new`]. *Blocks* the fiber
    /// only.
    ///
    /// # Errors
    /// As std's; one is that it is there.
    pub fn create_new<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        blocking(|| std::fs::File::create_new(path)).map(Self)
    }

    /// Other ways to open. As [`std::fs::File::options`].
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Brings data and metadata to the disk. As [`std::fs::File::sync_all`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn sync_all(&self) -> io::Result<()> {
        blocking(|| self.0.sync_all())
    }

    /// Brings data to the disk. As [`std::fs::File::sync_data`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn sync_data(&self) -> io::Result<()> {
        blocking(|| self.0.sync_data())
    }

    /// Cuts or extends the file. As [`std::fs::File::set_len`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        blocking(|| self.0.set_len(size))
    }

    /// What is known of the file. As [`std::fs::File::metadata`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        blocking(|| self.0.metadata())
    }

    /// A second handle, with the same place in the file. As [`std::fs::File::try_clone`]. Never blocks.
    ///
    /// # Errors
    /// As std's.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Changes the permissions. As [`std::fs::File::set_permissions`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn set_permissions(&self, perm: Permissions) -> io::Result<()> {
        blocking(|| self.0.set_permissions(perm))
    }

    /// Changes the times. As [`std::fs::File::set_times`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        blocking(|| self.0.set_times(times))
    }

    /// Changes the time of the last change. As [`std::fs::File::set_modified`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        blocking(|| self.0.set_modified(time))
    }

    /// Locks the file for this handle alone. As [`std::fs::File::lock`]. *Blocks* the fiber only.
    ///
    /// While somebody else has the lock, the fiber tries again after 1 ms, later every 50 ms, and may be cancelled or
    /// time out: an offload thread that waited for it could not be called back, and many such waits would leave no
    /// thread for the one who has the lock.
    ///
    /// # Errors
    /// As std's.
    pub fn lock(&self) -> io::Result<()> {
        self.lock_by(std::fs::File::lock, std::fs::File::try_lock)
    }

    /// Locks the file for those who only read. As [`std::fs::File::lock_shared`]; waits as [`lock`](Self::lock).
    ///
    /// # Errors
    /// As std's.
    pub fn lock_shared(&self) -> io::Result<()> {
        self.lock_by(std::fs::File::lock_shared, std::fs::File::try_lock_shared)
    }

    fn lock_by(
        &self,
        wait: fn(&std::fs::File) -> io::Result<()>,
        ask: fn(&std::fs::File) -> Result<(), TryLockError>,
    ) -> io::Result<()> {
        if park::running().is_none() {
            return blocking(|| wait(&self.0));
        }
        let (mut pause, longest) = LOCK_PAUSE;
        loop {
            match blocking(|| ask(&self.0)) {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => sleep(pause),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            pause = (pause * 2).min(longest);
        }
    }

    /// Locks the file for this handle alone, if nobody has it locked. As [`std::fs::File::try_lock`].
    /// *Blocks* the fiber only, and not for the lock.
    ///
    /// # Errors
    /// As std's.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        blocking(|| self.0.try_lock())
    }

    /// Locks the file for those who only read, if nobody has it alone. As [`std::fs::File::try_lock_shared`].
    /// *Blocks* the fiber only, and not for the lock.
    ///
    /// # Errors
    /// As std's.
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        blocking(|| self.0.try_lock_shared())
    }

    /// Gives the lock back. As [`std::fs::File::unlock`]. *Blocks* the fiber only.
    ///
    /// # Errors
    /// As std's.
    pub fn unlock(&self) -> io::Result<()> {
        blocking(|| self.0.unlock())
    }
}

impl Read for &File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        blocking(|| (&self.0).read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        blocking(|| (&self.0).read_vectored(bufs))
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        blocking(|| (&self.0).read_to_end(buf))
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        blocking(|| (&self.0).read_to_string(buf))
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        blocking(|| (&self.0).read_exact(buf))
    }
}

impl Write for &File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        blocking(|| (&self.0).write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(|| (&self.0).write_vectored(bufs))
    }

    /// Nothing to do, as in std: `sync_all` is another matter.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        blocking(|| (&self.0).write_all(buf))
    }

    /// In one piece, where std makes a system call for each part of the text.
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        if let Some(text) = args.as_str() {
            return self.write_all(text.as_bytes());
        }
        let mut text = String::new();
        let formatted = fmt::write(&mut text, args);
        self.write_all(text.as_bytes())?;
        // As std's, down to the text.
        assert!(
            formatted.is_ok(),
            "a formatting trait implementation returned an error when the underlying stream did not"
        );
        Ok(())
    }
}

impl Seek for &File {
    /// Not in place, though it is but a number that changes: it waits for a read or write that another fiber makes
    /// through the same handle.
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        blocking(|| (&self.0).seek(pos))
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(buf)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        (&*self).read_exact(buf)
    }
}

impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        (&*self).write_all(buf)
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        (&*self).write_fmt(args)
    }
}

impl Seek for File {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        (&*self).seek(pos)
    }
}

impl FileExt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        blocking(|| self.0.read_at(buf, offset))
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        blocking(|| self.0.read_exact_at(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        blocking(|| self.0.write_at(buf, offset))
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        blocking(|| self.0.write_all_at(buf, offset))
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller's promise is passed on: it owns the descriptor and gives it up.
        Self(unsafe { std::fs::File::from_raw_fd(fd) })
    }
}

impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        Self(file)
    }
}

impl From<File> for std::fs::File {
    fn from(file: File) -> Self {
        file.0
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl From<File> for OwnedFd {
    fn from(file: File) -> Self {
        file.0.into()
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        file.0.into()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
