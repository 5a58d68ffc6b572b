//! The types of `fibers::sync` have the traits that std's have, and lack those that std's lack.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with std's names and with ours"
)]

#[macro_use]
#[path = "common/traits.rs"]
mod macros;

#[path = "sync_std"]
mod with_std {
    pub use std::sync;
    pub mod traits;
}

#[path = "sync_std"]
mod with_fibers {
    pub use fibers::sync;
    pub mod traits;
}

fn same(ours: &[String], theirs: &[String]) {
    let differ: Vec<_> = ours.iter().zip(theirs).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty(), "ours, theirs:\n{differ:#?}");
}

#[test]
fn locks() {
    same(&with_fibers::traits::locks(), &with_std::traits::locks());
}

#[test]
fn guards() {
    same(&with_fibers::traits::guards(), &with_std::traits::guards());
}

#[test]
fn onces() {
    same(&with_fibers::traits::onces(), &with_std::traits::onces());
}

#[test]
fn channels() {
    same(
        &with_fibers::traits::channels(),
        &with_std::traits::channels(),
    );
}

#[test]
fn errors_are_stds() {
    with_fibers::traits::errors_are_stds();
    with_std::traits::errors_are_stds();
}

#[test]
fn the_telling_tells() {
    let said = with_std::traits::guards();
    let line = |start: &str| said.iter().find(|line| line.starts_with(start)).cloned();
    let guard = line("MutexGuard").unwrap();
    assert!(
        guard.contains(" Sync") && !guard.contains(" Send"),
        "{guard}"
    );
}
