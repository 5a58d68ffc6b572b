//! Where the promises of `sync` and `channel` are run: each is one function, compiled four times, with nothing but
//! the `use` lines changed.
//!
//! | compiled with | run |
//! |---|---|
//! | std (or crossbeam) and threads | once, on a thread: the reference |
//! | ours and fibers | in fibers of machines of one and of two workers, of both modes, of a machine of the calling thread, and on a thread |
//! | ours and threads | on a thread: no fiber anywhere |
//! | ours, fibers and threads by turns | as the second: each waits for the other kind |
//!
//! A promise asserts what it can; what it returns (texts of errors and panics, mostly) must be what the
//! reference returned.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::common::{Expected, MODES, Test};

/// One promise, compiled with each of the four.
pub struct Promise<R> {
    pub reference: fn() -> R,
    pub fibers: fn() -> R,
    pub threads: fn() -> R,
    pub mixed: fn() -> R,
}

/// Runs it in every place.
pub fn kept<R: PartialEq + Debug + Send + 'static>(promise: &Promise<R>) {
    silence();
    let test = Test::new(120);
    let expected = (promise.reference)();
    assert_eq!((promise.threads)(), expected, "threads");
    assert_eq!((promise.fibers)(), expected, "a thread beside fibers");
    assert_eq!((promise.mixed)(), expected, "a thread beside both");
    for mode in MODES {
        for workers in [1, 2] {
            let machine = test.machine(mode, workers);
            for (name, run) in [("fibers", promise.fibers), ("both", promise.mixed)] {
                let said = machine.run(run);
                assert_eq!(said, expected, "{name}, {mode:?}, {workers} workers");
            }
        }
    }
    let here = test.local();
    assert_eq!(
        here.run(promise.fibers),
        expected,
        "a machine of this thread"
    );
}

/// The tests: a module for each file of promises, a test for each promise.
#[allow(
    clippy::crate_in_macro_def,
    reason = "each test binary has a copy of its own"
)]
#[macro_export]
macro_rules! promises {
    ($($file:ident { $($name:ident),* $(,)? })*) => {
        $(mod $file {
            $(#[test]
            fn $name() {
                crate::places::kept(&crate::places::Promise {
                    reference: crate::with_std::$file::$name,
                    fibers: crate::with_fibers::$file::$name,
                    threads: crate::with_threads::$file::$name,
                    mixed: crate::with_both::$file::$name,
                });
            })*
        })*
    };
}

/// std::thread's names, where every second closure runs on an OS thread.
pub mod mixed {
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub use fibers::thread::{
        JoinHandle, Result, ScopedJoinHandle, current, panicking, sleep, yield_now,
    };

    fn turn() -> bool {
        static TURNS: AtomicUsize = AtomicUsize::new(0);
        TURNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
    }

    fn run<T: Send>(on_a_thread: bool, f: impl FnOnce() -> T + Send) -> T {
        // The fiber waits for the thread, so joining it is joining the thread.
        if on_a_thread {
            fibers::blocking(f)
        } else {
            f()
        }
    }

    pub fn spawn<F, T>(f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if !turn() {
            return fibers::spawn(f);
        }
        // A fiber waits for the thread and passes on how it ended: joining it is joining the thread.
        fibers::spawn(|| {
            let ended = fibers::blocking(|| std::thread::spawn(f).join());
            ended.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        })
    }

    /// As std's, over that of fibers.
    #[derive(Debug)]
    #[repr(transparent)]
    pub struct Scope<'scope, 'env: 'scope>(fibers::Scope<'scope, 'env>);

    impl<'scope> Scope<'scope, '_> {
        pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
        where
            F: FnOnce() -> T + Send + 'scope,
            T: Send + 'scope,
        {
            if turn() {
                self.0.spawn(|| fibers::blocking(f))
            } else {
                self.0.spawn(f)
            }
        }
    }

    pub fn scope<'env, F, T>(f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        fibers::scope(|scope| {
            let scope = std::ptr::from_ref(scope).cast::<Scope<'_, 'env>>();
            // SAFETY: the same struct, as it is transparent; the reference lives as long as it did.
            f(unsafe { &*scope })
        })
    }
}

/// What a panic said, or that there was none.
pub fn panic_text<T>(f: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => "no panic".to_owned(),
        Err(payload) => payload_text(&*payload)
            .unwrap_or("another payload")
            .to_owned(),
    }
}

fn payload_text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Lets panics that a promise provokes pass without a message: on a worker the harness does not capture them.
fn silence() {
    const PROVOKED: &[&str] = &[
        "expected",
        "previously been poisoned",
        "PoisonError",
        "SendError",
        "RecvError",
        "SelectedOperation",
        "operations have been added",
        "index out of bounds",
        "no operation with this index",
    ];
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = payload_text(info.payload()).unwrap_or_default();
            // A failed assertion may show what another panic said.
            let assertion = text.starts_with("assertion");
            let provoked = !assertion && PROVOKED.iter().any(|part| text.contains(part));
            if !provoked && !info.payload().is::<Expected>() {
                before(info);
            }
        }));
    });
}
