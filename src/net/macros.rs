//! What is the same, word for word, in several of this room's types: conversions, settings, streams.
//!
//! Each type is a newtype of `Socket` of std's type.

/// Conversions from and into descriptors and std's type; and what every socket can do.
macro_rules! every_socket {
    ($name:ident, $std:ty) => {
        impl $name {
            /// A second handle of the same socket.
            ///
            /// As in std it is a descriptor of its own of the same open socket, with which it shares all settings:
            /// the time-outs and the non-blocking mode too. Fibers may wait on several of them at once.
            ///
            /// # Errors
            /// No more descriptors.
            pub fn try_clone(&self) -> io::Result<Self> {
                Ok(Self(self.0.try_clone()?))
            }

            /// The error that the socket has met since the last call, if any, which is forgotten by it. Never blocks.
            ///
            /// # Errors
            /// It is no socket.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.0.std().take_error()
            }

            /// With `true`: from now on calls on this socket, and on its clones, that would have to wait return
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) instead. Never blocks; calls that wait already go on.
            ///
            /// To the kernel the socket is non-blocking in either mode.
            ///
            /// # Errors
            /// None.
            pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                self.0.set_nonblocking(nonblocking);
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.fd().as_raw_fd()
            }
        }

        /// The descriptor becomes non-blocking; the kernel's time-outs of the socket become those of this type.
        /// A socket that was in non-blocking mode waits from now on. Whoever else has the same open socket (a clone
        /// made before, another process) sees its mode change.
        impl From<$std> for $name {
            fn from(socket: $std) -> Self {
                Self(Socket::adopt(socket))
            }
        }

        /// The descriptor becomes blocking, unless [`set_nonblocking(true)`]($name::set_nonblocking) was called, and
        /// the time-outs become the kernel's. Clones that stay behind see that mode too: a listener's would hold up
        /// their worker when they accept, so convert all of them or none.
        impl From<$name> for $std {
            fn from(socket: $name) -> Self {
                socket.0.release()
            }
        }

        /// As from std's type.
        impl From<OwnedFd> for $name {
            fn from(fd: OwnedFd) -> Self {
                <$std>::from(fd).into()
            }
        }

        /// As into std's type.
        impl From<$name> for OwnedFd {
            fn from(socket: $name) -> Self {
                <$std>::from(socket).into()
            }
        }

        /// As from std's type.
        impl FromRawFd for $name {
            unsafe fn from_raw_fd(fd: RawFd) -> Self {
                // SAFETY: the same contract.
                unsafe { OwnedFd::from_raw_fd(fd) }.into()
            }
        }

        /// As into std's type.
        impl IntoRawFd for $name {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }
    };
}

/// Time-outs.
macro_rules! timeouts {
    ($name:ident) => {
        impl $name {
            /// How long a call that reads or receives waits at the longest: then it fails with
            /// [`WouldBlock`](io::ErrorKind::WouldBlock), as in std on Unix. `None`: for ever. Shared with clones;
            /// counts from the next call. Never blocks.
            ///
            /// Where the time is to count for several calls together, put them into a
            /// [`timeout`](crate::timeout).
            ///
            /// # Errors
            /// `InvalidInput`: a time of zero.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_timeout(Direction::Read, timeout)
            }

            /// As [`set_read_timeout`](Self::set_read_timeout), for calls that write or send: so long they wait
            /// for room, or for their turn, until part is written.
            ///
            /// # Errors
            /// As there.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_timeout(Direction::Write, timeout)
            }

            /// What [`set_read_timeout`](Self::set_read_timeout) has set; exactly that, where std rounds it.
            ///
            /// # Errors
            /// None.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.0.timeout(Direction::Read))
            }

            /// What [`set_write_timeout`](Self::set_write_timeout) has set; exactly that.
            ///
            /// # Errors
            /// None.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.0.timeout(Direction::Write))
            }
        }
    };
}

/// Streams of bytes: `$read` is the `Socket` method that reads.
macro_rules! stream {
    ($name:ident, |$socket:ident, $buffer:ident| $read:expr) => {
        /// *Blocks* the fiber until there is something to read, or the end. *Cancellation* and deadlines unwind out of
        /// the wait, and then nothing has been read.
        impl Read for &$name {
            fn read(&mut self, $buffer: &mut [u8]) -> io::Result<usize> {
                let $socket = &self.0;
                $read
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.0.read_vectored(buffers)
            }
        }

        /// *Blocks* the fiber until everything is written, as with a blocking descriptor; less is written only if an
        /// error or a time-out comes in between. *Cancellation* and deadlines unwind out of the wait; how much has
        /// been written by then is not known.
        ///
        /// One write after the other: what one `write`, `write_vectored` or `write_all` writes is not torn apart
        /// by others on this socket and its clones, who wait their turn, first come first served. (`write!` makes
        /// several writes. In non-blocking mode there are no turns.) A call of the library that runs on the stack of
        /// a fiber while it writes must not write to the same socket: it would wait for itself.
        impl Write for &$name {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes)
            }

            fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                self.0.write_vectored(pieces)
            }

            fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                self.0.write_all(bytes)
            }

            /// Does nothing: nothing is kept back.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        /// As for a shared reference.
        impl Read for $name {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        /// As for a shared reference.
        impl Write for $name {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                (&*self).write(bytes)
            }

            fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(pieces)
            }

            fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                (&*self).write_all(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// The endless iterator over a listener's connections.
macro_rules! incoming {
    ($listener:ident, $stream:ident, $std:literal, $len_min:expr) => {
        #[doc = concat!("Connections as they come, without end. As [`", $std, "`].")]
        #[derive(Debug)]
        pub struct Incoming<'a> {
            listener: &'a $listener,
        }

        /// *Blocks* the fiber until a connection comes. An error does not end the iteration.
        impl Iterator for Incoming<'_> {
            type Item = io::Result<$stream>;

            fn next(&mut self) -> Option<Self::Item> {
                Some(self.listener.accept().map(|(stream, _)| stream))
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                ($len_min, None)
            }
        }

        impl FusedIterator for Incoming<'_> {}
    };
}

pub(super) use {every_socket, incoming, stream, timeouts};
