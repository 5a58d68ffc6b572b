//! What std promises where a panic unwinds: who is poisoned, what destructors may do, and thread-locals' destructors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sync::mpsc::{Sender, channel, sync_channel};
use super::sync::{Arc, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock};
use super::{local, thread};
use crate::places::panic_text;

/// Calls its closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

pub fn a_guard_taken_while_unwinding_does_not_poison() {
    let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
    panic_text(|| {
        let _later = OnDrop(|| {
            assert!(thread_panics());
            *mutex.lock().unwrap() += 1;
            *lock.write().unwrap() += 1;
            assert_eq!(*lock.read().unwrap(), 1);
        });
        panic!("expected");
    });
    assert!(!mutex.is_poisoned() && !lock.is_poisoned());
    assert_eq!((*mutex.lock().unwrap(), *lock.read().unwrap()), (1, 1));
}

fn thread_panics() -> bool {
    std::thread::panicking()
}

pub fn all_that_is_held_is_poisoned_and_nothing_else() {
    let mutexes = [const { Mutex::new(()) }; 3];
    let locks = [const { RwLock::new(()) }; 3];
    panic_text(|| {
        let _first = mutexes[0].lock().unwrap();
        drop(mutexes[1].lock().unwrap());
        let _third = mutexes[2].try_lock().unwrap();
        let _read = locks[0].read().unwrap();
        let _write = locks[1].write().unwrap();
        let _tried = locks[2].try_write().unwrap();
        panic!("expected");
    });
    assert_eq!(
        mutexes.each_ref().map(Mutex::is_poisoned),
        [true, false, true]
    );
    assert_eq!(
        locks.each_ref().map(RwLock::is_poisoned),
        [false, true, true]
    );
}

pub fn a_panic_caught_while_it_is_held_does_not_poison() {
    let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
    let mut guard = mutex.lock().unwrap();
    let writer = lock.write().unwrap();
    panic_text(|| {
        *guard = 1;
        panic!("expected");
    });
    drop((guard, writer));
    assert!(!mutex.is_poisoned() && !lock.is_poisoned());
}

pub fn a_panic_inside_a_destructor_that_unwinds() {
    // Caught there, it does not end the process; a guard that was taken while unwinding does not poison even then.
    let (outer, inner) = (Mutex::new(()), Mutex::new(()));
    panic_text(|| {
        let _held = outer.lock().unwrap();
        let _later = OnDrop(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _guard = inner.lock().unwrap();
                panic!("expected");
            }));
            assert!(caught.is_err());
        });
        panic!("expected");
    });
    assert!(outer.is_poisoned());
    assert!(!inner.is_poisoned());
    assert!(inner.try_lock().is_ok());
}

pub fn each_of_a_nest_is_let_go() {
    let inner = Arc::new(Mutex::new(0));
    let outer = Mutex::new(Arc::clone(&inner));
    panic_text(|| {
        let outer = outer.lock().unwrap();
        let _inner = outer.lock().unwrap();
        panic!("expected");
    });
    assert!(inner.is_poisoned() && outer.is_poisoned());
    drop(inner.try_lock().unwrap_err());
    assert_eq!(*inner.lock().unwrap_err().into_inner(), 0);
}

pub fn one_who_waits_gets_it_from_one_who_panics() {
    for _ in 0..20 {
        let (mutex, waiting) = (Mutex::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            let guard = mutex.lock().unwrap();
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        waiting.fetch_add(1, Ordering::Relaxed);
                        mutex
                            .lock()
                            .map_err(|error| *error.into_inner() += 1)
                            .is_err()
                    })
                })
                .collect();
            while waiting.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
            panic_text(|| {
                let _guard = guard;
                panic!("expected");
            });
            for waiter in waiters {
                assert!(waiter.join().unwrap());
            }
        });
        assert_eq!(mutex.into_inner().unwrap_err().into_inner(), 3);
    }
}

pub fn poisoned_by_one_of_a_scope() {
    let mutex = Mutex::new(1);
    let said = panic_text(|| {
        thread::scope(|s| {
            s.spawn(|| {
                let _guard = mutex.lock().unwrap();
                panic!("expected");
            });
        });
    });
    assert!(mutex.is_poisoned());
    // A thread, or a fiber.
    assert!(said.starts_with("a scoped "), "{said}");
}

pub fn destructors_that_unwind_may_use_everything_that_is_free() {
    let (tx, rx) = channel();
    let (sync_tx, sync_rx) = sync_channel(1);
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let (once, cell) = (Once::new(), OnceLock::new());
    let lazy = LazyLock::new(|| 7);
    panic_text(|| {
        let _later = OnDrop(|| {
            tx.send(1).unwrap();
            assert_eq!(rx.recv(), Ok(1));
            sync_tx.send(2).unwrap();
            assert!(sync_tx.try_send(3).is_err());
            assert_eq!(sync_rx.recv(), Ok(2));
            *mutex.lock().unwrap() = 5;
            condvar.notify_all();
            once.call_once(|| ());
            assert_eq!(cell.get_or_init(|| 6), &6);
            assert_eq!(*lazy, 7);
        });
        panic!("expected");
    });
    assert_eq!(*mutex.lock().unwrap(), 5);
    assert!(once.is_completed());
}

pub fn a_call_once_inside_a_destructor_that_unwinds_does_not_poison() {
    let once = Once::new();
    let calls = AtomicUsize::new(0);
    panic_text(|| {
        let _later = OnDrop(|| {
            once.call_once(|| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
        });
        panic!("expected");
    });
    once.call_once(|| unreachable!());
    assert_eq!(calls.into_inner(), 1);
}

pub fn a_sender_dropped_by_an_unwind_is_gone() {
    let (tx, rx) = channel::<u8>();
    let sender = thread::spawn(move || {
        tx.send(1).unwrap();
        panic!("expected");
    });
    assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
    sender.join().unwrap_err();
    let (tx, rx) = sync_channel::<u8>(0);
    let receiver = thread::spawn(move || {
        let _rx = rx;
        panic!("expected");
    });
    assert!(tx.send(1).is_err());
    receiver.join().unwrap_err();
}

pub fn a_value_whose_destructor_panics() -> Vec<String> {
    #[derive(Debug)]
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("expected of a destructor");
            }
        }
    }
    let mutex = Mutex::new(Some(Bad));
    let mut said = vec![panic_text(|| *mutex.lock().unwrap() = None)];
    assert!(mutex.is_poisoned());
    assert!(mutex.lock().unwrap_err().into_inner().is_none());
    said.push(panic_text(|| drop(RwLock::new(Bad))));
    said.push(panic_text(|| drop(OnceLock::from(Bad))));
    let (tx, rx) = channel();
    tx.send(Bad).unwrap();
    said.push(panic_text(move || drop(rx)));
    assert!(matches!(tx.send(Bad).map_err(std::mem::forget), Err(())));
    said
}

/// Uses all of it when its thread, or fiber, ends.
struct AtTheEnd(Option<Sender<&'static str>>);

static AT_THE_END: Mutex<u32> = Mutex::new(0);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        static SHARED: RwLock<u32> = RwLock::new(0);
        static ONCE: Once = Once::new();
        static CELL: OnceLock<u32> = OnceLock::new();
        static LAZY: LazyLock<u32> = LazyLock::new(|| 3);
        // Contended: all that end at the same time meet here.
        for round in 0..20 {
            let mut guard = AT_THE_END.lock().unwrap();
            *guard += 1;
            if round % 4 == 0 {
                thread::yield_now();
            }
        }
        *SHARED.write().unwrap() += *LAZY;
        assert!(*SHARED.read().unwrap() >= *CELL.get_or_init(|| 3));
        ONCE.call_once(|| ());
        let (tx, rx) = sync_channel(1);
        tx.send(1).unwrap();
        assert_eq!(rx.recv(), Ok(1));
        if let Some(log) = self.0.take() {
            log.send("dropped").unwrap();
        }
    }
}

local! {
    static KEPT: AtTheEnd = const { AtTheEnd(None) };
}

local! {
    static LOG: std::cell::RefCell<AtTheEnd> = const { std::cell::RefCell::new(AtTheEnd(None)) };
}

pub fn destructors_of_locals_may_use_everything() {
    let (tx, rx) = channel();
    let handles: Vec<_> = (0..4)
        .map(|_| {
            let tx = tx.clone();
            thread::spawn(move || {
                KEPT.with(|_| ());
                LOG.with(|log| log.borrow_mut().0 = Some(tx));
            })
        })
        .collect();
    drop(tx);
    // The channel ends when the last of them has been dropped.
    assert_eq!(rx.iter().collect::<Vec<_>>(), ["dropped"; 4]);
    for handle in handles {
        handle.join().unwrap();
    }
}

pub fn destructors_of_locals_after_a_panic() {
    let (tx, rx) = channel();
    let failed = thread::spawn(move || {
        LOG.with(|log| log.borrow_mut().0 = Some(tx));
        panic!("expected");
    });
    assert_eq!(rx.recv(), Ok("dropped"));
    failed.join().unwrap_err();
    assert!(!AT_THE_END.is_poisoned());
}
