//! What the files of latches, locks and channels import from the library, as far as the models need it: fibers
//! that sleep and are woken, a time that has come or never comes, a simple latch, a futex.
//!
//! A wake is a hint, as in the library; and who was woken sees what its waker did before (`world_fiber.rs`).

/// Cells that loom checks: each use is one of the owner's, ordered after all before it; so is the end.
pub(crate) mod cells {
    pub(crate) use std::cell::OnceCell;
    use std::thread::panicking;

    #[derive(Debug)]
    pub(crate) struct Cell<T>(loom::cell::UnsafeCell<T>);

    impl<T> Cell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        pub(crate) fn set(&self, value: T) {
            drop(self.replace(value));
        }

        pub(crate) fn replace(&self, value: T) -> T {
            // SAFETY: checked by loom.
            self.0
                .with_mut(|cell| unsafe { std::mem::replace(&mut *cell, value) })
        }
    }

    impl<T: Copy> Cell<T> {
        pub(crate) fn get(&self) -> T {
            // SAFETY: checked by loom.
            self.0.with(|cell| unsafe { *cell })
        }
    }

    impl<T: Default> Cell<T> {
        pub(crate) fn take(&self) -> T {
            self.replace(T::default())
        }
    }

    impl<T: Default> Default for Cell<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> Drop for Cell<T> {
        fn drop(&mut self) {
            if !panicking() {
                self.0.with_mut(|_| ());
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T: ?Sized>(loom::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        pub(crate) fn into_inner(self) -> T {
            unreachable!("no model takes a lock apart")
        }
    }

    impl<T: ?Sized> UnsafeCell<T> {
        pub(crate) fn get_mut(&mut self) -> &mut T {
            // SAFETY: the borrow.
            unsafe { &mut *self.get() }
        }

        /// Counts as a use; of nothing, if there is nothing in it.
        pub(crate) fn get(&self) -> *mut T {
            // SAFETY: for its size only, which no use changes.
            if self.0.with(|cell| size_of_val(unsafe { &*cell })) == 0 {
                return self.0.with(|cell| cell.cast_mut());
            }
            self.0.with_mut(|cell| cell)
        }
    }

    impl<T: ?Sized> Drop for UnsafeCell<T> {
        fn drop(&mut self) {
            if !panicking() {
                let _ = self.get();
            }
        }
    }
}

/// Drops it, and keeps its memory: a touch that comes later finds what is left.
///
/// # Safety
/// From a box, and dropped once.
pub(crate) unsafe fn free<T>(this: std::ptr::NonNull<T>) {
    // SAFETY: by contract; without a check, as a planted bug breaks it, and the models' own values note that.
    unsafe { this.drop_in_place() };
}

/// A latch whose waiting is loom's: the library's own has a model of its own (`world_latch.rs`).
pub(crate) mod latch {
    #[derive(Debug)]
    pub(crate) struct Latch<T>(crate::primitive::Mutex<T>);

    impl<T> Latch<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(crate::primitive::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock()
        }
    }
}

pub(crate) mod os {
    pub(crate) use crate::kernel as poll;

    pub(crate) mod fork {
        pub(crate) fn generation() -> u32 {
            0
        }
    }

    pub(crate) mod socket {
        pub(crate) fn would_block() -> std::io::Error {
            std::io::ErrorKind::WouldBlock.into()
        }
    }

    pub(crate) fn prefetch(_: *const u8) {}

    /// As the kernel has it: a look at the word and the sleep that follows come before a wake, or after it.
    pub(crate) mod futex {
        use crate::primitive::{AtomicU32, Ordering};
        use loom::thread::{self, Thread};
        use std::cell::RefCell;
        use std::ptr;

        loom::lazy_static! {
            /// Counts sleeps and wakes.
            static ref STEPS: AtomicU32 = AtomicU32::new(0);
        }

        thread_local! {
            // Loom runs all its threads on one.
            static SLEEPERS: RefCell<Vec<(usize, Thread)>> = const { RefCell::new(Vec::new()) };
        }

        /// Begins a run.
        pub(crate) fn begin() {
            SLEEPERS.with(|sleepers| sleepers.borrow_mut().clear());
        }

        /// True if it slept.
        pub(crate) fn wait(
            word: &AtomicU32,
            expected: u32,
            timeout: Option<std::time::Duration>,
        ) -> bool {
            assert!(timeout.is_none(), "no model sleeps for a time");
            loop {
                let step = STEPS.load(Ordering::Acquire);
                if word.load(Ordering::Relaxed) != expected {
                    return false;
                }
                let (same, next) = (Ordering::AcqRel, Ordering::Relaxed);
                if STEPS.compare_exchange(step, step + 1, same, next).is_ok() {
                    // Loom changes threads before an access of its own, not here.
                    let me = (ptr::from_ref(word).addr(), thread::current());
                    SLEEPERS.with(|sleepers| sleepers.borrow_mut().push(me));
                    thread::park();
                    return true;
                }
            }
        }

        pub(crate) fn wake_one(word: *const AtomicU32) {
            STEPS.fetch_add(1, Ordering::AcqRel);
            let first = SLEEPERS.with(|sleepers| {
                let mut sleepers = sleepers.borrow_mut();
                let first = sleepers.iter().position(|(on, _)| *on == word.addr());
                first.map(|first| sleepers.remove(first).1)
            });
            if let Some(first) = first {
                first.unpark();
            }
        }
    }
}

pub(crate) mod fiber {
    pub(crate) mod alarm {
        pub(crate) const NEVER: u64 = u64::MAX;
    }

    pub(crate) mod cell {
        pub(crate) struct AbortOnUnwind(pub &'static str);

        impl Drop for AbortOnUnwind {
            fn drop(&mut self) {
                // A model that fails unwinds; nothing else does.
                assert!(std::thread::panicking(), "{}", self.0);
            }
        }
    }

    pub(crate) mod header {
        use crate::primitive::{AtomicU32, Ordering};
        use std::cell::{Cell, RefCell};

        /// How long a fiber of the models waits.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Patience {
            /// As long as it takes.
            Endless,
            /// Its lock has been wanted for a millisecond as soon as it waits, if nobody has woken it by then.
            Starves,
            /// So, too; but it does nothing by the short way.
            Cautious,
            /// It is cancelled.
            Cancelled,
            /// The one, and from its second sleep on the other.
            StarvesThenCancelled,
        }

        /// Stands for the library's header.
        #[derive(Debug)]
        pub(crate) struct Header {
            woken: AtomicU32,
            /// The thread that `sleep` blocks.
            sleeps: RefCell<Option<loom::thread::Thread>>,
            /// How often it wanted to sleep.
            pub(crate) sleeps_begun: Cell<u32>,
            pub(crate) patience: Patience,
        }

        #[derive(Default)]
        #[expect(clippy::vec_box, reason = "they stay where they are")]
        struct Fibers {
            headers: Vec<Box<Header>>,
            threads: Vec<(loom::thread::ThreadId, &'static Header)>,
        }

        thread_local! {
            // Loom runs all its threads on one.
            static FIBERS: RefCell<Fibers> = RefCell::default();
        }

        /// Begins a run: the calling thread is a fiber from here on.
        pub(crate) fn begin() {
            FIBERS.with(|fibers| fibers.take());
            i_am(Patience::Endless);
        }

        /// A fiber for a thread to come.
        pub(crate) fn fiber(patience: Patience) -> &'static Header {
            let header = Box::new(Header {
                woken: AtomicU32::new(0),
                sleeps: RefCell::new(None),
                sleeps_begun: Cell::new(0),
                patience,
            });
            let pointer: *const Header = &raw const *header;
            FIBERS.with(|fibers| fibers.borrow_mut().headers.push(header));
            // SAFETY: in its box until the next run begins.
            unsafe { &*pointer }
        }

        /// The calling thread is that fiber.
        pub(crate) fn become_fiber(header: &'static Header) {
            let me = (loom::thread::current().id(), header);
            FIBERS.with(|fibers| fibers.borrow_mut().threads.push(me));
        }

        /// The calling thread is such a fiber.
        pub(crate) fn i_am(patience: Patience) {
            become_fiber(fiber(patience));
        }

        pub(crate) fn me() -> &'static Header {
            let id = loom::thread::current().id();
            FIBERS.with(|fibers| {
                let fibers = fibers.borrow();
                let me = fibers.threads.iter().rfind(|(other, _)| *other == id);
                me.expect("a fiber").1
            })
        }

        impl Header {
            /// Stands for `machine::wake::wake`.
            pub(crate) fn wake(&self) {
                self.woken.swap(1, Ordering::AcqRel);
                // Loom changes threads before an access of its own, not here.
                if let Some(thread) = self.sleeps.take() {
                    thread.unpark();
                }
            }

            /// True if it was woken since it last asked.
            pub(crate) fn take(&self) -> bool {
                self.woken.swap(0, Ordering::AcqRel) == 1
            }

            /// Until it is woken.
            pub(crate) fn sleep(&self) {
                while !self.take() {
                    self.sleeps.replace(Some(loom::thread::current()));
                    loom::thread::park();
                }
            }
        }
    }

    pub(crate) mod reasons {
        pub(crate) struct Reasons(pub u16);

        impl Reasons {
            pub(crate) const QUEUE: Self = Self(1 << 7);
            pub(crate) const READABLE: Self = Self(1 << 8);
            pub(crate) const WRITABLE: Self = Self(1 << 9);
        }
    }
}

pub(crate) mod machine {
    pub(crate) mod alarm {
        pub(crate) fn ring_if_due<W, F>(_: W, _: &F) {}
    }

    pub(crate) mod config {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Poller {
            Workers,
        }
    }

    pub(crate) mod clock {
        pub(crate) fn current_ns() -> u64 {
            0
        }

        /// What comes at all has come.
        pub(crate) fn has_come(at_ns: u64) -> bool {
            at_ns != crate::fiber::alarm::NEVER
        }

        pub(crate) fn soon_ns() -> u64 {
            0
        }
    }

    pub(crate) mod park {
        use crate::fiber::header;

        pub(crate) fn refuse_if_stuck() {}

        pub(crate) fn may_spin() -> bool {
            false
        }

        /// A cautious one goes the long way.
        pub(crate) fn simple() -> Option<*const header::Header> {
            let me = header::me();
            (me.patience != header::Patience::Cautious).then_some(&raw const *me)
        }

        /// The cases of a selection in their order.
        pub(crate) fn random(_: usize) -> usize {
            0
        }

        pub(crate) fn sleep(mask: u16) -> u16 {
            header::me().sleep();
            mask
        }
    }
}

pub(crate) mod wait {
    pub(crate) mod deadline {
        /// A moment that has come when its waiter goes to sleep: the schedule decides what happens before. Later than
        /// the one at which it is starved, if that comes.
        pub(crate) const SOON: u64 = 2_000_000;

        pub(crate) fn after(_: u64, _: std::time::Duration) -> u64 {
            SOON
        }
    }

    pub(crate) mod cancel {
        use crate::fiber::alarm::NEVER;
        use crate::fiber::header::{self, Header, Patience};
        use crate::machine::park;

        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Unwind {
            Cancelled,
        }

        impl Unwind {
            pub(crate) fn unwind(self) -> ! {
                std::panic::resume_unwind(Box::new(self))
            }
        }

        pub(crate) fn is_ours(payload: &(dyn std::any::Any + Send)) -> bool {
            payload.is::<Unwind>()
        }

        /// Whoever panics in a model fails it, and poisons nothing.
        pub(crate) fn unwinds() -> bool {
            true
        }

        /// Runs it; `None` if it was unwound by cancellation.
        pub(crate) fn until_unwound<R>(f: impl FnOnce() -> R) -> Option<R> {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            result
                .map_err(|payload| match payload.downcast::<Unwind>() {
                    Ok(unwind) => assert_eq!(*unwind, Unwind::Cancelled),
                    Err(payload) => std::panic::resume_unwind(payload),
                })
                .ok()
        }

        pub(crate) struct Me(&'static Header);

        impl Me {
            pub(crate) fn get() -> Self {
                Self(header::me())
            }

            pub(crate) fn header(&self) -> &Header {
                self.0
            }

            pub(crate) fn may_be_refused(&self) -> bool {
                false
            }

            /// Such that a millisecond later comes, or never.
            pub(crate) fn soon_ns(&self) -> u64 {
                match self.0.patience {
                    Patience::Starves | Patience::StarvesThenCancelled => 0,
                    Patience::Endless | Patience::Cautious | Patience::Cancelled => {
                        NEVER - 1_000_000
                    }
                }
            }
        }

        fn is_cancelled() -> bool {
            let me = header::me();
            let begun = me.sleeps_begun.replace(me.sleeps_begun.get() + 1);
            match me.patience {
                Patience::Endless | Patience::Cautious | Patience::Starves => false,
                Patience::Cancelled => true,
                Patience::StarvesThenCancelled => begun > 0,
            }
        }

        pub(crate) fn sleep(mask: u16) -> Result<u16, Unwind> {
            if is_cancelled() {
                return Err(Unwind::Cancelled);
            }
            Ok(park::sleep(mask))
        }

        /// What comes at all has come when it falls asleep: the schedule decides what happens before.
        pub(crate) fn sleep_shielded_until(mask: u16, at_ns: u64) -> u16 {
            if at_ns == NEVER {
                return park::sleep(mask);
            }
            if header::me().take() { mask } else { 0 }
        }

        pub(crate) fn sleep_until(mask: u16, at_ns: u64) -> Result<u16, Unwind> {
            if is_cancelled() {
                return Err(Unwind::Cancelled);
            }
            Ok(sleep_shielded_until(mask, at_ns))
        }

        pub(crate) fn sleep_serving(mask: u16) -> Result<u16, Unwind> {
            sleep(mask)
        }

        pub(crate) fn sleep_serving_until(mask: u16, at_ns: u64) -> Result<Option<u16>, Unwind> {
            Ok(Some(sleep_until(mask, at_ns)?).filter(|reasons| *reasons != 0))
        }

        pub(crate) fn sleep_uncancelled(mask: u16) {
            let _ = park::sleep(mask);
        }
    }
}

pub(crate) mod channel {
    pub(crate) mod error {
        #[derive(Debug)]
        pub(crate) struct SendError<T>(pub T);
        #[derive(Debug)]
        pub(crate) struct RecvError;
    }
}
