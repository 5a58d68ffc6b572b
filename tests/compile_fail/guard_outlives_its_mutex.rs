//! A guard borrows its lock.
use fibers::sync::Mutex;

fn main() {
    let guard = {
        let mutex = Mutex::new(String::new());
        mutex.lock().unwrap()
    };
    println!("{}", guard.len());
}
