//! Calls between fibers: a closure sent to run on another fiber's stack.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::fiber::calls::CallNode;
use crate::fiber::cell::{Cancelled, Outcome};
use crate::fiber::owed::Owed;
use crate::fiber::reasons::Reasons;
use crate::handle::Fiber;
use crate::machine::park;
use crate::machine::wake::{pay, settle};
use crate::wait::cancel;

#[repr(C)]
struct Call<F, R> {
    node: CallNode,
    closure: Cell<Option<F>>,
    result: UnsafeCell<Option<Outcome<R>>>,
    waiter: Owed,
}

/// What a handle knows of a call whose closure's type it has forgotten.
trait Answer<R> {
    fn node(&self) -> &CallNode;
    fn waiter(&self) -> &Owed;
    /// # Safety
    /// The call is done, and this is asked once.
    unsafe fn take(&self) -> Outcome<R>;
}

impl<F, R> Answer<R> for Call<F, R> {
    fn node(&self) -> &CallNode {
        &self.node
    }
    fn waiter(&self) -> &Owed {
        &self.waiter
    }
    unsafe fn take(&self) -> Outcome<R> {
        // SAFETY: done, so the target has left it; asked once by contract.
        unsafe { (*self.result.get()).take() }.expect("a finished call has a result")
    }
}

impl<F: FnOnce() -> R, R> Call<F, R> {
    /// # Safety
    /// Once, by the target; the node is the first field of a `Call` whose Arc was given up by the sender.
    unsafe fn run(node: *mut CallNode) {
        // SAFETY: by contract.
        let this = unsafe { Arc::from_raw(node.cast_const().cast::<Self>()) };
        this.node.state.start();
        let closure = this.closure.take().expect("a call runs once");
        let result = catch_unwind(AssertUnwindSafe(closure)).map_err(|payload| {
            // Cut short by a deadline of the target: that is none of the sender's, who sees a cancellation.
            if cancel::is_ours(&*payload) {
                Box::new(Cancelled) as _
            } else {
                payload
            }
        });
        // SAFETY: the sender reads it only after `finish`.
        unsafe { *this.result.get() = Some(result) };
        if this.node.state.finish() {
            // SAFETY: the sender waits, and goes on only when we let go (CALL-1).
            unsafe { pay(&this.waiter) };
        }
        // A result that nobody takes is dropped here or with the handle; its destructor may panic.
        let bomb =
            crate::fiber::cell::AbortOnUnwind("the result of a call panicked in its destructor");
        cancel::shielded(|| drop(this));
        std::mem::forget(bomb);
    }
}

/// A call that was sent. Dropping it lets the call run all the same.
pub struct CallHandle<R> {
    call: Arc<dyn Answer<R>>,
}

// SAFETY: the closure and the result are Send (bounds of `Fiber::call`), handed over by the state word.
unsafe impl<R: Send> Send for CallHandle<R> {}
// SAFETY: shared references show the state only.
unsafe impl<R: Send> Sync for CallHandle<R> {}

impl<R> fmt::Debug for CallHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle")
            .field("queued", &self.is_queued())
            .finish_non_exhaustive()
    }
}

/// The target has ended, so the call will not run. Holds the closure.
pub struct CallError<F>(F);

impl<F> CallError<F> {
    /// The closure that was not called.
    pub fn into_inner(self) -> F {
        self.0
    }
}

impl<F> fmt::Debug for CallError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallError(..)")
    }
}

impl<F> fmt::Display for CallError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the called fiber has ended")
    }
}

impl<F> std::error::Error for CallError<F> {}

/// Queues a node for a fiber; false if the fiber is over.
///
/// # Safety
/// `node` lives until it has run, and is in no queue.
unsafe fn send(fiber: &Fiber, node: *mut CallNode) -> bool {
    let queue = &fiber.0.cold_or_new().calls;
    // Announced first: a fiber that ends after this looks into its queue (`Word::finish`), and closes it.
    // SAFETY: by contract.
    let sent = fiber.0.word.announce_call() && unsafe { queue.push(node) };
    if sent {
        fiber.wake(Reasons::CALL);
    }
    sent
}

impl Fiber {
    /// Sends `f` to run on this fiber's stack.
    ///
    /// It runs when the fiber reaches [`process_calls`], waits in [`park`](crate::park), a handle's `join`, the
    /// end of a [`scope`](crate::scope), [`join`](crate::join) or a call's [`wait`](CallHandle::wait), or ends.
    /// Not in [`yield_now`](crate::yield_now), nor in a [`WaitQueue`](crate::wait::WaitQueue). Calls of one sender run in the order in which they were sent. A
    /// panic in `f` goes to the sender. Never blocks. Works across machines, and on plain threads that wait
    /// through this library.
    ///
    /// # Errors
    /// The fiber has ended; the error holds `f`.
    pub fn call<F, R>(&self, f: F) -> Result<CallHandle<R>, CallError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let call = Arc::new(Call {
            node: CallNode::new(Call::<F, R>::run),
            closure: Cell::new(Some(f)),
            result: UnsafeCell::new(None),
            waiter: Owed::new(),
        });
        let raw = Arc::into_raw(Arc::clone(&call));
        // SAFETY: the Arc that was given up keeps it alive until `run` takes it back.
        if unsafe { send(self, raw.cast_mut().cast()) } {
            return Ok(CallHandle { call });
        }
        // SAFETY: not queued: the Arc is ours again.
        drop(unsafe { Arc::from_raw(raw) });
        Err(CallError(
            call.closure.take().expect("a refused call was not run"),
        ))
    }
}

impl<R> CallHandle<R> {
    /// True until the target has begun to run the call.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.call.node().state.is_queued()
    }

    /// Waits until the call has run, and returns its result, or the payload of its panic.
    ///
    /// *Blocks* the fiber, or the plain thread; calls that are sent to the caller run meanwhile, so two
    /// fibers that call each other are both served. *Cancellation* unwinds the caller; the call runs all
    /// the same.
    ///
    /// # Errors
    /// The call panicked.
    pub fn wait(self) -> std::thread::Result<R> {
        let state = &self.call.node().state;
        if !state.is_done() {
            park::refuse_if_stuck();
            let me = Fiber::running();
            self.call.waiter().set(me.0.as_ptr());
            if state.wait() {
                loop {
                    match cancel::sleep_serving(Reasons::QUEUE.0) {
                        Ok(_) if state.is_done() => break,
                        Ok(_) => {}
                        Err(unwind) if state.unwait() => unwind.unwind(),
                        Err(_) => break,
                    }
                }
                settle(self.call.waiter());
            }
        }
        // SAFETY: done, and this consumes the handle.
        unsafe { self.call.take() }
    }
}

/// Runs the calls that are queued for the current fiber (or plain thread), and returns how many there were.
///
/// Never blocks, unless a call does.
pub fn process_calls() -> usize {
    cancel::run_calls()
}

const IDLE: u32 = 0;
const QUEUED: u32 = 1;
const RUNNING: u32 = 2;

/// A call that can be sent again and again without allocating: for those who may not allocate when they
/// send.
///
/// | state | means | may be sent |
/// |---|---|---|
/// | idle | not in any queue, its last effects are complete | yes |
/// | queued | lies in a fiber's queue | no: that sending stands for both |
/// | running | the fiber runs it | no |
pub struct CallSlot {
    inner: Arc<Slot>,
}

#[repr(C)]
struct Slot {
    node: CallNode,
    state: AtomicU32,
    closure: Box<dyn Fn() + Send + Sync>,
}

/// What became of a [`CallSlot::send`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Sent {
    /// It will run.
    Queued,
    /// It was queued already, and will run once.
    AlreadyQueued,
    /// It is running at this moment; send it again later.
    Running,
    /// The fiber has ended.
    Ended,
}

// SAFETY: the closure is Send and Sync; the node belongs to whoever holds the slot in QUEUED or RUNNING.
unsafe impl Send for CallSlot {}
// SAFETY: as above.
unsafe impl Sync for CallSlot {}

impl fmt::Debug for CallSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSlot")
            .field("queued", &self.is_queued())
            .finish_non_exhaustive()
    }
}

impl CallSlot {
    /// Makes the slot; the only allocation.
    pub fn new(f: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            inner: Arc::new(Slot {
                node: CallNode::new(run_slot),
                state: AtomicU32::new(IDLE),
                closure: Box::new(f),
            }),
        }
    }

    /// Sends the call to `fiber`, if it is idle. Never blocks, never allocates (but for the first call that
    /// a fiber ever gets). A panic in the call ends the process: there is nobody to report it to.
    pub fn send(&self, fiber: &Fiber) -> Sent {
        // Acquire: pairs with the Release of run_slot: the node is free again.
        match self
            .inner
            .state
            .compare_exchange(IDLE, QUEUED, Ordering::AcqRel, Ordering::Acquire)
        {
            Err(RUNNING) => return Sent::Running,
            Err(_) => return Sent::AlreadyQueued,
            Ok(_) => {}
        }
        let raw = Arc::into_raw(Arc::clone(&self.inner));
        // SAFETY: the Arc that was given up keeps it alive; IDLE => QUEUED made the node ours.
        if unsafe { send(fiber, raw.cast_mut().cast()) } {
            return Sent::Queued;
        }
        // SAFETY: not queued: the Arc is ours again.
        drop(unsafe { Arc::from_raw(raw) });
        self.inner.state.store(IDLE, Ordering::Release);
        Sent::Ended
    }

    /// True while the call is queued or runs. Once false, its effects are visible to the caller.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.inner.state.load(Ordering::Acquire) != IDLE
    }
}

/// # Safety
/// Once per sending, by the target.
unsafe fn run_slot(node: *mut CallNode) {
    // SAFETY: the sender gave up one Arc for this.
    let slot = unsafe { Arc::from_raw(node.cast_const().cast::<Slot>()) };
    // Relaxed: tells, publishes nothing.
    slot.state.store(RUNNING, Ordering::Relaxed);
    let bomb = crate::fiber::cell::AbortOnUnwind("a call sent by a CallSlot panicked");
    // A cancellation would unwind into the bomb: it waits until the closure has returned.
    cancel::shielded(|| (slot.closure)());
    // Release: pairs with Acquire in send and is_queued.
    slot.state.store(IDLE, Ordering::Release);
    // Perhaps the last reference: what the closure captured is dropped under the bomb as well.
    cancel::shielded(|| drop(slot));
    std::mem::forget(bomb);
}

// Their state is one word, changed in one step.
impl<R> std::panic::UnwindSafe for CallHandle<R> {}
impl<R> std::panic::RefUnwindSafe for CallHandle<R> {}
impl std::panic::UnwindSafe for CallSlot {}
impl std::panic::RefUnwindSafe for CallSlot {}
