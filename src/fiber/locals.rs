//! Fiber locals: what `fiber_local!` declares, one value per fiber, dropped when the fiber ends.
//!
//! A short list searched from the front: a fiber uses a handful of them. On a plain OS thread the values
//! belong to the thread and go with it.

use std::any::Any;

/// Names a key: the address of its static.
pub(crate) type KeyId = usize;

enum Slot {
    Live(Box<dyn Any>),
    /// Its destructor runs or has run: the key says so instead of making a second value.
    Gone,
}

/// The values of one fiber.
#[derive(Default)]
pub(crate) struct Locals {
    slots: Vec<(KeyId, Slot)>,
    over: bool,
}

impl std::fmt::Debug for Locals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locals")
            .field("len", &self.slots.len())
            .finish()
    }
}

/// What a look-up found.
pub(crate) enum Found {
    /// The value's address; it does not move while the fiber lives.
    Value(*const dyn Any),
    /// Not there yet.
    Missing,
    /// Its destructor runs or has run.
    Gone,
}

impl Locals {
    pub(crate) fn find(&self, key: KeyId) -> Found {
        match self.slots.iter().find(|slot| slot.0 == key) {
            Some((_, Slot::Live(value))) => Found::Value(&raw const **value),
            Some((_, Slot::Gone)) => Found::Gone,
            None if self.over => Found::Gone,
            None => Found::Missing,
        }
    }

    /// Stores a value and returns its address. A value that the initialiser itself stored meanwhile is
    /// replaced and handed back, to be dropped without a borrow of the list.
    pub(crate) fn insert(&mut self, key: KeyId, value: Box<dyn Any>) -> Option<Box<dyn Any>> {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.0 == key) {
            return match std::mem::replace(&mut slot.1, Slot::Live(value)) {
                Slot::Live(old) => Some(old),
                Slot::Gone => None,
            };
        }
        self.slots.push((key, Slot::Live(value)));
        None
    }

    /// Takes out the newest value that is still alive, to be dropped by the caller; `None` when all are
    /// gone, and from then on no new one is made.
    pub(crate) fn take_newest(&mut self) -> Option<Box<dyn Any>> {
        for (_, slot) in self.slots.iter_mut().rev() {
            if let Slot::Live(_) = slot {
                match std::mem::replace(slot, Slot::Gone) {
                    Slot::Live(value) => return Some(value),
                    Slot::Gone => {}
                }
            }
        }
        self.over = true;
        None
    }
}
