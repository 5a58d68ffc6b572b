//! Wake: making a waiting fiber runnable, from wherever the waker runs.
//!
//! | waker runs on | pinned fiber | floating fiber | plain thread |
//! |---|---|---|---|
//! | the fiber's home | plain data, no atomics | its word, then a queue of this worker | its word, futex |
//! | another worker of the machine | its word, then the home's inbox | its word, then a queue of this worker | " |
//! | elsewhere | its word, then the home's inbox | its word, then the shared queue | " |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::fiber::header::{Header, State, release};
use crate::fiber::owed::Owed;
use crate::fiber::reasons::Reasons;
use crate::fiber::word::Woken;
use crate::machine::idle::Notify;
use crate::machine::worker::{Own, Worker};
use crate::os::futex;
use crate::primitive::light_fence;

/// Wakes a fiber, or a plain thread that waits as one.
///
/// # Safety
/// The header is alive until this function has stored the reasons in it: the caller holds a reference, or
/// owes the waiter exactly this wake.
pub(crate) unsafe fn wake(header: *const Header, reasons: u16) {
    // SAFETY: alive by contract.
    let fiber = unsafe { &*header };
    if let Some(me) = Own::current() {
        let home = fiber.home.load(Ordering::Relaxed);
        // A pinned fiber's home is fixed once set, and it is us: nobody else touches the plain state.
        if ptr::eq(home, me.worker().as_home()) && !fiber.word.is_shared() {
            me.wake_at_home(fiber, reasons);
            return;
        }
    }
    // SAFETY: passed on.
    unsafe { wake_from_elsewhere(header, reasons) }
}

/// Wakes whoever waits for the event that `owed` belongs to, and lets go of it.
///
/// # Safety
/// The event's word has told the caller, and it alone, that somebody waits (OWED-1).
pub(crate) unsafe fn pay(owed: &Owed) {
    // SAFETY: passed on.
    unsafe { pay_with(owed, Reasons::QUEUE.0) };
}

/// As [`pay`], with those reasons.
///
/// # Safety
/// As [`pay`].
pub(crate) unsafe fn pay_with(owed: &Owed, reasons: u16) {
    // SAFETY: the waiter stays until it is let go.
    unsafe { wake(owed.waiter(), reasons) };
    owed.let_go();
}

/// Calls the waker that awaits the end of a fiber, and gives up its registration's reference.
///
/// # Safety
/// The fiber's `finish` has told the caller, and it alone, that somebody waits, and that is a waker (AWAIT-1).
#[cold]
#[inline(never)]
pub(crate) unsafe fn pay_awaiter(header: *const Header) {
    // SAFETY: alive through the registration's reference (AWAIT-2).
    let cold = unsafe { &*header }.cold();
    // SAFETY: by contract.
    let waker = cold.and_then(|cold| unsafe { cold.awaiter.take() });
    // SAFETY: the registration's; last touch.
    unsafe { release(header) };
    if let Some(waker) = waker {
        call(waker);
    }
}

/// Calls a waker that may be anybody's. A panic in it, which the hook has told of, ends here: it is no business of
/// whoever calls it, least of all of the scheduler.
pub(crate) fn call(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        // And so does one in its payload's destructor.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        let _ = dropped.map_err(std::mem::forget);
    }
}

/// By a waiter whose event has come: until its waker has let go (OWED-2).
#[inline]
pub(crate) fn settle(owed: &Owed) {
    let mut looks = 0_u32;
    while !owed.has_let_go() {
        looks += 1;
        if looks < 100 {
            std::hint::spin_loop();
        } else {
            // The waker's thread was preempted between its wake and its last touch.
            std::thread::yield_now();
        }
    }
}

/// # Safety
/// As [`wake`].
#[cold]
#[inline(never)]
unsafe fn wake_from_elsewhere(header: *const Header, reasons: u16) {
    // SAFETY: alive by the contract of wake.
    let fiber = unsafe { &*header };
    match fiber.word.wake(reasons) {
        Woken::Nothing => {}
        Woken::Push => {
            // The message's reference keeps it alive from here on.
            // SAFETY: HOMELESS was clear, so the home is set (WORD-2), by as_home.
            let home = unsafe { Worker::from_home(fiber.home.load(Ordering::Relaxed)) };
            // SAFETY: WORD-1: this waker alone links the message.
            unsafe { send(home, header.cast_mut()) };
        }
        Woken::Enqueue => {
            // Parked and ours since the exchange (WORD-3): nobody else resumes or frees it.
            // SAFETY: a floating fiber that parked has a home: the worker that it parked on.
            let home = unsafe { Worker::from_home(fiber.home.load(Ordering::Relaxed)) };
            match Own::current() {
                Some(me) if home.is_of(me.machine()) => {
                    me.counters().unparks.add(1);
                    me.make_ready(header);
                }
                // Not to the home's inbox: that worker may be blocked while others are idle.
                // SAFETY: a fiber that has not ended keeps its machine alive, until it is queued: hence the
                // reference, so that the queue is there until we have let go of its lock.
                _ => unsafe {
                    let machine = home.machine_ref();
                    machine.shared.lock().unparks += 1;
                    machine.push_shared(header, false);
                },
            }
        }
        Woken::Unblock => {
            let futex = &raw const fiber.futex;
            // Release: pairs with the Acquire load of the thread that blocks.
            fiber.futex.store(1, Ordering::Release);
            // Last touch: the thread may be gone, and the header with it. A futex wake on an address
            // that was freed wakes nobody.
            futex::wake_one(futex);
        }
    }
}

/// # Safety
/// The inbox protocol allows the caller to link this fiber.
unsafe fn send(home: &'static Worker, header: *mut Header) {
    // SAFETY: by contract.
    unsafe { home.inbox.push(header) };
    if let Some(me) = Own::current() {
        me.counters().inbox_sends.add(1);
    }
    // IDLE-1, step (b): the message is visible, now look whether its reader sleeps.
    light_fence();
    notify(home);
}

/// Wakes a worker's thread if it sleeps. The work must be visible, and a light fence passed.
pub(crate) fn notify(worker: &'static Worker) {
    let how = worker.sleep.notify();
    if how != Notify::Nothing {
        rouse(worker, how);
        if let Some(me) = Own::current() {
            me.counters().futex_wakes.add(1);
        }
    }
}

/// The system call of a notify, if it needs one.
pub(crate) fn rouse(worker: &'static Worker, how: Notify) {
    match how {
        Notify::Nothing => {}
        Notify::Futex => {
            futex::wake_one(worker.sleep.futex());
        }
        // The worker's own, not its machine's: that may be gone by now.
        Notify::Bell => worker.ring(),
    }
}

impl Own {
    /// A wake of a pinned fiber on its home: plain data.
    #[inline]
    pub(crate) fn wake_at_home(self, fiber: &Header, reasons: u16) {
        let pending = fiber.reasons.get() | reasons;
        fiber.reasons.set(pending);
        if fiber.state.get() == State::Parked && pending & fiber.mask.get() != 0 {
            self.counters().unparks.add(1);
            self.make_ready(fiber);
        }
    }

    /// Puts a started fiber where it will be found.
    #[inline]
    pub(crate) fn make_ready(self, header: *const Header) {
        // SAFETY: the fiber is ours to queue, so alive.
        let fiber = unsafe { &*header };
        if fiber.word.is_shared() {
            self.float(header);
            return;
        }
        fiber.state.set(State::Ready);
        self.local().ready.with(|ready| {
            // SAFETY: alive until it has run; at home here; it was parked or running, so in no list.
            unsafe { ready.push_back(fiber.priority().index(), header.cast_mut()) };
        });
    }

    /// Takes the mail: wakes from other threads.
    // Rare in most picks: inlined, it would have them all save registers for it.
    #[inline(never)]
    pub(crate) fn drain_inbox(self) {
        self.local().rang.set(false);
        for header in self.worker().inbox.take_all() {
            // SAFETY: a message holds a reference.
            let fiber = unsafe { &*header };
            let reasons = fiber.word.take_remote();
            if fiber.state.get() == State::Over {
                let in_flight = &self.local().in_flight;
                in_flight.set(in_flight.get() - 1);
            } else {
                self.wake_at_home(fiber, reasons);
            }
            // SAFETY: the message's reference (WORD-1).
            unsafe { release(header) };
        }
    }
}
