//! What std promises of names, numbers, types and the parallelism.

use super::thread;
use std::collections::HashSet;

pub fn a_thread_has_the_name_it_was_given() {
    let unnamed = thread::spawn(|| thread::current().name().map(str::to_owned));
    assert_eq!(unnamed.thread().name(), None);
    assert_eq!(unnamed.join().unwrap(), None);
    for name in [
        "Ada",
        "",
        "a name that is longer than the fifteen bytes of the kernel",
        "ﬁber 🧵",
    ] {
        let named = thread::Builder::new()
            .name(name.to_owned())
            .spawn(|| thread::current().name().map(str::to_owned))
            .unwrap();
        assert_eq!(named.thread().name(), Some(name));
        assert_eq!(named.join().unwrap().as_deref(), Some(name));
    }
    thread::scope(|s| {
        let named = thread::Builder::new().name("Grace".into());
        let named = named.spawn_scoped(s, || thread::current().name().map(str::to_owned));
        assert_eq!(named.unwrap().join().unwrap().as_deref(), Some("Grace"));
    });
}

pub fn ids_are_unique_and_the_same_for_all_who_ask() {
    let mut ids = HashSet::new();
    assert!(ids.insert(thread::current().id()));
    assert_eq!(thread::current().id(), thread::current().id());
    for _ in 0..300 {
        let handle = thread::spawn(|| thread::current().id());
        let from_outside = handle.thread().id();
        let from_inside = handle.join().unwrap();
        assert_eq!(from_outside, from_inside);
        assert!(ids.insert(from_inside), "two threads with {from_inside:?}");
    }
    assert!(format!("{:?}", thread::current()).contains("id"));
}

pub fn the_parallelism_is_at_least_one() {
    assert!(thread::available_parallelism().unwrap().get() >= 1);
}

pub fn the_types_cross_threads_as_in_std() {
    fn both<T: Send + Sync>() {}
    fn everything<T: Send + Sync + Clone + std::fmt::Debug>() {}
    both::<thread::JoinHandle<*const ()>>();
    both::<thread::ScopedJoinHandle<'static, u8>>();
    both::<thread::Builder>();
    both::<thread::Scope<'static, 'static>>();
    everything::<thread::Thread>();
    fn copy<T: Send + Sync + Copy + Eq + std::hash::Hash + std::fmt::Debug>() {}
    copy::<thread::ThreadId>();
    fn error<T: Send + Sync + Copy + Eq + std::error::Error>() {}
    error::<thread::AccessError>();
}

pub fn handles_may_be_used_in_catch_unwind() {
    fn safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    safe::<thread::Thread>();
    safe::<thread::ThreadId>();
}
