//! Party: one who waits at a channel, to send or to receive; alone, or as one case of a selection.
//!
//! Pure. PARTY-1: who takes a party out of a line claims it, under the channel's latch: one that waits for this channel
//! alone is claimed by being in the line, one case of a selection by the token that all its cases share, whose state
//! leaves `WAITING` once. Who claimed it writes `how` (and the message), and then owes what `payee` names: to set
//! `ready`, and the wake.
//! PARTY-2: a case whose token is another's by now is taken out of the line and left alone: its owner may go on.
//! PARTY-3: the owner of a token that leaves by itself moves it to `ABORTED`; if that fails, somebody has claimed it,
//! and the owner waits to be let go.
//! PARTY-4: between claim and payment there may be any time, if the one who claimed it is a sender that selects, and
//! has yet to come up with its message. So who was claimed waits for `ready`, and only then spins for the last touch.

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

use crate::fiber::header::Header;
use crate::fiber::owed::Owed;
use crate::fiber::waiters::{Waiter, Waiters};
use crate::primitive::{AtomicU32, Ordering};

const WAITING: u32 = 0;
const ABORTED: u32 = 1;
/// And the number of the case.
const SELECTED: u32 = 2;

/// What one who was claimed is owed.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) owed: Owed,
    ready: AtomicU32,
}

impl Due {
    fn new() -> Self {
        Self {
            owed: Owed::new(),
            ready: AtomicU32::new(0),
        }
    }

    /// See PARTY-4.
    pub(crate) fn is_ready(&self) -> bool {
        // Acquire: pairs with Payee::announce.
        self.ready.load(Ordering::Acquire) != 0
    }
}

/// What the cases of one selection share.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) due: Due,
    state: AtomicU32,
}

impl Token {
    /// For that fiber, or plain thread.
    pub(crate) fn new(me: *const Header) -> Self {
        let due = Due::new();
        due.owed.set(me);
        Self {
            due,
            state: AtomicU32::new(WAITING),
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        // Relaxed: who acts on it claims.
        self.state.load(Ordering::Relaxed) == WAITING
    }

    fn claim(&self, case: u32) -> bool {
        self.leave_waiting(SELECTED + case)
    }

    /// By the owner: true if nobody has claimed it, and nobody will.
    pub(crate) fn abort(&self) -> bool {
        self.leave_waiting(ABORTED)
    }

    fn leave_waiting(&self, state: u32) -> bool {
        // AcqRel: who claims sees what the owner wrote into its case, and the owner, by `due`, what was done to it.
        self.state
            .compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// By the owner, once it was let go: which case it is.
    pub(crate) fn selected(&self) -> Option<usize> {
        // Relaxed: ordered by `due`.
        self.state
            .load(Ordering::Relaxed)
            .checked_sub(SELECTED)
            .map(|case| case as usize)
    }
}

/// What became of a party.
#[derive(Debug)]
pub(crate) enum How<T> {
    /// Nothing yet.
    Waits,
    /// The message has changed hands.
    Passed,
    /// The other side is gone.
    Closed,
    /// A sender that selects: there is a place in the buffer for its message.
    Promised,
    /// A sender that selects, or that was told so before it has a message: this receiver waits for it.
    Paired(*const Record<T>),
    /// A receiver that was promised a message that does not come: it begins again.
    Again,
}

// By hand: a message need not be `Copy`, there is none in it.
impl<T> Clone for How<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for How<T> {}

/// See the head of the file.
pub(crate) struct Party<T> {
    /// A sender's, until it is taken; a receiver's, once it is there.
    message: UnsafeCell<Option<T>>,
    how: Cell<How<T>>,
    token: Cell<*const Token>,
    case: Cell<u32>,
    /// Of one that waits alone.
    pub(crate) due: Due,
}

// SAFETY: the cells are used under the channel's latch, then by who claimed the party, then by its owner (PARTY-1).
unsafe impl<T: Send> Sync for Party<T> {}

pub(crate) type Record<T> = Waiter<Party<T>>;
pub(crate) type Parties<T> = Waiters<Party<T>>;

/// Whom to wake, once the latch is free.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Payee(NonNull<Due>);

impl Payee {
    /// Says that the claimed party can go on, once it is paid: by what is returned.
    ///
    /// # Safety
    /// It has not been paid yet.
    #[inline(always)]
    pub(crate) unsafe fn announce(self) -> *const Owed {
        // SAFETY: its owner stays until it is let go.
        let due = unsafe { self.0.as_ref() };
        // Release: publishes message and `how`.
        due.ready.store(1, Ordering::Release);
        &raw const due.owed
    }
}

impl<T> Party<T> {
    pub(crate) fn new(message: Option<T>) -> Self {
        Self {
            message: UnsafeCell::new(message),
            how: Cell::new(How::Waits),
            token: Cell::new(ptr::null()),
            case: Cell::new(0),
            due: Due::new(),
        }
    }

    /// By its owner, while it is in no line: it begins anew, as that case of that selection (null: alone).
    pub(crate) fn begin(&self, token: *const Token, case: usize) {
        self.how.set(How::Waits);
        self.token.set(token);
        self.case.set(case as u32);
        self.due.ready.store(0, Ordering::Relaxed);
    }

    /// By its owner, before or after its stay, or by who claimed it.
    pub(crate) fn how(&self) -> How<T> {
        self.how.get()
    }

    pub(crate) fn set_how(&self, how: How<T>) {
        self.how.set(how);
    }

    /// True if it waits for this channel alone.
    pub(crate) fn is_alone(&self) -> bool {
        self.token.get().is_null()
    }

    /// Of a sender, while the buffer is empty: true if a receiver gets its message straight.
    pub(crate) fn may_hand_over(&self, capacity: usize) -> bool {
        capacity == 0 || self.is_alone()
    }

    /// True if somebody else's claim could succeed; `me`: the token of who asks.
    pub(crate) fn is_open_to(&self, me: *const Token) -> bool {
        let token = self.token.get();
        // SAFETY: in a line, so its owner has not left (WAITERS-1).
        token.is_null() || (token != me && unsafe { &*token }.is_waiting())
    }

    /// Of a sender: false if it is a selection of that very fiber, or plain thread. That waits further down on the same
    /// stack, and has no message before those above it have returned: a call that it serves, perhaps.
    pub(crate) fn may_meet(&self, me: *const Header) -> bool {
        let token = self.token.get();
        // SAFETY: as above.
        token.is_null() || !ptr::eq(unsafe { &*token }.due.owed.waiter(), me)
    }

    /// Who waits by that selection.
    pub(crate) fn selects_for(&self) -> *const Header {
        let token = self.token.get();
        // SAFETY: by its owner, whose token it is.
        unsafe { token.as_ref() }.map_or(ptr::null(), |token| token.due.owed.waiter())
    }

    /// Under the latch, of a case of a selection.
    #[inline(never)]
    fn claim_token(&self) -> bool {
        // SAFETY: in a line until now, so its owner has not left (WAITERS-1).
        unsafe { &*self.token.get() }.claim(self.case.get())
    }

    /// # Safety
    /// The caller is who may use it now (PARTY-1).
    #[inline]
    pub(crate) unsafe fn put(&self, message: T) {
        // SAFETY: by contract.
        unsafe { *self.message.get() = Some(message) };
    }

    /// # Safety
    /// As [`put`](Self::put).
    #[inline]
    pub(crate) unsafe fn take(&self) -> Option<T> {
        // SAFETY: by contract.
        unsafe { (*self.message.get()).take() }
    }
}

/// Takes the first party out that can be claimed; those of PARTY-2 go, too. Under the latch.
#[inline(always)]
pub(crate) fn claim_first<T>(line: &mut Parties<T>) -> Option<*const Record<T>> {
    loop {
        let record = line.pop_front()?;
        // SAFETY: was in the line, under its latch, and its owner needs the latch to leave.
        let party = unsafe { &(*record).what };
        if party.token.get().is_null() || party.claim_token() {
            return Some(record);
        }
    }
}

/// As [`claim_first`], of the senders that `me` may meet.
pub(crate) fn claim_first_for<T>(
    line: &mut Parties<T>,
    me: *const Header,
) -> Option<*const Record<T>> {
    loop {
        let record = line.take(|party| party.may_meet(me))?;
        // SAFETY: as above.
        let party = unsafe { &(*record).what };
        if party.is_alone() || party.claim_token() {
            return Some(record);
        }
    }
}

/// Whom to wake for that party.
///
/// # Safety
/// Claimed by the caller, who has not paid yet.
#[inline(always)]
pub(crate) unsafe fn payee<T>(record: *const Record<T>) -> Payee {
    // SAFETY: by contract its owner stays.
    let party = unsafe { &(*record).what };
    let token = party.token.get();
    if token.is_null() {
        Payee(NonNull::from(&party.due))
    } else {
        // SAFETY: the token lies in the owner's frame, too.
        Payee(NonNull::from(unsafe { &(*token).due }))
    }
}
