//! Promises of std's `Mutex` and its guard.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::sync::{Arc, LockResult, Mutex, MutexGuard, PoisonError, TryLockError, TryLockResult};
use super::thread;
use crate::common::Counted;
use crate::places::panic_text;

/// Poisons it.
fn poison<T: Send + ?Sized>(mutex: &Mutex<T>) {
    let said = panic_text(|| {
        let _guard = mutex.lock().unwrap();
        panic!("expected");
    });
    assert_eq!(said, "expected");
    assert!(mutex.is_poisoned());
}

pub fn a_lock_can_be_taken_again_and_again() {
    let mutex = Mutex::new(1);
    drop(mutex.lock().unwrap());
    *mutex.lock().unwrap() += 1;
    drop(mutex.lock());
    assert_eq!(*mutex.lock().unwrap(), 2);
}

pub fn one_at_a_time_holds_it() {
    const ROUNDS: usize = 300;
    let mutex = Arc::new(Mutex::new(0));
    let inside = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..8)
        .map(|number| {
            let (mutex, inside) = (Arc::clone(&mutex), Arc::clone(&inside));
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let mut guard = mutex.lock().unwrap();
                    assert!(!inside.swap(true, Ordering::Relaxed));
                    let seen = *guard;
                    if (round + number) % 16 == 0 {
                        thread::yield_now();
                    }
                    *guard = seen + 1;
                    inside.store(false, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
    assert_eq!(*mutex.lock().unwrap(), 8 * ROUNDS);
}

pub fn all_who_wait_get_it() {
    let mutex = Mutex::new(Vec::new());
    let begun = AtomicUsize::new(0);
    thread::scope(|s| {
        let guard = mutex.lock().unwrap();
        for number in 0..32 {
            let (mutex, begun) = (&mutex, &begun);
            s.spawn(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                mutex.lock().unwrap().push(number);
            });
        }
        while begun.load(Ordering::Relaxed) < 32 {
            thread::yield_now();
        }
        assert!(guard.is_empty());
        drop(guard);
    });
    let mut all = mutex.into_inner().unwrap();
    all.sort_unstable();
    assert_eq!(all, (0..32).collect::<Vec<_>>());
}

pub fn a_holder_may_wait_for_something_else() {
    let (outer, inner) = (Mutex::new(()), Mutex::new(0));
    thread::scope(|s| {
        let held = inner.lock().unwrap();
        for _ in 0..4 {
            s.spawn(|| {
                let _outer = outer.lock().unwrap();
                *inner.lock().unwrap() += 1;
            });
        }
        for _ in 0..50 {
            thread::yield_now();
        }
        drop(held);
    });
    assert_eq!(inner.into_inner().unwrap(), 4);
}

pub fn what_a_holder_wrote_is_seen_by_the_next() {
    let mutex = Mutex::new(());
    let words = [const { AtomicUsize::new(0) }; 4];
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..200 {
                    let _guard = mutex.lock().unwrap();
                    let seen = words.each_ref().map(|word| word.load(Ordering::Relaxed));
                    assert!(seen.iter().all(|word| *word == seen[0]), "{seen:?}");
                    for word in &words {
                        word.store(seen[0] + 1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(words[3].load(Ordering::Relaxed), 800);
}

pub fn try_lock_tells_why_not() -> Vec<String> {
    let mutex = Mutex::new(5);
    let guard = mutex.try_lock().unwrap();
    let mut said = Vec::new();
    let error = mutex.try_lock().unwrap_err();
    assert!(matches!(error, TryLockError::WouldBlock));
    said.push(format!("{error:?}, {error}"));
    thread::scope(|s| {
        let other = s.spawn(|| matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        assert!(other.join().unwrap());
    });
    drop(guard);
    assert_eq!(mutex.try_lock().map(|guard| *guard).unwrap(), 5);
    poison(&mutex);
    let error = mutex.try_lock().unwrap_err();
    said.push(format!("{error:?}, {error}"));
    match error {
        TryLockError::Poisoned(error) => assert_eq!(*error.into_inner(), 5),
        TryLockError::WouldBlock => panic!("nobody holds it"),
    }
    // Held and poisoned: held comes first.
    let guard = mutex.lock().unwrap_err().into_inner();
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    drop(guard);
    said
}

pub fn a_panic_while_it_is_held_poisons_it() -> Vec<String> {
    let mutex = Arc::new(Mutex::new(1));
    let other = Arc::clone(&mutex);
    let failed = thread::spawn(move || {
        *other.lock().unwrap() = 2;
        let _guard = other.lock().unwrap();
        panic!("expected");
    });
    failed.join().unwrap_err();
    assert!(mutex.is_poisoned());
    let error = mutex.lock().unwrap_err();
    let said = vec![format!("{error:?}, {error}"), {
        let error: &dyn std::error::Error = &error;
        format!("{}", error.source().is_none())
    }];
    assert_eq!(**error.get_ref(), 2);
    assert_eq!(*error.into_inner(), 2);
    assert!(mutex.is_poisoned(), "looking does not clear it");
    let mut guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
    *guard = 3;
    drop(guard);
    mutex.clear_poison();
    assert!(!mutex.is_poisoned());
    assert_eq!(*mutex.lock().unwrap(), 3);
    poison(&mutex);
    said
}

pub fn unwrapping_a_poisoned_one_panics() -> Vec<String> {
    let mutex = Mutex::new(());
    poison(&mutex);
    vec![
        panic_text(|| drop(mutex.lock().unwrap())),
        panic_text(|| drop(mutex.try_lock().unwrap())),
        panic_text(|| drop(mutex.lock().expect("a name"))),
        panic_text(|| mutex.into_inner().unwrap()),
    ]
}

pub fn it_gives_its_value_back() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    let before = DROPS.load(Ordering::Relaxed);
    let mutex = Mutex::new(Counted(&DROPS));
    let value = mutex.into_inner().unwrap();
    assert_eq!(DROPS.load(Ordering::Relaxed), before);
    drop(value);
    assert_eq!(DROPS.load(Ordering::Relaxed), before + 1);
    drop(Mutex::new(Counted(&DROPS)));
    assert_eq!(DROPS.load(Ordering::Relaxed), before + 2);

    struct NotCopy(u32);
    let mut mutex = Mutex::new(NotCopy(1));
    mutex.get_mut().unwrap().0 = 7;
    assert_eq!(mutex.lock().unwrap().0, 7);
    poison(&mutex);
    let error = mutex.get_mut().err().unwrap();
    error.into_inner().0 = 8;
    assert!(mutex.is_poisoned());
    match mutex.into_inner() {
        Ok(_) => panic!("it is poisoned"),
        Err(error) => assert_eq!(error.into_inner().0, 8),
    }
}

pub fn it_is_made_of_a_value() -> Vec<String> {
    let default = Mutex::<Vec<u8>>::default();
    let from = Mutex::from(vec![1u8]);
    let into: Mutex<&str> = "a text".into();
    vec![format!("{default:?}, {from:?}, {into:?}")]
}

pub fn debug_never_waits() -> Vec<String> {
    let mutex = Mutex::new(Some("value"));
    let mut said = vec![format!("{mutex:?}"), format!("{mutex:#?}")];
    let guard = mutex.lock().unwrap();
    said.push(format!("{mutex:?}"));
    said.push(format!("{mutex:#?}"));
    said.push(format!("{guard:?}, {guard:#?}"));
    drop(guard);
    poison(&mutex);
    said.push(format!("{mutex:?}"));
    said.push(format!("{mutex:#?}"));
    let unsized_one: &Mutex<[u8]> = &Mutex::new([1, 2]);
    said.push(format!("{unsized_one:?}"));
    // In quotes or not: std's releases differ, and so do its Mutex and its RwLock.
    said.iter()
        .map(|text| text.replace("\"<locked>\"", "<locked>"))
        .collect()
}

pub fn a_guard_stands_for_the_value() -> Vec<String> {
    fn needs_str(text: &str) -> usize {
        text.len()
    }
    let mutex = Mutex::new(String::from("four"));
    let mut guard = mutex.lock().unwrap();
    assert_eq!(needs_str(&guard), 4);
    guard.push('!');
    let old = std::mem::replace(&mut *guard, "new".into());
    assert_eq!(old, "four!");
    // Several may look through one guard.
    thread::scope(|s| {
        let guard: &MutexGuard<'_, String> = &guard;
        s.spawn(move || assert_eq!(**guard, "new"));
        s.spawn(move || assert_eq!(guard.len(), 3));
    });
    vec![format!(
        "{guard}, {guard:>6}, {guard:?}, {:p}",
        std::ptr::null::<u8>()
    )]
}

pub fn values_without_a_size() {
    trait Counts: Send {
        fn count(&mut self) -> u32;
    }
    impl Counts for u32 {
        fn count(&mut self) -> u32 {
            *self += 1;
            *self
        }
    }
    let slice: &Mutex<[i32]> = &Mutex::new([1, 2, 3]);
    slice.lock().unwrap()[0] = 4;
    assert_eq!(&*slice.lock().unwrap(), &[4, 2, 3]);

    let object: Arc<Mutex<dyn Counts>> = Arc::new(Mutex::new(1u32));
    let other = Arc::clone(&object);
    assert_eq!(
        thread::spawn(move || other.lock().unwrap().count())
            .join()
            .unwrap(),
        2
    );
    assert_eq!(object.lock().unwrap().count(), 3);
    poison(&*object);
    object.clear_poison();

    let boxed: Box<Mutex<dyn Debug>> = Box::new(Mutex::new("text"));
    let guard: MutexGuard<'_, dyn Debug> = boxed.lock().unwrap();
    assert_eq!(format!("{:?}", &*guard), "\"text\"");
}

pub fn one_in_a_static() {
    static WORDS: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    const fn made(value: u8) -> Mutex<u8> {
        Mutex::new(value)
    }
    static MADE: [Mutex<u8>; 2] = [made(1), made(2)];
    static EMPTY: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
    WORDS.lock().unwrap().clear();
    let first = thread::spawn(|| WORDS.lock().unwrap().push("first"));
    first.join().unwrap();
    WORDS.lock().unwrap().push("second");
    assert_eq!(*WORDS.lock().unwrap(), ["first", "second"]);
    assert_eq!(*MADE[0].lock().unwrap() + *MADE[1].lock().unwrap(), 3);
    let guards: Vec<_> = EMPTY.iter().map(|one| one.lock().unwrap()).collect();
    assert!(EMPTY.iter().all(|one| one.try_lock().is_err()));
    drop(guards);
}

pub fn one_in_another() {
    let inner = Arc::new(Mutex::new(1));
    let outer = Arc::new(Mutex::new(Arc::clone(&inner)));
    let handle = thread::spawn(move || {
        let outer = outer.lock().unwrap();
        let guard = outer.lock().unwrap();
        assert_eq!(*guard, 1);
    });
    handle.join().unwrap();
    assert_eq!(*inner.lock().unwrap(), 1);
}

pub fn a_forgotten_guard_keeps_it_locked() {
    let mutex = Mutex::new(1);
    std::mem::forget(mutex.lock().unwrap());
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    assert_eq!(mutex.into_inner().unwrap(), 1);
}

pub fn guards_let_go_in_any_order() {
    let mutexes = [const { Mutex::new(0) }; 3];
    let [first, second, third] = mutexes.each_ref().map(|mutex| mutex.lock().unwrap());
    drop(second);
    assert!(mutexes[1].try_lock().is_ok());
    assert!(mutexes[0].try_lock().is_err() && mutexes[2].try_lock().is_err());
    drop(first);
    drop(third);
    assert!(mutexes.iter().all(|mutex| mutex.try_lock().is_ok()));
}

pub fn results_have_the_types_of_std() {
    fn locked<'a>(mutex: &'a Mutex<u8>) -> LockResult<MutexGuard<'a, u8>> {
        mutex.lock()
    }
    fn tried<'a>(mutex: &'a Mutex<u8>) -> TryLockResult<MutexGuard<'a, u8>> {
        mutex.try_lock()
    }
    // As std's own: code that handles poisoning may name them by either path.
    fn through(
        error: PoisonError<MutexGuard<'_, u8>>,
    ) -> std::sync::PoisonError<MutexGuard<'_, u8>> {
        error
    }
    let mutex = Mutex::new(0);
    drop(locked(&mutex).unwrap());
    drop(tried(&mutex).unwrap());
    poison(&mutex);
    *through(mutex.lock().unwrap_err()).get_mut().get_mut_value() = 5;
    let from: TryLockError<_> = mutex.lock().unwrap_err().into();
    assert!(matches!(from, TryLockError::Poisoned(error) if **error.get_ref() == 5));
}

trait Value {
    fn get_mut_value(&mut self) -> &mut u8;
}

impl Value for MutexGuard<'_, u8> {
    fn get_mut_value(&mut self) -> &mut u8 {
        self
    }
}

pub fn a_lock_taken_where_an_unwind_is_caught() {
    let mutex = Mutex::new(0);
    // Compiles without AssertUnwindSafe: a lock that may be poisoned is safe to look at afterwards.
    let caught = std::panic::catch_unwind(|| *mutex.lock().unwrap() += 1);
    assert!(caught.is_ok());
    assert_eq!(mutex.into_inner().unwrap(), 1);
}

pub fn the_value_of_a_guard_can_be_dropped_by_its_holder() {
    let drops = AtomicUsize::new(0);
    let mutex = Mutex::new(Some(Counted(&drops)));
    *mutex.lock().unwrap() = None;
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    let taken = mutex.lock().unwrap().replace(Counted(&drops));
    assert!(taken.is_none());
    drop(mutex);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[allow(
    clippy::needless_late_init,
    reason = "the order of the declarations is the point"
)]
pub fn a_mutex_may_be_declared_before_what_it_borrows() {
    let mutex;
    let text = String::from("later");
    mutex = Mutex::new(text.as_str());
    assert_eq!(*mutex.lock().unwrap(), "later");
}

pub fn hand_over_by_turns() {
    let turn = Mutex::new(0);
    thread::scope(|s| {
        for me in 0..2 {
            let turn = &turn;
            s.spawn(move || {
                for round in 0..100 {
                    loop {
                        let mut turn = turn.lock().unwrap();
                        if *turn == round * 2 + me {
                            *turn += 1;
                            break;
                        }
                        drop(turn);
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert_eq!(turn.into_inner().unwrap(), 200);
}
