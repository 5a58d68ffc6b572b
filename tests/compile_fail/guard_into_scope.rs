//! Nor does a guard go into a scoped fiber.
use std::sync::Mutex;

fn main() {
    let lock = Mutex::new(0);
    let guard = lock.lock().unwrap();
    fibers::scope(|s| {
        s.spawn(move || drop(guard));
    });
}
