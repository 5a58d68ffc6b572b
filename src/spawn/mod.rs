//! Floor 5: how fibers are made.
//!
//! `builder` is the way in for all of them; `scope`, `join`, `call`, `local` mirror what std and rayon offer
//! for threads.

pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod join;
pub(crate) mod local;
pub(crate) mod scope;

use std::io;

use crate::fiber::cell::FiberCell;
use crate::fiber::header::{FiberRef, NewFiber};
use crate::fiber::scope::ScopeWord;
use crate::handle::Joiner;
use crate::machine::core::Machine;

/// A spawn that did not happen: why, and the closure.
pub(crate) struct Refused<F> {
    pub error: io::Error,
    pub closure: F,
}

/// Makes a fiber and queues it.
///
/// # Safety
/// Whatever the closure and its result borrow outlives the fiber: both are `'static`, or `scope` is a scope
/// that waits for the fiber. A closure that is not `Send` is of `Origin::Local`, and the caller is a worker of
/// that (pinned) machine; its result then goes to a handle that stays on this thread.
#[inline(always)]
pub(crate) unsafe fn launch<F: FnOnce() -> T, T>(
    machine: &Machine,
    new: NewFiber,
    scope: *const ScopeWord,
    closure: F,
) -> Result<Joiner<T>, Refused<F>> {
    let admitted = machine
        .check_starving()
        .and_then(|()| machine.enter_population());
    if let Err(error) = admitted {
        return Err(Refused { error, closure });
    }
    let header = FiberCell::create(machine.kind(), true, new, closure);
    // SAFETY: just made, known to nobody else.
    unsafe { &*header }.scope.set(scope);
    match machine.submit(header) {
        // SAFETY: the second of the two references; the one handle.
        Ok(()) => Ok(unsafe { Joiner::new(FiberRef::from_owned(header)) }),
        Err(_) => {
            machine.leave_population();
            // SAFETY: as made above, and never queued.
            let closure = unsafe { FiberCell::<F, T>::unmake(header) };
            let error = io::Error::other(if machine.is_left_behind() {
                "this process was forked: the machine's workers are the parent's. Make a machine here, or exec"
            } else {
                "the machine has been shut down and takes no new fibers"
            });
            Err(Refused { error, closure })
        }
    }
}
