//! Signals that somebody listens for. Not faults: those are `signal.rs`.
//!
//! A signal comes in one of two ways, and a thread of its own brings both to the callback from above:
//!
//! | its receivers | way |
//! |---|---|
//! | some thread has it open | the kernel runs our handler there, which notes it and rings the bell |
//! | every thread blocks it | it stays pending, and the signalfd becomes readable |
//!
//! Signals belong to the process, so there is one signalfd, one bell and one thread for all machines, and for those
//! who listen without one. With several signalfds one would take what another's reader waits for; a machine's own
//! poller would have to hand on what others listen for, and could be gone meanwhile.
//!
//! The handler is async-signal-safe: it takes no lock, allocates nothing, leaves errno as it was, and calls the
//! handler that it has replaced. It runs on the thread's alternate stack, as fibers' stacks may be small, and is not
//! interrupted by other signals, as alternate stacks may be small too.
//!
//! LISTEN-1: a signal is noted before the bell rings; the thread silences the bell before it looks. So what it did
//! not see rings after it has looked.
//! LISTEN-2: `PREVIOUS` of a signal is null or a leaked, never changed action, set before our handler can run.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::poll::{Bell, block_on_any};
use super::signal::{action, call_action};
use super::thread::spawn_named;

/// One more than the highest signal.
const SIGNALS: usize = 65;

/// What the C library and this one keep for themselves, and what cannot be caught.
const FORBIDDEN: [c_int; 8] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    // Of the C library's threads.
    32,
    33,
];

/// The numbers that have names.
pub(crate) mod number {
    pub(crate) use libc::{
        SIGABRT, SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGPROF, SIGPWR,
        SIGQUIT, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2,
        SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
    };
}

/// A set of signals: number `n` is bit `n - 1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Set(u64);

impl Set {
    /// Adds one.
    ///
    /// # Errors
    /// `InvalidInput`: there is no such signal, or nobody may listen for it.
    pub(crate) fn add(&mut self, signal: i32) -> io::Result<()> {
        if !(1..SIGNALS as i32).contains(&signal) || FORBIDDEN.contains(&signal) {
            let text = format!("signal {signal} cannot be listened for");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.0 |= bit(signal);
        Ok(())
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What it has in common with another.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// As bits.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// As numbers, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = i32> {
        (1..SIGNALS as i32).filter(move |&signal| self.0 & bit(signal) != 0)
    }

    fn as_kernel(self) -> libc::sigset_t {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset makes the set, and sigaddset gets one that is made. It refuses what is the C library's.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in self.iter() {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            set.assume_init()
        }
    }
}

/// The bit of a signal in [`Set::bits`].
pub(crate) fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// What the handler has noted and the thread has not yet seen.
static CAME: AtomicU64 = AtomicU64::new(0);
/// There before the first handler; neither is ever closed.
static BELL: OnceLock<Bell> = OnceLock::new();
static SIGNALFD: OnceLock<OwnedFd> = OnceLock::new();
/// LISTEN-2.
static PREVIOUS: [AtomicPtr<libc::sigaction>; SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];
static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    listeners: [0; SIGNALS],
    ours: 0,
    runs: false,
});
/// What `block` has blocked somewhere.
static BLOCKED: AtomicU64 = AtomicU64::new(0);

struct Registry {
    /// How many listen for each signal.
    listeners: [u32; SIGNALS],
    /// The signals whose action is ours, or was when last we looked.
    ours: u64,
    /// The thread runs.
    runs: bool,
}

/// The handler does not take this lock, so it may be held while a signal comes.
fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: errno is a live variable of this thread.
    let errno = unsafe { *libc::__errno_location() };
    // Noted already: whoever noted it rings (LISTEN-1).
    if CAME.fetch_or(bit(signal), Ordering::AcqRel) & bit(signal) == 0
        && let Some(bell) = BELL.get()
    {
        bell.ring();
    }
    if let Some(previous) = previous_of(signal) {
        call_action(previous, signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// What we have replaced, if it is a handler to be called.
fn previous_of(signal: c_int) -> Option<&'static libc::sigaction> {
    let previous = PREVIOUS.get(signal as usize)?;
    // Acquire: pairs with Release in `Registry::install`.
    // SAFETY: LISTEN-2.
    unsafe { previous.load(Ordering::Acquire).as_ref() }.filter(|previous| is_handler(previous))
}

fn is_handler(action: &libc::sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

fn our_handler() -> libc::sighandler_t {
    on_signal as *const () as libc::sighandler_t
}

impl Registry {
    fn set(&self) -> Set {
        let listened = (1..SIGNALS).filter(|&signal| self.listeners[signal] != 0);
        Set(listened.fold(0, |set, signal| set | bit(signal as c_int)))
    }

    /// One more listens for that signal.
    fn listen(&mut self, signal: c_int) -> io::Result<()> {
        if self.listeners[signal as usize] == 0 {
            self.install(signal)?;
        }
        self.listeners[signal as usize] += 1;
        Ok(())
    }

    fn install(&mut self, signal: c_int) -> io::Result<()> {
        let found = action(signal, None)?;
        if self.ours & bit(signal) != 0 && is_handler(&found) {
            // Ours, or one over ours (`unlisten`).
            return Ok(());
        }
        remember(signal, &found);
        // SAFETY: a plain C struct; all zero is the default action with an empty mask.
        let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        ours.sa_sigaction = our_handler();
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // Everything but faults, in place of what a handler that we call wants blocked: an alternate stack of std's
        // has room for two or three of the frames that signals leave there, not for one of each kind.
        ours.sa_mask = all_but_faults();
        let replaced = action(signal, Some(&ours))?;
        // Nearly always the same again, unless another thread was quicker between the two.
        remember(signal, &replaced);
        self.ours |= bit(signal);
        Ok(())
    }

    /// One fewer. After the last one the signal does what it did before.
    fn unlisten(&mut self, signal: c_int) {
        let listeners = &mut self.listeners[signal as usize];
        *listeners -= 1;
        if *listeners != 0 {
            return;
        }
        // Somebody's handler over ours may call it: ours stays below then, and calls what was there before. It is
        // not put over that one later, or the two would call each other for ever.
        let on_top = action(signal, None).is_ok_and(|now| now.sa_sigaction == our_handler());
        // SAFETY: LISTEN-2.
        let previous = unsafe { PREVIOUS[signal as usize].load(Ordering::Acquire).as_ref() };
        if on_top
            && let Some(previous) = previous
            && action(signal, Some(previous)).is_ok()
        {
            self.ours &= !bit(signal);
        }
    }

    /// Has the signalfd show what somebody listens for, and nothing else.
    fn update_signalfd(&self) -> io::Result<()> {
        let set = self.set().as_kernel();
        let old = SIGNALFD.get().map_or(-1, AsRawFd::as_raw_fd);
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: -1 or a signalfd that is never closed, and a set that is made.
        let fd = unsafe { libc::signalfd(old, &raw const set, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        if old < 0 {
            // SAFETY: new, and nobody else's. Under the registry's lock, so it is the only one.
            let _ = SIGNALFD.set(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        Ok(())
    }
}

fn all_but_faults() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset makes the set before it is used otherwise.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            libc::sigdelset(set.as_mut_ptr(), fault);
        }
        set.assume_init()
    }
}

/// Stores what we have found, if it is not what we know.
fn remember(signal: c_int, found: &libc::sigaction) {
    let place = &PREVIOUS[signal as usize];
    // SAFETY: LISTEN-2.
    let known = unsafe { place.load(Ordering::Acquire).as_ref() };
    let same = known.is_some_and(|known| {
        known.sa_sigaction == found.sa_sigaction && known.sa_flags == found.sa_flags
    });
    if !same && found.sa_sigaction != our_handler() {
        // Leaked: a handler may read it at any time (LISTEN-2). Once for each handler that a program installs.
        place.store(Box::into_raw(Box::new(*found)), Ordering::Release);
    }
}

/// Somebody listens for these signals, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening(Set);

/// Begins to listen: from now on `tell` is called, by a thread of this file, for signals that have come. It must be
/// the same function every time. Signals coalesce; after the last one of a kind it is told once more.
///
/// # Errors
/// No more descriptors, no memory, no room for the thread, or the kernel refuses a handler (a sandbox).
pub(crate) fn listen(set: Set, tell: fn(Set)) -> io::Result<Listening> {
    if BELL.get().is_none() {
        // If another was quicker, its bell is as good.
        let _ = BELL.set(Bell::new()?);
    }
    // Dropped, it takes back what was done; after the lock, which that takes.
    let mut listening = Listening(Set(0));
    let mut registry = registry();
    for signal in set.iter() {
        registry.listen(signal)?;
        listening.0.0 |= bit(signal);
    }
    registry.update_signalfd()?;
    if !registry.runs {
        spawn_named("fibers-signal".to_owned(), move || bring(tell))?;
        registry.runs = true;
    }
    Ok(listening)
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut registry = registry();
        for signal in self.0.iter() {
            registry.unlisten(signal);
        }
        // A descriptor that is there takes a new set, whatever else there is no room for.
        let _ = registry.update_signalfd();
    }
}

/// The thread. It never ends: as soon as nobody listens it has nothing to do.
fn bring(tell: fn(Set)) {
    // So that it is never the one that has a signal open, nor interrupted by one.
    let _ = change_mask(libc::SIG_BLOCK, Set(u64::MAX));
    let (Some(bell), Some(signalfd)) = (BELL.get(), SIGNALFD.get()) else {
        return;
    };
    loop {
        block_on_any([bell.as_fd(), signalfd.as_fd()]);
        // LISTEN-1.
        bell.silence();
        let came = CAME.swap(0, Ordering::AcqRel) | read_pending(signalfd);
        if came != 0 {
            tell(Set(came));
        }
    }
}

/// Takes what is pending because every thread blocks it.
fn read_pending(signalfd: &OwnedFd) -> u64 {
    let mut came = 0;
    let mut infos = [const { MaybeUninit::<libc::signalfd_siginfo>::uninit() }; 8];
    loop {
        // SAFETY: the kernel writes no more than the length of the buffer.
        let bytes = unsafe {
            libc::read(
                signalfd.as_raw_fd(),
                infos.as_mut_ptr().cast(),
                size_of_val(&infos),
            )
        };
        let read = usize::try_from(bytes).unwrap_or(0) / size_of_val(&infos[0]);
        for info in &infos[..read] {
            // SAFETY: the kernel has filled so many.
            came |= bit(unsafe { info.assume_init() }.ssi_signo as c_int);
        }
        // Nothing interrupts this thread. What is left makes the descriptor readable.
        if read < infos.len() {
            return came;
        }
    }
}

/// Blocks these signals in the calling thread, and the threads that it starts from now on.
///
/// # Errors
/// None for a well-formed set.
pub(crate) fn block(set: Set) -> io::Result<()> {
    BLOCKED.fetch_or(set.0, Ordering::Relaxed);
    change_mask(libc::SIG_BLOCK, set)
}

/// What `block` has blocked so far.
pub(crate) fn blocked() -> Set {
    Set(BLOCKED.load(Ordering::Relaxed))
}

/// Opens these signals in the calling thread. Async-signal-safe: for a child before it becomes another program.
pub(crate) fn unblock(set: Set) -> io::Result<()> {
    change_mask(libc::SIG_UNBLOCK, set)
}

fn change_mask(how: c_int, set: Set) -> io::Result<()> {
    let set = set.as_kernel();
    // SAFETY: a set that is made; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
