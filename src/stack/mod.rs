//! Floor 1: stacks. Where they come from, how they are guarded, and how their memory goes back.
//!
//! Contract of the room: it hands out and takes back stacks as [`StackRef`]s and knows nothing of
//! what runs on them. It may use `os` only. System calls are made without a lock held, but for the
//! mapping of a new slab, which grow geometrically and so are rare.
//!
//! | file       | what it is                                                                 |
//! |------------|----------------------------------------------------------------------------|
//! | `class`    | size classes, [`StackRef`] and its addresses, [`RawStack`] for the switch  |
//! | `guard`    | which guard method, chosen once; installing one                            |
//! | `slab`     | a big mapping and the slots in it that become stacks (no locks)            |
//! | `depot`    | one class's idle stacks and what to do about them (pure)                   |
//! | `pool`     | [`StackPool`]: one machine's slabs and depots behind one lock per class    |
//! | `overflow` | tells the user which fiber overflowed, from the fault handler              |
//!
//! One stack of a class, addresses growing upwards:
//! ```text
//!  limit              guard end                               head = base        top
//!  | guard (faults)   | usable, grows down from base ......... | HEAD_BYTES bytes |
//!  ^ a multiple of the class's size                                              ^ next stack
//! ```
//!
//! The life of a stack; "owner" is who may touch its memory:
//!
//! | state  | memory                        | owner                                               |
//! |--------|-------------------------------|-----------------------------------------------------|
//! | slot   | never touched, no guard yet   | pool                                                |
//! | out    | any                           | whoever took it, until `give`                       |
//! | warm   | as its last user left it      | pool                                                |
//! | lean   | its top `KEPT_BYTES` only     | pool                                                |
//! | cold   | none: reads as zero (*fresh*) | pool                                                |
//!
//! STACK-1: a stack that is out is in nobody else's hands, and its guard is installed.
//! STACK-2: stacks of one class do not overlap, and each is aligned to its size.
//! STACK-3: a slab stays mapped while a stack of it is out, even when its pool is gone.
#![allow(unsafe_code)]

mod class;
mod depot;
mod guard;
pub(crate) mod overflow;
mod pool;
mod slab;

#[cfg(test)]
mod tests;

pub(crate) use class::{HEAD_BYTES, RawStack, SizeClass, StackRef};
pub(crate) use guard::GuardMethod;
pub(crate) use pool::{PoolConfig, StackPool};
