//! Once: as std's, for initializers that may wait.
//!
//! The protocol is `raw_once.rs`.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};

use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::machine::park;
use crate::sync::crowd::Place;
use crate::sync::pay::pay_out;
use crate::sync::raw_once::{RawOnce, State};
use crate::wait::cancel::{self, Me};
use crate::wait::line::{Early, stay};

/// Something that is done once, whoever asks for it. As [`std::sync::Once`].
///
/// What is done may wait: the others that ask for it wait as fibers do. It is poisoned by a panic; one that is
/// *cancelled*, or unwound by a deadline, leaves it as if it had never begun, and the next that asks does it.
///
/// Asking for it again from inside waits for ever, as with std's.
///
/// ```
/// use fibers::sync::Once;
///
/// static START: Once = Once::new();
/// let fibers: Vec<_> = (0..3).map(|_| fibers::spawn(|| START.call_once(|| println!("once")))).collect();
/// fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
/// assert!(START.is_completed());
/// ```
pub struct Once {
    raw: RawOnce,
}

impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// What the closure of [`Once::call_once_force`] is told. As [`std::sync::OnceState`].
pub struct OnceState {
    poisoned: bool,
    /// As std's: it stays with the closure.
    not_sync: PhantomData<Cell<()>>,
}

/// Initial value of a static [`Once`]. As [`std::sync::ONCE_INIT`].
#[deprecated(since = "1.38.0", note = "the `Once::new()` function is now preferred")]
#[expect(
    clippy::declare_interior_mutable_const,
    reason = "std has it, and it is copied where it is used"
)]
pub const ONCE_INIT: Once = Once::new();

impl Once {
    /// One that nobody has asked for.
    #[inline]
    #[must_use]
    #[expect(clippy::new_without_default, reason = "std's has none")]
    pub const fn new() -> Self {
        Self {
            raw: RawOnce::new(),
        }
    }

    /// Calls `f`, unless that, or what another caller gave, has returned before. Afterwards it has, and what it wrote is
    /// visible.
    ///
    /// *Blocks* while another caller does it: the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a
    /// deadline that encloses it, it unwinds.
    ///
    /// # Panics
    /// If `f` panics, with that panic; and if what was called by this or by
    /// [`call_once_force`](Self::call_once_force) has panicked before.
    #[inline]
    #[track_caller]
    pub fn call_once<F>(&self, f: F)
    where
        F: FnOnce(),
    {
        if !self.raw.is_complete() {
            let mut f = Some(f);
            self.call(false, &mut |_| f.take().into_iter().for_each(|f| f()));
        }
    }

    /// As [`call_once`](Self::call_once), also if what was called before has panicked.
    ///
    /// # Panics
    /// If `f` panics, with that panic.
    #[inline]
    pub fn call_once_force<F>(&self, f: F)
    where
        F: FnOnce(&OnceState),
    {
        if !self.raw.is_complete() {
            let mut f = Some(f);
            self.call(true, &mut |state| {
                f.take().into_iter().for_each(|f| f(state));
            });
        }
    }

    /// True if it is done. Never blocks.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.raw.is_complete()
    }

    /// Waits until somebody has done it.
    ///
    /// *Blocks* and is *cancelled* as [`call_once`](Self::call_once).
    ///
    /// # Panics
    /// If what was called has panicked.
    pub fn wait(&self) {
        if !self.raw.is_complete() {
            self.wait_slow(false);
        }
    }

    /// As [`wait`](Self::wait); a panic is not the end, it waits for the next that tries.
    pub fn wait_force(&self) {
        if !self.raw.is_complete() {
            self.wait_slow(true);
        }
    }

    #[cold]
    #[track_caller]
    fn wait_slow(&self, ignore_poison: bool) {
        loop {
            match self.raw.state() {
                State::Complete => return,
                State::Poisoned if !ignore_poison => panic_poisoned(),
                seen => self.stay(seen),
            }
        }
    }

    #[cold]
    #[track_caller]
    fn call(&self, ignore_poison: bool, f: &mut dyn FnMut(&OnceState)) {
        loop {
            match self.raw.state() {
                State::Complete => return,
                State::Poisoned if !ignore_poison => panic_poisoned(),
                State::Running => self.stay(State::Running),
                seen => {
                    if self.raw.begin(seen) {
                        return self.run(seen == State::Poisoned, f);
                    }
                }
            }
        }
    }

    /// Does it.
    fn run(&self, poisoned: bool, f: &mut dyn FnMut(&OnceState)) {
        let state = OnceState {
            poisoned,
            not_sync: PhantomData,
        };
        // Caught to be told apart: what std knows of an unwind does not say why.
        let outcome = catch_unwind(AssertUnwindSafe(|| f(&state)));
        self.end(match &outcome {
            Ok(()) => State::Complete,
            Err(payload) => after_unwind(&**payload, poisoned),
        });
        if let Err(payload) = outcome {
            resume_unwind(payload);
        }
    }

    fn end(&self, state: State) {
        if self.raw.end(state) {
            let last = self.raw.last();
            pay_out(|batch| self.raw.take(last, batch));
        }
    }

    /// Waits until it is no longer so.
    fn stay(&self, seen: State) {
        // Else it would have to unwind from where the record is in the crowd.
        park::refuse_if_stuck();
        let me = Me::get();
        let record = Waiter::new(me.header(), Place::default());
        // SAFETY: new, and in this frame until it is out again.
        if !unsafe { self.raw.enter(&record, seen) } {
            return;
        }
        let stayed = stay(&record.owed, NEVER, |leave| {
            self.raw.in_line(&record, leave)
        });
        if let Err(Early::Unwind(unwind)) = stayed {
            unwind.unwind();
        }
    }

    /// The state, of one that nobody else uses.
    #[inline]
    pub(super) fn exclusive_state(&mut self) -> State {
        self.raw.state()
    }

    /// Sets the state, of one that nobody else uses.
    pub(super) fn set_exclusive_state(&mut self, state: State) {
        let _ = self.raw.end(state);
    }
}

/// What one that was unwound leaves behind. An unwind that is no panic leaves what was there before.
fn after_unwind(payload: &(dyn Any + Send), poisoned: bool) -> State {
    if cancel::is_ours(payload) && !poisoned {
        State::Incomplete
    } else {
        State::Poisoned
    }
}

#[cold]
#[track_caller]
fn panic_poisoned() -> ! {
    panic!("Once instance has previously been poisoned");
}

impl OnceState {
    /// True if what was called before has panicked.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState")
            .field("poisoned", &self.is_poisoned())
            .finish()
    }
}
