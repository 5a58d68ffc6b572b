//! Promises of std's `OnceLock`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::sync::{Arc, OnceLock};
use super::thread;
use crate::common::Counted;
use crate::places::panic_text;

pub fn it_is_set_once() {
    let cell = OnceLock::new();
    assert_eq!(cell.get(), None);
    assert_eq!(cell.set(1), Ok(()));
    assert_eq!(cell.set(2), Err(2));
    assert_eq!(cell.get(), Some(&1));
    assert_eq!(cell.get_or_init(|| unreachable!()), &1);
    assert_eq!(*cell.wait(), 1);
}

pub fn one_initialises_it_and_all_see_that() {
    for _ in 0..20 {
        let (cell, calls) = (OnceLock::new(), AtomicUsize::new(0));
        thread::scope(|s| {
            let handles: Vec<_> = (0..8)
                .map(|number| {
                    let (cell, calls) = (&cell, &calls);
                    s.spawn(move || {
                        let value: &String = cell.get_or_init(|| {
                            calls.fetch_add(1, Ordering::Relaxed);
                            thread::yield_now();
                            format!("by {number}")
                        });
                        std::ptr::from_ref(value) as usize
                    })
                })
                .collect();
            let places: Vec<usize> = handles.into_iter().map(|h| h.join().unwrap()).collect();
            assert!(places.iter().all(|place| *place == places[0]));
        });
        assert_eq!(calls.into_inner(), 1);
    }
}

pub fn one_of_many_sets_it() {
    for _ in 0..20 {
        let cell = OnceLock::new();
        let winners: Vec<u32> = thread::scope(|s| {
            let cell = &cell;
            let set = move |number| move || cell.set(number).err();
            let handles: Vec<_> = (0..6).map(|number| s.spawn(set(number))).collect();
            let lost = |(number, back): (u32, Option<u32>)| {
                assert!(back.is_none_or(|back| back == number));
                back.is_none().then_some(number)
            };
            let all = handles.into_iter().map(|handle| handle.join().unwrap());
            (0..).zip(all).filter_map(lost).collect()
        });
        assert_eq!(winners, [*cell.get().unwrap()]);
    }
}

pub fn wait_returns_what_is_set_later() {
    let cell = OnceLock::new();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| assert_eq!(cell.wait(), "set"));
        }
        for _ in 0..5 {
            thread::yield_now();
        }
        cell.set(String::from("set")).unwrap();
    });
}

pub fn wait_outlives_an_initialisation_that_panics() {
    let cell = OnceLock::new();
    thread::scope(|s| {
        s.spawn(|| assert_eq!(cell.wait(), &5));
        assert_eq!(
            panic_text(|| cell.get_or_init(|| panic!("expected"))),
            "expected"
        );
        thread::yield_now();
        assert_eq!(cell.get(), None);
        assert_eq!(cell.get_or_init(|| 5), &5);
    });
}

pub fn a_panic_leaves_it_empty() {
    let cell = OnceLock::new();
    for _ in 0..2 {
        assert_eq!(
            panic_text(|| cell.get_or_init(|| panic!("expected"))),
            "expected"
        );
        assert_eq!(cell.get(), None);
    }
    assert_eq!(cell.set("fine"), Ok(()));
    assert_eq!(cell.get(), Some(&"fine"));
    let cell = OnceLock::new();
    panic_text(|| cell.get_or_init(|| panic!("expected")));
    assert_eq!(cell.get_or_init(|| 3), &3);
}

pub fn those_who_wait_for_one_that_panics_try_themselves() {
    let cell = OnceLock::new();
    let (calls, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let said = panic_text(|| {
                    cell.get_or_init(|| {
                        let call = calls.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        assert!(call > 0, "expected");
                        call
                    })
                });
                if said == "expected" {
                    failures.fetch_add(1, Ordering::Relaxed);
                } else {
                    assert_eq!(said, "no panic");
                }
            });
        }
    });
    assert_eq!(failures.into_inner(), 1);
    assert_eq!(calls.into_inner(), 2);
    assert_eq!(cell.get(), Some(&1));
}

pub fn values_are_dropped_once() {
    let drops = AtomicUsize::new(0);
    let cell = OnceLock::new();
    assert!(cell.set(Counted(&drops)).is_ok());
    assert!(cell.set(Counted(&drops)).is_err());
    assert_eq!(
        drops.load(Ordering::Relaxed),
        1,
        "what came too late came back"
    );
    drop(cell);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    let cell = OnceLock::from(Counted(&drops));
    let value = cell.into_inner();
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    drop(value);
    assert_eq!(drops.load(Ordering::Relaxed), 3);
    let mut cell = OnceLock::from(Counted(&drops));
    drop(cell.take());
    assert_eq!(drops.load(Ordering::Relaxed), 4);
    drop(cell);
    drop(OnceLock::<Counted<'_>>::new());
    assert_eq!(drops.load(Ordering::Relaxed), 4);
}

pub fn its_owner_may_change_it() {
    let mut cell = OnceLock::new();
    assert_eq!(cell.get_mut(), None);
    assert_eq!(cell.take(), None);
    cell.set(String::from("a")).unwrap();
    cell.get_mut().unwrap().push('b');
    assert_eq!(cell.take().as_deref(), Some("ab"));
    // Taken, it can be set anew.
    assert_eq!(cell.get(), None);
    assert_eq!(cell.get_or_init(|| "c".to_owned()), "c");
    assert_eq!(cell.into_inner().as_deref(), Some("c"));
    assert_eq!(OnceLock::<u8>::new().into_inner(), None);
}

pub fn made_compared_and_shown() -> Vec<String> {
    let (empty, full) = (OnceLock::<u8>::default(), OnceLock::from(3u8));
    assert!(empty != full && empty == OnceLock::new());
    assert!(full == full.clone() && empty.clone().get().is_none());
    assert!(full != OnceLock::from(4));
    fn is_eq<T: Eq>(_: &T) {}
    is_eq(&full);
    vec![
        format!("{empty:?}, {full:?}"),
        format!("{empty:#?}, {full:#?}"),
        format!("{:?}", OnceLock::from("text").set("other")),
    ]
}

pub fn debug_does_not_wait_for_an_initialisation() -> Vec<String> {
    let cell = OnceLock::new();
    let mut said = Vec::new();
    cell.get_or_init(|| {
        assert_eq!(cell.get(), None);
        said.push(format!("{cell:?}"));
        1
    });
    said
}

pub fn one_in_a_static() {
    static CELL: OnceLock<String> = OnceLock::new();
    static MANY: [OnceLock<u8>; 3] = [const { OnceLock::new() }; 3];
    let handle = thread::spawn(|| CELL.get_or_init(|| "first".to_owned()).as_str());
    assert_eq!(handle.join().unwrap(), "first");
    assert_eq!(CELL.get().unwrap(), "first");
    MANY[1].get_or_init(|| 1);
    assert!(MANY[0].get().is_none() && MANY[1].get() == Some(&1));
}

pub fn initialisers_may_nest() {
    let (outer, inner) = (OnceLock::new(), OnceLock::new());
    let sum = outer.get_or_init(|| inner.get_or_init(|| 1) + 1);
    assert_eq!((*sum, inner.get()), (2, Some(&1)));
}

pub fn what_was_written_before_is_seen() {
    for _ in 0..50 {
        let (cell, word) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
        let other = thread::spawn({
            let (cell, word) = (Arc::clone(&cell), Arc::clone(&word));
            move || {
                word.store(1, Ordering::Relaxed);
                cell.set(()).unwrap();
            }
        });
        cell.wait();
        assert_eq!(word.load(Ordering::Relaxed), 1);
        other.join().unwrap();
    }
}

#[allow(
    clippy::needless_late_init,
    reason = "the order of the declarations is the point"
)]
pub fn a_cell_may_outlive_what_it_borrows() {
    let cell = OnceLock::new();
    {
        // Compiles, as a cell's own destructor does not look into the value.
        let text = String::new();
        cell.set(&text).unwrap();
    }
}

pub fn a_cell_looked_at_where_an_unwind_is_caught() {
    let cell = OnceLock::new();
    let caught = std::panic::catch_unwind(|| *cell.get_or_init(|| 5));
    assert_eq!(caught.unwrap(), 5);
}
