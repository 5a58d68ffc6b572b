//! Selections whose operations are known only at run time.

use std::fmt;
use std::time::Duration;

use crate::channel::case::{AnyCase, Case, RecvCase, SendCase};
use crate::channel::choose::{Choice, choose, ready};
use crate::channel::error::{
    ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError,
};
use crate::channel::{Receiver, Sender};
use crate::fiber::alarm::NEVER;
use crate::instant::Instant;
use crate::wait::cancel::Me;
use crate::wait::deadline::after;

/// Makes the case of an operation; each selection that is carried out uses one up.
#[derive(Clone, Copy)]
struct Make<'a> {
    /// The sender or receiver, which lives for `'a`.
    handle: *const (),
    make: unsafe fn(*const ()) -> Box<dyn Case + 'a>,
}

impl<'a> Make<'a> {
    fn case(self) -> Box<dyn Case + 'a> {
        // SAFETY: `make` was made for what `handle` points to.
        unsafe { (self.make)(self.handle) }
    }
}

/// # Safety
/// The handle is an `&'a Sender<T>`.
unsafe fn send_case<'a, T: 'a>(handle: *const ()) -> Box<dyn Case + 'a> {
    // SAFETY: by contract.
    Box::new(unsafe { &*handle.cast::<Sender<T>>() }.send_case())
}

/// # Safety
/// The handle is an `&'a Receiver<T>`.
unsafe fn recv_case<'a, T: 'a>(handle: *const ()) -> Box<dyn Case + 'a> {
    // SAFETY: by contract.
    Box::new(unsafe { &*handle.cast::<Receiver<T>>() }.recv_case())
}

struct Operation<'a> {
    index: usize,
    make: Make<'a>,
    case: Box<dyn Case + 'a>,
}

/// A list of operations, one of which is selected and carried out. As `crossbeam_channel::Select`.
///
/// ```
/// use fibers::channel::{Select, unbounded};
///
/// let (s1, r1) = unbounded();
/// let (_s2, r2) = unbounded::<i32>();
/// s1.send(7).unwrap();
///
/// let mut select = Select::new();
/// let first = select.recv(&r1);
/// let _second = select.recv(&r2);
/// let operation = select.select();
/// assert_eq!(operation.index(), first);
/// assert_eq!(operation.recv(&r1), Ok(7));
/// ```
pub struct Select<'a> {
    operations: Vec<Operation<'a>>,
    next_index: usize,
    biased: bool,
}

/// An operation that was selected: it must be carried out, by [`send`](Self::send) or [`recv`](Self::recv) with the
/// very channel that it was registered with.
#[must_use]
pub struct SelectedOperation<'a> {
    index: usize,
    case: Option<Box<dyn Case + 'a>>,
}

impl<'a> Select<'a> {
    /// An empty list; of several operations that are ready a random one is selected.
    #[must_use]
    pub fn new() -> Self {
        Self {
            operations: Vec::new(),
            next_index: 0,
            biased: false,
        }
    }

    /// An empty list; of several operations that are ready the first one is selected.
    #[must_use]
    pub fn new_biased() -> Self {
        Self {
            biased: true,
            ..Self::new()
        }
    }

    /// Adds a send; its index.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(Make {
            handle: std::ptr::from_ref(sender).cast(),
            make: send_case::<T>,
        })
    }

    /// Adds a receive; its index.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(Make {
            handle: std::ptr::from_ref(receiver).cast(),
            make: recv_case::<T>,
        })
    }

    fn add(&mut self, make: Make<'a>) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        let case = make.case();
        self.operations.push(Operation { index, make, case });
        index
    }

    /// Takes an operation off the list.
    ///
    /// # Panics
    /// If there is none with that index.
    pub fn remove(&mut self, index: usize) {
        assert!(
            index < self.next_index,
            "index out of bounds; {index} >= {}",
            self.next_index
        );
        let at = self.operations.iter().position(|own| own.index == index);
        self.operations
            .swap_remove(at.expect("no operation with this index"));
    }

    /// Selects an operation that can go on at once.
    ///
    /// # Errors
    /// If there is none.
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.choose(0).ok_or(TrySelectError)
    }

    /// Selects an operation; while none can go on, waits.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and deadlines unwind.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(
            !self.operations.is_empty(),
            "no operations have been added to `Select`"
        );
        self.choose(NEVER)
            .expect("without an end it waits until one is selected")
    }

    /// As [`select`](Self::select), for at most that long; the list may be empty.
    ///
    /// # Errors
    /// If the time is up.
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let at_ns = after(Me::get().soon_ns(), timeout);
        self.choose(at_ns.max(1)).ok_or(SelectTimeoutError)
    }

    /// As [`select`](Self::select), until that moment at the longest.
    ///
    /// # Errors
    /// If the time is up.
    pub fn select_deadline(
        &mut self,
        deadline: impl Into<Instant>,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.choose(deadline.into().0.max(1))
            .ok_or(SelectTimeoutError)
    }

    fn choose(&mut self, at_ns: u64) -> Option<SelectedOperation<'a>> {
        let chosen = {
            let cases = self.cases();
            choose(&cases, self.choice(at_ns))?
        };
        let operation = &mut self.operations[chosen];
        let case = std::mem::replace(&mut operation.case, operation.make.case());
        Some(SelectedOperation {
            index: operation.index,
            case: Some(case),
        })
    }

    fn cases(&self) -> Vec<AnyCase<'_>> {
        self.operations
            .iter()
            .map(|own| AnyCase(&*own.case))
            .collect()
    }

    fn choice(&self, at_ns: u64) -> Choice {
        Choice {
            biased: self.biased,
            at_ns,
        }
    }

    /// The index of an operation that seems ready now: another may be quicker.
    ///
    /// # Errors
    /// If there is none.
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.ready_by(0).ok_or(TryReadyError)
    }

    /// The index of an operation that is ready; while none is, waits. Another may be quicker to carry it out.
    ///
    /// *Blocks* the fiber, or the plain thread. *Cancellation* and deadlines unwind.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn ready(&mut self) -> usize {
        assert!(
            !self.operations.is_empty(),
            "no operations have been added to `Select`"
        );
        self.ready_by(NEVER)
            .expect("without an end it waits until one is ready")
    }

    /// As [`ready`](Self::ready), for at most that long; the list may be empty.
    ///
    /// # Errors
    /// If the time is up.
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        let at_ns = after(Me::get().soon_ns(), timeout);
        self.ready_by(at_ns.max(1)).ok_or(ReadyTimeoutError)
    }

    /// As [`ready`](Self::ready), until that moment at the longest.
    ///
    /// # Errors
    /// If the time is up.
    pub fn ready_deadline(
        &mut self,
        deadline: impl Into<Instant>,
    ) -> Result<usize, ReadyTimeoutError> {
        self.ready_by(deadline.into().0.max(1))
            .ok_or(ReadyTimeoutError)
    }

    fn ready_by(&self, at_ns: u64) -> Option<usize> {
        let case = ready(&self.cases(), self.choice(at_ns))?;
        Some(self.operations[case].index)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        let mut clone = Self {
            operations: Vec::with_capacity(self.operations.len()),
            ..*self
        };
        for operation in &self.operations {
            clone.operations.push(Operation {
                index: operation.index,
                make: operation.make,
                case: operation.make.case(),
            });
        }
        clone
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}

impl SelectedOperation<'_> {
    /// The index of the operation.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Carries out a send. Never blocks.
    ///
    /// # Errors
    /// If all receivers are gone; the message is in the error.
    ///
    /// # Panics
    /// If it is not a send into that channel that was selected.
    pub fn send<T>(mut self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        let case = self.case.as_deref().expect("there until it is carried out");
        assert!(
            case.whose() == sender.send_case().whose(),
            "passed a sender that wasn't selected",
        );
        // SAFETY: a send into that very channel, so of that type.
        let case = unsafe { &*std::ptr::from_ref(case).cast::<SendCase<'_, T>>() };
        let sent = case.finish(message);
        self.case = None;
        sent
    }

    /// Carries out a receive. Never blocks.
    ///
    /// # Errors
    /// If the channel is empty, and all senders are gone.
    ///
    /// # Panics
    /// If it is not a receive from that channel that was selected.
    pub fn recv<T>(mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        let case = self.case.as_deref().expect("there until it is carried out");
        assert!(
            case.whose() == receiver.recv_case().whose(),
            "passed a receiver that wasn't selected",
        );
        // SAFETY: a receive from that very channel, so of that type.
        let case = unsafe { &*std::ptr::from_ref(case).cast::<RecvCase<'_, T>>() };
        let received = case.finish();
        self.case = None;
        received
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        let Some(case) = self.case.take() else { return };
        case.abandon();
        if !std::thread::panicking() {
            panic!("dropped `SelectedOperation` without completing the operation");
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}
