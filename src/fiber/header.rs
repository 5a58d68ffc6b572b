//! The fiber's header: the part of a fiber's cell that does not depend on its closure's type.
//!
//! One heap cell holds the header and, behind it, first the closure, later the result (`cell.rs`). Nothing
//! else is allocated for a fiber that has no name, no locals and no calls, and is awaited by no waker.
//!
//! Who may touch what:
//!
//! | field | may be used by |
//! |---|---|
//! | `word`, `priority`, `id`, `cold` | anyone who holds a reference |
//! | `link` | the inbox protocol (WORD-1, WORD-3) |
//! | `next` | whoever owns the list the fiber is in |
//! | `home` | written by the worker that starts it (floating: that resumes it); read by anyone |
//! | `state`, `mask`, `reasons` | HOME: the home worker's thread only (pinned fibers) |
//! | `runner`, `scope`, `started` | the worker that runs it, or that has just taken it out of a queue |
//! | `alarm` | `alarm.rs` |
//! | `joiner` | OWED-1: the joiner before `wait_join`, then the finisher that saw it. Null: a waker, `awaiter.rs` |
//! | `ends`, `blocks_on` | the fiber itself |
//!
//! | state (pinned) | means | stack belongs to |
//! |---|---|---|
//! | Fresh | queued, never ran | nobody: there is none |
//! | Running | current on its home | itself |
//! | Ready | in its home's ready list | the home |
//! | Parked | switched out, waits for an accepted reason | the home |
//! | Over | ended | nobody: it went to the next fiber |

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::fiber::alarm::AlarmSlot;
use crate::fiber::cold::Cold;
use crate::fiber::owed::Owed;
use crate::fiber::priority::Priority;
use crate::fiber::reasons::Reasons;
use crate::fiber::runner::Runner;
use crate::fiber::scope::ScopeWord;
use crate::fiber::word::{Kind, Word};
use crate::os;
use crate::queue::heap::Placed;
use crate::queue::inbox::Linked;
use crate::queue::lists::Queued;

/// A worker, seen from below: the machine casts it back.
#[derive(Debug)]
pub(crate) struct Home(());

/// The state of a pinned fiber. See the head of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Fresh,
    Running,
    Ready,
    Parked,
    Over,
}

/// How the fiber came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Origin {
    #[default]
    Spawned,
    /// By `spawn_local`: its home is fixed before it starts.
    Local,
    /// Runs the second half of a `join`, whose caller waits for it.
    Job,
}

/// How the fiber ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Returned,
    Panicked,
    Cancelled,
}

/// The part of a fiber that knows the types of its closure and result.
#[derive(Debug)]
pub(crate) struct Vtable {
    /// Runs the closure (or only drops it, if the second argument says that the fiber was cancelled
    /// before it began) and stores the result in its place. Never unwinds.
    pub run: unsafe fn(*const Header, cancelled: bool) -> Ending,
    /// Drops the stored result; true if it was a panic that nobody has seen.
    pub drop_result: unsafe fn(*const Header) -> bool,
    /// Drops the closure of a fiber that cannot start, and stores the text as if it had panicked.
    pub fail: unsafe fn(*const Header, String),
    /// Frees the cell.
    pub free: unsafe fn(*const Header),
    /// The distance from the header to the result, in bytes.
    pub result_offset: usize,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Header {
    pub word: Word,
    link: AtomicPtr<Header>,
    next: Cell<*mut Header>,
    pub home: AtomicPtr<Home>,
    pub vtable: &'static Vtable,
    pub runner: Cell<*const Runner>,
    /// Who joins it.
    pub joiner: Owed,
    pub scope: Cell<*const ScopeWord>,
    cold: AtomicPtr<Cold>,
    /// When it is to be woken, and for whose deadlines.
    pub alarm: AlarmSlot,
    /// The futex of a fiber that blocks its thread; of no use to others.
    pub futex: AtomicU32,
    pub state: Cell<State>,
    priority: AtomicU8,
    /// Stack size class.
    pub class: u8,
    pub origin: Origin,
    /// A `block_on` is under way on it.
    pub blocks_on: Cell<bool>,
    pub mask: Cell<u16>,
    pub reasons: Cell<u16>,
    /// Has passed its first wait (WORD-2).
    pub absorbed: Cell<bool>,
    /// What may unwind it at a wait: `CANCEL` unless it is shielded, `TIMEOUT` if a deadline is in force.
    pub ends: Cell<u16>,
}

// With a result of two words a cell is two cache lines.
const _: () = assert!(size_of::<Header>() == 112);

// SAFETY: the table at the head of the file says which thread may use which field and when.
unsafe impl Sync for Header {}
// SAFETY: as above; the closure and result behind the header have their own bounds at the spawn calls.
unsafe impl Send for Header {}

// SAFETY: `link` is used by the inbox only.
unsafe impl Linked for Header {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

// SAFETY: `next` is used by the lists only.
unsafe impl Queued for Header {
    fn next(&self) -> &Cell<*mut Self> {
        &self.next
    }
}

// SAFETY: `row` is used by the heaps only.
unsafe impl Placed for Header {
    fn row(&self) -> &Cell<u32> {
        self.alarm.row()
    }

    fn fetch(node: *const Self) {
        os::prefetch(node.cast());
        os::prefetch(node.cast::<u8>().wrapping_add(64));
    }

    fn fetch_near(&self) {
        // It has started, and keeps its stack until it ends: this is read by whoever has the heap.
        Runner::prefetch(self.runner.get());
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Header {
    /// Inlined, so that it is written where the cell lies.
    #[inline]
    pub(crate) fn new(vtable: &'static Vtable, kind: Kind, joinable: bool, new: NewFiber) -> Self {
        // One reference for the scheduler (or the thread itself), one for the join handle.
        let refs = if joinable { 2 } else { 1 };
        Self {
            word: Word::new(kind, refs, joinable),
            link: AtomicPtr::new(ptr::null_mut()),
            next: Cell::new(ptr::null_mut()),
            home: AtomicPtr::new(ptr::null_mut()),
            vtable,
            runner: Cell::new(ptr::null()),
            joiner: Owed::new(),
            scope: Cell::new(ptr::null()),
            cold: AtomicPtr::new(match new.name {
                Some(name) => Box::into_raw(Box::new(Cold::named(name))),
                None => ptr::null_mut(),
            }),
            alarm: AlarmSlot::new(new.epoch),
            futex: AtomicU32::new(0),
            state: Cell::new(State::Fresh),
            priority: AtomicU8::new(new.priority.level()),
            class: new.class,
            origin: new.origin,
            blocks_on: Cell::new(false),
            mask: Cell::new(0),
            reasons: Cell::new(0),
            absorbed: Cell::new(false),
            ends: Cell::new(match kind {
                // A plain thread is nobody's to cancel.
                Kind::Thread => 0,
                _ => Reasons::CANCEL.0,
            }),
        }
    }

    /// The id, drawn when it is first asked for: most fibers of a million are never asked, and a counter
    /// that every spawn increments would be the most contended word of the machine.
    pub(crate) fn id(&self) -> u64 {
        let id = &self.cold_or_new().id;
        // Relaxed: the number carries no other data.
        let known = id.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let fresh = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        match id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(first) => first,
        }
    }

    #[inline]
    pub(crate) fn priority(&self) -> Priority {
        // Relaxed: takes effect whenever the scheduler next looks.
        Priority::from_level(self.priority.load(Ordering::Relaxed))
    }

    pub(crate) fn set_priority(&self, priority: Priority) {
        self.priority.store(priority.level(), Ordering::Relaxed);
    }

    /// The rarely used part, if it exists.
    #[inline]
    pub(crate) fn cold(&self) -> Option<&Cold> {
        // Acquire: pairs with the exchange in cold_or_new.
        let cold = self.cold.load(Ordering::Acquire);
        // SAFETY: set once, freed with the cell, which the caller's borrow keeps alive.
        unsafe { cold.as_ref() }
    }

    /// The rarely used part, made if it does not exist. Any thread that holds a reference.
    pub(crate) fn cold_or_new(&self) -> &Cold {
        if let Some(cold) = self.cold() {
            return cold;
        }
        let fresh = Box::into_raw(Box::<Cold>::default());
        match self.cold.compare_exchange(
            ptr::null_mut(),
            fresh,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            // SAFETY: just stored; lives as long as the cell.
            Ok(_) => unsafe { &*fresh },
            Err(first) => {
                // SAFETY: never published.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: stored by the other thread; lives as long as the cell.
                unsafe { &*first }
            }
        }
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        let cold = *self.cold.get_mut();
        if !cold.is_null() {
            // SAFETY: stored by new or cold_or_new, freed here only.
            drop(unsafe { Box::from_raw(cold) });
        }
    }
}

/// What a spawn call decides about a fiber.
#[derive(Debug, Default)]
pub(crate) struct NewFiber {
    pub name: Option<String>,
    pub priority: Priority,
    pub class: u8,
    pub origin: Origin,
    /// How often all fibers of the machine have been cancelled.
    pub epoch: u16,
}

/// One counted reference to a fiber (or to a plain thread that uses this library).
#[derive(Debug)]
pub(crate) struct FiberRef(ptr::NonNull<Header>);

// SAFETY: the reference count is atomic and Header is Sync.
unsafe impl Send for FiberRef {}
// SAFETY: as above.
unsafe impl Sync for FiberRef {}
// Nothing behind a handle is left half-changed by a panic: as std's `Thread`, it may cross `catch_unwind`.
impl std::panic::UnwindSafe for FiberRef {}
impl std::panic::RefUnwindSafe for FiberRef {}

impl FiberRef {
    /// Adds a reference.
    ///
    /// # Safety
    /// The header is alive.
    pub(crate) unsafe fn retain(header: *const Header) -> Self {
        // SAFETY: alive by contract.
        let header = unsafe { ptr::NonNull::from(&*header) };
        // SAFETY: alive by contract.
        unsafe { header.as_ref() }.word.retain();
        Self(header)
    }

    /// Takes over a reference that was counted already.
    ///
    /// # Safety
    /// The caller owns one reference and gives it up.
    pub(crate) unsafe fn from_owned(header: *const Header) -> Self {
        // SAFETY: alive, as the caller owns a reference.
        Self(unsafe { ptr::NonNull::from(&*header) })
    }

    pub(crate) fn as_ptr(&self) -> *const Header {
        self.0.as_ptr()
    }
}

impl std::ops::Deref for FiberRef {
    type Target = Header;
    fn deref(&self) -> &Header {
        // SAFETY: the counted reference keeps it alive.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for FiberRef {
    fn clone(&self) -> Self {
        // SAFETY: alive through self.
        unsafe { Self::retain(self.as_ptr()) }
    }
}

impl Drop for FiberRef {
    fn drop(&mut self) {
        // SAFETY: this reference is given up here.
        unsafe { release(self.as_ptr()) }
    }
}

/// Gives up one reference, and frees the cell with the last one.
///
/// # Safety
/// The caller owns the reference.
pub(crate) unsafe fn release(header: *const Header) {
    // SAFETY: alive until the reference is gone.
    let vtable = unsafe { &*header }.vtable;
    // SAFETY: as above.
    if unsafe { &*header }.word.release() {
        // SAFETY: nobody else has a reference.
        unsafe { (vtable.free)(header) }
    }
}
