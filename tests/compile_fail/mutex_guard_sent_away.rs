//! A guard stays with the fiber that locked: `fibers::sync`'s as std's.
use fibers::sync::Mutex;

static LOCK: Mutex<u32> = Mutex::new(0);

fn main() {
    let guard = LOCK.lock().unwrap();
    fibers::spawn(move || drop(guard));
}
