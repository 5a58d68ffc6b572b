//! What the end of a machine promises: it comes, at any moment; nothing is run, dropped or freed twice or
//! never; and what would not end is named.
//!
//! `STRESS=1`: five thousand machines dropped at random instants, instead of three hundred.

#[path = "../common/mod.rs"]
mod common;

mod any_instant;
mod reports;
mod too_late;
mod unwinds;
mod who_drops;
