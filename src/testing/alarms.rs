//! Alarms: what the files about deadlines promise of each other, looked at between two steps, and after the stop.

use crate::fiber::alarm::NEVER;
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::machine::alarm::SLACK_MAX_NS;
use crate::machine::worker::Own;
use crate::testing::driver::{Driver, Phase};

/// Every how many steps the fibers of a worker are looked at. Each look goes over all of the machine's stacks.
const LOOK_EVERY: u64 = 16;

impl Driver {
    /// After a step of that worker: panics if a deadline would be missed.
    pub(super) fn look_at_alarms(&self, index: usize) {
        self.look_at_dues();
        if self.steps.is_multiple_of(LOOK_EVERY) {
            self.look_at_alarms_of(index);
        }
    }

    /// Before time jumps: a deadline that nobody has in mind would be passed over.
    pub(super) fn look_at_all_alarms(&self) {
        self.look_at_dues();
        (0..self.machine().workers.len()).for_each(|index| self.look_at_alarms_of(index));
    }

    /// A worker that sleeps has said until when it may (DUES-1); one that is up has taken that back.
    fn look_at_dues(&self) {
        let dues = &self.machine().dues;
        for (index, worker) in self.machine().workers.iter().enumerate() {
            match self.phase(index) {
                Phase::Down(_) if !worker.sleep.is_notified() => {
                    let (_, latest_ns) = self.as_worker(index, Own::entries);
                    if dues.of(index) > latest_ns {
                        self.fail("a worker sleeps past its fibers' deadlines (DUES-1)");
                    }
                }
                Phase::Awake | Phase::Seeking | Phase::GoingIdle | Phase::Left
                    if dues.of(index) != NEVER =>
                {
                    self.fail("a worker that is up wants to be woken for a deadline");
                }
                _ => {}
            }
        }
    }

    fn look_at_alarms_of(&self, index: usize) {
        // A floating machine shows all its fibers to everybody.
        if self.machine().config.floating && index != 0 {
            return;
        }
        let mut unarmed = None;
        self.as_worker(index, |me| {
            me.for_each_fiber(&mut |header| {
                // SAFETY: alive while `for_each_fiber` shows it.
                let fiber = unsafe { &*header };
                if !is_armed(me, fiber) {
                    unarmed = Some(fiber.id());
                }
            });
        });
        if let Some(id) = unarmed {
            self.fail(&format!(
                "nobody will wake fiber {id} for its deadline (ALARM-1)"
            ));
        }
    }
}

/// ALARM-1, of a fiber at home there.
fn is_armed(me: Own, fiber: &Header) -> bool {
    let at_ns = fiber.alarm.at_ns();
    let pending = if fiber.word.is_shared() {
        fiber.word.pending()
    } else {
        fiber.reasons.get()
    };
    at_ns == NEVER
        || pending & Reasons::TIMEOUT.0 != 0
        || me.entry_ns(fiber) <= at_ns.saturating_add(SLACK_MAX_NS).min(NEVER - 1)
}
