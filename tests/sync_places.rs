//! `fibers::sync` where waits are not simple: in destructors while something unwinds, at the end of a thread, on the
//! worker's stack; and that its types are what std's are to the type checker.

mod common;

use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use common::{Test, eventually, everywhere, in_both_modes};
use fibers::sync::{
    Barrier, BarrierWaitResult, Condvar, Event, LazyLock, Mutex, Notify, Once, OnceLock, OnceState,
    RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore, WaitGroup, WaitTimeoutResult,
};
use fibers::testing::Check;

/// Calls it when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Everything once, with a helper that is a plain thread: so it works wherever a fiber must not switch.
fn use_all() {
    struct All {
        mutex: Mutex<u32>,
        condvar: Condvar,
        rwlock: RwLock<u32>,
        barrier: Barrier,
        once: Once,
        cell: OnceLock<u32>,
        lazy: LazyLock<u32>,
        semaphore: Semaphore,
        event: Event,
        notify: Notify,
    }
    let all = Arc::new(All {
        mutex: Mutex::new(0),
        condvar: Condvar::new(),
        rwlock: RwLock::new(0),
        barrier: Barrier::new(2),
        once: Once::new(),
        cell: OnceLock::new(),
        lazy: LazyLock::new(|| 5),
        semaphore: Semaphore::new(0),
        event: Event::new(),
        notify: Notify::new(),
    });
    let group = WaitGroup::new();
    let helper = std::thread::spawn({
        let (all, member) = (Arc::clone(&all), group.clone());
        move || {
            let pause = || std::thread::sleep(Duration::from_millis(1));
            pause();
            *all.mutex.lock().unwrap() = 1;
            all.condvar.notify_one();
            all.barrier.wait();
            all.once.call_once(pause);
            let mut writer = all.rwlock.write().unwrap();
            all.semaphore.add_permits(1);
            pause();
            *writer = 2;
            drop(writer);
            all.event.set();
            pause();
            all.notify.notify_one();
            pause();
            all.cell.set(4).unwrap();
            drop(member);
        }
    });
    let guard = all.mutex.lock().unwrap();
    drop(all.condvar.wait_while(guard, |value| *value == 0).unwrap());
    all.barrier.wait();
    all.once.wait();
    all.semaphore.acquire().unwrap().forget();
    assert_eq!(*all.rwlock.read().unwrap(), 2);
    all.event.wait();
    all.notify.wait();
    assert_eq!(*all.cell.wait() + *all.lazy, 9);
    group.wait();
    helper.join().unwrap();
}

#[test]
fn in_a_destructor_while_a_panic_unwinds() {
    fn promise() {
        let unwound = catch_unwind(|| {
            let _at_the_end = OnDrop(use_all);
            resume_unwind(Box::new("a panic"));
        });
        assert!(unwound.is_err());
    }
    everywhere(120, promise);
}

#[test]
fn in_a_destructor_of_a_fiber_that_is_cancelled_and_of_one_that_is_late() {
    in_both_modes(120, 2, |_, machine, _| {
        let body = || {
            let _at_the_end = OnDrop(use_all);
            fibers::sleep(Duration::from_secs(3600));
        };
        let fiber = machine.spawn(body);
        eventually(|| machine.metrics().parked == 1);
        fiber.cancel().unwrap();
        assert!(fiber.join().unwrap_err().is::<fibers::Cancelled>());
        let late = machine.spawn(move || fibers::timeout(Duration::from_millis(1), body));
        assert!(late.join().unwrap().is_err());
    });
}

#[test]
fn at_the_end_of_a_thread() {
    thread_local! {
        static AT_THE_END: OnDrop<fn()> = const { OnDrop(use_all) };
    }
    let test = Test::new(120);
    std::thread::spawn(|| {
        AT_THE_END.with(|_| use_all());
    })
    .join()
    .unwrap();
    // A worker's own.
    let machine = test.build(fibers::Runtime::builder().workers(1));
    machine.run(|| AT_THE_END.with(|_| use_all()));
    drop(machine);
}

#[test]
fn on_the_stack_of_the_worker() {
    in_both_modes(120, 2, |_, machine, _| {
        machine.run(|| fibers::on_worker_stack(use_all));
    });
}

/// In the deterministic mode a wait that would block the one thread is refused before anybody knows of it.
#[test]
fn a_wait_that_nothing_could_end_is_refused_and_leaves_nothing_behind() {
    fn refused(wait: impl FnOnce()) {
        let refused = catch_unwind(AssertUnwindSafe(|| fibers::on_worker_stack(wait)));
        let text = refused.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("must not switch"), "{text}");
    }
    Check::new().run(|| {
        let (rwlock, mutex, condvar) = (RwLock::new(0), Mutex::new(0), Condvar::new());
        let writer = rwlock.write().unwrap();
        refused(|| drop(rwlock.read()));
        refused(|| drop(rwlock.write()));
        drop(writer);
        assert!(rwlock.try_write().is_ok());
        refused(|| drop(condvar.wait(mutex.lock().unwrap())));
        condvar.notify_all();
        mutex.clear_poison();
        assert!(mutex.try_lock().is_ok());
        let barrier = Barrier::new(2);
        refused(|| assert!(barrier.wait().is_leader()));
        let (semaphore, event) = (Semaphore::new(0), Event::new());
        let (once, notify) = (Once::new(), Notify::new());
        refused(|| drop(semaphore.acquire()));
        semaphore.add_permits(1);
        assert_eq!(semaphore.available_permits(), 1);
        refused(|| event.wait());
        event.set();
        refused(|| once.wait());
        once.call_once(|| ());
        refused(|| notify.wait());
        notify.notify_one();
        assert!(notify.wait_timeout(Duration::ZERO));
    });
}

/// As std's types, with what they guard of any kind.
#[test]
fn types_may_be_shared_and_sent_as_std_s() {
    fn send_sync<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + ?Sized>() {}
    fn sync_only<T: Sync + Unpin>() {}
    send_sync::<RwLock<u8>>();
    send_sync::<RwLock<[u8]>>();
    send_sync::<Condvar>();
    send_sync::<Barrier>();
    send_sync::<BarrierWaitResult>();
    send_sync::<WaitTimeoutResult>();
    send_sync::<Once>();
    send_sync::<OnceLock<u8>>();
    send_sync::<LazyLock<u8>>();
    send_sync::<Semaphore>();
    send_sync::<Event>();
    send_sync::<Notify>();
    sync_only::<RwLockReadGuard<'_, u8>>();
    sync_only::<RwLockWriteGuard<'_, u8>>();

    /// Whether a type has a trait, told by which of two methods is found first.
    macro_rules! has {
        ($type:ty: $name:path) => {{
            struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
            #[allow(dead_code, reason = "for some types the other is found")]
            trait Without {
                fn has(&self) -> bool {
                    false
                }
            }
            impl<T: ?Sized> Without for &Probe<T> {}
            #[allow(dead_code, reason = "as above")]
            impl<T: ?Sized + $name> Probe<T> {
                fn has(&self) -> bool {
                    true
                }
            }
            (&Probe::<$type>(std::marker::PhantomData)).has()
        }};
    }
    macro_rules! same {
        ($($ours:ty, $theirs:ty;)*) => {$(
            assert_eq!(has!($ours: Send), has!($theirs: Send), "Send: {}", stringify!($ours));
            assert_eq!(has!($ours: Sync), has!($theirs: Sync), "Sync: {}", stringify!($ours));
            assert_eq!(has!($ours: Unpin), has!($theirs: Unpin), "Unpin: {}", stringify!($ours));
            assert_eq!(has!($ours: UnwindSafe), has!($theirs: UnwindSafe), "UnwindSafe: {}", stringify!($ours));
            assert_eq!(has!($ours: RefUnwindSafe), has!($theirs: RefUnwindSafe), "RefUnwindSafe: {}", stringify!($ours));
            assert_eq!(has!($ours: Default), has!($theirs: Default), "Default: {}", stringify!($ours));
            assert_eq!(has!($ours: Clone), has!($theirs: Clone), "Clone: {}", stringify!($ours));
            assert_eq!(has!($ours: std::fmt::Debug), has!($theirs: std::fmt::Debug), "Debug: {}", stringify!($ours));
            assert_eq!(has!($ours: std::fmt::Display), has!($theirs: std::fmt::Display), "Display: {}", stringify!($ours));
        )*};
    }
    type Shared = std::cell::Cell<u8>; // Send, not Sync
    type Lent = std::sync::MutexGuard<'static, u8>; // Sync, not Send
    type Neither = std::rc::Rc<u8>;
    type Mutable = &'static mut u8; // not UnwindSafe
    type Pinned = std::marker::PhantomPinned;
    use std::sync as theirs;
    macro_rules! same_of {
        ($($inner:ty),*) => {$(
            same! {
                Mutex<$inner>, theirs::Mutex<$inner>;
                RwLock<$inner>, theirs::RwLock<$inner>;
                RwLockReadGuard<'static, $inner>, theirs::RwLockReadGuard<'static, $inner>;
                RwLockWriteGuard<'static, $inner>, theirs::RwLockWriteGuard<'static, $inner>;
                OnceLock<$inner>, theirs::OnceLock<$inner>;
                LazyLock<$inner>, theirs::LazyLock<$inner>;
                LazyLock<u8, $inner>, theirs::LazyLock<u8, $inner>;
            }
        )*};
    }
    same_of!(u8, Shared, Lent, Neither, Mutable, Pinned, String);
    same! {
        Condvar, theirs::Condvar;
        Barrier, theirs::Barrier;
        BarrierWaitResult, theirs::BarrierWaitResult;
        WaitTimeoutResult, theirs::WaitTimeoutResult;
        Once, theirs::Once;
        OnceState, theirs::OnceState;
    }
}

/// What compiles with std's compiles with ours.
#[test]
fn lifetimes_are_as_lenient_as_std_s() {
    fn shorter<'a>(guard: RwLockReadGuard<'a, &'static str>) -> RwLockReadGuard<'a, &'a str> {
        guard
    }
    let text = RwLock::new("text");
    assert_eq!(*shorter(text.read().unwrap()), "text");
    // A cell that is dropped after what it refers to.
    let cell = OnceLock::new();
    let word = String::from("word");
    cell.set(&word).unwrap();
    assert_eq!(cell.get().map(|word| word.len()), Some(4));
    // In constants.
    static LOCK: RwLock<[u8; 2]> = RwLock::new([1, 2]);
    static CONDVAR: Condvar = Condvar::new();
    static BARRIER: Barrier = Barrier::new(1);
    static CELL: OnceLock<u8> = OnceLock::new();
    CONDVAR.notify_all();
    assert!(BARRIER.wait().is_leader());
    let wide: &RwLock<[u8]> = &LOCK;
    assert_eq!(
        wide.read().unwrap().len() + usize::from(*CELL.get_or_init(|| 1)),
        3
    );
}
