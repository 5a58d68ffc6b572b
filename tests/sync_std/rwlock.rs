//! Promises of std's `RwLock` and its guards.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sync::{
    Arc, LockResult, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, TryLockResult,
};
use super::thread;
use crate::common::Counted;
use crate::places::panic_text;

fn poison<T: Send + Sync + ?Sized>(lock: &RwLock<T>) {
    let said = panic_text(|| {
        let _guard = lock.write().unwrap();
        panic!("expected");
    });
    assert_eq!(said, "expected");
    assert!(lock.is_poisoned());
}

fn would_block<T>(tried: TryLockResult<T>) -> bool {
    matches!(tried, Err(TryLockError::WouldBlock))
}

pub fn both_kinds_again_and_again() {
    let lock = RwLock::new(0);
    drop(lock.read().unwrap());
    *lock.write().unwrap() += 1;
    let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
    assert_eq!(*one + *two, 2);
    drop((one, two));
    *lock.write().unwrap() += 1;
    assert_eq!(*lock.read().unwrap(), 2);
}

pub fn writers_are_alone_and_readers_share() {
    let lock = RwLock::new((0, 0));
    let readers = AtomicUsize::new(0);
    thread::scope(|s| {
        for number in 0..6 {
            let (lock, readers) = (&lock, &readers);
            s.spawn(move || {
                for round in 0..200 {
                    if (round + number) % 4 == 0 {
                        let mut both = lock.write().unwrap();
                        assert_eq!(readers.load(Ordering::Relaxed), 0);
                        both.0 += 1;
                        if round % 16 == 0 {
                            thread::yield_now();
                        }
                        both.1 += 1;
                    } else {
                        let both = lock.read().unwrap();
                        readers.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(both.0, both.1);
                        if round % 16 == 0 {
                            thread::yield_now();
                        }
                        assert_eq!(both.0, both.1);
                        readers.fetch_sub(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(lock.into_inner().unwrap(), (300, 300));
}

pub fn readers_are_inside_together() {
    let lock = RwLock::new(());
    let inside = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let _guard = lock.read().unwrap();
                inside.fetch_add(1, Ordering::Relaxed);
                while inside.load(Ordering::Relaxed) < 4 {
                    thread::yield_now();
                }
            });
        }
    });
}

pub fn try_read_and_try_write_tell_why_not() -> Vec<String> {
    let lock = RwLock::new(1);
    let reader = lock.try_read().unwrap();
    assert!(would_block(lock.try_write()));
    let second = lock.try_read().unwrap();
    drop(reader);
    assert!(would_block(lock.try_write()));
    drop(second);
    let writer = lock.try_write().unwrap();
    assert!(would_block(lock.try_read()) && would_block(lock.try_write()));
    thread::scope(|s| {
        let other = s.spawn(|| would_block(lock.try_read()) && would_block(lock.try_write()));
        assert!(other.join().unwrap());
    });
    let mut said = vec![
        format!("{:?}", lock.try_read()),
        format!("{:?}", lock.try_write()),
    ];
    drop(writer);
    poison(&lock);
    let error = lock.try_read().unwrap_err();
    said.push(format!("{error:?}, {error}"));
    drop(error);
    let error = lock.try_write().unwrap_err();
    said.push(format!("{error:?}, {error}"));
    drop(error);
    match lock.try_read() {
        Err(TryLockError::Poisoned(error)) => assert_eq!(*error.into_inner(), 1),
        _ => panic!("it is poisoned"),
    }
    said
}

pub fn a_waiting_writer_gets_it_and_waiting_readers_too() {
    let lock = RwLock::new(0);
    let begun = AtomicUsize::new(0);
    thread::scope(|s| {
        let held = lock.read().unwrap();
        for number in 0..12 {
            let (lock, begun) = (&lock, &begun);
            s.spawn(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                if number % 3 == 0 {
                    *lock.write().unwrap() += 1;
                } else {
                    assert!(*lock.read().unwrap() <= 4);
                }
            });
        }
        while begun.load(Ordering::Relaxed) < 12 {
            thread::yield_now();
        }
        assert_eq!(*held, 0);
        drop(held);
    });
    assert_eq!(lock.into_inner().unwrap(), 4);
}

pub fn only_a_writer_poisons_it() -> Vec<String> {
    let lock = Arc::new(RwLock::new(1));
    let other = Arc::clone(&lock);
    let failed = thread::spawn(move || {
        let _guard = other.read().unwrap();
        panic!("expected");
    });
    failed.join().unwrap_err();
    assert!(!lock.is_poisoned());
    drop(lock.write().unwrap());
    let other = Arc::clone(&lock);
    let failed = thread::spawn(move || {
        let mut guard = other.write().unwrap();
        *guard = 2;
        panic!("expected");
    });
    failed.join().unwrap_err();
    assert!(lock.is_poisoned());
    let said = vec![
        format!("{:?}", lock.read().map(drop)),
        format!("{:?}", lock.write().map(drop)),
        panic_text(|| drop(lock.read().unwrap())),
        panic_text(|| drop(lock.write().unwrap())),
    ];
    assert_eq!(*lock.read().unwrap_err().into_inner(), 2);
    *lock.write().unwrap_err().into_inner() = 3;
    assert!(lock.is_poisoned());
    lock.clear_poison();
    assert_eq!(*lock.read().unwrap(), 3);
    assert!(lock.try_write().is_ok());
    said
}

pub fn a_writer_becomes_a_reader() {
    let lock = RwLock::new(1);
    let mut writer = lock.write().unwrap();
    *writer = 2;
    let reader = RwLockWriteGuard::downgrade(writer);
    assert_eq!(*reader, 2);
    let second = lock.try_read().unwrap();
    assert!(would_block(lock.try_write()));
    drop((reader, second));
    assert!(lock.try_write().is_ok());
}

pub fn waiting_readers_come_in_when_a_writer_becomes_one() {
    let lock = RwLock::new(0);
    let (begun, inside) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        let mut writer = lock.write().unwrap();
        for _ in 0..4 {
            s.spawn(|| {
                begun.fetch_add(1, Ordering::Relaxed);
                let value = lock.read().unwrap();
                assert_eq!(*value, 1);
                inside.fetch_add(1, Ordering::Relaxed);
            });
        }
        while begun.load(Ordering::Relaxed) < 4 {
            thread::yield_now();
        }
        *writer = 1;
        let reader = RwLockWriteGuard::downgrade(writer);
        while inside.load(Ordering::Relaxed) < 4 {
            thread::yield_now();
        }
        drop(reader);
    });
}

pub fn nobody_writes_between_a_write_and_its_downgrade() {
    let lock = RwLock::new(0u32);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..200 {
                    let mut writer = lock.write().unwrap();
                    *writer += 1;
                    let mine = *writer;
                    let reader = RwLockWriteGuard::downgrade(writer);
                    if mine.is_multiple_of(32) {
                        thread::yield_now();
                    }
                    assert_eq!(*reader, mine);
                }
            });
        }
    });
    assert_eq!(lock.into_inner().unwrap(), 800);
}

pub fn a_downgraded_guard_does_not_poison() {
    let lock = RwLock::new(1);
    panic_text(|| {
        let _reader = RwLockWriteGuard::downgrade(lock.write().unwrap());
        panic!("expected");
    });
    assert!(!lock.is_poisoned());
    assert!(lock.try_write().is_ok());
}

pub fn it_gives_its_value_back() {
    let drops = AtomicUsize::new(0);
    let lock = RwLock::new(Counted(&drops));
    let value = lock.into_inner().unwrap();
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(value);
    drop(RwLock::new(Counted(&drops)));
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    let mut lock = RwLock::new(1);
    *lock.get_mut().unwrap() = 5;
    assert_eq!(*lock.read().unwrap(), 5);
    poison(&lock);
    *lock.get_mut().unwrap_err().into_inner() = 6;
    assert_eq!(lock.into_inner().unwrap_err().into_inner(), 6);
}

pub fn it_is_made_of_a_value() -> Vec<String> {
    let default = RwLock::<Option<u8>>::default();
    let from = RwLock::from("a text");
    vec![format!("{default:?}, {from:?}")]
}

pub fn debug_never_waits() -> Vec<String> {
    let lock = RwLock::new("value");
    let mut said = vec![format!("{lock:?}"), format!("{lock:#?}")];
    let reader = lock.read().unwrap();
    said.push(format!("{lock:?}, {reader:?}, {reader}, {reader:>8}"));
    drop(reader);
    let writer = lock.write().unwrap();
    said.push(format!("{lock:?}, {writer:?}, {writer}, {writer:>8}"));
    said.push(format!("{lock:#?}"));
    drop(writer);
    poison(&lock);
    said.push(format!("{lock:?}"));
    said
}

pub fn values_without_a_size() {
    let slice: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
    slice.write().unwrap()[1] = 9;
    assert_eq!(*slice.read().unwrap(), [1, 9, 3]);
    let object: Arc<RwLock<dyn Debug + Send + Sync>> = Arc::new(RwLock::new("text"));
    let other = Arc::clone(&object);
    let text = thread::spawn(move || format!("{:?}", &*other.read().unwrap()));
    assert_eq!(text.join().unwrap(), "\"text\"");
    poison(&*object);
}

pub fn one_in_a_static() {
    static LOCK: RwLock<[u8; 4]> = RwLock::new([1; 4]);
    static MANY: [RwLock<()>; 2] = [const { RwLock::new(()) }; 2];
    LOCK.write().unwrap()[0] = 2;
    assert_eq!(thread::spawn(|| LOCK.read().unwrap()[0]).join().unwrap(), 2);
    let _reader = MANY[0].read().unwrap();
    let _writer = MANY[1].write().unwrap();
}

#[allow(clippy::readonly_write_lock, reason = "it is the guard that is tried")]
pub fn guards_can_be_looked_through_by_several() {
    let lock = RwLock::new(vec![1, 2]);
    let reader = lock.read().unwrap();
    thread::scope(|s| {
        s.spawn(|| assert_eq!(reader.len(), 2));
    });
    drop(reader);
    let writer = lock.write().unwrap();
    thread::scope(|s| {
        s.spawn(|| assert_eq!(writer[0], 1));
    });
}

pub fn a_forgotten_guard_keeps_it_locked() {
    let lock = RwLock::new(1);
    std::mem::forget(lock.read().unwrap());
    assert!(would_block(lock.try_write()));
    assert!(lock.try_read().is_ok());
    let lock = RwLock::new(1);
    std::mem::forget(lock.write().unwrap());
    assert!(would_block(lock.try_read()));
}

#[allow(
    clippy::needless_late_init,
    reason = "the order of the declarations is the point"
)]
pub fn signatures_and_variance() {
    fn read<'a>(lock: &'a RwLock<u8>) -> LockResult<RwLockReadGuard<'a, u8>> {
        lock.read()
    }
    fn write<'a>(lock: &'a RwLock<u8>) -> LockResult<RwLockWriteGuard<'a, u8>> {
        lock.write()
    }
    // Who may only read may be given something that lives longer.
    fn shorter<'a>(guard: RwLockReadGuard<'a, &'static str>) -> RwLockReadGuard<'a, &'a str> {
        guard
    }
    let lock = RwLock::new(0);
    drop(read(&lock).unwrap());
    drop(write(&lock).unwrap());
    let lock = RwLock::new("static");
    assert_eq!(*shorter(lock.read().unwrap()), "static");
    let late;
    let text = String::from("later");
    late = RwLock::new(text.as_str());
    assert_eq!(*late.read().unwrap(), "later");
}

pub fn a_lock_taken_where_an_unwind_is_caught() {
    let lock = RwLock::new(0);
    let caught = std::panic::catch_unwind(|| {
        *lock.write().unwrap() += 1;
        *lock.read().unwrap()
    });
    assert_eq!(caught.unwrap(), 1);
}
