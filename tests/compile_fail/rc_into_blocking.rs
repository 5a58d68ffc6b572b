//! The closure of `blocking` runs on another thread: what it borrows must be fit for that.
fn main() {
    let shared = std::rc::Rc::new(5);
    fibers::blocking(|| *shared);
}
