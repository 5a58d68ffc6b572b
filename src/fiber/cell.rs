//! The fiber's heap cell: header, and behind it the closure until it is called, then the result.

use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::fiber::header::{Ending, Header, NewFiber, Vtable};
use crate::fiber::slab;
use crate::fiber::word::Kind;

/// What a fiber leaves for its joiner: its value, or the payload that ended it.
pub(crate) type Outcome<T> = Result<T, Box<dyn Any + Send + 'static>>;

/// The payload of a fiber that was ended by cancellation or by the shutdown of its machine.
///
/// Also what the sender of a call gets whose target was cancelled, or ran out of time, while it ran the call.
///
/// [`JoinHandle::join`](crate::JoinHandle::join) returns it in its `Err`:
/// `err.is::<fibers::Cancelled>()`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the fiber was cancelled")
    }
}

impl std::error::Error for Cancelled {}

union Body<F, T> {
    closure: ManuallyDrop<F>,
    result: ManuallyDrop<Outcome<T>>,
}

/// See the head of the file.
#[repr(C)]
pub(crate) struct FiberCell<F, T> {
    header: Header,
    body: UnsafeCell<Body<F, T>>,
}

impl<F: FnOnce() -> T, T> FiberCell<F, T> {
    const VTABLE: Vtable = Vtable {
        run: Self::run,
        drop_result: Self::drop_result,
        fail: Self::fail,
        free: Self::free,
        result_offset: std::mem::offset_of!(Self, body),
    };

    /// Makes the cell; the references counted in it belong to the caller.
    #[inline(always)]
    pub(crate) fn create(kind: Kind, joinable: bool, new: NewFiber, closure: F) -> *const Header {
        let vtable: &'static Vtable = &Self::VTABLE;
        let cell = slab::allocate(Layout::new::<Self>()).cast::<Self>();
        let value = Self {
            header: Header::new(vtable, kind, joinable, new),
            body: UnsafeCell::new(Body {
                closure: ManuallyDrop::new(closure),
            }),
        };
        // SAFETY: fresh memory of that layout.
        unsafe { cell.write(value) };
        cell.as_ptr().cast::<Header>().cast_const()
    }

    fn cell(header: *const Header) -> *mut Self {
        header.cast_mut().cast()
    }

    /// # Safety
    /// Once per cell, by the fiber itself; the closure is there.
    unsafe fn run(header: *const Header, cancelled: bool) -> Ending {
        let body = Self::cell(header);
        let outcome = {
            // SAFETY: the closure is there by contract, and is taken out once. The cell is shared, but the
            // body is the fiber's own until it is over.
            let closure = unsafe { ManuallyDrop::take(&mut (*(*body).body.get()).closure) };
            catch_unwind(AssertUnwindSafe(|| {
                if cancelled {
                    drop(closure);
                    None
                } else {
                    Some(closure())
                }
            }))
        };
        let (outcome, ending) = match outcome {
            Ok(Some(value)) => (Ok(value), Ending::Returned),
            Ok(None) => (Err(Box::new(Cancelled) as _), Ending::Cancelled),
            Err(payload) if payload.is::<Cancelled>() => (Err(payload), Ending::Cancelled),
            Err(payload) => (Err(payload), Ending::Panicked),
        };
        // SAFETY: the closure is gone; nobody reads the result before DONE.
        unsafe { (*(*body).body.get()).result = ManuallyDrop::new(outcome) };
        ending
    }

    /// # Safety
    /// The result is there, and the caller is the side that owns it (WORD-5).
    unsafe fn drop_result(header: *const Header) -> bool {
        // SAFETY: by contract.
        let outcome = unsafe { take_result::<T>(header) };
        let panicked = matches!(&outcome, Err(payload) if !payload.is::<Cancelled>());
        // A destructor that panics here has nobody left to tell: std aborts as well.
        let bomb = AbortOnUnwind("the result of a fiber panicked in its destructor");
        drop(outcome);
        std::mem::forget(bomb);
        panicked
    }

    /// # Safety
    /// The fiber never starts, and the caller owns it.
    unsafe fn fail(header: *const Header, why: String) {
        let body = Self::cell(header);
        // SAFETY: the closure is there by contract, and is taken out once.
        let closure = unsafe { ManuallyDrop::take(&mut (*(*body).body.get()).closure) };
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(closure)));
        let outcome: Outcome<T> = Err(dropped.err().unwrap_or_else(|| Box::new(why)));
        // SAFETY: the closure is gone; nobody reads the result before DONE.
        unsafe { (*(*body).body.get()).result = ManuallyDrop::new(outcome) };
    }

    /// Takes a cell apart that was never queued, and gives the closure back.
    ///
    /// # Safety
    /// Made by `create` with these types, and known to nobody else.
    pub(crate) unsafe fn unmake(header: *const Header) -> F {
        let cell = Self::cell(header);
        // SAFETY: the closure is there, and is taken out once.
        let closure = unsafe { ManuallyDrop::take(&mut (*(*cell).body.get()).closure) };
        // SAFETY: by contract nobody else refers to it.
        unsafe { Self::free(header) };
        closure
    }

    /// # Safety
    /// Nobody else refers to the cell; closure and result are gone.
    unsafe fn free(header: *const Header) {
        let Some(cell) = NonNull::new(Self::cell(header)) else {
            return;
        };
        // SAFETY: nobody else refers to it; the body needs no drop any more.
        unsafe { cell.drop_in_place() };
        // SAFETY: from `create`, with this layout.
        unsafe { slab::free(cell.cast(), Layout::new::<Self>()) };
    }
}

/// Takes the result out of a fiber that is over, knowing its type but not its closure's.
///
/// # Safety
/// The header belongs to a `FiberCell<_, T>`, whose result is there and is the caller's (WORD-5).
pub(crate) unsafe fn take_result<T>(header: *const Header) -> Outcome<T> {
    // SAFETY: alive by contract.
    let offset = unsafe { &*header }.vtable.result_offset;
    // SAFETY: the vtable was made for this very cell type; the union's fields lie at its start.
    unsafe { header.cast::<u8>().add(offset).cast::<Outcome<T>>().read() }
}

/// Ends the process if dropped by an unwind: behind it lies code that must not be skipped.
pub(crate) struct AbortOnUnwind(pub &'static str);

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("fibers: fatal: {}\n", self.0),
        );
        std::process::abort();
    }
}
