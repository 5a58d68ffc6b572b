//! Memory from the kernel: reserve, release, guard, discard.
//!
//! Not an allocator: it hands out whole pages and remembers nothing about them. Callers above own
//! every range they name. Any thread may call. All memory is private, anonymous, not reserved
//! against swap and without huge pages; all reservations have the same attributes, so that
//! neighbours merge into one mapping of the process.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};

/// `MADV_GUARD_INSTALL` of Linux 6.13; the `libc` crate does not name it.
const MADV_GUARD_INSTALL: i32 = 102;
/// How often a call is repeated that the kernel answers with "try again".
const RETRIES_MAX: u32 = 1_000;

/// The size of a page in bytes, a power of two.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// Maps `bytes` of zeroed memory, readable and writable, aligned to a page.
///
/// # Errors
/// ENOMEM: address space, mappings, or (with strict overcommit) memory are exhausted.
pub(crate) fn reserve(bytes: usize) -> io::Result<NonNull<u8>> {
    fail::check(fail::Call::Mmap)?;
    // STACK means "no huge pages" since Linux 6.7. Set here, and not only by the advice below, the
    // new mapping has its neighbours' attributes from the start and merges with them.
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for, so the kernel picks one that nothing else uses.
    let memory = unsafe { mm::mmap_anonymous(ptr::null_mut(), bytes, access, flags) }?;
    // For older kernels. Refused where huge pages are not compiled in, and then not needed.
    // SAFETY: the range was mapped just above; the advice changes no contents.
    let _ = unsafe { mm::madvise(memory, bytes, Advice::LinuxNoHugepage) };
    NonNull::new(memory.cast()).ok_or_else(|| io::Error::from(Errno::NOMEM))
}

/// Unmaps a range.
///
/// # Errors
/// ENOMEM: the range lies inside a mapping and cutting it out would exceed `vm.max_map_count`.
///
/// # Safety
/// The whole range came from [`reserve`], and nothing refers to it any more.
pub(crate) unsafe fn release(start: NonNull<u8>, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller gives up the range, which is a mapping of ours.
    Ok(unsafe { mm::munmap(start.as_ptr().cast(), bytes) }?)
}

/// Makes a range fault on access by markers in the page tables: no mapping is split. The markers
/// survive [`discard`].
///
/// # Errors
/// EINVAL: the kernel has no such markers (before Linux 6.13), or the memory is locked.
/// ENOMEM: no memory for page tables.
///
/// # Safety
/// The range is page aligned, came from [`reserve`], and nothing refers to it any more.
pub(crate) unsafe fn install_guard_marker(start: NonNull<u8>, bytes: usize) -> io::Result<()> {
    fail::check(fail::Call::GuardMarker)?;
    // SAFETY: the caller owns the range and has no use for its contents, which are dropped.
    retry(|| unsafe { libc::madvise(start.as_ptr().cast(), bytes, MADV_GUARD_INSTALL) })
}

/// Makes a range fault on access by taking away its permissions, which splits its mapping in up to
/// three.
///
/// # Errors
/// ENOMEM, with [`too_many_mappings`]'s text: see there.
///
/// # Safety
/// As for [`install_guard_marker`].
pub(crate) unsafe fn protect_none(start: NonNull<u8>, bytes: usize) -> io::Result<()> {
    fail::check(fail::Call::Protect).map_err(explain_protect)?;
    // SAFETY: the caller owns the range and makes no more access to it.
    let done = unsafe { mm::mprotect(start.as_ptr().cast(), bytes, MprotectFlags::empty()) };
    done.map_err(|errno| explain_protect(errno.into()))
}

/// Gives the memory of a range back; it reads as zero from then on. Guards inside it stay.
///
/// # Errors
/// EINVAL: the memory is locked (`mlockall`).
///
/// # Safety
/// The range is page aligned, came from [`reserve`], and nothing relies on its contents.
pub(crate) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller owns the range and has no use for its contents.
    retry(|| unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) })
}

/// Whether the word at `address` can be read, asked of the kernel: no fault, whatever the answer.
pub(crate) fn is_readable(address: *const AtomicU32) -> bool {
    let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let no_wait = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: four arguments with the kernel's types; the kernel checks the address by itself, and
    // it only reads there. A timeout of zero: the call never blocks.
    let done = unsafe { libc::syscall(libc::SYS_futex, address, op, 0, &raw const no_wait) };
    done == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT)
}

/// The most mappings a process may have, `vm.max_map_count`; none when it cannot be read.
pub(crate) fn max_map_count() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The error for "no more mappings", which names the limit, its value and the ways out.
#[cold]
pub(crate) fn too_many_mappings() -> io::Error {
    let now = max_map_count().map_or("not readable".to_owned(), |count| format!("now {count}"));
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!(
            "cannot protect the guard of a stack: too many memory mappings; raise \
             vm.max_map_count ({now}), for example `sysctl -w vm.max_map_count=1000000`, or run \
             Linux 6.13 or later, where guards need no mappings"
        ),
    )
}

/// ENOMEM of mprotect means the limit of mappings in practice: the caller's memory stays mapped, so
/// the kernel's only other need is some bytes of its own.
#[cold]
fn explain_protect(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => too_many_mappings(),
        _ => error,
    }
}

/// Repeats a call that returns 0 or sets errno, while it says "interrupted" or "try again".
fn retry(mut call: impl FnMut() -> i32) -> io::Result<()> {
    for _ in 0..RETRIES_MAX {
        if call() == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) {
            return Err(error);
        }
    }
    Err(Errno::AGAIN.into())
}

/// Fault injection for tests: makes the k-th call of a kind fail.
///
/// Off by default, and then one relaxed load per call that could fail. Process-wide, so a test that
/// arms it needs a process of its own.
pub(crate) mod fail {
    use std::io;
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

    use rustix::io::Errno;

    /// The calls that can be made to fail.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[repr(usize)]
    pub(crate) enum Call {
        /// Mapping memory, in `memory::reserve`.
        Mmap = 0,
        /// `memory::install_guard_marker`.
        GuardMarker = 1,
        /// `memory::protect_none`.
        Protect = 2,
        /// `thread::spawn_named`.
        ThreadSpawn = 3,
        /// `poll::Poll::new`.
        Epoll = 4,
        /// `poll::Timer::new`.
        Timerfd = 5,
        /// `poll::Bell::new`.
        Eventfd = 6,
    }

    /// How many kinds are armed. Zero nearly always: the one load in `check`.
    static ARMED: AtomicU32 = AtomicU32::new(0);
    /// Calls of each kind until the one that fails (1 = the next one); 0 = not armed.
    static COUNTDOWN: [AtomicU64; 7] = [const { AtomicU64::new(0) }; 7];
    // Relaxed throughout: the counters guard no other memory, and each is changed by
    // read-modify-write, so that exactly one call meets the end of a countdown.

    /// Makes the `k`-th call of this kind from now on fail with ENOMEM, that one only. `k` = 1 is
    /// the next call; `k` = 0 takes the order back.
    pub(crate) fn set(call: Call, k: u64) {
        let before = COUNTDOWN[call as usize].swap(k, Relaxed);
        match (before, k) {
            (0, 1..) => _ = ARMED.fetch_add(1, Relaxed),
            (1.., 0) => _ = ARMED.fetch_sub(1, Relaxed),
            _ => {}
        }
    }

    /// How many calls of this kind are left until the one that fails; 0 when it has failed, or was
    /// never asked to.
    pub(crate) fn calls_left(call: Call) -> u64 {
        COUNTDOWN[call as usize].load(Relaxed)
    }

    /// Called first by each call that can be made to fail.
    #[inline]
    pub(crate) fn check(call: Call) -> io::Result<()> {
        if ARMED.load(Relaxed) == 0 {
            Ok(())
        } else {
            check_slow(call)
        }
    }

    #[cold]
    fn check_slow(call: Call) -> io::Result<()> {
        let countdown = &COUNTDOWN[call as usize];
        match countdown.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(1) => {
                ARMED.fetch_sub(1, Relaxed);
                Err(Errno::NOMEM.into())
            }
            _ => Ok(()),
        }
    }
}
