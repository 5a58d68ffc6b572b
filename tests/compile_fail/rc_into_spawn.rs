//! An `Rc` does not go into a fiber that may start on another thread.
fn main() {
    let shared = std::rc::Rc::new(5);
    fibers::spawn(move || *shared);
}
