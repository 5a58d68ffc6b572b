//! Either half may run on another thread.
fn main() {
    let shared = std::rc::Rc::new(5);
    fibers::join(|| 1, || *shared);
}
