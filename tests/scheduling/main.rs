//! What the scheduler promises: who runs, where, in which order, and that nobody waits for ever.

#[path = "../common/mod.rs"]
mod common;

mod all_run;
mod balance;
mod fairness;
mod idle_workers;
mod priorities;
mod threads;
mod wakes;
mod workers;
