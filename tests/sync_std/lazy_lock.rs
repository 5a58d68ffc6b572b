//! Promises of std's `LazyLock`.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sync::{Arc, LazyLock, Mutex};
use super::thread;
use crate::common::Counted;
use crate::places::panic_text;

pub fn it_is_made_when_it_is_looked_at() {
    let calls = AtomicUsize::new(0);
    let lazy = LazyLock::new(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        92
    });
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(*lazy, 92);
    assert_eq!(*lazy, 92);
    assert_eq!(*LazyLock::force(&lazy), 92);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

pub fn one_makes_it_and_all_see_that() {
    for _ in 0..20 {
        let calls = AtomicUsize::new(0);
        let lazy = LazyLock::new(|| {
            thread::yield_now();
            calls.fetch_add(1, Ordering::Relaxed);
            String::from("made")
        });
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| assert_eq!(*lazy, "made"));
            }
        });
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}

pub fn one_in_a_static() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static LAZY: LazyLock<Vec<u32>> = LazyLock::new(|| {
        CALLS.fetch_add(1, Ordering::Relaxed);
        vec![1, 2, 3]
    });
    static LOCKED: LazyLock<Mutex<u32>> = LazyLock::new(Mutex::default);
    assert_eq!(thread::spawn(|| LAZY.len()).join().unwrap(), 3);
    assert_eq!(LAZY.iter().sum::<u32>(), 6);
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    *LOCKED.lock().unwrap() += 1;
}

pub fn a_panic_poisons_it() -> Vec<String> {
    let lazy: LazyLock<u32> = LazyLock::new(|| panic!("expected"));
    let mut said = vec![
        panic_text(|| *lazy),
        panic_text(|| *lazy),
        panic_text(|| LazyLock::force(&lazy)),
        format!("{lazy:?}, {:?}", LazyLock::get(&lazy)),
    ];
    let mut lazy = lazy;
    said.push(panic_text(|| *LazyLock::force_mut(&mut lazy)));
    said.push(panic_text(|| *lazy = 3));
    said.push(panic_text(|| LazyLock::get_mut(&mut lazy).is_none()));
    said
}

pub fn a_panic_of_force_mut_poisons_it_too() -> Vec<String> {
    let mut lazy: LazyLock<u32> = LazyLock::new(|| panic!("expected"));
    vec![
        panic_text(|| *LazyLock::force_mut(&mut lazy)),
        panic_text(|| *LazyLock::force_mut(&mut lazy)),
        panic_text(|| *LazyLock::force(&lazy)),
    ]
}

pub fn those_who_waited_for_a_panic_are_told() {
    let calls = AtomicUsize::new(0);
    let lazy: LazyLock<u32, _> = LazyLock::new(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
        panic!("expected")
    });
    let said: Vec<String> = thread::scope(|s| {
        let lazy = &lazy;
        let look = move || panic_text(|| **lazy);
        let handles: Vec<_> = (0..4).map(|_| s.spawn(look)).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect()
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(
        said.iter().filter(|text| *text == "expected").count(),
        1,
        "{said:?}"
    );
}

pub fn get_looks_without_making_it() {
    let mut lazy = LazyLock::new(|| 3);
    assert_eq!(LazyLock::get(&lazy), None);
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    assert_eq!(*lazy, 3);
    assert_eq!(LazyLock::get(&lazy), Some(&3));
    *LazyLock::get_mut(&mut lazy).unwrap() += 1;
    assert_eq!(*lazy, 4);
}

pub fn its_owner_may_change_it() {
    let mut lazy = LazyLock::new(|| vec![1]);
    LazyLock::force_mut(&mut lazy).push(2);
    LazyLock::force_mut(&mut lazy).push(3);
    lazy.push(4);
    assert_eq!(*lazy, [1, 2, 3, 4]);
    let mut fresh = LazyLock::new(|| 5);
    *fresh += 1;
    assert_eq!(*fresh, 6);
}

pub fn values_and_closures_are_dropped_once() {
    let (values, closures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let count = || {
        (
            values.load(Ordering::Relaxed),
            closures.load(Ordering::Relaxed),
        )
    };
    let captured = Counted(&closures);
    let unmade: LazyLock<Counted<'_>, _> = LazyLock::new(|| {
        drop(captured);
        Counted(&values)
    });
    drop(unmade);
    assert_eq!(count(), (0, 1));
    let captured = Counted(&closures);
    let made = LazyLock::new(|| {
        drop(captured);
        Counted(&values)
    });
    LazyLock::force(&made);
    assert_eq!(count(), (0, 2));
    drop(made);
    assert_eq!(count(), (1, 2));
    let captured = Counted(&closures);
    let failed: LazyLock<Counted<'_>, _> = LazyLock::new(|| {
        let _captured = captured;
        panic!("expected")
    });
    panic_text(|| LazyLock::force(&failed).0.load(Ordering::Relaxed));
    assert_eq!(count(), (1, 3));
    drop(failed);
    assert_eq!(count(), (1, 3));
}

pub fn made_and_shown() -> Vec<String> {
    let lazy = LazyLock::new(|| "text");
    let default = LazyLock::<Vec<u8>>::default();
    let mut said = vec![format!("{lazy:?}, {lazy:#?}, {default:?}")];
    assert_eq!(lazy.len(), 4);
    assert!(default.is_empty());
    said.push(format!("{lazy:?}, {lazy:#?}, {default:?}"));
    said
}

pub fn debug_does_not_make_it() -> Vec<String> {
    static LAZY: LazyLock<u8> = LazyLock::new(|| {
        let shown = format!("{LAZY:?}");
        assert!(shown.contains("uninit"), "{shown}");
        1
    });
    assert_eq!(*LAZY, 1);
    vec![format!("{LAZY:?}")]
}

pub fn the_closure_need_not_be_sync() {
    // Only one ever runs it, so it needs to be Send only.
    let cell = Cell::new(4);
    let lazy = LazyLock::new(move || cell.replace(0));
    thread::scope(|s| {
        s.spawn(|| assert_eq!(*lazy, 4));
    });
    let shared = Arc::new(LazyLock::new(
        Box::new(|| 5u8) as Box<dyn FnOnce() -> u8 + Send>
    ));
    let other = Arc::clone(&shared);
    assert_eq!(thread::spawn(move || **other).join().unwrap(), 5);
    assert_eq!(**shared, 5);
}

pub fn one_may_look_at_another() {
    static FIRST: LazyLock<u32> = LazyLock::new(|| *SECOND + 1);
    static SECOND: LazyLock<u32> = LazyLock::new(|| thread::spawn(|| 1).join().unwrap());
    assert_eq!(thread::spawn(|| *FIRST).join().unwrap(), 2);
    assert_eq!(*FIRST, 2);
}

pub fn what_has_no_closure_type_is_named_by_a_pointer() {
    fn make() -> String {
        "made".to_owned()
    }
    struct Holder {
        lazy: LazyLock<String>,
    }
    const fn holder() -> Holder {
        Holder {
            lazy: LazyLock::new(make),
        }
    }
    static HOLDER: Holder = holder();
    assert_eq!(&*HOLDER.lazy, "made");
}
