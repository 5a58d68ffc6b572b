//! Floor 3: the scheduler. README.md beside this file tells its protocols.
//!
//! | file | what it holds |
//! |---|---|
//! | `core` | the machine, its threads, the loop of a worker |
//! | `worker` | a worker's record, shared and own part |
//! | `pick`, `run` | what runs next; the switch, and what follows it |
//! | `park`, `wake` | how a fiber waits; how it is made runnable |
//! | `queue_work`, `search`, `patience`, `balance`, `sleep`, `idle` | where work is put, how it is found elsewhere, how workers sleep |
//! | `alarm`, `pace`, `dues` | deadlines of fibers; how often a worker gets up for them; of floating ones |
//! | `outside`, `tell`, `poll`, `baton` | how workers learn what happens outside; who is woken for it; the dedicated thread; which of them waits |
//! | `shared` | the lists and the idle list, under one lock |
//! | `stop`, `starve` | the end of a machine; fibers without a stack |
//! | `config`, `offload`, `metrics`, `clock`, `rng` | options (`offload`: the blocking pool's), counters, and the two seams of chance and time |

pub(crate) mod alarm;
pub(crate) mod balance;
pub(crate) mod baton;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod core;
pub(crate) mod dues;
pub(crate) mod idle;
pub(crate) mod item;
pub(crate) mod metrics;
pub(crate) mod offload;
pub(crate) mod outside;
pub(crate) mod pace;
pub(crate) mod park;
pub(crate) mod patience;
pub(crate) mod pick;
pub(crate) mod poll;
pub(crate) mod queue_work;
pub(crate) mod report_overflow;
pub(crate) mod rng;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod sleep;
pub(crate) mod starve;
pub(crate) mod stop;
pub(crate) mod tell;
pub(crate) mod wake;
pub(crate) mod worker;
