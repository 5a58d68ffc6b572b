//! How fibers end: panics that are meant, drops that are counted, joins of what was cancelled.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fibers::{Cancelled, JoinHandle};

/// Lets this process's panics with these words in them pass silently: tests that panic a thousand times
/// would fill the log. Others are printed as ever.
pub fn silence_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        silence_panics_that(|info| {
            let text = info.payload().downcast_ref::<&str>();
            text.is_some_and(|text| text.contains("expected")) || info.payload().is::<Expected>()
        });
    });
}

/// As `silence_panics`, those of which `are_meant` says so; for as long as the process lives, beside what other tests
/// have silenced.
pub fn silence_panics_that(are_meant: fn(&PanicHookInfo<'_>) -> bool) {
    // Of two that do this at once, one could take the place of the other's hook.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !are_meant(info) {
            before(info);
        }
    }));
}

/// A payload that `silence_panics` knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected(pub u64);

/// Counts its drops.
#[derive(Debug)]
pub struct Counted<'a>(pub &'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// As `Counted`, for fibers that outlive the caller.
#[derive(Debug, Default)]
pub struct Once(pub Arc<AtomicUsize>);

impl Drop for Once {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Joins a fiber that was cancelled.
#[track_caller]
pub fn joined_as_cancelled<T>(fiber: JoinHandle<T>) {
    match fiber.join() {
        Ok(_) => panic!("it returned"),
        Err(payload) => assert!(payload.is::<Cancelled>(), "it panicked"),
    }
}
