//! Faults: SIGSEGV and SIGBUS, and the stacks their handlers run on.
//!
//! Knows nothing of fibers: a callback from above looks at each fault and gives a [`Verdict`]. Not
//! the place for other signals.
//!
//! What happens to a fault that is [`Verdict::NotOurs`], by the action found at installation:
//!
//! | previous action | the kernel raised it (`code` > 0)  | a process sent it (`kill`)           |
//! |-----------------|------------------------------------|--------------------------------------|
//! | default         | default again, return: the access  | default again, sent again: the       |
//! |                 | repeats and the process dies of it | process dies of it                   |
//! | ignore          | as default: Linux ignores no fault | ignored                              |
//! | a handler       | called                             | called; if it returns, our handler   |
//! |                 |                                    | is put back should it be gone        |
//!
//! What the kernel raised without saying where (SI_KERNEL) is sent again after that: it may not repeat by itself.
//!
//! Everything that runs inside the handler is async-signal-safe: it takes no lock, allocates
//! nothing, and leaves errno as it was. Any thread may be interrupted.
//!
//! SIG-1: `PREVIOUS[i]` is null or points to a leaked, never changed `sigaction`, and is set before
//! our handler can run for that signal.

use std::ffi::{c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, transmute};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::memory;

/// The signals we handle; the index of each is its place in [`PREVIOUS`].
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];
/// Each signal's own action before ours (SIG-1). Null stands for the default action.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];
/// The callback from above. Set before our handler can run.
static CALLBACK: OnceLock<fn(&Fault) -> Verdict> = OnceLock::new();

/// One fault, as the kernel describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The address whose access faulted. Only of use when the kernel raised the signal.
    pub(crate) address: usize,
    /// `si_code`: above zero when the kernel raised the signal.
    pub(crate) code: i32,
    /// SIGSEGV or SIGBUS.
    pub(crate) signal: i32,
}

impl Fault {
    /// Whether a process sent the signal, by `kill` and its kin: there was no faulty access.
    pub(crate) fn is_sent(&self) -> bool {
        self.code <= 0
    }
}

/// What the callback made of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Verdict {
    /// It has been reported: let the process die of the signal.
    Report,
    /// Let the previous action have it.
    NotOurs,
}

/// Installs the fault handler, once for the process: later calls change nothing and succeed.
///
/// `callback` runs inside a signal handler, on any thread: it must be async-signal-safe.
///
/// # Errors
/// The kernel refuses a handler (a sandbox).
pub(crate) fn install_segv_handler(callback: fn(&Fault) -> Verdict) -> io::Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        CALLBACK.get_or_init(|| callback);
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            remember(index, action(signal, None)?);
            let replaced = action(signal, Some(&our_action(index)))?;
            // Nearly always the same again, unless another thread was quicker between the two.
            if replaced.sa_sigaction != our_handler() {
                remember(index, replaced);
            }
        }
        *installed = true;
    }
    Ok(())
}

/// Stores the previous action of a signal.
fn remember(index: usize, previous: libc::sigaction) {
    // Leaked: a handler may read it at any time, to the end of the process (SIG-1).
    let previous = Box::into_raw(Box::new(previous));
    // Release: pairs with Acquire in `previous_of`; publishes the action.
    PREVIOUS[index].store(previous, Ordering::Release);
}

/// The previous action of a signal; none for the default.
fn previous_of(index: usize) -> Option<&'static libc::sigaction> {
    // Acquire: pairs with Release in `remember`.
    // SAFETY: SIG-1: null or a leaked action that nobody changes.
    unsafe { PREVIOUS[index].load(Ordering::Acquire).as_ref() }
}

/// Our handler as the number the kernel knows it by.
fn our_handler() -> libc::sighandler_t {
    on_fault as *const () as libc::sighandler_t
}

/// Our action: on the alternate stack, and blocking what the previous action wants blocked, so that
/// a chained handler runs as it expects. A fault inside the handler is not taken again (no
/// SA_NODEFER): the kernel kills the process then, which beats a loop.
fn our_action(index: usize) -> libc::sigaction {
    // SAFETY: a plain C struct; all zero is the default action with an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = our_handler();
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    if let Some(previous) = previous_of(index) {
        action.sa_mask = previous.sa_mask;
    }
    action
}

/// Sets a signal's action, or only asks for it, and returns the one before.
pub(super) fn action(signal: c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut old = MaybeUninit::uninit();
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `new` is null or a valid action whose handler is a function of ours or the default;
    // `old` has room for one.
    if unsafe { libc::sigaction(signal, new, old.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled `old`.
    Ok(unsafe { old.assume_init() })
}

/// The handler. Runs on the interrupted thread, on its alternate stack if it has one.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: errno is a live variable of this thread.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: with SA_SIGINFO the kernel passes a filled description; for a sent signal the address
    // field holds other bits of it, which is allowed, and `is_sent` tells.
    let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
    let fault = Fault {
        address,
        code,
        signal,
    };
    let index = usize::from(signal == libc::SIGBUS);
    match CALLBACK.get().map(|callback| callback(&fault)) {
        // The access repeats on return, meets the default action, and the process dies of it.
        Some(Verdict::Report) => restore_default(signal),
        Some(Verdict::NotOurs) | None => {
            chain(index, &fault, info, context);
            if code == libc::SI_KERNEL {
                // Perhaps no access that repeats: the kernel had no room on this stack for the frame of another
                // signal's handler, and has dropped that signal.
                // SAFETY: `raise` has no preconditions and is async-signal-safe.
                unsafe { libc::raise(signal) };
            }
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Hands a fault to the previous action; the table at the head of the file.
fn chain(index: usize, fault: &Fault, info: *mut libc::siginfo_t, context: *mut c_void) {
    let default = || {
        restore_default(fault.signal);
        if fault.is_sent() {
            // Nothing repeats by itself. The signal is blocked while we are in the handler, so this
            // one arrives as soon as it returns.
            // SAFETY: `raise` has no preconditions and is async-signal-safe.
            unsafe { libc::raise(fault.signal) };
        }
    };
    let Some(previous) = previous_of(index) else {
        return default();
    };
    match previous.sa_sigaction {
        libc::SIG_IGN if fault.is_sent() => {}
        libc::SIG_DFL | libc::SIG_IGN => default(),
        _ => {
            call_previous(index, previous, fault.signal, info, context);
            if fault.is_sent() {
                // std's handler, for one, sets the default action for anything it does not know.
                // Right for a fault, which repeats; after a sent signal the process goes on, and
                // must not go on without us.
                put_back(index);
            }
        }
    }
}

/// Calls a previous handler with what the kernel gave us, under the flags it was installed with.
fn call_previous(
    index: usize,
    previous: &libc::sigaction,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    if previous.sa_flags & libc::SA_RESETHAND != 0 {
        // It asked to be called once only. Release as in `remember`, though null publishes nothing.
        PREVIOUS[index].store(ptr::null_mut(), Ordering::Release);
    }
    call_action(previous, signal, info, context);
}

/// Calls a handler with what the kernel gave us, under the flags it was installed with. It is one: neither the
/// default action nor to ignore.
pub(super) fn call_action(
    previous: &libc::sigaction,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    if previous.sa_flags & libc::SA_NODEFER != 0 {
        let mut only = MaybeUninit::uninit();
        // SAFETY: the set is made by sigemptyset before its other uses; all three calls are
        // async-signal-safe. The mask is the interrupted code's again once we return.
        unsafe {
            libc::sigemptyset(only.as_mut_ptr());
            libc::sigaddset(only.as_mut_ptr(), signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
        }
    }
    let handler = previous.sa_sigaction;
    if previous.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: neither default nor ignore (the caller looked), so it is the address of a handler,
        // and by its flag one of three arguments.
        let handler = unsafe { transmute::<libc::sighandler_t, Handler>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above; without the flag it takes one argument.
        let handler = unsafe { transmute::<libc::sighandler_t, extern "C" fn(c_int)>(handler) };
        handler(signal);
    }
}

/// Makes our handler the action again if it is not.
fn put_back(index: usize) {
    let signal = SIGNALS[index];
    if action(signal, None).is_ok_and(|now| now.sa_sigaction != our_handler()) {
        let _ = action(signal, Some(&our_action(index)));
    }
}

/// Gives a signal its default action.
fn restore_default(signal: c_int) {
    // SAFETY: a plain C struct; all zero is the default action with an empty mask.
    let default: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // The only error would be a bad signal number.
    let _ = action(signal, Some(&default));
}

/// Bytes of an alternate stack of ours, above its guard. The registers alone may take 11 KiB.
const ALTSTACK_BYTES: usize = 64 << 10;
/// A present alternate stack smaller than this (std's often is) is replaced: chained handlers,
/// crash reporters among them, get room too.
const ALTSTACK_ENOUGH_BYTES: usize = 32 << 10;

/// Keeps the calling thread's alternate signal stack; see [`ensure_altstack`].
#[must_use]
#[derive(Debug)]
pub(crate) struct AltStack {
    /// The mapping we made, and the setting that it replaced.
    ours: Option<(NonNull<u8>, libc::stack_t)>,
    /// The setting belongs to the thread: must be dropped where it was made.
    _not_send: PhantomData<*mut ()>,
}

/// Makes sure that the calling thread has an alternate signal stack of useful size, until the
/// result is dropped on the same thread.
///
/// Does nothing when memory for it is refused: faults still kill the process then, only an
/// overflow dies unreported.
pub(crate) fn ensure_altstack() -> AltStack {
    AltStack {
        ours: install_altstack(),
        _not_send: PhantomData,
    }
}

/// The current setting of this thread.
fn current_altstack() -> Option<libc::stack_t> {
    let mut current = MaybeUninit::uninit();
    // SAFETY: only asks; `current` has room for the answer.
    let done = unsafe { libc::sigaltstack(ptr::null(), current.as_mut_ptr()) };
    // SAFETY: filled when the call succeeded.
    (done == 0).then(|| unsafe { current.assume_init() })
}

/// Installs a stack of ours unless there is a good one.
fn install_altstack() -> Option<(NonNull<u8>, libc::stack_t)> {
    let old = current_altstack()?;
    let disabled = old.ss_flags & libc::SS_DISABLE != 0;
    if !disabled && old.ss_size >= ALTSTACK_ENOUGH_BYTES {
        return None;
    }
    let guard_bytes = memory::page_size();
    let start = memory::reserve(guard_bytes + ALTSTACK_BYTES).ok()?;
    // Without its guard the stack still serves, only an overflow of the handler would go unnoticed.
    // SAFETY: the first page of a mapping made just above, that nothing refers to.
    let _ = unsafe { memory::protect_none(start, guard_bytes) };
    let new = libc::stack_t {
        // SAFETY: the guard is a part of the mapping, and the stack is what follows.
        ss_sp: unsafe { start.add(guard_bytes) }.as_ptr().cast(),
        ss_flags: 0,
        ss_size: ALTSTACK_BYTES,
    };
    // SAFETY: `new` describes memory that stays mapped until `AltStack::drop` has unset it.
    if unsafe { libc::sigaltstack(&raw const new, ptr::null_mut()) } != 0 {
        // SAFETY: the kernel has refused the memory, so nothing refers to it.
        let _ = unsafe { memory::release(start, guard_bytes + ALTSTACK_BYTES) };
        return None;
    }
    Some((start, old))
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let Some((start, old)) = self.ours.take() else {
            return;
        };
        let guard_bytes = memory::page_size();
        let ours = start.as_ptr() as usize + guard_bytes;
        if current_altstack().is_none_or(|now| now.ss_sp as usize != ours) {
            // Somebody has installed another and may mean to put ours back: leak it.
            return;
        }
        // SAFETY: the old setting was this thread's own before us, kept alive by its maker.
        if unsafe { libc::sigaltstack(&raw const old, ptr::null_mut()) } == 0 {
            // SAFETY: our mapping, no longer this thread's alternate stack, and we do not run on
            // it: the kernel would have refused the call above.
            let _ = unsafe { memory::release(start, guard_bytes + ALTSTACK_BYTES) };
        }
    }
}
