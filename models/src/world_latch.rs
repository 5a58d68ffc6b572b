//! Models of the latch, on a futex: who sleeps is woken. Included into each variant.

use super::latch::Latch;
use loom::thread;
use std::sync::Arc;

/// So many go into the section, some of them twice: one at a time, each sees what the others did, and nobody sleeps
/// beside a free latch (LATCH-1; loom reports those that sleep for ever).
fn sections(others: u32, times: u32) {
    crate::os::futex::begin();
    let latch = Arc::new(Latch::new(0_u32));
    let others: Vec<_> = (0..others)
        .map(|_| {
            let latch = latch.clone();
            thread::spawn(move || {
                for _ in 0..times {
                    *latch.lock() += 1;
                }
            })
        })
        .collect();
    *latch.lock() += 1;
    let count = others.len() as u32 * times;
    for other in others {
        other.join().unwrap();
    }
    assert_eq!(*latch.lock(), count + 1);
}

pub(crate) fn the_latch_excludes_and_wakes() {
    sections(1, 2);
}

pub(crate) fn the_latch_wakes_two_sleepers() {
    sections(2, 1);
}
