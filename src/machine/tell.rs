//! Tell: what becomes of an event that somebody has found in a reactor.
//!
//! By any thread, and late: the descriptor may have moved to another reactor since, or been closed. The word is told
//! first, and says whether anybody waits (READY-1, READY-3); who waits is taken out of the record's list under its lock,
//! and then woken. So who lies down in between, the record's next owner's fiber even, may be woken for nothing, once: it
//! finds in the word that nothing has come, and lies down again.

use crate::fiber::reasons::Reasons;
use crate::machine::wake::pay_with;
use crate::reactor::readiness::{Event, Told};
use crate::reactor::table::Record;

/// Tells those who wait for what that event brings.
pub(crate) fn tell(record: &Record, generation: u32, event: Event) {
    let Told::Wake { read, write } = record.readiness.event(generation, event) else {
        return;
    };
    if !(read || write) {
        return;
    }
    let mut reasons = 0;
    for (is, reason) in [(read, Reasons::READABLE), (write, Reasons::WRITABLE)] {
        reasons |= if is { reason.0 } else { 0 };
    }
    while let Some((waiter, last)) = record.next_waiter(read, write) {
        // SAFETY: owed since it was taken out; its frame stays until we let go (WAITERS-1).
        unsafe { pay_with(&(*waiter).owed, reasons) };
        if last {
            return;
        }
    }
}
