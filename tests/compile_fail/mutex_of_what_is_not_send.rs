//! A lock makes nothing Send that is not: its value would be used, and dropped, elsewhere.
use fibers::sync::{Arc, Mutex, RwLock};
use std::cell::Cell;
use std::rc::Rc;

fn main() {
    let mutex = Arc::new(Mutex::new(Rc::new(0)));
    fibers::spawn(move || drop(mutex));
    // Readers look at the same time, so the value must be Sync as well.
    let lock = Arc::new(RwLock::new(Cell::new(0)));
    fibers::spawn(move || drop(lock));
}
