//! Floor 2: what a fiber is, and how one stack switches to another.
//!
//! `word`, `reasons`, `calls`, `awaiter` are pure (no switch, no system call) and model-checked. `header` and `cell`
//! are the heap cell; `cold` its rare part; `alarm` its deadlines; `runner` the stack and the switch; `current` the thread-locals.
//! These rooms know stacks and queues, and nothing of workers: a worker is an opaque `Home` here.

pub(crate) mod alarm;
pub(crate) mod awaiter;
pub(crate) mod calls;
pub(crate) mod cell;
pub(crate) mod cold;
pub(crate) mod current;
pub(crate) mod header;
pub(crate) mod locals;
pub(crate) mod owed;
pub(crate) mod priority;
pub(crate) mod reasons;
pub(crate) mod runner;
pub(crate) mod scope;
pub(crate) mod slab;
pub(crate) mod waiters;
pub(crate) mod word;
