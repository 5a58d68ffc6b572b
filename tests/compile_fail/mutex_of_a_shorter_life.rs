//! A lock is invariant in its value: who may write could put something shorter-lived in.
use fibers::sync::{Mutex, OnceLock, RwLock};

fn mutex<'a, 'b>(lock: &'b Mutex<&'static str>) -> &'b Mutex<&'a str> {
    lock
}

fn rwlock<'a, 'b>(lock: &'b RwLock<&'static str>) -> &'b RwLock<&'a str> {
    lock
}

fn once<'a, 'b>(cell: &'b OnceLock<&'static str>) -> &'b OnceLock<&'a str> {
    cell
}

fn main() {
    let _ = (mutex, rwlock, once);
}
