//! Stands for `src/wait/cancel.rs` where workers are modelled: while its one fiber waits, a worker goes on.

use crate::fiber::alarm::NEVER;
use crate::fiber::header::Header;
use crate::machine::worker::Own;

/// No model cancels a fiber that waits for a descriptor: it gives up by its own deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unwind {}

impl Unwind {
    pub(crate) fn unwind(self) -> ! {
        match self {}
    }
}

/// A wait of the calling fiber's.
pub(crate) struct Me(Own);

impl Me {
    pub(crate) fn get() -> Self {
        Self(Own::current().expect("a fiber"))
    }

    pub(crate) fn worker(&self) -> Option<Own> {
        Some(self.0)
    }

    pub(crate) fn header(&self) -> &'static Header {
        self.0.fiber()
    }
}

impl Drop for Me {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.header().leave_frame();
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the library's")]
pub(crate) fn sleep_serving(mask: u16) -> Result<u16, Unwind> {
    Own::current().expect("a fiber").runs_dry();
    Ok(mask)
}

/// What comes at all has come when it falls asleep: the schedule decides what happens before.
#[expect(clippy::unnecessary_wraps, reason = "as the library's")]
pub(crate) fn sleep_serving_until(mask: u16, _: u64) -> Result<Option<u16>, Unwind> {
    let me = Own::current().expect("a fiber");
    Ok(me.take_mail().then_some(mask))
}

pub(crate) fn enclosing_ns() -> u64 {
    NEVER
}

pub(crate) fn checkpoint() {}
