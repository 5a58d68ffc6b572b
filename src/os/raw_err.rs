//! Writing to standard error from a signal handler.
//!
//! Not a `fmt::Write`: formatting code may panic, and nothing that runs in a handler may. No lock,
//! no allocation; the only call is `write(2)`.

/// Ends the process with a message, from wherever.
pub(crate) fn die(message: &str) -> ! {
    let mut err = RawErr::new();
    err.push_str(message);
    err.flush();
    std::process::abort();
}

/// Collects a message in a fixed buffer and writes it in one piece when it fits.
pub(crate) struct RawErr {
    buffer: [u8; RawErr::BYTES],
    used: usize,
}

impl RawErr {
    /// Longer messages go out in several writes.
    const BYTES: usize = 512;

    /// An empty message.
    pub(crate) const fn new() -> Self {
        Self {
            buffer: [0; Self::BYTES],
            used: 0,
        }
    }

    /// Appends text.
    pub(crate) fn push_str(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    /// Appends bytes as they are.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.used == Self::BYTES {
                self.flush();
            }
            if let Some(place) = self.buffer.get_mut(self.used) {
                *place = byte;
                self.used += 1;
            }
        }
    }

    /// Appends a number in decimal.
    pub(crate) fn push_u64(&mut self, number: u64) {
        let mut number = number;
        let mut divisor = 1;
        while number / divisor >= 10 {
            divisor *= 10;
        }
        while divisor > 0 {
            self.push_bytes(&[b'0' + (number / divisor) as u8]);
            number %= divisor;
            divisor /= 10;
        }
    }

    /// Writes what was collected to standard error. What cannot be written is lost: there is nobody
    /// to tell.
    pub(crate) fn flush(&mut self) {
        let mut start = 0;
        while let Some(rest) = self
            .buffer
            .get(start..self.used)
            .filter(|rest| !rest.is_empty())
        {
            // SAFETY: `rest` is a live slice, and the kernel reads no more than its length.
            let written = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            match written {
                1.. => start += written as usize,
                _ if written < 0 && last_errno() == libc::EINTR => {}
                _ => break,
            }
        }
        self.used = 0;
    }
}

/// errno, without std's detour.
fn last_errno() -> i32 {
    // SAFETY: errno is a live variable of this thread.
    unsafe { *libc::__errno_location() }
}
