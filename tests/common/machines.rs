//! Machines in both modes, and the places where a promise is to hold.

use fibers::{Runtime, RuntimeBuilder};

use super::Test;

/// Which promise a machine makes about its started fibers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They stay on their worker.
    Pinned,
    /// Any worker resumes them.
    Floating,
}

/// Both.
pub const MODES: [Mode; 2] = [Mode::Pinned, Mode::Floating];

/// A builder of that mode.
pub fn builder(mode: Mode) -> RuntimeBuilder {
    match mode {
        Mode::Pinned => Runtime::builder(),
        // SAFETY: the tests hold no thread-local borrow, no guard and nothing that is not Send over a wait,
        // but for those that build pinned machines only.
        Mode::Floating => unsafe { Runtime::builder().floating() },
    }
}

/// Runs a test in both modes, on machines with so many workers.
pub fn in_both_modes(limit_s: u64, workers: usize, test: impl Fn(&Test, &Runtime, Mode)) {
    for mode in MODES {
        let watch = Test::new(limit_s);
        let machine = watch.machine(mode, workers);
        test(&watch, &machine, mode);
    }
}

/// Runs a test on machines of both modes with one, two and four workers.
pub fn on_all_machines(limit_s: u64, test: impl Fn(&Test, &Runtime)) {
    for mode in MODES {
        for workers in [1, 2, 4] {
            println!("{mode:?}, {workers} workers");
            let watch = Test::new(limit_s);
            test(&watch, &watch.machine(mode, workers));
        }
    }
}

/// Runs a promise of the free functions wherever they may be called: on a plain thread, in fibers of
/// machines of one and of several workers, pinned and floating, and on a machine of the calling thread.
pub fn everywhere(limit_s: u64, promise: fn()) {
    let test = Test::new(limit_s);
    promise();
    for mode in MODES {
        for workers in [1, 3] {
            test.machine(mode, workers).run(promise);
        }
    }
    test.local().run(promise);
}

/// As `everywhere`, on machines of one, two and four workers.
pub fn in_every_place(limit_s: u64, promise: fn()) {
    let test = Test::new(limit_s);
    promise();
    for mode in MODES {
        for workers in [1, 2, 4] {
            test.machine(mode, workers).run(promise);
        }
    }
    test.local().run(promise);
}
