//! The channel of an arm may be borrowed from a temporary, which lives as long as the selection.

use super::channel::{Receiver, never, select, unbounded};

pub fn an_arm_may_borrow_what_lives_as_long_as_the_selection() {
    fn look(rx: Option<&Receiver<u8>>) -> Option<u8> {
        select! {
            recv(rx.unwrap_or(&never())) -> got => got.ok(),
            default => None,
        }
    }
    let (tx, rx) = unbounded();
    tx.send(1).unwrap();
    assert_eq!(look(None), None);
    assert_eq!(look(Some(&rx)), Some(1));
}
