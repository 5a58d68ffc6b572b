//! The types of `fibers::channel` have the traits that crossbeam's have, and lack those that they lack.

#![allow(
    clippy::duplicate_mod,
    reason = "each file is compiled with crossbeam's names and with ours"
)]

#[macro_use]
#[path = "common/traits.rs"]
mod macros;

#[path = "channel"]
mod with_crossbeam {
    pub use crossbeam_channel as channel;
    pub mod traits;
}

#[path = "channel"]
mod with_fibers {
    pub use fibers::channel;
    pub mod traits;
}

/// What must not be missing, nor there where it is not meant to be.
const EQUAL: &[&str] = &["Send", "Sync", "Copy", "Iterator"];

#[test]
fn the_same_traits() {
    let (ours, theirs) = (with_fibers::traits::told(), with_crossbeam::traits::told());
    let mut wrong = Vec::new();
    for (our, their) in ours.iter().zip(&theirs) {
        let words = |line: &str| -> Vec<String> {
            let traits = line.rsplit(": ").next().unwrap_or_default();
            traits.split(' ').map(str::to_owned).collect()
        };
        let (has, wanted) = (words(our), words(their));
        // A selection of ours takes the message itself: it may go to another thread only with that, and does not ask
        // for messages that may.
        let is_select = our.starts_with("Select<");
        let missing = wanted
            .iter()
            .filter(|word| !(is_select && EQUAL[..2].contains(&word.as_str())))
            .any(|word| !has.contains(word));
        let too_much = has
            .iter()
            .any(|word| EQUAL.contains(&word.as_str()) && !wanted.contains(word));
        if missing || too_much {
            wrong.push((our, their));
        }
    }
    assert!(wrong.is_empty(), "ours, theirs:\n{wrong:#?}");
}
