//! Inbox: an atomic LIFO that many push to and one empties; taken out it is FIFO per sender.
//!
//! Pure. One compare-exchange to send (R. K. Treiber's stack, 1986), one exchange to take all, then a
//! reversal: messages of one sender come out in the order in which they were sent. Taking everything at
//! once leaves no room for the ABA problem that a single pop would have.
//!
//! INBOX-1: a node is in at most one inbox at a time; who may push it is the caller's protocol.

use crate::primitive::{AtomicPtr, Ordering};

/// A node that can lie in an inbox.
///
/// # Safety
/// `link` returns the same field each time, used for nothing else while the node is in an inbox.
pub(crate) unsafe trait Linked: Sized {
    /// The link.
    fn link(&self) -> &AtomicPtr<Self>;
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Inbox<N> {
    head: AtomicPtr<N>,
}

impl<N: Linked> Inbox<N> {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Pushes a node from any thread.
    ///
    /// # Safety
    /// `node` is alive until the owner has taken it out, and is in no inbox (INBOX-1).
    pub(crate) unsafe fn push(&self, node: *mut N) {
        // Relaxed: first guess.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the node is alive by this function's contract.
            // Relaxed: published by the exchange below.
            unsafe { &*node }.link().store(head, Ordering::Relaxed);
            // Release: pairs with Acquire in take_all; publishes the link and the message.
            match self
                .head
                .compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed)
            {
                // Last touch: the owner may have taken and freed the node by now.
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// True if there was something at the time of the look.
    pub(crate) fn has_mail(&self) -> bool {
        // Relaxed: a hint. Where a decision to sleep hangs on it, the caller puts a heavy fence before.
        !self.head.load(Ordering::Relaxed).is_null()
    }

    /// Takes everything, oldest first, as a chain by `link`. By the owner only.
    pub(crate) fn take_all(&self) -> Chain<N> {
        // Acquire: pairs with Release in push.
        let mut node = self.head.swap(std::ptr::null_mut(), Ordering::Acquire);
        let mut oldest = std::ptr::null_mut();
        while !node.is_null() {
            // SAFETY: nodes in the inbox are alive, by the contract of `push`; they are ours since the swap.
            let link = unsafe { &*node }.link();
            let next = link.load(Ordering::Relaxed);
            link.store(oldest, Ordering::Relaxed);
            oldest = node;
            node = next;
        }
        Chain { next: oldest }
    }
}

/// Nodes taken out of an inbox, oldest first. A node's link is read before the node is handed out.
#[derive(Debug)]
pub(crate) struct Chain<N> {
    next: *mut N,
}

impl<N: Linked> Iterator for Chain<N> {
    type Item = *mut N;

    fn next(&mut self) -> Option<*mut N> {
        if self.next.is_null() {
            return None;
        }
        let node = self.next;
        // SAFETY: still linked in our chain, so alive.
        self.next = unsafe { &*node }.link().load(Ordering::Relaxed);
        Some(node)
    }
}
