//! A lock guard of std belongs to its thread.
use std::sync::Mutex;

static LOCK: Mutex<u32> = Mutex::new(0);

fn main() {
    let guard = LOCK.lock().unwrap();
    fibers::spawn(move || drop(guard));
}
