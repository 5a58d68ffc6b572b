//! Barrier: as std's.
//!
//! BARRIER-1: `arrived` counts those in the crowd whose tickets are higher than `let_go`, the highest ticket of the last
//! generation that was complete. One that is cancelled takes its arrival back, in the section in which it leaves; not
//! if its generation is complete by then: that one has met the others, and returns.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::fiber::alarm::NEVER;
use crate::fiber::waiters::Waiter;
use crate::latch::Latch;
use crate::machine::park;
use crate::sync::crowd::{Crowd, Place};
use crate::sync::pay::pay_out;
use crate::wait::cancel::Me;
use crate::wait::line::{Early, stay};

/// Lets a number of fibers or threads go on when all of them have come. As [`std::sync::Barrier`].
///
/// ```
/// use fibers::sync::{Arc, Barrier};
///
/// let barrier = Arc::new(Barrier::new(3));
/// let fibers: Vec<_> = (0..3)
///     .map(|_| {
///         let barrier = Arc::clone(&barrier);
///         fibers::spawn(move || barrier.wait().is_leader())
///     })
///     .collect();
/// let leaders = fibers.into_iter().filter_map(|fiber| fiber.join().ok().filter(|leads| *leads));
/// assert_eq!(leaders.count(), 1);
/// ```
pub struct Barrier {
    state: Latch<State>,
    size: usize,
}

struct State {
    crowd: Crowd,
    arrived: usize,
    let_go: u64,
}

impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

/// What [`Barrier::wait`] returns. As [`std::sync::BarrierWaitResult`].
pub struct BarrierWaitResult(bool);

impl Barrier {
    /// One for `n` participants. With 0 or 1 nobody waits.
    #[must_use]
    #[inline]
    pub const fn new(n: usize) -> Self {
        Self {
            state: Latch::new(State {
                crowd: Crowd::new(),
                arrived: 0,
                let_go: 0,
            }),
            size: n,
        }
    }

    /// Waits until all participants have called it. One of them, the last that came, is the leader. The barrier can be
    /// used again at once.
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it,
    /// it unwinds, and has not arrived: the others wait for one more.
    pub fn wait(&self) -> BarrierWaitResult {
        if self.size > 1 {
            // Else it would have to unwind from where the record is in the crowd.
            park::refuse_if_stuck();
        }
        let me = Me::get();
        let record = Waiter::new(me.header(), Place::default());
        {
            let mut state = self.state.lock();
            if state.arrived + 1 >= self.size {
                state.arrived = 0;
                state.let_go = state.crowd.last();
                let up_to = state.let_go;
                drop(state);
                pay_out(|batch| self.state.lock().crowd.take(up_to, batch));
                return BarrierWaitResult(true);
            }
            state.arrived += 1;
            // SAFETY: new, and in this frame until it is out again.
            unsafe { state.crowd.push(&record) };
        }
        let mut complete = false;
        let stayed = stay(&record.owed, NEVER, |leave| {
            let mut state = self.state.lock();
            let waits = state.crowd.holds(&record, leave);
            if waits && leave {
                complete = record.what.ticket() <= state.let_go;
                if !complete {
                    state.arrived -= 1;
                }
            }
            waits
        });
        match stayed {
            Err(Early::Unwind(unwind)) if !complete => unwind.unwind(),
            _ => BarrierWaitResult(false),
        }
    }
}

impl BarrierWaitResult {
    /// True for one of the participants: the last that came.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult")
            .field("is_leader", &self.is_leader())
            .finish()
    }
}
