//! Alarms: what the files about deadlines promise of each other, looked at between two steps.

use crate::fiber::alarm::NEVER;
use crate::fiber::header::Header;
use crate::fiber::reasons::Reasons;
use crate::machine::alarm::SLACK_MAX_NS;
use crate::machine::worker::Own;
use crate::testing::driver::{Driver, Phase};

/// Every how many steps all fibers are looked at: each such look goes over all of the machine's stacks. A deadline
/// that nobody has in mind stays so.
const LOOK_EVERY: u64 = 64;

impl Driver {
    /// After a step: panics if a deadline would be missed.
    pub(super) fn look_at_alarms(&self) {
        self.look_at_dues();
        if self.steps.is_multiple_of(LOOK_EVERY) {
            self.look_at_all_alarms();
        }
    }

    /// A worker that sleeps knows until when it may; one that is up does not sleep until then. Where the machine
    /// floats, each heap's first entry is a due, whatever its worker does.
    fn look_at_dues(&self) {
        let floating = self.machine().config.floating;
        let mut wrong = None;
        for index in 0..self.machine().workers.len() {
            let due_ns = self.due_ns(index);
            match self.phase(index) {
                // Stated when they are armed, and served by whoever is first.
                _ if floating && due_ns > self.entries(index).1.saturating_add(SLACK_MAX_NS) => {
                    wrong = Some("no due is stated for a heap's first deadline");
                }
                _ if floating => {}
                Phase::Down(_) if !self.is_wanted(index) && due_ns > self.entries(index).1 => {
                    wrong = Some("a worker sleeps past its fibers' deadlines");
                }
                Phase::Awake | Phase::Seeking | Phase::GoingIdle | Phase::Left
                    if due_ns != NEVER =>
                {
                    wrong = Some("a worker that is up is to come up for a deadline");
                }
                _ => {}
            }
        }
        if let Some(wrong) = wrong {
            self.fail(wrong);
        }
    }

    /// Every started fiber that is to be woken at a moment is in somebody's mind (ALARM-1).
    pub(super) fn look_at_all_alarms(&self) {
        let floating = self.machine().config.floating;
        let mut unarmed = None;
        // A floating machine shows all its fibers to everybody.
        let lists = if floating {
            1
        } else {
            self.machine().workers.len()
        };
        for index in 0..lists {
            self.as_worker(index, |me| {
                me.for_each_fiber(&mut |header| {
                    // SAFETY: alive while `for_each_fiber` shows it.
                    let fiber = unsafe { &*header };
                    if !is_armed(me, fiber) {
                        unarmed = Some(fiber.id());
                    }
                });
            });
        }
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
    let slack_ns = if fiber.word.is_shared() {
        SLACK_MAX_NS
    } else {
        0
    };
    let pending = if fiber.word.is_shared() {
        fiber.word.pending()
    } else {
        fiber.reasons.get()
    };
    at_ns == NEVER
        || pending & Reasons::TIMEOUT.0 != 0
        || me.entry_ns(fiber) <= at_ns.saturating_add(slack_ns).min(NEVER - 1)
}
